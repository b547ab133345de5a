"""A project's settings at `/p/<project>/settings`, each part at an address of its own."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board import rules
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.errors import Forbidden, InvalidRequest, NotFound, VibeError
from vibe_app.web.auth import acts, asker
from vibe_app.web.board.bar import project_tabs
from vibe_app.web.board.remote_line import RemoteState, show_remote
from vibe_app.web.keyboard import HelpState
from vibe_app.web.kit.frame import Shortcuts
from vibe_app.web.kit.parts import empty_state, field, skeleton
from vibe_app.web.kit.side import side_page
from vibe_app.web.layout import RailState, framed, top_bar
from vibe_app.web.place import known, place_of
from vibe_app.web.settings.keeping import (
    FormsState,
    Texts,
    begins,
    fill_project,
    form_part,
    project_form,
    settle,
)
from vibe_app.web.settings.limits import limits_part
from vibe_app.web.settings.members import MembersState, members_of, members_part, show_members, show_read
from vibe_app.web.settings.network import network_part
from vibe_app.web.settings.repository import RepositoryState, repository_part, show_clone
from vibe_app.web.settings.trees import trees_part
from vibe_app.wire import whole
from vibe_app.wiring import services
from vibe_app.workspaces.service import ERASURE

ROUTE = "/p/[in_project]/settings/[[...splat]]"


async def _gone(state: ProjectSettingsState, error: VibeError) -> None:
    """Keep nothing of a project that may not be seen any more, and say why."""
    project_id = state.project_id
    state.reset()
    state.project_id, state.missing, state.loaded = project_id, error.message, True


class ProjectSettingsState(rx.State):
    """What the page shows."""

    project_id: str = ""
    part: str = "general"
    loaded: bool = False
    missing: str = ""
    name: str = ""
    manages: bool = False
    typed_name: str = ""
    _connection: str = ""

    @acts
    async def arrive(self, actor: Actor):
        """Show the settings of the project that the address names, and the part that it names."""
        place, part = place_of(self), part_of(self.router.url.path)
        if place.project is None:
            self.missing, self.loaded = "This address names no project.", True
            return
        connection, before = self.router.session.session_id, self._connection
        self._connection = connection
        if (
            connection != before
            and self.loaded
            and (str(place.project), part) == (self.project_id, self.part)
        ):
            return  # a connection that comes back: what is being typed stays
        self.part, self.typed_name = part, ""
        settle(await self.get_state(FormsState))
        try:
            project = await services().projects.read(actor, place.project)
        except (NotFound, Forbidden) as error:
            self.project_id = str(place.project)
            await _gone(self, error)
            return
        await _fill(self, actor, project)

    @acts(background=True, ended=_gone)
    async def watch(self, actor: Actor):
        """Follow who belongs to the project and how its workspace is, while the tab is on this page."""
        project_id = place_of(self).project
        if project_id is None:
            return
        with services().database.bus.subscribe(f"project:{project_id}") as changes:
            while True:
                project = await services().projects.read(actor, project_id)
                async with self:
                    sought = (await self.get_state(MembersState)).sought
                members = await members_of(actor, project_id, sought)
                async with self:
                    if self.project_id != str(project_id):
                        return
                    self.name = project.name
                    here = await self.get_state(MembersState)
                    if here.sought == sought:
                        show_read(here, members)
                    show_clone(await self.get_state(RepositoryState), project)
                    show_remote(await self.get_state(RemoteState), project)
                await changes.wait(30)
                actor = await asker(self)

    @rx.event
    def set_typed_name(self, name: str):
        """Note what is typed to confirm the deletion."""
        self.typed_name = name[: rules.NAME_CHARS + 1]

    @rx.event
    def key(self, key: str):
        """Do what a key asks for."""
        return HelpState.set_helping(True) if key == "?" else None

    @acts
    async def delete(self, actor: Actor):
        """Delete the project whose name was typed."""
        await services().projects.delete(actor, known(self.project_id), self.typed_name)
        await services().workspaces.erased(known(self.project_id), ERASURE)
        return [rx.redirect("/"), rx.toast.success("Project deleted.")]


def part_of(path: str) -> str:
    """Return which part of the settings an address names."""
    named = path.strip("/").split("/")[3:4]
    return named[0] if named and named[0] in _PARTS else "general"


async def _fill(state: ProjectSettingsState, actor: Actor, project: ProjectView) -> None:
    """Put a project's settings into every part."""
    state.project_id, state.missing, state.loaded = str(project.id), "", True
    state.name, state.manages = project.name, project.role is ProjectRole.OWNER
    fill_project(await state.get_state(FormsState), project)
    members = await state.get_state(MembersState)
    members.project_id, members.manages = str(project.id), state.manages
    members.sought = ""
    await show_members(members, actor)
    members.found, members.text, members.looked = [], "", False
    show_clone(await state.get_state(RepositoryState), project)
    show_remote(await state.get_state(RemoteState), project)


def _texts(project: ProjectView) -> Texts:
    return {
        "name": project.name,
        "description": project.description.replace("\r\n", "\n").strip(),
        "card_key": project.key,
        "limit": str(project.session_limit),
    }


def _patch(changed: Texts) -> ProjectPatch:
    values: dict[str, Any] = {name: changed[name] for name in ("name", "description") if name in changed}
    if "card_key" in changed:
        values["key"] = changed["card_key"]
    if (limit := changed.get("limit")) is not None:
        if not (limit.isascii() and limit.isdecimal()):
            raise InvalidRequest("The limit of running sessions must be a whole number.")
        values["session_limit"] = whole(limit)
    return ProjectPatch(**values)


GENERAL = project_form(
    "general",
    {"name": "Name", "description": "Description", "card_key": "Key", "limit": "Runs at once"},
    _texts,
    _patch,
    "Project saved.",
)


def _general() -> rx.Component:
    return form_part(
        GENERAL,
        field(
            "Name",
            rx.input(
                name="name",
                default_value=begins(GENERAL, "name"),
                required=True,
                dir="auto",
            ),
        ),
        field(
            "Description",
            rx.text_area(
                name="description", default_value=begins(GENERAL, "description"), rows="3", dir="auto"
            ),
        ),
        field(
            "Key",
            rx.input(
                name="card_key",
                default_value=begins(GENERAL, "card_key"),
                max_length=5,
                required=True,
                auto_complete="off",
            ),
            f"What the names of its cards begin with, as in {FormsState.texts['general']['card_key']}-14.",
        ),
        field(
            "Runs at once",
            rx.input(
                name="limit",
                type="number",
                min=1,
                max=100,
                default_value=begins(GENERAL, "limit"),
                required=True,
            ),
            "How many cards the agent works on at the same time. Each has its files to itself.",
        ),
    )


def _end() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            "Deleting the project deletes its cards, their runs with all output, and its workspace "
            "with every file in it. What runs is stopped. It cannot be undone."
        ),
        rx.el.p("What was pushed to a repository elsewhere stays there.", class_name="v-quiet"),
        field(
            "Type the project's name to confirm",
            rx.input(
                value=ProjectSettingsState.typed_name,
                on_change=ProjectSettingsState.set_typed_name,
                placeholder=ProjectSettingsState.name,
                auto_complete="off",
            ),
        ),
        rx.button(
            "Delete this project",
            color_scheme="red",
            align_self="start",
            disabled=ProjectSettingsState.typed_name != ProjectSettingsState.name,
            on_click=ProjectSettingsState.delete,
        ),
        class_name="v-stack",
    )


def _for_deleting() -> rx.Component:
    return rx.cond(
        ProjectSettingsState.manages,
        _end(),
        rx.el.p("Only an owner of the project deletes it.", class_name="v-hint"),
    )


_PARTS = {
    "general": ("General", "Name, description, and how many runs go on at once.", _general),
    "members": ("Members", "Who sees the project, and who changes it.", members_part),
    "repository": (
        "Repository",
        "Where the files come from, and where what is accepted goes.",
        repository_part,
    ),
    "changes": ("Changes", "How a card's files are prepared, and what becomes of its change.", trees_part),
    "limits": ("Limits", "What one run may spend.", limits_part),
    "network": ("Network", "Where the agent's commands may go.", network_part),
    "delete": ("Delete", "The end of the project.", _for_deleting),
}


def _settings() -> rx.Component:
    parts = {name: (title, lead, part()) for name, (title, lead, part) in _PARTS.items()}
    base = f"/p/{ProjectSettingsState.project_id}/settings"
    only = {"delete": ProjectSettingsState.manages}
    return side_page("Parts of the settings", base, parts, ProjectSettingsState.part, only)


TITLE = rx.cond(
    ProjectSettingsState.name != "", f"Settings · {ProjectSettingsState.name} · Vibe", "Settings · Vibe"
)
ON_LOAD = [ProjectSettingsState.arrive, ProjectSettingsState.watch, RailState.watch]


def project_settings_page() -> rx.Component:
    """The page at `/p/<project>/settings` and below."""
    missing = empty_state(
        "search-x", "No project here", ProjectSettingsState.missing, rx.link("All projects", href="/")
    )
    return framed(
        top_bar(
            rx.cond(ProjectSettingsState.name != "", ProjectSettingsState.name, "Project settings"),
            rx.cond(
                ProjectSettingsState.name != "", project_tabs(ProjectSettingsState.project_id, "settings")
            ),
        ),
        rx.cond(
            ProjectSettingsState.missing != "",
            missing,
            rx.el.div(
                rx.cond(
                    ProjectSettingsState.loaded,
                    _settings(),
                    rx.el.div(skeleton(6, 32), class_name="v-column"),
                ),
                class_name="v-scroll",
            ),
        ),
        Shortcuts.create(keys="?", up="", on_key=ProjectSettingsState.key),
    )
