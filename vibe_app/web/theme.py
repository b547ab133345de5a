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


def toaster() -> rx.Component:
    """Where toasts stand: at the lower left of the page, where no bar, drawer or composer is.

    On a phone they are under the top bar (`assets/vibe.css`), as the actions are at the bottom there.
    """
    return rx.toast.provider(position="bottom-left", close_button=True, rich_colors=False, visible_toasts=3)
