"""One file: its text in the editor, a picture, Markdown, or what can be said of it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.errors import NotFound, VibeError
from vibe_app.web.auth import acts
from vibe_app.web.files.folder import LINK, notice
from vibe_app.web.files.listings import Entry, Where
from vibe_app.web.files.paths import MARKDOWN, PICTURE, SVG, kind_words, name_of, size_words, visible
from vibe_app.web.files.state import FilesState, here, put, rest_url, where
from vibe_app.web.kit.code import append
from vibe_app.web.kit.markdown import markdown
from vibe_app.web.kit.parts import skeleton
from vibe_app.wire import files as wire
from vibe_app.wiring import services

WHOLE = 1024 * 1024
"""Bytes that are read at once. What is longer is shown in parts, and not edited."""
_SNIFFED = 8192
_PLAIN = frozenset((9, 10, 12, 13, 27))
"""Control characters that a text may have."""


@dataclass(frozen=True)
class Content:
    """A file, or a part of it. `kind` is `text`, `legacy` (readable, but no UTF-8) or `binary`."""

    kind: str
    text: str
    size: int
    next: int
    version: str


def understood(found: wire.FileContent) -> Content:
    """Tell what was read: text, text of another time, or none."""
    version = found.version or ""
    if found.encoding == "utf-8":
        end = found.offset + len(found.content.encode())
        return Content("text", found.content, found.size, end, version)
    try:
        raw = base64.b64decode(found.content)
    except ValueError:
        raw = b""
    odd = any(byte < 32 and byte not in _PLAIN for byte in raw[:_SNIFFED])
    end = found.offset + len(raw)
    if odd or not raw:
        return Content("binary", "", found.size, end, version)
    return Content("legacy", raw.decode("cp1252", "replace"), found.size, end, version)


async def read_content(actor: Actor, place: Where, path: str, offset: int = 0) -> Content:
    """Read a file, or the next part of one.

    Raises:
        VibeError: It cannot be read; the sentence says why.
    """
    asked = wire.ReadFile(path=path, offset=offset, length=WHOLE, task=place.task)
    return understood(await (await services().files.reading(actor, place.project)).read(asked))


class FileState(rx.State):
    """The file beside the tree, and how far somebody is with editing it."""

    path: str = ""
    name: str = ""
    kind: str = ""
    """As of `Content`, or `picture`, or `error`; nothing while it is read."""
    text: str = ""
    stamp: str = ""
    """Which text it is: its version, where it was read whole."""
    size: str = ""
    what: str = ""
    """What a file that is no text is."""
    empty: bool = False
    whole: bool = True
    cut: bool = False
    part: str = ""
    """How much of a file is shown that is not shown whole."""
    download: str = ""
    picture: str = ""
    broken_picture: bool = False
    error: str = ""
    missing: bool = False
    too_large: bool = False
    gone: bool = False
    formats: bool = False
    """Whether it can be shown otherwise than as its source."""
    drawn: bool = False
    """Whether that is as a picture."""
    as_source: bool = False
    editable: bool = False
    wrap: str = ""
    editing: bool = False
    dirty: bool = False
    saving: bool = False
    clash: str = ""
    """`changed` or `deleted`: what happened to the file since it was opened, while words are not saved."""
    replaced: bool = False
    _next: int = 0
    _version: str = ""
    _seen: str = ""
    """The stamp of its entry when it was read."""
    _theirs: str = ""

    def _begin(self, place: Where, path: str, editing: bool) -> None:
        """Show another file."""
        wrap = self.wrap
        self.reset()
        name = name_of(path)
        self.path, self.name, self.editing, self.wrap = path, visible(name), editing, wrap
        self.drawn = bool(SVG.search(name))
        self.formats = self.drawn or bool(MARKDOWN.search(name))
        self.download = rest_url(place, "download", path)

    @property
    def as_picture(self) -> bool:
        """Whether it is shown as a picture, and never read as a text."""
        return bool(PICTURE.search(self.name)) and not (self.drawn and self.as_source)

    def _unread(self, entry: Entry | None) -> bool:
        """Tell whether it is to be read, as far as its folder tells."""
        return not self.kind or (entry is not None and entry.stamp != self._seen)

    def _show_picture(self, place: Where, entry: Entry | None) -> None:
        """Show a picture as it is now."""
        seen = entry.stamp if entry is not None else ""
        if (self.kind, self._seen) != ("picture", seen):
            self.kind, self._seen, self.broken_picture = "picture", seen, False
            self.picture = rest_url(place, "download", self.path, inline="true", v=seen)
        put(self, size=size_words(entry.size) if entry is not None else self.size)

    def _show(self, found: Content, entry: Entry | None) -> None:
        """Show what was read. The editor keeps what is typed there, and tells of it."""
        self._seen = entry.stamp if entry is not None else self._seen
        self._next, self._version = found.next, found.version
        whole = found.next >= found.size
        if found.kind == "binary" and self.editing and not self.dirty:
            self.editing = False
        put(
            self,
            kind=found.kind,
            text=found.text,
            stamp=found.version or f"{found.size} {self._seen}",
            size=size_words(found.size),
            what=kind_words(self.name),
            empty=not found.size,
            whole=whole,
            part="" if whole else f"The first {size_words(found.next)} of {size_words(found.size)}.",
            cut=False,
            error="",
            editable=found.kind == "text" and bool(found.version) and whole,
        )

    def _refuse(self, error: VibeError) -> None:
        """Say why it cannot be read; what is shown of it stays."""
        if self.kind in ("", "error"):
            missing = isinstance(error, NotFound)
            put(self, kind="error", error=error.message, missing=missing, too_large=error.code == "too_large")

    @acts
    async def turn(self, actor: Actor):
        """Show its source, or how it looks."""
        place = where(await self.get_state(FilesState), here(self))
        self.as_source = not self.as_source
        if not self.drawn:
            return None
        self.kind = ""
        if self.as_picture:
            self._show_picture(place, None)
            return None
        return FileState.again

    @rx.event
    def set_wrap(self, wrap: bool):
        """Break long lines, or do not."""
        self.wrap = "yes" if wrap else "no"

    @rx.event
    def no_picture(self):
        """Say that the browser cannot show the picture."""
        self.broken_picture = True

    @acts(background=True)
    async def again(self, actor: Actor):
        """Read it once more."""
        await reread(self, actor)

    @acts(background=True)
    async def more(self, actor: Actor):
        """Show the next part of a long file."""
        async with self:
            place = where(await self.get_state(FilesState), here(self))
            path, offset, kind = self.path, self._next, self.kind
        part = await read_content(actor, place, path, offset)
        readable = part.kind == kind or (part.kind == "text" and kind == "legacy")
        async with self:
            if (self.path, self._next) != (path, offset):
                return
            self._next = part.next if readable else part.size
            self.cut, self.whole = not readable, readable and part.next >= part.size
            self.part = f"The first {size_words(self._next)} of {size_words(part.size)}."
        yield (
            append(part.text)
            if readable
            else rx.toast.error("The rest is no text. Download the file to see it.")
        )


async def reread(state: rx.State, actor: Actor, entry: Entry | None = None) -> None:
    """Read the file that is shown, and show it as it is now.

    Args:
        state: That of the background handler that does it, unlocked.
        actor: Who asks.
        entry: The file as its folder names it.
    """
    async with state:
        file = await state.get_state(FileState)
        place, path = where(await state.get_state(FilesState), here(state)), file.path
    try:
        found = await read_content(actor, place, path)
    except VibeError as error:
        async with state:
            file = await state.get_state(FileState)
            if file.path == path:
                file._refuse(error)
        return
    async with state:
        file = await state.get_state(FileState)
        if file.path == path and not file.as_picture:
            file._show(found, entry)


class _Picture(rx.el.Img):
    """A picture that tells when it cannot be shown."""

    on_error: rx.EventHandler[rx.event.no_args_event_spec]


def download_link(words: str = "Download") -> rx.Component:
    """A link that looks like a button."""
    return rx.button(
        rx.el.a(
            rx.icon("download", size=15, aria_hidden="true"),
            words,
            href=LINK.call(FileState.download),
            download="",
            reload_document=True,
        ),
        as_child=True,
        variant="soft",
    )


def picture() -> rx.Component:
    """The picture: served without any right to run something; an SVG is only ever shown as one."""
    return rx.cond(
        FileState.broken_picture,
        notice(
            "This picture cannot be shown",
            "It is damaged, or of another kind than its name says.",
            download_link(),
        ),
        rx.el.div(
            _Picture.create(
                src=LINK.call(FileState.picture), alt=FileState.name, on_error=FileState.no_picture
            ),
            class_name="ve-picture",
        ),
    )


def refused() -> rx.Component:
    """Why the file is not shown."""
    return notice(
        rx.cond(FileState.missing, "Not here", "This file cannot be shown"),
        FileState.error,
        rx.button("Try again", variant="soft", on_click=FileState.again),
        rx.cond(FileState.too_large, download_link()),
    )


def file_view(actions: rx.Component, banners: rx.Component, text: rx.Component) -> rx.Component:
    """The file: `actions` and `banners` above it, and `text` where it is one."""
    source = FileState.as_source | FileState.editing | FilesState.pointed
    rendered = FileState.formats & ~FileState.drawn & FileState.whole & ~source
    formatted = rx.el.div(
        # What a document's own headings stand below.
        rx.el.h2(FileState.name, class_name="v-unseen"),
        markdown(FileState.text),
        class_name="ve-scroll",
        tab_index=0,
        role="region",
        aria_label=f"{FileState.name}, formatted",
    )
    none = notice(
        "Not a text",
        f"{FileState.what}, {FileState.size}. It can be downloaded, not shown.",
        download_link(),
    )
    nothing = notice(
        "This file is empty",
        rx.cond(FilesState.may_write, "Press Edit and write the first line.", "Nothing is in it yet."),
    )
    words = rx.cond(FileState.empty & ~FileState.editing, nothing, rx.cond(rendered, formatted, text))
    body: Any = rx.match(
        FileState.kind,
        ("picture", picture()),
        ("error", refused()),
        ("", skeleton(14, 16)),
        ("binary", rx.cond(FileState.editing, text, none)),
        words,
    )
    more = rx.el.div(
        rx.el.span(
            rx.cond(FileState.cut, "The rest is no text.", FileState.part),
            f" Files over {size_words(WHOLE)} are not edited here.",
        ),
        rx.cond(~FileState.cut, rx.button("Load more", on_click=FileState.more, size="1", variant="soft")),
        class_name="ve-foot v-quiet",
    )
    readable = (FileState.kind == "text") | (FileState.kind == "legacy")
    return rx.el.div(
        actions,
        banners,
        body,
        rx.cond(readable & (~FileState.whole | FileState.cut), more),
        class_name="ve-view",
    )
