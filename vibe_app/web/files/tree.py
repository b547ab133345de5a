"""The State of the tree of all files: open folders, the rows in sight, the keys that go through them."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.files import listings
from vibe_app.web.files.lines import Line, Row, lines_of, row_of, with_folders
from vibe_app.web.files.listings import Where
from vibe_app.web.files.paths import above, address_of
from vibe_app.web.files.state import FilesState, here, put, where
from vibe_app.web.kit import rows as kit

OPEN_FOLDERS = 500
"""Open folders that a tab remembers."""
LONGEST = 4096
"""Characters of a path, which no system has more of."""
_TYPING = 700
"""Milliseconds between two letters of one name."""
STEPS = {"ArrowDown": 1, "ArrowUp": -1, "PageDown": 15, "PageUp": -15, "Home": -(10**9), "End": 10**9}
"""By how many rows a key goes on."""
SCROLL = kit.SHOW.format(".ve-row[data-active]")
"""Brings the row that the keys are at into sight."""


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
    _typed_at: int = 0

    @acts
    async def look(self, actor: Actor, first: int, last: int):
        """Have the rows around those in sight."""
        self._top, self._bottom = max(0, first), max(0, min(last, first + 200))
        await self._again(actor)

    @acts
    async def press(self, actor: Actor, key: str, at_ms: int = 0):
        """Go through the tree by keys, as far as the browser sends them.

        Args:
            actor: Who asks.
            key: Which.
            at_ms: When it was pressed, in milliseconds of the browser: what is typed in one go on a slow
                connection is one name.
        """
        files, place = await self._place(actor)
        lines = lines_of(place, self._opened.get(files.base, []))
        if not lines:
            return None
        at = self._here(lines)
        line = lines[at]
        folder = line.entry is not None and line.entry.kind == "directory"
        opened = folder and line.key in self._opened.get(files.base, [])
        if key in STEPS:
            at += STEPS[key]
        elif key == "ArrowRight" and folder:
            if not opened:
                return await self._turn(files, line.key, True)
            at += 1
        elif key == "ArrowLeft":
            if opened:
                return await self._turn(files, line.key, False)
            at = next((i for i in range(at - 1, -1, -1) if lines[i].level < line.level), at)
        elif key == "Enter" or (key == " " and not self._typed_lately(at_ms)):
            return await self._open(files, line)
        elif len(key) == 1:
            at = self._find(lines, at, key, at_ms)
        self._go(lines, at)
        self._show(files, lines)
        return rx.call_script(SCROLL)

    @acts
    async def toggle(self, actor: Actor, key: str):
        """Open or close a folder."""
        files, _ = await self._place(actor)
        key = key[:LONGEST]
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

    def _typed_lately(self, at_ms: int) -> bool:
        return bool(self._typed.strip()) and at_ms - self._typed_at < _TYPING

    def _find(self, lines: list[Line], at: int, letter: str, at_ms: int) -> int:
        self._typed = (self._typed + letter if at_ms - self._typed_at < _TYPING else letter)[-LONGEST:]
        self._typed_at = at_ms
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
        return [rx.call_script(SCROLL)]

    def _show(self, files: FilesState, lines: list[Line]) -> None:
        first, end = kit.window(self._top, self._bottom, len(lines))
        changed = with_folders(files._changed)
        opened = set(self._opened.get(files.base, []))
        shown = [row_of(i, lines[i], changed, opened) for i in range(first, end)]
        put(self, first=first, total=len(lines), rows=shown)
        put(self, at=self._here(lines) if lines else 0)
