"""The look as Python knows it: the Radix theme and the stylesheet.

Sizes, colours and everything else of the look are in `assets/vibe.css`.
"""

from __future__ import annotations

import reflex as rx

STYLESHEETS = ["/vibe.css"]


def radix_theme() -> rx.Component:
    """Slate greys and one accent, for `rx.plugins.RadixThemesPlugin`."""
    return rx.theme(
        accent_color="iris", gray_color="slate", radius="medium", scaling="100%", panel_background="solid"
    )
