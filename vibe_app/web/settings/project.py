"""A project's own settings: name, limit, members, and its end. A dialog over the board."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board import rules
from vibe_app.board.projects.schemas import ProjectPatch
from vibe_app.errors import InvalidRequest
from vibe_app.web.auth import acts
from vibe_app.web.board.remote_line import RemoteState, show_remote
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import choice, field
from vibe_app.web.kit.sections import for_owners, labelled, row_of
from vibe_app.web.place import known
from vibe_app.web.settings.limits import LimitsState, limits_part, show_limits
from vibe_app.web.settings.network import NetworkState, network_part, show_network
from vibe_app.web.settings.repository import RepositoryState, repository_part, show
from vibe_app.web.settings.trees import TreesState, show_trees, trees_part
from vibe_app.wire import whole
from vibe_app.wiring import services
from vibe_app.workspaces.service import ERASURE


@dataclass
class MemberRow:
    """A person in the list of members."""

    id: str
    name: str
    email: str
    role: str
    me: bool


class ProjectSettingsState(rx.State):
    """What the dialog shows."""

    opened: bool = False
    project_id: str = ""
    name: str = ""
    description: str = ""
    limit: str = "1"
    manages: bool = False
    looks_only: bool = True
    members: list[MemberRow] = []
    typed_name: str = ""
    blank: str = ""

    @acts
    async def open_for(self, actor: Actor, project_id: str):
        """Show the settings of a project."""
        self.project_id, self.typed_name = project_id, ""
        project = await services().projects.read(actor, known(project_id))
        self.name, self.description = project.name, project.description
        self.limit, self.manages = str(project.session_limit), project.role is ProjectRole.OWNER
        self.looks_only = not self.manages
        self.members = await _members(actor, project.id)
        show(await self.get_state(RepositoryState), project)
        show_remote(await self.get_state(RemoteState), project)
        show_limits(await self.get_state(LimitsState), project)
        show_network(await self.get_state(NetworkState), project)
        show_trees(await self.get_state(TreesState), project)
        self.opened = True

    @rx.event
    def set_opened(self, opened: bool):
        """Open or close the dialog."""
        self.opened = opened

    @rx.event
    def set_typed_name(self, name: str):
        """Note what is typed to confirm the deletion."""
        self.typed_name = name[: rules.NAME_CHARS + 1]

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep name, description and limit."""
        typed = str(form.get("limit", ""))
        if not (typed.isascii() and typed.isdecimal()):
            raise InvalidRequest("The limit of running sessions must be a whole number.")
        # What this person left as it was may have been changed by another owner since the dialog was opened.
        before = {"name": self.name, "description": self.description}
        changed: dict[str, Any] = {
            name: text for name, kept in before.items() if (text := words(form, name)) != kept
        }
        if typed != self.limit:
            changed["session_limit"] = whole(typed)
        patch = ProjectPatch(**changed)
        project = await services().projects.change(actor, known(self.project_id), patch)
        self.name, self.description, self.limit = (
            project.name,
            project.description,
            str(project.session_limit),
        )
        return rx.toast.success("Project saved.")

    @acts
    async def add_member(self, actor: Actor, form: dict[str, Any]):
        """Give somebody with an account a role here."""
        await services().projects.check_owner(actor, known(self.project_id))
        person = await services().accounts.find(str(form.get("email", "")))
        role = rules.parse_role(words(form, "role", ProjectRole.EDITOR))
        await services().projects.set_member(actor, known(self.project_id), person.id, role)
        self.members = await _members(actor, known(self.project_id))
        self.blank = str(person.id)
        return rx.toast.success(f"{person.name} belongs to the project now.")

    @acts
    async def set_role(self, actor: Actor, user_id: str, role: str):
        """Change a member's role."""
        await services().projects.set_member(
            actor, known(self.project_id), known(user_id), rules.parse_role(role)
        )
        self.members = await _members(actor, known(self.project_id))

    @acts
    async def remove_member(self, actor: Actor, user_id: str):
        """Take somebody out of the project."""
        await services().projects.remove_member(actor, known(self.project_id), known(user_id))
        if known(user_id) == actor.user_id and not actor.is_admin:
            self.opened = False
            return rx.redirect("/")
        self.members = await _members(actor, known(self.project_id))
        return None

    @acts
    async def delete(self, actor: Actor):
        """Delete the project whose name was typed."""
        await services().projects.delete(actor, known(self.project_id), self.typed_name)
        await services().workspaces.erased(known(self.project_id), ERASURE)
        self.opened = False
        return [rx.redirect("/"), rx.toast.success("Project deleted.")]


async def _members(actor: Actor, project_id: UUID) -> list[MemberRow]:
    views = await services().projects.members(actor, project_id)
    people = await services().accounts.names(view.user_id for view in views)
    return [
        MemberRow(
            id=str(view.user_id),
            name=people[view.user_id].name,
            email=people[view.user_id].email,
            role=view.role.value,
            me=view.user_id == actor.user_id,
        )
        for view in views
        if view.user_id in people
    ]


def _roles(**props: Any) -> rx.Component:
    return choice("Role", {role.value: role.value.capitalize() for role in ProjectRole}, **props)


def _member(row: MemberRow) -> rx.Component:
    return rx.flex(
        rx.vstack(
            rx.text(row.name, rx.cond(row.me, " (you)", ""), size="2", weight="medium"),
            rx.text(row.email, size="1", color_scheme="gray"),
            spacing="0",
            flex="1",
            min_width="140px",
        ),
        _roles(
            value=row.role,
            on_change=lambda role: ProjectSettingsState.set_role(row.id, role),
            disabled=ProjectSettingsState.looks_only,
        ),
        rx.cond(
            ProjectSettingsState.manages | row.me,
            rx.button(
                rx.cond(row.me, "Leave", "Remove"),
                variant="soft",
                color_scheme="gray",
                on_click=ProjectSettingsState.remove_member(row.id),
            ),
        ),
        align="center",
        gap="12px",
        wrap="wrap",
        width="100%",
        padding="8px 0",
    )


def _general() -> rx.Component:
    return rx.el.form(
        for_owners(
            ProjectSettingsState.looks_only,
            field(
                "Name",
                rx.input(name="name", default_value=ProjectSettingsState.name, max_length=100, required=True),
            ),
            field(
                "Description",
                rx.text_area(name="description", default_value=ProjectSettingsState.description, rows="3"),
            ),
            field(
                "Sessions that may run at once",
                rx.input(
                    name="limit",
                    type="number",
                    min=1,
                    max=100,
                    default_value=ProjectSettingsState.limit,
                    required=True,
                ),
                "Each card has its files to itself, so they do not get into each other's way.",
            ),
            rx.button("Save", type="submit"),
        ),
        key=ProjectSettingsState.project_id,
        on_submit=ProjectSettingsState.save,
    )


def _people() -> rx.Component:
    return rx.vstack(
        rx.foreach(ProjectSettingsState.members, _member),
        rx.cond(
            ProjectSettingsState.manages,
            rx.el.form(
                row_of(
                    labelled(
                        "E-mail of somebody with an account here",
                        rx.input(name="email", type="email", required=True, auto_complete="off"),
                    ),
                    labelled("Role", _roles(name="role", default_value="editor"), "0"),
                    rx.button("Add", type="submit", variant="soft"),
                ),
                on_submit=ProjectSettingsState.add_member,
                key=ProjectSettingsState.blank,
                width="100%",
            ),
        ),
        spacing="1",
        width="100%",
        padding_top="16px",
    )


def _end() -> rx.Component:
    return rx.vstack(
        rx.text(
            "Deleting the project deletes its tasks, its sessions with their output, and its workspace "
            "with every file in it. It cannot be undone.",
            size="2",
        ),
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
            disabled=ProjectSettingsState.typed_name != ProjectSettingsState.name,
            on_click=ProjectSettingsState.delete,
        ),
        spacing="4",
        align="stretch",
        padding_top="16px",
    )


def project_settings_dialog() -> rx.Component:
    """The dialog; `ProjectSettingsState.open_for(project_id)` opens it."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Project settings", size="4"),
            rx.dialog.description(ProjectSettingsState.name, size="2", color_scheme="gray"),
            rx.tabs.root(
                rx.tabs.list(
                    rx.tabs.trigger("General", value="general"),
                    rx.tabs.trigger("Limits", value="limits"),
                    rx.tabs.trigger("Repository", value="repository"),
                    rx.tabs.trigger("Changes", value="trees"),
                    rx.tabs.trigger("Network", value="network"),
                    rx.tabs.trigger("Members", value="members"),
                    rx.cond(ProjectSettingsState.manages, rx.tabs.trigger("Delete", value="delete")),
                    # On a phone they scroll, and the dialog is no wider than the page.
                    overflow_x="auto",
                    width="0",
                    min_width="100%",
                ),
                rx.tabs.content(_general(), value="general"),
                rx.tabs.content(limits_part(), value="limits"),
                rx.tabs.content(repository_part(), value="repository"),
                rx.tabs.content(trees_part(), value="trees"),
                rx.tabs.content(network_part(), value="network"),
                rx.tabs.content(_people(), value="members"),
                rx.cond(ProjectSettingsState.manages, rx.tabs.content(_end(), value="delete")),
                default_value="general",
            ),
            max_width="660px",
        ),
        open=ProjectSettingsState.opened,
        on_open_change=ProjectSettingsState.set_opened,
    )
