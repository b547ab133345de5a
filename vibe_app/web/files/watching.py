"""What the page of files shows is read here: once for each address, and again whenever it may be another.

One background handler per tab follows the project while the tab is on the page. Files are looked at while a
run writes, when one begins or ends, and when the tab is seen again; a tab that nobody sees reads none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.errors import Unavailable, VibeError
from vibe_app.web.auth import acts, asker
from vibe_app.web.files import listings
from vibe_app.web.files.editor import EditorState
from vibe_app.web.files.file import FileState, reread
from vibe_app.web.files.folder import FolderState
from vibe_app.web.files.listings import Entry, Found, Where
from vibe_app.web.files.paths import Here, name_of, parent_of
from vibe_app.web.files.search import SearchState
from vibe_app.web.files.state import (
    FilesState,
    begin,
    change_of,
    here,
    may_move,
    may_write,
    put,
    show_change,
    show_newest,
    show_project,
    show_trees,
    where,
)
from vibe_app.web.files.tree import TreeState
from vibe_app.web.place import Place, place_of
from vibe_app.wiring import services
from vibe_app.workspaces.states import WorkspaceStatus

log = logging.getLogger(__name__)

PULSE = 1.0
"""Seconds between two looks at the files, while there is output."""
LOOK_AGAIN = 30.0
"""Seconds without a change after which the project is read all the same."""
ASK_AGAIN = 2.0
"""Seconds to wait after the project could not be read."""
LOST = 30.0
"""Seconds after which a look that has not ended is not waited for."""
READ_AGAIN = 12
"""Folders that are read again at one look, the one beside the tree first."""

_NOTICES = {
    "broken": (
        "A link that leads nowhere here",
        "What it points to is outside the workspace, or is not there.",
    ),
    "other": ("Not a file", "It is a device, a socket or a pipe."),
}


async def _shut(state: rx.State, error: VibeError) -> None:
    """Keep nothing of a project that may not be seen any more, and say why."""
    for kind in (TreeState, FolderState, FileState, EditorState, SearchState):
        (await state.get_state(kind)).reset()
    files = await state.get_state(FilesState)
    project_id = files.project_id
    files.reset()
    files.project_id, files.missing = project_id, error.message


class WatchState(rx.State):
    """Keeps the page of files up to date."""

    _to_edit: str = ""
    _hidden: bool = False
    _since: float = 0.0
    """When the look began that goes on; 0 for none."""

    def _edit_next(self, path: str) -> None:
        """Have a file edited as soon as it is shown."""
        self._to_edit = path

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
            begin(await self.get_state(FilesState), place)
            self._since = 0.0
        whole, activity = f"project:{project_id}", f"activity:{project_id}"
        async with AsyncExitStack() as open_page:
            # A page of files that is open keeps its workspace warm.
            await open_page.enter_async_context(services().workspaces.looked_at(project_id))
            changes = open_page.enter_context(services().database.bus.subscribe(whole, activity))
            changed, unread = {whole}, True
            while True:
                pause = LOOK_AGAIN
                try:
                    if whole in changed:
                        turned = await self._project(actor, place, project_id)
                        if turned is None:
                            return
                        unread = unread or turned
                    unread = unread or activity in changed
                    # A workspace that is slow to answer does not hold up what the project says of it.
                    if unread and await self._may_follow():
                        yield WatchState.follow
                        unread = False
                except Unavailable as error:
                    # What is on the screen stays, and is read again soon.
                    log.warning("project %s could not be read: %s", project_id, error)
                    pause = ASK_AGAIN
                # However much is written, files are looked at once in this time.
                await asyncio.sleep(PULSE)
                changed = await changes.wait(PULSE if unread else pause) or ({whole} if not unread else set())
                actor = await asker(self)

    async def _project(self, actor: Actor, place: Place, project_id: UUID) -> bool | None:
        """Read the project; tell whether files may be others, None where the tab is elsewhere by now."""
        project = await services().projects.read(actor, project_id)
        newest = await services().sessions.newest(actor, project_id)
        trees = await services().changes.trees(actor, project_id)
        change = await change_of(actor, place)
        async with self:
            files = await self.get_state(FilesState)
            if str(project_id) != files.project_id:
                return None
            before = (files.by_request, files.can_edit, files._changed)
            if place.tree == files.tree:
                show_change(files, change)
            show_trees(files, trees)
            show_project(files, project)
            turned = show_newest(files, newest)
            return turned or before != (files.by_request, files.can_edit, files._changed)

    async def _may_follow(self) -> bool:
        """Tell whether a look is to begin: none goes on that is not lost."""
        if not await self._may_look():
            return False
        async with self:
            if time.monotonic() - self._since < LOST:
                return False
            self._since = time.monotonic()
        return True

    @acts(background=True)
    async def follow(self, actor: Actor):
        """Read what is shown, as it may be another by now."""
        try:
            async for event in _look(self, actor, gently=True):
                yield event
        finally:
            async with self:
                self._since = 0.0

    async def _may_look(self) -> bool:
        """Tell whether the files can be read, and somebody would see it."""
        async with self:
            files = await self.get_state(FilesState)
            ready = files.workspace == WorkspaceStatus.READY
            # Once it was there, what is asked of a workspace that sleeps wakes it.
            return (ready or files.shown) and not self._hidden

    @acts(background=True)
    async def look(self, actor: Actor):
        """Read what is shown, as somebody asked for it or has done something."""
        if not await self._may_look():
            return
        async for event in _look(self, actor, gently=False):
            yield event

    @rx.event
    def seen(self, hidden: bool):
        """Note whether somebody sees the tab; one that is seen again is brought up to date."""
        self._hidden = hidden
        return None if hidden else WatchState.look


async def _look(state: WatchState, actor: Actor, *, gently: bool):
    """Read what the address names and the folders that are open, and show them."""
    async with state:
        files = await state.get_state(FilesState)
        asked = here(state)
        place = where(files, asked)
    found = await listings.find(actor, place, asked.path, gently=gently)
    folder = asked.path if found.kind == "directory" else parent_of(asked.path)
    if found.kind == "directory" and (asked.path == "" or found.entry is not None):
        await listings.read(actor, place, asked.path, gently=gently)
    async with state:
        if here(state) != asked:
            return
        shown = await _show(state, place, asked, found, folder)
        tree = await state.get_state(TreeState)
        events = tree._show_all(await state.get_state(FilesState), place, asked.path)
        # With those on the way to what is shown, which it has just opened.
        opened = tree._folders(files.base)
    for event in events:
        yield event
    if shown:
        await reread(state, actor, found.entry)
    others = [each for each in dict.fromkeys(["", *reversed(opened)]) if each != folder]
    for each in others[:READ_AGAIN]:
        await listings.read(actor, place, each, gently=True)
    async with state:
        if here(state) != asked:
            return
        events = (await state.get_state(TreeState))._show_all(
            await state.get_state(FilesState), place, asked.path
        )
    for event in events:
        yield event


async def _show(state: WatchState, place: Where, asked: Here, found: Found, folder: str) -> bool:
    """Show what an address names; tell whether it is a file that is to be read."""
    files = await state.get_state(FilesState)
    file = await state.get_state(FileState)
    if found.kind == "directory" and asked.path:
        within = found.entry
    else:
        around = listings.kept(place, parent_of(folder)) if folder else None
        within = around.names.get(name_of(folder)) if around is not None else None
    entry = found.entry
    named = entry or Entry(name_of(asked.path), asked.path, found.kind, False, 0, 0, "")
    put(
        files,
        path=asked.path,
        folder=folder,
        shown=files.shown or found.kind != "error",
        may_write=may_write(files, entry),
        may_move=bool(asked.path) and may_move(files, named) and found.kind not in ("gone", "error"),
        anything=may_write(files, within),
    )
    view = _view(files, found, asked.path, known=file.path == asked.path and bool(file.kind))
    if not asked.searching:
        put(files, view=view)
    if view == "folder":
        (await state.get_state(FolderState))._show_folder(files, place, asked.path)
    if view != "file":
        return False
    return _show_file(state, file, place, asked.path, found)


def _view(files: FilesState, found: Found, path: str, *, known: bool) -> str:
    """Return what stands beside the tree, and put the words of a notice in their place."""
    if found.kind == "directory":
        return "folder"
    if known and found.kind in ("gone", "error"):
        return "file"  # what is shown of it stays
    if found.kind == "gone":
        words = f"There is no {path} in the workspace, or not any more."
        put(files, notice="Not here", notice_text=words, again=False)
        return "notice"
    if found.kind == "error":
        put(files, notice="This folder cannot be shown", notice_text=found.error, again=True)
        return "notice"
    if found.kind in _NOTICES:
        title, text = _NOTICES[found.kind]
        put(files, notice=title, notice_text=text, again=False)
        return "notice"
    return "file"


def _show_file(state: WatchState, file: FileState, place: Where, path: str, found: Found) -> bool:
    if file.path != path:
        file._begin(place, path, state._to_edit == path)
        state._to_edit = ""
    put(file, gone=found.kind == "gone")
    if found.kind in ("gone", "error"):
        return False
    if file.as_picture:
        file._show_picture(place, found.entry)
        return False
    return file._unread(found.entry)
