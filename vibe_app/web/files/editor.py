"""Editing a file: saving names the version that was read, so that nothing of others goes unseen."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.web.auth import acts, to_login
from vibe_app.web.files import listings
from vibe_app.web.files.file import FileState, download_link, reread
from vibe_app.web.files.paths import parent_of
from vibe_app.web.files.state import FilesState, here, rest_url, where
from vibe_app.web.kit import code
from vibe_app.web.kit.guard import GO, STAY, guard
from vibe_app.wiring import services

_COLOURED = 2 * 1024 * 1024
_AWAY = "The server does not answer. What you see stays; try again in a moment."
_NARROW = rx.Var("window.matchMedia('(max-width: 767px)').matches", _var_type=bool)


class EditorState(rx.State):
    """What a person does with the text of a file."""

    leaving: bool = False
    """Whether somebody is on the way elsewhere with words that are not saved."""

    @acts
    async def edit(self, actor: Actor):
        """Begin to edit."""
        await services().projects.check(actor, here(self).project, ProjectRole.EDITOR)
        file = await self.get_state(FileState)
        # The page may still show the file that was left for the one that the address names.
        file.editing = file.editable and file.path == here(self).path

    @rx.event
    async def differs(self, dirty: bool, clash: bool):
        """Note that there are words that are not saved, or none; and whether another text came meanwhile."""
        file = await self.get_state(FileState)
        file.dirty = dirty
        # After the server was started anew, its tabs still have their words.
        file.editing = file.editing or dirty
        if clash:
            file.clash = "changed"

    @acts
    async def save(self, actor: Actor):
        """Save what is in the editor, if the file is still the one that was read."""
        return await self._send(actor, "base")

    @acts
    async def keep_mine(self, actor: Actor):
        """Save what is in the editor in the place of what somebody else saved."""
        file = await self.get_state(FileState)
        if file.clash == "deleted":
            return await self._send(actor, "")
        if file._version:
            file._theirs = file.text if file.kind == "text" else ""
            return await self._send(actor, file._version)
        return await self._send(actor, "", overwrite="true")

    @acts
    async def take_theirs(self, actor: Actor):
        """Show what somebody else saved; undo brings back what was typed."""
        file = await self.get_state(FileState)
        file.clash = ""
        told = rx.toast("Theirs is shown. Undo (Ctrl+Z) brings yours back.")
        return [rx.call_script(code.TAKE), told]

    @acts
    async def bring_back(self, actor: Actor):
        """Show what was saved over."""
        file = await self.get_state(FileState)
        theirs, file._theirs, file.replaced = file._theirs, "", False
        return code.put(theirs)

    async def _send(self, actor: Actor, condition: str, **more: str) -> Any:
        file = await self.get_state(FileState)
        place = where(await self.get_state(FilesState), here(self))
        if file.saving or not file.editing:
            return None
        await services().projects.check(actor, place.project, ProjectRole.EDITOR)
        file.saving = True
        url = rest_url(place, "content", file.path, **more)
        return code.send(url, condition, EditorState.saved)

    @acts
    async def saved(self, actor: Actor, answer: dict[str, Any]):
        """Tell what became of a save, as the browser was answered."""
        file = await self.get_state(FileState)
        file.saving = False
        body = answer.get("body")
        told: dict[str, Any] = body if isinstance(body, dict) else {}
        if not answer.get("error"):
            file.replaced, file.clash, file.gone = bool(file._theirs), "", False
            version = str(told.get("version", ""))[:64]
            return [code.based_on(version), rx.toast.success("Saved."), EditorState.settle]
        match told.get("code"):
            case "changed_meanwhile":
                file._theirs = ""
                return FileState.again
            case "deleted_meanwhile":
                file.clash = "deleted"
                return None
            case "unauthenticated":
                return to_login(self)
        words = str(answer.get("error", ""))[:1000] if answer.get("status") else _AWAY
        return rx.toast.error(f"{words} Your changes are still here.")

    @acts(background=True)
    async def settle(self, actor: Actor):
        """Read what was saved, so that the page has it too."""
        async with self:
            file = await self.get_state(FileState)
            place, path = where(await self.get_state(FilesState), here(self)), file.path
        around = await listings.read(actor, place, parent_of(path))
        await reread(self, actor, around.names.get(path.rpartition("/")[2]))

    @acts
    async def stop(self, actor: Actor):
        """End editing: what is not saved is not kept, but for undo."""
        file = await self.get_state(FileState)
        file.editing, file.dirty, file.clash, file.replaced, file._theirs = False, False, "", False, ""
        return [rx.call_script(code.REVERT), EditorState.settle]

    @rx.event
    def ask_to_leave(self):
        """Ask before words that are not saved are left."""
        self.leaving = True

    @rx.event
    async def leave(self, go: bool):
        """Leave them, or stay."""
        if not self.leaving:
            return None
        self.leaving = False
        if not go:
            return None
        file = await self.get_state(FileState)
        file.editing, file.dirty, file.clash = False, False, ""
        return rx.call_script(GO)


def text_view() -> rx.Component:
    """The text, coloured, to be read or edited."""
    return code.Code.create(
        key=FileState.path,
        text=FileState.text,
        stamp=FileState.stamp,
        file=FileState.name,
        label=rx.cond(FileState.editing, f"Edit {FileState.name}", f"Text of {FileState.name}"),
        editing=FileState.editing,
        wrap=_wraps(),
        lines=FilesState.lines,
        coloured=_COLOURED,
        on_dirty=EditorState.differs,
        on_save=EditorState.save,
    )


def _wraps() -> Any:
    return rx.cond(FileState.wrap == "", _NARROW, FileState.wrap == "yes")


def actions(tools: rx.Component) -> rx.Component:
    """The line above a file: its size, and what can be done with it. `tools` are those of any file."""
    readable = (FileState.kind == "text") | (FileState.kind == "legacy")
    source = FileState.as_source | FilesState.pointed | FileState.drawn | ~FileState.formats
    other = rx.cond(FileState.drawn, "Picture", "Formatted")
    turn = rx.button(
        rx.cond(FileState.as_source, other, "Source"),
        on_click=FileState.turn,
        variant="soft",
        color_scheme="gray",
        custom_attrs={"aria-pressed": FileState.as_source},
    )
    wrap = rx.button(
        rx.cond(_wraps(), "Do not wrap", "Wrap lines"),
        on_click=FileState.set_wrap(~_wraps()),
        variant="soft",
        color_scheme="gray",
        custom_attrs={"aria-pressed": _wraps()},
    )
    closed: Any = FileState.saving | ~FileState.dirty | ~FilesState.may_write
    saving = rx.fragment(
        rx.button(
            rx.cond(FileState.saving, "Saving…", "Save"),
            on_click=EditorState.save,
            disabled=closed,
            title="Ctrl+S",
        ),
        rx.button(
            rx.cond(FileState.dirty, "Discard", "Done"),
            on_click=EditorState.stop,
            disabled=FileState.saving,
            variant="soft",
            color_scheme="gray",
        ),
    )
    looking = rx.fragment(
        rx.cond(FileState.formats, turn),
        rx.cond(readable & source & ~FileState.empty, wrap),
        rx.cond(
            FileState.editable & FilesState.may_write & (FileState.kind == "text"),
            rx.button("Edit", on_click=EditorState.edit, variant="soft"),
        ),
        tools,
    )
    return rx.el.div(
        rx.el.span(
            FileState.size,
            rx.cond(FileState.kind == "legacy", " · not UTF-8: read as Windows-1252, not edited here", ""),
            rx.cond(FileState.dirty & FileState.editing, rx.el.strong(" · Not saved")),
            class_name="v-quiet v-digits",
        ),
        rx.el.div(rx.cond(FileState.editing, saving, looking), class_name="v-row ve-buttons"),
        class_name="ve-actions",
    )


def _button(words: Any, on_click: Any, **props: Any) -> rx.Component:
    return rx.button(words, on_click=on_click, size="1", variant="soft", **props)


def _conflict() -> rx.Component:
    deleted = FileState.clash == "deleted"
    theirs = (FileState.kind == "text") & (FileState.stamp != "")
    who = rx.cond(FilesState.live, "The agent", "Somebody, or the agent,")
    words = rx.cond(
        deleted,
        "This file was deleted since you opened it.",
        f"{who} changed this file since you opened it.",
    )
    other = rx.cond(
        theirs, _button("Reload theirs", EditorState.take_theirs), download_link("Download theirs")
    )
    return rx.el.div(
        rx.el.span(words, " Your text is still here."),
        rx.el.span(
            rx.cond(deleted, rx.fragment(), other),
            _button(
                rx.cond(deleted, "Save it again", "Keep mine"),
                EditorState.keep_mine,
                disabled=FileState.saving,
            ),
            class_name="v-row",
        ),
        class_name="ve-banner v-amber",
        role="alert",
    )


def banners() -> rx.Component:
    """What a person who edits must know."""
    hint = rx.el.p(
        rx.cond(FilesState.live, "A run is live: the agent may change this file. ", ""),
        "Esc, then Tab leaves the text.",
        class_name="ve-hint v-quiet",
    )
    closed = rx.el.p(
        "This file cannot be saved here any more. Your text is still here: copy what you need into a card’s "
        "files.",
        class_name="ve-banner v-amber",
        role="status",
    )
    gone = rx.el.p(
        "This file is not there any more: it was deleted or renamed. You see what was in it.",
        class_name="ve-banner v-amber",
        role="status",
    )
    replaced = rx.el.div(
        rx.el.span("Yours is saved in the place of theirs."),
        _button("Bring theirs back", EditorState.bring_back),
        class_name="ve-banner v-gray",
        role="status",
    )
    return rx.fragment(
        rx.cond(FileState.editing, hint),
        rx.cond(FileState.editing & ~FilesState.may_write, closed),
        rx.cond(FileState.gone & (FileState.clash == ""), gone),
        rx.cond(FileState.clash != "", _conflict()),
        rx.cond(FileState.replaced & FileState.editing, replaced),
    )


def leaving(unload: Any) -> rx.Component:
    """Asks before words that are not saved are left, and before the tab goes while `unload`."""
    dirty = FileState.dirty & FileState.editing
    return rx.fragment(
        guard(moves=dirty, unload=dirty | unload, on_asked=EditorState.ask_to_leave),
        rx.alert_dialog.root(
            rx.alert_dialog.content(
                rx.alert_dialog.title("Leave without saving?", size="4"),
                rx.alert_dialog.description(
                    f"Your changes to {FileState.name} are not saved. They are lost if you leave.", size="2"
                ),
                rx.el.div(
                    rx.alert_dialog.cancel(rx.button("Stay", variant="soft", color_scheme="gray")),
                    # No action of the dialog: whatever closes it by itself is to stay.
                    rx.button("Leave", color_scheme="red", on_click=EditorState.leave(True)),
                    class_name="v-row v-end",
                ),
                max_width="440px",
            ),
            open=EditorState.leaving,
            # The way is let go of at once: another one may be taken before the server has answered.
            on_open_change=[rx.call_script(STAY), EditorState.leave(False)],
        ),
    )
