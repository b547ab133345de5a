"""The tree of all files: which folders are open, the rows in sight, and the keys that go through them."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.files import listings
from vibe_app.web.files.listings import Entry, Where
from vibe_app.web.files.paths import above, address_of, icon_of, shortened
from vibe_app.web.files.state import FilesState, here, put, where
from vibe_app.web.kit import rows as kit
from vibe_app.web.kit.parts import skeleton

OPEN_FOLDERS = 500
"""Open folders that a tab remembers."""
_TYPING = 0.7
"""Seconds between two letters of one name."""
_STEPS = {"ArrowDown": 1, "ArrowUp": -1, "PageDown": 15, "PageUp": -15, "Home": -(10**9), "End": 10**9}
_SCROLL = kit.SHOW.format(".ve-row[data-active]")


@dataclass
class Row:
    """A row in sight."""

    index: int
    key: str
    name: str
    note: bool
    level: int
    place: int
    count: int
    folder: bool
    opened: bool
    icon: str
    mark: bool


class Line(NamedTuple):
    """A row of the whole tree: an entry, or a note below a folder. `more` names the folder to read on."""

    key: str
    level: int
    entry: Entry | None
    place: int = 0
    of: int = 0
    note: str = ""
    more: str | None = None


_LinesKey = tuple[Where, frozenset[str], tuple[float, ...]]
_lines: OrderedDict[_LinesKey, list[Line]] = OrderedDict()


def lines_of(place: Where, opened: Collection[str]) -> list[Line]:
    """Return the rows of the tree as its folders were last read; the same list while nothing has changed."""
    stamps = tuple(
        listing.at if (listing := listings.kept(place, path)) else 0.0 for path in sorted({"", *opened})
    )
    key = (place, frozenset(opened), stamps)
    if key not in _lines:
        _lines[key] = list(_walk(place, "", 1, frozenset(opened)))
        while len(_lines) > 16:
            _lines.popitem(last=False)
    _lines.move_to_end(key)
    return _lines[key]


def _walk(place: Where, path: str, level: int, opened: frozenset[str]) -> Iterator[Line]:
    known = listings.kept(place, path)
    if known is None or known.entries is None:
        if level > 1:
            yield Line(f"{path}/:", level, None, note=(known.error if known else "") or "Loading…")
        return
    for index, entry in enumerate(known.entries, 1):
        yield Line(entry.path, level, entry, index, known.total)
        if entry.kind == "directory" and entry.path in opened:
            yield from _walk(place, entry.path, level + 1, opened)
    if not known.entries and level > 1:
        yield Line(f"{path}/:", level, None, note="Empty")
    if known.left > 0 and len(known.entries) >= listings.PAGE:
        yield Line(f"{path}/+", level, None, note=f"{known.left} more…", more=path)


class TreeState(rx.State):
    """The rows of the tree that are in sight, and the one that the keys are at."""

    rows: list[Row] = []
    first: int = 0
    total: int = 0
    at: int = 0
    """The number of the row that the keys are at."""
    current: str = ""
    loaded: bool = False
    error: str = ""
    _opened: dict[str, list[str]] = {}
    _top: int = 0
    _bottom: int = 60
    _active: str = ""
    _shown: str = ""
    _typed: str = ""
    _typed_at: float = 0.0

    @acts
    async def look(self, actor: Actor, first: int, last: int):
        """Have the rows around those in sight."""
        self._top, self._bottom = max(0, first), max(0, min(last, first + 200))
        await self._again(actor)

    @acts
    async def press(self, actor: Actor, key: str):
        """Go through the tree by keys, as far as the browser sends them."""
        files, place = await self._place(actor)
        lines = lines_of(place, self._opened.get(files.base, []))
        if not lines:
            return None
        at = self._here(lines)
        line = lines[at]
        folder = line.entry is not None and line.entry.kind == "directory"
        opened = folder and line.key in self._opened.get(files.base, [])
        if key in _STEPS:
            at += _STEPS[key]
        elif key == "ArrowRight" and folder:
            if not opened:
                return await self._turn(files, line.key, True)
            at += 1
        elif key == "ArrowLeft":
            if opened:
                return await self._turn(files, line.key, False)
            at = next((i for i in range(at - 1, -1, -1) if lines[i].level < line.level), at)
        elif key == "Enter" or (key == " " and not self._typed_lately()):
            return await self._open(files, line)
        elif len(key) == 1:
            at = self._find(lines, at, key)
        self._go(lines, at)
        self._show(files, lines)
        return rx.call_script(_SCROLL)

    @acts
    async def toggle(self, actor: Actor, key: str):
        """Open or close a folder."""
        files, _ = await self._place(actor)
        self._active = key
        return await self._turn(files, key, key not in self._opened.get(files.base, []))

    @acts
    async def open(self, actor: Actor, key: str):
        """Go to what a row names, or read on where it stands for more."""
        files, place = await self._place(actor)
        lines = lines_of(place, self._opened.get(files.base, []))
        line = next((each for each in lines if each.key == key), None)
        if line is None:
            return None
        self._active = key
        return await self._open(files, line)

    @acts(background=True)
    async def unread(self, actor: Actor):
        """Read those open folders that were not read yet."""
        async with self:
            files, place = await self._place(actor)
            opened = ["", *self._opened.get(files.base, [])]
        for path in opened:
            if listings.kept(place, path) is None:
                await listings.read(actor, place, path)
                async with self:
                    await self._again(actor)

    @acts(background=True)
    async def more(self, actor: Actor, path: str):
        """Read one page more of a folder."""
        async with self:
            _, place = await self._place(actor)
        await listings.read(actor, place, path, more=True)
        async with self:
            await self._again(actor)

    async def _place(self, actor: Actor) -> tuple[FilesState, Where]:
        files = await self.get_state(FilesState)
        place = where(files, here(self))
        await listings.check(actor, place)
        return files, place

    async def _again(self, actor: Actor) -> None:
        files, place = await self._place(actor)
        self._show(files, lines_of(place, self._opened.get(files.base, [])))

    async def _turn(self, files: FilesState, path: str, opened: bool) -> Any:
        self._set_opened(files.base, path, opened)
        self._show(files, lines_of(where(files, here(self)), self._opened.get(files.base, [])))
        return TreeState.unread if opened else None

    async def _open(self, files: FilesState, line: Line) -> Any:
        if line.more is not None:
            return TreeState.more(line.more)
        if line.entry is None:
            return None
        events: list[Any] = []
        if line.entry.kind == "directory":
            events.append(await self._turn(files, line.key, True))
        return [*events, rx.redirect(address_of(files.base, line.key))]

    def _here(self, lines: list[Line]) -> int:
        """Return the number of the active row; one that went away leaves its place to the next."""
        found = next((i for i, line in enumerate(lines) if line.key == self._active), None)
        return min(self.at, len(lines) - 1) if found is None else found

    def _go(self, lines: list[Line], at: int) -> None:
        at = max(0, min(len(lines) - 1, at))
        self._active, self.at = lines[at].key, at
        if not self.first + 5 <= at < self.first + len(self.rows) - 5:
            self._top, self._bottom = max(0, at - 25), at + 25

    def _typed_lately(self) -> bool:
        return bool(self._typed.strip()) and time.monotonic() - self._typed_at < _TYPING

    def _find(self, lines: list[Line], at: int, letter: str) -> int:
        now = time.monotonic()
        self._typed = self._typed + letter if now - self._typed_at < _TYPING else letter
        self._typed_at = now
        start = at + (len(self._typed) == 1)
        text = self._typed.lower()
        order = ((start + step) % len(lines) for step in range(len(lines)))
        fits = (i for i in order if (each := lines[i].entry) and each.name.lower().startswith(text))
        return next(fits, at)

    @property
    def active(self) -> str:
        """The key of the row that the keys are at: a path, where it is an entry's."""
        return self._active

    def _set_opened(self, base: str, path: str, opened: bool) -> None:
        """Note that a folder is open, or is not."""
        others = [each for each in self._opened.get(base, []) if each != path]
        self._opened = self._opened | {base: [*others, path][-OPEN_FOLDERS:] if opened else others}

    def _folders(self, base: str) -> list[str]:
        """Return the folders that are open."""
        return list(self._opened.get(base, []))

    def _show_all(self, files: FilesState, place: Where, path: str) -> list[Any]:
        """Show what was read, and where the address is in it.

        Returns:
            What the browser is to do.
        """
        root = listings.kept(place, "")
        put(self, loaded=root is not None and root.entries is not None, error=root.error if root else "")
        if self.current != path or self._shown.partition("\n")[0] != files.base:
            put(self, current=path)
            self._active = path
            for folder in above(path)[1:]:
                if folder not in self._opened.get(files.base, []):
                    self._set_opened(files.base, folder, True)
        lines = lines_of(place, self._opened.get(files.base, []))
        seen = f"{files.base}\n{path}"
        at = next((i for i, line in enumerate(lines) if line.key == path), None)
        # Brought into sight once, when it appears, not at each change of the tree.
        if at is None or self._shown == seen:
            self._show(files, lines)
            return []
        self._shown = seen
        self._go(lines, at)
        self._show(files, lines)
        return [rx.call_script(_SCROLL)]

    def _show(self, files: FilesState, lines: list[Line]) -> None:
        first, end = kit.window(self._top, self._bottom, len(lines))
        changed = with_folders(files._changed)
        opened = set(self._opened.get(files.base, []))
        shown = [_row(i, lines[i], changed, opened) for i in range(first, end)]
        put(self, first=first, total=len(lines), rows=shown)
        put(self, at=self._here(lines) if lines else 0)


def with_folders(paths: Collection[str]) -> set[str]:
    """Return paths and all folders above them."""
    return {each for path in paths for each in (path, *above(path))}


def _row(index: int, line: Line, changed: set[str], opened: set[str]) -> Row:
    entry = line.entry
    if entry is None:
        return Row(index, line.key, line.note, True, line.level, 1, 1, False, False, "", False)
    folder = entry.kind == "directory"
    icon = icon_of(entry.name, entry.kind, link=entry.link)
    return Row(
        index,
        line.key,
        shortened(entry.name),
        False,
        line.level,
        line.place,
        line.of,
        folder,
        folder and line.key in opened,
        icon,
        line.key in changed,
    )


_ICONS = (
    ("folder", "folder"),
    ("image", "image"),
    ("text", "file-text"),
    ("link", "link-2"),
    ("file", "file"),
)


def icon(kind: Any) -> Any:
    """The picture of an entry's kind."""
    return rx.match(
        kind,
        *[
            (name, rx.icon(shape, size=16, aria_hidden="true", class_name=f"ve-icon-{name}"))
            for name, shape in _ICONS
        ],
        rx.fragment(),
    )


def mark() -> rx.Component:
    """The dot beside what a card has changed."""
    words = "Changed for this card"
    return rx.el.span(class_name="ve-mark", role="img", aria_label=words, title=words)


def _row_view(row: Any) -> rx.Component:
    twist = rx.el.span(
        rx.cond(row.folder, rx.icon("chevron-right", size=14, aria_hidden="true")),
        class_name="ve-twist",
        custom_attrs={"data-open": row.opened},
        on_click=rx.cond(row.folder, TreeState.toggle(row.key).stop_propagation, rx.noop()),
    )
    return rx.el.div(
        twist,
        icon(row.icon),
        rx.el.span(row.name, class_name=rx.cond(row.note, "ve-name v-quiet", "ve-name"), dir="auto"),
        rx.cond(row.mark, mark()),
        id=f"ve-row-{row.index}",
        role="treeitem",
        title=rx.cond(row.note, "", row.name),
        class_name="ve-row",
        aria_level=row.level,
        aria_posinset=row.place,
        aria_setsize=row.count,
        aria_selected=row.key == TreeState.current,
        custom_attrs={
            "aria-expanded": rx.cond(row.folder, row.opened.to_string(), rx.Var("undefined")),
            "data-active": rx.cond(row.index == TreeState.at, "", rx.Var("undefined")),
        },
        style=kit.row_style(row.index) | {"--level": row.level},
        on_click=TreeState.open(row.key),
    )


def _count(rows: Any) -> Any:
    return rows.length()


_KEYS = [*_STEPS, "ArrowLeft", "ArrowRight", "Enter"]


def tree(on_edit: Any) -> rx.Component:
    """The tree. `on_edit` is told of F2 and Delete."""

    def pressed(key: Any, held: Any) -> Any:
        plain = ~(held["ctrl_key"] | held["alt_key"] | held["meta_key"])
        letter = (key.length() == 1) & (key != "/") & (key != "?")
        known = rx.Var.create(_KEYS).contains(key) | letter
        return rx.cond(plain & known, TreeState.press(key).prevent_default.stop_propagation, rx.noop())

    def edited(key: Any, held: Any) -> Any:
        return rx.cond((key == "F2") | (key == "Delete"), on_edit(key).prevent_default, rx.noop())

    files = kit.rows(
        TreeState.rows,
        _row_view,
        first=TreeState.first,
        count=_count(TreeState.rows),
        total=TreeState.total,
        look=TreeState.look,
        label="Files of the workspace",
        class_name="ve-tree",
        role="tree",
        tab_index=0,
        custom_attrs={"aria-activedescendant": f"ve-row-{TreeState.at}"},
        on_key_down=[pressed, edited],
        on_focus=rx.call_script(_SCROLL),
    )
    return rx.cond(
        TreeState.loaded,
        rx.cond(TreeState.total > 0, files),
        rx.cond(TreeState.error != "", rx.el.p(TreeState.error, class_name="v-quiet"), skeleton(10, 16)),
    )
