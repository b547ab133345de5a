"""Files at `/p/<project>/files/<path>`, and of a card at `/p/<project>/trees/<number>/files/<path>`.

The page shows what the explorer (`kit/explorer.py`) needs to know of the
project; what is in the workspace goes between the explorer and the REST interface.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.errors import Forbidden, NotFound, Unavailable, VibeError
from vibe_app.web.auth import acts, asker
from vibe_app.web.board.bar import project_tabs
from vibe_app.web.board.workspace import workspace_chip
from vibe_app.web.card.model import is_live
from vibe_app.web.kit.explorer import file_explorer
from vibe_app.web.kit.frame import Shortcuts
from vibe_app.web.kit.parts import empty_state
from vibe_app.web.kit.status import missing_chip
from vibe_app.web.layout import RailState, framed, top_bar
from vibe_app.web.place import Place, place_of, project_here
from vibe_app.wiring import services

log = logging.getLogger(__name__)

ROUTE = "/p/[in_project]/files/[[...splat]]"
# With the card's number in it, the route of the board would be more specific to Reflex.
TREE_ROUTE = "/p/[in_project]/trees/[[...splat]]"
BASE = "base"
"""What the base branch's files are called in the choice of whose are shown."""

MARKED = 2000
"""Changed files that are marked in the tree."""
PULSE = 1.0
"""Seconds between two looks at the files, while there is output."""
LOOK_AGAIN = 30.0
"""Seconds without a change after which the project is read all the same."""
ASK_AGAIN = 2.0
"""Seconds to wait after the project could not be read."""


async def _shut(state: FilesState, error: VibeError) -> None:
    """Keep nothing of a project that may not be seen any more, and say why."""
    project_id = state.project_id
    state.reset()
    state.project_id, state.missing = project_id, error.message


class FilesState(rx.State):
    """Whose files they are, how the workspace is, and what counts as changed."""

    project_id: str = ""
    tree: int = 0
    whose: str = BASE
    base: str = ""
    trees: list[dict[str, str]] = []
    name: str = ""
    can_edit: bool = False
    by_request: bool = False
    workspace: str = "stopped"
    workspace_reason: str = ""
    notices: list[str] = []
    missing: str = ""
    limit_mib: int = 0
    live: bool = False
    look: int = 0
    changed: list[str] = []
    change_href: str = ""
    change_words: str = ""
    _newest: str = ""

    @acts
    async def arrive(self, actor: Actor):
        """Note which project and which card the address names, and wake the workspace."""
        place = place_of(self)
        (await self.get_state(RailState)).helping = False
        _begin(self, place)
        if place.project is None:
            self.missing = "This address names no project."
            return
        try:
            _show_project(self, await services().projects.read(actor, place.project))
            _show_newest(self, await services().sessions.newest(actor, place.project))
            _show_trees(self, await services().changes.trees(actor, place.project))
            _show_change(self, await _change_of(actor, place))
        except (NotFound, Forbidden) as error:
            self.missing = error.message
            return
        await services().workspaces.opened(actor, place.project)

    @acts(background=True, ended=_shut)
    async def watch(self, actor: Actor):
        """Follow the project and, while there is output, its files, while the tab is on this page."""
        place = place_of(self)
        project_id = place.project
        if project_id is None:
            return
        async with self:
            if place_of(self).project != project_id:
                return
            # `arrive` may still be waiting for its turn behind other events; this does not wait.
            _begin(self, place)
        whole, activity = f"project:{project_id}", f"activity:{project_id}"
        async with AsyncExitStack() as open_page:
            # A page of files that is open keeps its workspace warm.
            await open_page.enter_async_context(services().workspaces.looked_at(project_id))
            changes = open_page.enter_context(services().database.bus.subscribe(whole, activity))
            changed = {whole}
            while True:
                pause = LOOK_AGAIN
                try:
                    if whole in changed:
                        project = await services().projects.read(actor, project_id)
                        newest = await services().sessions.newest(actor, project_id)
                        trees = await services().changes.trees(actor, project_id)
                        change = await _change_of(actor, place)
                        async with self:
                            if str(project_id) != self.project_id:
                                return
                            if place.tree == self.tree:
                                _show_change(self, change)
                            _show_trees(self, trees)
                            _show_project(self, project)
                            _show_newest(self, newest)
                    if activity in changed:
                        async with self:
                            self.look += 1
                except Unavailable as error:
                    # What is on the screen stays, and is read again soon.
                    log.warning("project %s could not be read: %s", project_id, error)
                    pause = ASK_AGAIN
                # However much is written, files are looked at once in this time.
                await asyncio.sleep(PULSE)
                changed = await changes.wait(pause) or {whole}
                actor = await asker(self)

    @acts
    async def wake(self, actor: Actor):
        """Start a workspace that did not start."""
        await services().workspaces.opened(actor, project_here(self))

    @rx.event
    def look_at(self, whose: str):
        """Go to the base branch's files, or to those of a card."""
        below = "" if whose == BASE else f"/trees/{whose}"
        return rx.redirect(f"/p/{self.project_id}{below}/files")

    @rx.event
    def key(self, key: str):
        """Do what a key asks for."""
        return RailState.set_helping(True) if key == "?" else None


def _begin(state: FilesState, place: Place) -> None:
    """Forget what was of another project, or of another card."""
    project_id = str(place.project or "")
    if (project_id, place.tree) != (state.project_id, state.tree):
        state.reset()
        state.project_id, state.tree = project_id, place.tree
    state.whose = str(place.tree) if place.tree else BASE
    below = f"/trees/{place.tree}" if place.tree else ""
    state.base = f"/p/{project_id}{below}/files"


def _show_trees(state: FilesState, trees: list[tuple[int, str]]) -> None:
    shown = [{"value": str(number), "words": f"#{number} {title}"} for number, title in trees]
    if state.tree and state.tree not in dict(trees):
        shown.append({"value": str(state.tree), "words": f"#{state.tree}"})
    if shown != state.trees:
        state.trees = shown


async def _change_of(actor: Actor, place: Place) -> tuple[UUID, list[str]] | None:
    """Return the card whose tree an address names, and the files of its change."""
    if place.project is None or not place.tree:
        return None
    return await services().changes.in_tree(actor, place.project, place.tree)


def _show_change(state: FilesState, change: tuple[UUID, list[str]] | None) -> None:
    """Note which files the card has changed, as its newest checkpoint has it, and where they are shown."""
    task, paths = change or (None, [])
    words = "1 changed file" if len(paths) == 1 else f"{len(paths):,} changed files"
    values = {
        "changed": paths[:MARKED],
        "change_href": f"/p/{state.project_id}/t/{task}/changes" if paths else "",
        "change_words": words if paths else "",
    }
    for name, value in values.items():
        if getattr(state, name) != value:
            setattr(state, name, value)


def _show_project(state: FilesState, project: ProjectView) -> None:
    values = {
        "name": project.name,
        "can_edit": project.role.covers(ProjectRole.EDITOR),
        "by_request": project.delivery == "request" and not state.tree,
        "workspace": project.workspace.status,
        "workspace_reason": project.workspace.reason or "",
        "notices": project.workspace.notices,
        "missing": "",
        "limit_mib": services().settings.upload_mib,
    }
    for name, value in values.items():
        if getattr(state, name) != value:
            setattr(state, name, value)


def _show_newest(state: FilesState, session: SessionCard | None) -> None:
    """Note the last run; where it began or ended since it was last seen, the files are looked at."""
    live = session is not None and is_live(session)
    seen = f"{session.id} {session.status}" if session else "none"
    if state.live != live:
        state.live = live
    if state._newest not in ("", seen):
        state.look += 1
    state._newest = seen


TITLE = rx.cond(FilesState.name != "", f"Files · {FilesState.name} · Vibe", "Files · Vibe")
ON_LOAD = [FilesState.arrive, FilesState.watch, RailState.watch]


def _whose() -> rx.Component:
    """The choice of whose files are shown, where there is one."""
    return rx.cond(
        FilesState.trees,
        rx.select.root(
            rx.select.trigger(aria_label="Whose files are shown"),
            rx.select.content(
                rx.select.item("Base branch", value=BASE),
                rx.foreach(FilesState.trees, lambda each: rx.select.item(each["words"], value=each["value"])),
            ),
            value=FilesState.whose,
            on_change=FilesState.look_at,
        ),
    )


def _bar() -> rx.Component:
    return top_bar(
        rx.cond(FilesState.name != "", FilesState.name, "Files"),
        rx.cond(FilesState.missing == "", project_tabs(FilesState.project_id, "files")),
        rx.cond(
            FilesState.name != "",
            rx.el.div(
                _whose(),
                workspace_chip(FilesState.workspace, FilesState.workspace_reason, FilesState.can_edit),
                missing_chip(FilesState.notices),
                class_name="v-top-chips",
            ),
        ),
    )


def files_page() -> rx.Component:
    """The page at `/p/<project>/files` and below."""
    missing = empty_state("search-x", "No files here", FilesState.missing, rx.link("All projects", href="/"))
    return framed(
        _bar(),
        rx.cond(
            FilesState.missing != "",
            missing,
            file_explorer(
                project_id=FilesState.project_id,
                base=FilesState.base,
                tree=FilesState.tree,
                can_edit=FilesState.can_edit,
                by_request=FilesState.by_request,
                cards=rx.cond(FilesState.trees, True, False),
                workspace=FilesState.workspace,
                reason=FilesState.workspace_reason,
                changed=FilesState.changed,
                change_href=FilesState.change_href,
                change_words=FilesState.change_words,
                live=FilesState.live,
                look=FilesState.look,
                limit_mib=FilesState.limit_mib,
                on_wake=FilesState.wake,
            ),
        ),
        Shortcuts.create(keys="?", up="", on_key=FilesState.key),
    )
