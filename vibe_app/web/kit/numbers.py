"""Numbers as people read them."""

from __future__ import annotations

from typing import Any

from vibe_app.web.kit.hooks import js


def thousands(number: Any) -> Any:
    """Return a whole number with a mark at each thousand, `12,345`; nothing is 0."""
    return js("($number || 0).toLocaleString('en')", str, number=number)


def counted(number: Any, one: str, many: str) -> Any:
    """Return how many there are in words: `1 file`, `2,345 files`."""
    return js(
        "($number === 1 ? $one : $words)",
        str,
        number=number,
        one=f"1 {one}",
        words=thousands(number) + f" {many}",
    )
