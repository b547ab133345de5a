"""One folder as a list of links, the way to it, and the buttons above; the lists that a search finds too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.files import listings
from vibe_app.web.files.lines import with_folders
from vibe_app.web.files.listings import Entry, Listing, Where
from vibe_app.web.files.paths import address_of, icon_of, shortened, size_words
from vibe_app.web.files.state import FilesState, here, put, rest_url, where
from vibe_app.web.files.tree_view import icon, mark
from vibe_app.web.kit import rows as kit
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.parts import skeleton

LINK = rx.vars.FunctionStringVar.create("window.vibeDoor.address")


@dataclass
class Item:
    """A line of a list of files. To show more of each is one field more here, and its part in `_item`."""

    index: int
    name: str
    href: str
    icon: str
    words: str = ""
    size: str = ""
    modified: int = 0
    broken: bool = False
    mark: bool = False


def item_of(index: int, entry: Entry, base: str, changed: set[str]) -> Item:
    """Return an entry of a folder as its list shows it."""
    return Item(
        index,
        shortened(entry.name),
        address_of(base, entry.path),
        icon_of(entry.name, entry.kind, link=entry.link),
        size=size_words(entry.size) if entry.kind == "file" else "",
        modified=entry.modified,
        broken=entry.kind == "broken",
        mark=entry.path in changed,
    )


class FolderState(rx.State):
    """The entries of the folder beside the tree that are in sight."""

    items: list[Item] = []
    first: int = 0
    known: int = 0
    total: int = 0
    left: int = 0
    path: str = ""
    archive: str = ""
    _top: int = 0
    _bottom: int = 60

    @acts
    async def look(self, actor: Actor, first: int, last: int):
        """Have the entries around those in sight."""
        self._top, self._bottom = max(0, first), max(0, min(last, first + 200))
        files = await self.get_state(FilesState)
        place = where(files, here(self))
        await listings.check(actor, place)
        if (found := listings.kept(place, self.path)) is not None:
            self._show(files, found)

    @acts(background=True)
    async def more(self, actor: Actor):
        """Read one page more of the folder."""
        async with self:
            files = await self.get_state(FilesState)
            place, path = where(files, here(self)), self.path
        found = await listings.read(actor, place, path, more=True)
        async with self:
            if self.path == path:
                self._show(await self.get_state(FilesState), found)

    def _show_folder(self, files: FilesState, place: Where, path: str) -> None:
        """Show a folder as it was last read."""
        if self.path != path:
            self._top, self._bottom, self.path = 0, 60, path
            self.archive = rest_url(place, "archive", path)
        if (found := listings.kept(place, path)) is not None:
            self._show(files, found)

    def _show(self, files: FilesState, found: Listing) -> None:
        entries = found.entries or ()
        first, end = kit.window(self._top, self._bottom, len(entries))
        changed = with_folders(files._changed)
        items = [item_of(i, entries[i], files.base, changed) for i in range(first, end)]
        left = found.left if len(entries) >= listings.PAGE else 0
        put(self, items=items, first=first, known=len(entries), total=found.total, left=left)


def _item(item: Any, total: Any) -> rx.Component:
    return rx.el.li(
        rx.el.a(
            icon(item.icon),
            rx.el.span(
                rx.el.bdi(item.name),
                rx.cond(item.words != "", rx.el.code(item.words, dir="auto")),
                class_name="ve-name",
                title=item.name,
            ),
            rx.cond(item.mark, mark()),
            rx.cond(item.broken, rx.el.span("leads nowhere here", class_name="v-quiet")),
            rx.cond(item.size != "", rx.el.span(item.size, class_name="v-quiet v-digits ve-size")),
            rx.cond(item.modified > 0, rx.el.span(ago(item.modified), class_name="v-quiet ve-time")),
            href=item.href,
            class_name="ve-entry",
        ),
        aria_setsize=total,
        aria_posinset=item.index + 1,
        style=kit.row_style(item.index),
    )


def entries(state: Any, label: Any, look: Any, foot: rx.Component) -> rx.Component:
    """A list of files, each a link: of a folder, or found by a search.

    Args:
        state: Has `items`, `first` and `known`.
        label: What screen readers call it.
        look: Handler that is told which are in sight.
        foot: What stands below the last.
    """
    return kit.rows(
        state.items,
        lambda item: _item(item, state.known),
        first=state.first,
        count=state.items.length(),
        total=state.known,
        look=look,
        label=rx.Var("undefined"),
        list_role="list",
        list_label=label,
        class_name="ve-list",
        foot=foot,
        tab_index=-1,
    )


def notice(title: Any, text: Any, *actions: rx.Component) -> rx.Component:
    """A sentence in the place of a file or folder."""
    return rx.el.div(
        rx.el.h2(title), rx.el.p(text), rx.el.div(*actions, class_name="v-row"), class_name="v-empty"
    )


def tool(shape: str, label: Any, **props: Any) -> rx.Component:
    """A button above a file or folder, or with `href` a link to a download that looks like one."""
    face = rx.icon(shape, size=17, aria_hidden="true")
    named = {"aria_label": label, "title": label, "class_name": "v-icon-button"}
    if "href" in props:
        return rx.el.a(face, download="", reload_document=True, **named, **props)
    return rx.el.button(face, type="button", **named, **props)


def crumbs() -> rx.Component:
    """The way to what is shown."""

    def crumb(part: Any) -> rx.Component:
        current = rx.cond(part.path == FilesState.path, "page", rx.Var("undefined"))
        link = rx.el.a(
            part.name, href=part.href, title=part.name, dir="auto", custom_attrs={"aria-current": current}
        )
        return rx.el.li(link)

    return rx.el.nav(
        rx.el.ol(rx.foreach(FilesState.crumbs, crumb)), aria_label="Path", class_name="ve-crumbs"
    )


def folder_view(tools: rx.Component, start: rx.Component) -> rx.Component:
    """The folder. `tools` stand above it; `start` in one that is empty."""
    limit = f"Upload files or drop them here: {FilesState.limit_mib} MiB each at most."
    more = rx.button(
        f"Show more of {FolderState.left} further entries",
        on_click=FolderState.more,
        size="1",
        variant="soft",
    )
    foot = rx.el.div(
        rx.cond(FolderState.left > 0, more, rx.cond(FilesState.can_edit, rx.text(limit, as_="span"))),
        class_name="ve-foot v-quiet",
    )
    words = rx.cond(FolderState.total == 1, "1 entry", f"{FolderState.total} entries")
    nothing = rx.cond(
        FilesState.path != "",
        notice("An empty folder", rx.cond(FilesState.can_edit, limit, "Nothing is in it yet."), start),
        notice(
            "No files yet",
            rx.cond(
                FilesState.can_edit,
                f"Execute a card and the agent's files appear here, or begin yourself. {limit}",
                "What the agent writes appears here.",
            ),
            start,
        ),
    )
    label = rx.cond(FilesState.path != "", FilesState.path, "Workspace")
    return rx.el.div(
        rx.el.div(
            rx.el.span(words, class_name="v-quiet v-digits"),
            rx.el.div(tools, class_name="v-row ve-buttons"),
            class_name="ve-actions",
        ),
        rx.cond(
            FolderState.path != FilesState.path,
            skeleton(10, 16),
            rx.cond(FolderState.known > 0, entries(FolderState, label, FolderState.look, foot), nothing),
        ),
        class_name="ve-view",
    )
