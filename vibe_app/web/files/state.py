"""Whose files a tab shows, how their workspace is, and what may be done with them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import urlencode
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.sessions.schemas import SessionCard
from vibe_app.errors import Forbidden, NotFound
from vibe_app.web.auth import acts
from vibe_app.web.card.model import is_live
from vibe_app.web.files.listings import Entry, Where
from vibe_app.web.files.paths import Here, above, address_of, base_of, here_of, lines_of, name_of, visible
from vibe_app.web.keyboard import HelpState
from vibe_app.web.place import Place, place_of, project_here
from vibe_app.wiring import services

BASE = "base"
"""What the base branch's files are called in the choice of whose are shown."""
MARKED = 2000
"""Changed files that are marked in the tree."""


@dataclass
class Crumb:
    """A folder on the way to what is shown."""

    name: str
    path: str
    href: str


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
    change_href: str = ""
    change_words: str = ""
    path: str = ""
    """What the address names."""
    crumbs: list[Crumb] = []
    lines: list[int] = []
    """First and last line that the address points at."""
    pointed: bool = False
    view: str = ""
    """What stands beside the tree: `folder`, `file`, `notice`, `search`; nothing before it is known."""
    notice: str = ""
    notice_text: str = ""
    again: bool = False
    """Whether trying again may help."""
    folder: str = ""
    """Where something new is made."""
    may_write: bool = False
    may_move: bool = False
    anything: bool = False
    """Whether anything may be made in the folder, or only what git ignores."""
    shown: bool = False
    """Whether the workspace has answered since the page was opened."""
    asked_at: int = 0
    """When the page was opened, in milliseconds since 1970."""
    _changed: list[str] = []
    _newest: str = ""

    @acts
    async def arrive(self, actor: Actor):
        """Note which project and which card the address names, and wake the workspace."""
        place = place_of(self)
        begin(self, place)
        if place.project is None:
            self.missing = "This address names no project."
            return
        try:
            show_project(self, await services().projects.read(actor, place.project))
            show_newest(self, await services().sessions.newest(actor, place.project))
            show_trees(self, await services().changes.trees(actor, place.project))
            show_change(self, await change_of(actor, place))
        except (NotFound, Forbidden) as error:
            self.missing = error.message
            return
        await services().workspaces.opened(actor, place.project)

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
    def point(self):
        """Note which lines the address points at."""
        lines = lines_of(self.router.url.fragment)
        put(self, lines=lines, pointed=bool(lines))

    @rx.event
    def key(self, key: str):
        """Do what a key asks for."""
        return HelpState.set_helping(True) if key == "?" else None


def here(state: rx.State) -> Here:
    """Return what the address of the tab asks for.

    Raises:
        NotFound: It names no project.
    """
    found = here_of(place_of(state), state.router.url.path, state.router.url.query_parameters)
    if found is None:
        raise NotFound("This address names no project.")
    return found


def where(files: FilesState, asked: Here) -> Where:
    """Return whose files are meant, as they are kept."""
    return Where(asked.project, asked.tree, files.by_request)


def may_write(files: FilesState, entry: Entry | None) -> bool:
    """Tell whether an entry may be written: what would be a commit of a base that moves elsewhere may not."""
    return files.can_edit and (not files.by_request or (entry is not None and entry.git == "ignored"))


def may_move(files: FilesState, entry: Entry | None) -> bool:
    """Tell whether an entry may be renamed and deleted."""
    free = entry is not None and entry.git in ("ignored", "untracked")
    return files.can_edit and (not files.by_request or free)


def begin(state: FilesState, place: Place) -> None:
    """Forget what was of another project, or of another card."""
    project_id = str(place.project or "")
    if (project_id, place.tree) != (state.project_id, state.tree):
        state.reset()
        state.project_id, state.tree = project_id, place.tree
        state.asked_at = time.time_ns() // 1_000_000
    state.whose = str(place.tree) if place.tree else BASE
    state.base = base_of(project_id, place.tree)
    asked = here_of(place, state.router.url.path, state.router.url.query_parameters)
    path = asked.path if asked is not None else ""
    folders = [*above(path), path] if path else [""]
    crumbs = [
        Crumb(visible(name_of(each)) or "Files", each, address_of(state.base, each)) for each in folders
    ]
    lines = lines_of(state.router.url.fragment)
    put(state, lines=lines, pointed=bool(lines), crumbs=crumbs)
    if state.view == "file" and path != state.path:
        state.view = ""  # nothing is done with the file that was left


def put(state: rx.State, **values: object) -> None:
    """Set those vars that are to change: what stays as it is does not travel."""
    for name, value in values.items():
        if getattr(state, name) != value:
            setattr(state, name, value)


def show_trees(state: FilesState, trees: list[tuple[int, str]]) -> None:
    """Note which cards have files of their own."""
    shown = [{"value": str(number), "words": f"#{number} {title}"} for number, title in trees]
    if state.tree and state.tree not in dict(trees):
        shown.append({"value": str(state.tree), "words": f"#{state.tree}"})
    put(state, trees=shown)


async def change_of(actor: Actor, place: Place) -> tuple[UUID, list[str]] | None:
    """Return the card whose tree an address names, and the files of its change."""
    if place.project is None or not place.tree:
        return None
    return await services().changes.in_tree(actor, place.project, place.tree)


def show_change(state: FilesState, change: tuple[UUID, list[str]] | None) -> None:
    """Note which files the card has changed, as its newest checkpoint has it, and where they are shown."""
    task, paths = change or (None, [])
    words = "1 changed file" if len(paths) == 1 else f"{len(paths):,} changed files"
    put(
        state,
        _changed=paths[:MARKED],
        change_href=f"/p/{state.project_id}/t/{task}/changes" if paths else "",
        change_words=words if paths else "",
    )


def show_project(state: FilesState, project: ProjectView) -> None:
    """Note what the project says of itself, of its workspace and of who asks."""
    put(
        state,
        name=project.name,
        can_edit=project.role.covers(ProjectRole.EDITOR),
        by_request=project.delivery == "request" and not state.tree,
        workspace=project.workspace.status,
        workspace_reason=project.workspace.reason or "",
        notices=project.workspace.notices,
        missing="",
        limit_mib=services().settings.upload_mib,
    )


def show_newest(state: FilesState, session: SessionCard | None) -> bool:
    """Note the last run; tell whether it began or ended since it was last seen."""
    put(state, live=session is not None and is_live(session))
    seen = f"{session.id} {session.status}" if session else "none"
    turned = state._newest not in ("", seen)
    state._newest = seen
    return turned


def rest_url(place: Where, call: str, path: str, **more: str) -> str:
    """Return the address of the interface for what only a browser can do itself: send and receive bytes."""
    query = {"path": path, **more} | ({"task": str(place.tree)} if place.tree else {})
    return f"/api/projects/{place.project}/files/{call}?{urlencode(query)}"
