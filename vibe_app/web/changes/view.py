"""How the Changes tab looks: the summary, the list of files, the lines."""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.style import resolved_color_mode

from vibe_app.web.board.face import counts
from vibe_app.web.changes.patches import TELLS
from vibe_app.web.changes.review import ReviewState
from vibe_app.web.changes.review_view import apart_list, note_view
from vibe_app.web.changes.rows import FileRow, Note
from vibe_app.web.changes.state import PAGE, ChangesState
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.diff_viewer import DiffFile, diff_viewer, options, whole_texts
from vibe_app.web.kit.numbers import thousands
from vibe_app.web.kit.parts import empty_state, skeleton

_TOO_LONG = "This file is too long for the lines between its changes. The page of files shows all of it."
_MARKS = {"A": "green", "M": "amber", "D": "red", "R": "blue", "T": "gray"}


def _mark(row: Any) -> rx.Component:
    looks = [(mark, rx.el.span(mark, class_name=f"v-mark v-{color}")) for mark, color in _MARKS.items()]
    return rx.el.span(
        rx.match(row.mark, *looks, rx.fragment()), title=row.status, aria_label=row.status, role="img"
    )


def _seen(path: Any, seen: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(
            type="checkbox",
            checked=seen,
            on_change=ChangesState.see(path, ~seen),
            aria_label=f"Seen: {path}",
        ),
        rx.el.span("Seen", class_name="v-seen-word", aria_hidden="true"),
        class_name="v-seen",
    )


@rx.memo
def changed_file(row: rx.Var[FileRow], on: rx.Var[bool]) -> rx.Component:
    """A file in the list."""
    file: Any = row
    return rx.el.li(
        _mark(file),
        rx.el.button(
            rx.cond(file.old != "", rx.el.span(file.old, " → ", class_name="v-quiet")),
            rx.el.bdi(file.path),
            type="button",
            title=file.path,
            on_click=ReviewState.choose(file.path),
            class_name="v-file-name",
        ),
        rx.cond(file.kind != "", rx.el.span(file.kind, class_name="v-label")),
        rx.cond((file.additions + file.deletions > 0) & ~file.nested, counts(file.additions, file.deletions)),
        rx.cond(on, _seen(file.path, file.seen)),
        class_name="v-file",
        custom_attrs={"data-seen": rx.cond(file.seen, "true", "false")},
    )


@rx.memo
def file_end(file: rx.Var[DiffFile]) -> rx.Component:
    """What stands at the end of a file's head in the viewer."""
    shown: Any = file
    return rx.cond(shown.additions + shown.deletions > 0, counts(shown.additions, shown.deletions))


def _summary() -> rx.Component:
    return rx.el.div(
        rx.el.strong(ChangesState.told, class_name="v-digits"),
        counts(ChangesState.additions, ChangesState.deletions),
        rx.cond(
            ChangesState.branch != "",
            rx.el.span("on ", rx.el.code(ChangesState.branch), class_name="v-quiet"),
        ),
        rx.cond(
            ChangesState.seen_count > 0,
            rx.el.span(f"{thousands(ChangesState.seen_count)} seen", class_name="v-quiet v-digits"),
        ),
        rx.cond(
            ChangesState.last != "",
            rx.el.label(
                rx.el.input(
                    type="checkbox",
                    checked=ChangesState.since,
                    on_change=[ChangesState.show_round(~ChangesState.since), ReviewState.load],
                ),
                "Since the last round",
                rx.cond(ChangesState.listing, rx.el.span("(reading)")),
                class_name="v-seen v-end-of-row",
            ),
        ),
        class_name="v-row v-change-summary",
    )


def _files() -> rx.Component:
    return rx.el.details(
        rx.el.summary("Files"),
        rx.el.ul(
            rx.foreach(
                ChangesState.files, lambda row: changed_file(row=row, on=~ChangesState.since, key=row.path)
            ),
            class_name="v-files",
        ),
        rx.cond(
            ChangesState.hidden > 0,
            rx.button(
                f"{thousands(ChangesState.hidden)} more",
                variant="soft",
                color_scheme="gray",
                on_click=ChangesState.list_more,
            ),
        ),
        open=True,
        class_name="v-file-list",
    )


def _pager() -> rx.Component:
    page, pages = ChangesState.page, ChangesState.pages
    return rx.cond(
        pages > 1,
        rx.el.nav(
            rx.button(
                f"Previous {PAGE} files",
                variant="soft",
                color_scheme="gray",
                disabled=page <= 0,
                on_click=[ChangesState.turn(page - 1), ReviewState.load],
            ),
            rx.el.span(f"Page {thousands(page + 1)} of {thousands(pages)}", class_name="v-quiet v-digits"),
            rx.button(
                f"Next {PAGE} files",
                variant="soft",
                color_scheme="gray",
                disabled=page + 1 >= pages,
                on_click=[ChangesState.turn(page + 1), ReviewState.load],
            ),
            aria_label="Pages of texts",
            class_name="v-row v-between",
        ),
    )


def _lines(wide: Any) -> rx.Component:
    # What the server tells are the texts of the newest revision.
    texts = rx.cond(
        (ReviewState.texts != "") & (ChangesState.newest == ChangesState.revision),
        whole_texts(ReviewState.texts, ReviewState.not_shown, _TOO_LONG, TELLS),
        rx.Var("undefined"),
    )
    viewer = diff_viewer(
        note_view,
        Note,
        file_end,
        files=ReviewState.files,
        notes=ReviewState.notes,
        options=options(
            resolved_color_mode == "dark", wide, ReviewState.select, texts, "Show the lines between"
        ),
        target=ReviewState.target,
        label="Changed lines",
        class_name="v-diff",
    )
    return rx.fragment(
        # Whoever comes to the tab has them read too; this is for a change that is made while it is open.
        rx.el.span(on_mount=ReviewState.load, hidden=True),
        rx.el.p(
            ReviewState.spoken,
            role="status",
            class_name="v-unseen",
            custom_attrs={OPENS: rx.cond(ReviewState.led, "c", "")},
        ),
        rx.cond(
            ReviewState.files.length() > 0,  # pyright: ignore
            viewer,
            rx.cond(ReviewState.loading, skeleton(6)),
        ),
    )


def changes_tab(sentences: rx.Component, bar: rx.Component, wide: Any) -> rx.Component:
    """The tab.

    Args:
        sentences: What is to be known before a decision.
        bar: What stands below: the box to talk, and what can be decided.
        wide: Whether there is room for two texts side by side.
    """
    shown = rx.el.div(
        rx.cond((ChangesState.count > 0) | ChangesState.since, _summary()),
        sentences,
        rx.cond(
            ChangesState.count > 0,
            rx.fragment(_files(), _pager(), _lines(wide), apart_list()),
            rx.el.p(
                rx.cond(
                    ChangesState.since,
                    "The last round changed nothing.",
                    "Nothing differs from the base branch.",
                ),
                class_name="v-quiet",
            ),
        ),
        class_name="v-drawer-body v-changes",
    )
    nothing = rx.el.div(
        empty_state(
            "git-compare",
            "No change yet",
            "Once the agent has changed files for this task, you see here which lines.",
        ),
        class_name="v-drawer-body",
    )
    return rx.cond(
        ChangesState.loaded,
        rx.cond(ChangesState.state != "none", rx.fragment(shown, bar), nothing),
        rx.el.div(skeleton(6), class_name="v-drawer-body"),
    )
