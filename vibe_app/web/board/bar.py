"""The parts of a project, as links in its top bar: its board, its files and its settings."""

from __future__ import annotations

from typing import Any

import reflex as rx


def project_tabs(project_id: Any, here: str) -> rx.Component:
    """The links.

    Args:
        project_id: Whose parts.
        here: The part that is shown, `board`, `files` or `settings`.
    """
    parts = (
        ("board", "Board", "", "square-kanban"),
        ("files", "Files", "/files", "folder"),
        ("settings", "Settings", "/settings", "settings-2"),
    )
    return rx.el.nav(
        *[
            rx.link(
                rx.icon(icon, size=15, aria_hidden="true"),
                words,
                href=f"/p/{project_id}{below}",
                class_name="v-part",
                custom_attrs={"aria-current": "page" if part == here else "false"},
            )
            for part, words, below, icon in parts
        ],
        aria_label="Parts of the project",
        class_name="v-parts",
    )
