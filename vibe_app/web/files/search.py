"""The search in names and in texts. All that it asks for is in the address."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.errors import VibeError
from vibe_app.web.auth import acts
from vibe_app.web.files.folder import Item, entries, notice
from vibe_app.web.files.paths import address_of, icon_of, name_of, search_address, shortened
from vibe_app.web.files.state import FilesState, here
from vibe_app.web.kit.parts import skeleton
from vibe_app.wire import files as wire
from vibe_app.wiring import services

PAUSE = 250
"""Milliseconds without a key after which what is typed is looked for."""


class SearchState(rx.State):
    """What is looked for, and what was found."""

    text: str = ""
    asked: str = ""
    in_text: bool = False
    ignored: bool = False
    words: str = ""
    """What came of it, in words; nothing while it goes on."""
    error: str = ""
    items: list[Item] = []
    first: int = 0
    known: int = 0
    done: bool = False
    names_href: str = ""
    text_href: str = ""
    ignored_href: str = ""
    _back: str = ""

    @rx.event
    async def ask(self, text: str):
        """Look for what was typed; without anything, go back to where the search began."""
        files = await self.get_state(FilesState)
        self.text = text
        searching = files.view == "search"
        query = text.strip()[:200]
        if not query:
            return rx.redirect(self._back or files.base) if searching else None
        wanted = search_address(files.base, query, in_text=self.in_text, ignored=self.ignored)
        return rx.redirect(wanted, replace=searching)

    @rx.event
    async def choose(self, what: str):
        """Look in names or in texts, with or without what git ignores, for what is typed by now."""
        files = await self.get_state(FilesState)
        if what == "ignored":
            self.ignored = not self.ignored
        else:
            self.in_text = what == "text"
        query = self.text.strip()[:200] or self.asked
        wanted = search_address(files.base, query, in_text=self.in_text, ignored=self.ignored)
        return rx.redirect(wanted, replace=True)

    @acts(background=True)
    async def run(self, actor: Actor):
        """Look for what the address asks for."""
        async with self:
            asked = here(self)
            files = await self.get_state(FilesState)
            if not asked.searching:
                self._back = address_of(asked.base, asked.path)
                self.text, self.in_text, self.ignored = "", False, False
                return
            files.view = "search"
            self._begin(asked.base, asked.query, in_text=asked.in_text, ignored=asked.ignored)
        if not asked.query:
            return
        wanted = wire.SearchFiles(
            query=asked.query, text=asked.in_text, ignored=asked.ignored, task=asked.tree or None
        )
        try:
            found = await (await services().files.reading(actor, asked.project)).search(wanted)
        except VibeError as error:
            async with self:
                self.error, self.items, self.known = error.message, [], 0
            return
        async with self:
            self._show(asked.base, found)

    @acts
    async def look(self, actor: Actor, first: int, last: int):
        """Nothing: all that is found is there."""

    def _begin(self, base: str, query: str, *, in_text: bool, ignored: bool) -> None:
        if self.text.strip() != query:
            self.text = query
        self.asked, self.in_text, self.ignored = query, in_text, ignored
        self.words, self.error, self.done = "Searching…", "", False
        self.names_href = search_address(base, query, in_text=False, ignored=ignored)
        self.text_href = search_address(base, query, in_text=True, ignored=ignored)
        self.ignored_href = search_address(base, query, in_text=in_text, ignored=not ignored)

    def _show(self, base: str, found: wire.SearchResults) -> None:
        self.items = [
            Item(
                index,
                shortened(each.path) + (f":{each.line}" if each.line else ""),
                address_of(base, each.path, each.line or 0),
                icon_of(name_of(each.path), each.type, link=each.type == "symlink"),
                words=each.text or "",
            )
            for index, each in enumerate(found.results)
        ]
        count = self.known = len(self.items)
        some = f"{count} {'result' if count == 1 else 'results'}"
        self.words = f"The first {count} results" if found.truncated else some
        self.done = True


def search_bar() -> rx.Component:
    """The field above the tree."""
    return rx.el.form(
        rx.icon("search", size=15, aria_hidden="true"),
        rx.debounce_input(
            rx.el.input(
                type="search",
                placeholder="Search files",
                aria_label="Search files",
                value=SearchState.text,
                max_length=200,
                on_change=SearchState.ask,
                custom_attrs={"data-search": "true"},
            ),
            debounce_timeout=PAUSE,
        ),
        role="search",
        class_name="v-search ve-search",
        on_submit=rx.prevent_default,
    )


def _choice(words: str, what: str, to: Any, chosen: Any) -> rx.Component:
    # A link for whoever opens it elsewhere; here what is typed and not looked for yet goes with it.
    link = rx.el.a(
        words,
        href=to,
        replace=True,
        on_click=SearchState.choose(what).prevent_default,
        custom_attrs={"aria-current": rx.cond(chosen, "true", "false")},
    )
    return rx.button(link, as_child=True, variant="soft", color_scheme=rx.cond(chosen, "iris", "gray"))


def search_view() -> rx.Component:
    """What was found."""
    what = rx.cond(SearchState.in_text, "line of text", "name")
    nothing = notice(
        "Nothing found",
        f"No {what} contains “{SearchState.asked}”. A capital letter in it makes case matter.",
        rx.cond(
            ~SearchState.in_text,
            rx.button(
                rx.el.a("Search in the text of files", href=SearchState.text_href, replace=True),
                as_child=True,
                variant="soft",
            ),
        ),
    )
    return rx.el.div(
        rx.el.div(
            rx.el.span(
                rx.cond(SearchState.error != "", "", SearchState.words),
                class_name="v-quiet v-digits",
                role="status",
            ),
            rx.el.div(
                _choice("Names", "names", SearchState.names_href, ~SearchState.in_text),
                _choice("Text", "text", SearchState.text_href, SearchState.in_text),
                _choice("With ignored files", "ignored", SearchState.ignored_href, SearchState.ignored),
                class_name="v-row ve-buttons",
            ),
            class_name="ve-actions",
        ),
        rx.cond(
            SearchState.error != "",
            notice("The search did not work", SearchState.error),
            rx.cond(
                SearchState.known > 0,
                entries(SearchState, f"Results for {SearchState.asked}", SearchState.look, rx.fragment()),
                rx.cond(SearchState.done, nothing, skeleton(8, 16)),
            ),
        ),
        class_name="ve-view",
    )
