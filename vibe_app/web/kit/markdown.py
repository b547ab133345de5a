"""Markdown that people and agents wrote, shown without trusting it.

`rx.markdown` renders HTML inside of the text; this one shows such HTML as the
text that it is, and a picture as a link.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("markdown.jsx")
PACKAGES = ["react-markdown@10.1.0", "remark-gfm@4.0.1"]


class SafeMarkdown(rx.NoSSRComponent):
    """Formatted text. No script, style, frame or picture of it reaches the page."""

    library = _SOURCE.importable_path
    tag = "SafeMarkdown"
    lib_dependencies: list[str] = PACKAGES
    text: rx.Var[str]


def markdown(text: Any) -> rx.Component:
    """Show Markdown."""
    return SafeMarkdown.create(text=text)
