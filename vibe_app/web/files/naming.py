"""New files and folders, other names, and what is deleted: a question each, then the verb of files."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import suppress
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.errors import NotFound, VibeError
from vibe_app.web.auth import acts
from vibe_app.web.files import listings
from vibe_app.web.files.file import FileState
from vibe_app.web.files.listings import Entry, Where
from vibe_app.web.files.paths import above, address_of, joined, name_of, parent_of, visible
from vibe_app.web.files.state import FilesState, here, may_move, where
from vibe_app.web.files.tree import TreeState
from vibe_app.web.files.watching import WatchState
from vibe_app.web.kit.parts import ask
from vibe_app.wire import files as wire
from vibe_app.wiring import services

# The name without its ending, which is what people change; at once, and the first time alone.
_SELECT = rx.Var(
    "({target: f}) => f.dataset.told ?? (f.dataset.told = 'yes', "
    "f.setSelectionRange(0, f.value.replace(/(.)[.][^.]*$/, '$1').length))"
)


class NamingState(rx.State):
    """The question that is open."""

    what: str = ""
    """`file`, `folder`, `rename` or `delete`; nothing for no question."""
    title: str = ""
    label: str = ""
    hint: str = ""
    verb: str = ""
    initial: str = ""
    error: str = ""
    naming: bool = False
    deleting: bool = False
    _path: str = ""
    """What it is about: an entry, or the folder for a new one."""

    @acts
    async def make(self, actor: Actor, what: str):
        """Ask for the name of a new file or folder."""
        files = await self.get_state(FilesState)
        if not files.can_edit:
            return
        self.reset()
        folder = _folder(files, where(files, here(self)), here(self).path)
        self._path, self.naming, self.label, self.verb = folder, True, "Name", "Create"
        if what == "folder":
            place = f"In {folder}." if folder else "In the workspace's root."
            self.what, self.title, self.hint = "folder", "New folder", place
        else:
            ignored = "" if files.anything else "A name that git ignores, such as .env. "
            below = f"In {folder}. " if folder else ""
            self.what, self.title = "file", "New file" if files.anything else "New file that git ignores"
            self.hint = f"{ignored}{below}A / makes folders on the way."

    @acts
    async def change(self, actor: Actor, what: str):
        """Ask for another name of what is shown, or whether it may go."""
        # What the address names, although the page may not have read it yet.
        await self._about(actor, what, here(self).path)

    @acts
    async def press(self, actor: Actor, key: str):
        """Ask the same of the row of the tree that the keys are at: F2 or Delete."""
        tree = await self.get_state(TreeState)
        file = await self.get_state(FileState)
        if tree.active and not (file.dirty and file.editing):
            await self._about(actor, "rename" if key == "F2" else "delete", tree.active)

    async def _about(self, actor: Actor, what: str, path: str) -> None:
        files = await self.get_state(FilesState)
        place = where(files, here(self))
        await listings.check(actor, place)
        around = listings.kept(place, parent_of(path))
        entry = around.names.get(name_of(path)) if around is not None else None
        gone = entry is None and (here(self).path != path or (around is not None and around.complete))
        if not path or gone or not may_move(files, entry):
            return
        self.reset()
        self._path, self.what, name = path, what, visible(name_of(path))[:80]
        if what == "rename":
            also = "Another name that git ignores. " if files.by_request else ""
            self.naming, self.title, self.label, self.verb = True, f"Rename {name}", "New name", "Rename"
            self.hint, self.initial = (
                f"{also}With a / in it, it moves into a folder beside it.",
                name_of(path),
            )
        else:
            self.deleting, self.title = True, f"Delete {name}?"
            self.hint = _deleted(entry, files.view == "folder" and files.path == path)

    @rx.event
    def close(self, opened: bool):
        """Ask no more."""
        if not opened:
            self.naming = self.deleting = False

    @acts
    async def name(self, actor: Actor, form: dict[str, Any]):
        """Make what was asked for, under the name that was given."""
        wanted = str(form.get("name", "")).strip().rstrip("/")
        if not self.naming:
            return None
        if not wanted:
            self.error = "It needs a name."
            return None
        place = where(await self.get_state(FilesState), here(self))
        try:
            events = await self._do(actor, place, wanted)
        except VibeError as error:
            self.error = error.message
            return None
        self.naming, self.error = False, ""
        return events

    async def _do(self, actor: Actor, place: Where, name: str) -> list[Any]:
        if self.what == "rename":
            return await self._rename(actor, place, name)
        files = await self.get_state(FilesState)
        writer = await services().files.writing(actor, place.project)
        path = joined(self._path, name)
        if self.what == "folder":
            made = (await writer.make_folder(wire.NewFolder(path=path, parents=True, task=place.task))).path
        else:
            asked = wire.WriteFile(path=path, parents=True, task=place.task)
            made = (await writer.write(asked, _nothing())).path
            (await self.get_state(WatchState))._edit_next(made)
        for folder in above(made):
            await listings.read(actor, place, folder)
        return [rx.redirect(address_of(files.base, made))]

    async def _rename(self, actor: Actor, place: Where, name: str) -> list[Any]:
        if name == name_of(self._path):
            return []
        old, files = self._path, await self.get_state(FilesState)
        tree = await self.get_state(TreeState)
        asked = wire.MoveFile(path=old, to=joined(parent_of(old), name), parents=True, task=place.task)
        new = (await (await services().files.writing(actor, place.project)).move(asked)).path
        for folder in {parent_of(old), *above(new)}:
            await listings.read(actor, place, folder)
        if old in tree._folders(files.base):
            tree._set_opened(files.base, old, False)
            tree._set_opened(files.base, new, True)
        # A key that is pressed next is about the new name, although the page has not read it yet.
        tree._active = _renamed(tree._active, old, new)
        shown = here(self).path
        return [_elsewhere(files, shown, _renamed(shown, old, new))]

    @acts
    async def delete(self, actor: Actor):
        """Delete what was asked about."""
        if self.what != "delete":
            return None
        path, self.what, self.deleting = self._path, "", False
        files = await self.get_state(FilesState)
        place = where(files, here(self))
        writer = await services().files.writing(actor, place.project)
        # What is gone already is what was asked for.
        with suppress(NotFound):
            await writer.delete(wire.OneFile(path=path, task=place.task))
        (await self.get_state(TreeState))._set_opened(files.base, path, False)
        await listings.read(actor, place, parent_of(path))
        shown = here(self).path
        inside = shown == path or shown.startswith(f"{path}/")
        event = _elsewhere(files, shown, parent_of(path) if inside else shown)
        return [event, rx.toast.success("Deleted.")]


def _elsewhere(files: FilesState, shown: str, to: str) -> Any:
    """Go where something went to that is shown, or that what is shown is in; else look at what is left."""
    return WatchState.look if shown == to else rx.redirect(address_of(files.base, to), replace=True)


def _folder(files: FilesState, place: Where, path: str) -> str:
    """Return the folder that an address is about, although the page may not have read it yet."""
    if files.path == path:
        return files.folder
    around = listings.kept(place, parent_of(path))
    entry = around.names.get(name_of(path)) if around is not None else None
    return path if not path or (entry is not None and entry.kind == "directory") else parent_of(path)


def _renamed(path: str, old: str, new: str) -> str:
    return new + path[len(old) :] if path == old or path.startswith(f"{old}/") else path


def _deleted(entry: Entry | None, folder: bool) -> str:
    whole = (entry.kind == "directory" and not entry.link) if entry is not None else folder
    return f"{'The folder goes with everything in it. ' if whole else ''}It cannot be undone."


async def _nothing() -> AsyncIterable[bytes]:
    for each in ():
        yield each


def dialogs() -> rx.Component:
    """The questions."""
    field = rx.el.label(
        rx.el.span(NamingState.label, class_name="v-label-text"),
        rx.input(
            name="name",
            default_value=NamingState.initial,
            auto_focus=True,
            auto_complete="off",
            spell_check=False,
            size="3",
            custom_attrs={"onFocus": _SELECT},
        ),
        rx.el.span(NamingState.hint, class_name="v-hint"),
        class_name="v-field",
    )
    naming = rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title(NamingState.title, size="4"),
            rx.el.form(
                field,
                rx.cond(
                    NamingState.error != "", rx.el.p(NamingState.error, class_name="v-error", role="alert")
                ),
                rx.el.div(
                    rx.dialog.close(rx.button("Cancel", type="button", variant="soft", color_scheme="gray")),
                    rx.button(NamingState.verb, type="submit"),
                    class_name="v-row v-end",
                ),
                on_submit=NamingState.name,
            ),
            max_width="440px",
            custom_attrs={"aria-describedby": rx.Var("undefined")},
        ),
        open=NamingState.naming,
        on_open_change=NamingState.close,
    )
    deleting = ask(
        NamingState.title,
        NamingState.hint,
        "Delete",
        NamingState.delete,
        open=NamingState.deleting,
        on_open_change=NamingState.close,
    )
    return rx.fragment(naming, deleting)
