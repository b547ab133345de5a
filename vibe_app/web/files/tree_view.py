"""The tree of all files as the page shows it, and the pictures that its rows share with the lists."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.files.state import FilesState
from vibe_app.web.files.tree import SCROLL, STEPS, TreeState
from vibe_app.web.kit import rows as kit
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.hooks import js
from vibe_app.web.kit.parts import skeleton

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


_NOW = js("Date.now()", int)
_KEYS = [*STEPS, "ArrowLeft", "ArrowRight", "Enter"]


def tree(on_edit: Any) -> rx.Component:
    """The tree. `on_edit` is told of F2 and Delete."""

    def pressed(key: Any, held: Any) -> Any:
        plain = ~(held["ctrl_key"] | held["alt_key"] | held["meta_key"])
        letter = (key.length() == 1) & (key != "/") & (key != "?")
        known = rx.Var.create(_KEYS).contains(key) | letter
        return rx.cond(plain & known, TreeState.press(key, _NOW).prevent_default.stop_propagation, rx.noop())

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
        custom_attrs={
            "aria-activedescendant": f"ve-row-{TreeState.at}",
            OPENS: rx.cond(FilesState.anything, "F2", ""),
        },
        on_key_down=[pressed, edited],
        on_focus=rx.call_script(SCROLL),
    )
    return rx.cond(
        TreeState.loaded,
        rx.cond(TreeState.total > 0, files),
        rx.cond(TreeState.error != "", rx.el.p(TreeState.error, class_name="v-quiet"), skeleton(10, 16)),
    )
