"""The look as Python knows it: the Radix theme and the stylesheet.

Sizes, colours and everything else of the look are in `assets/vibe.css` and, for each
part of the pages, in a file of its own beside it.
"""

from __future__ import annotations

import reflex as rx

STYLESHEETS = [f"/{name}.css" for name in ("vibe", "home", "board", "card", "files", "settings")]


def radix_theme() -> rx.Component:
    """Slate greys and one accent, for `rx.plugins.RadixThemesPlugin`."""
    return rx.theme(
        accent_color="iris", gray_color="slate", radius="medium", scaling="100%", panel_background="solid"
    )
