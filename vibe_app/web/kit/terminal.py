"""A terminal that only shows: xterm.js behind a Reflex component.

It is given numbered batches of texts, made for its width, and asks for those that it misses. It knows nothing
of what they are about, and never sends what is typed in it.
"""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.vars import FunctionStringVar

from vibe_app.web.kit.sources import source

_SOURCE = source("terminal.jsx")
HOST = "vt-host"

Batch = dict[str, Any]
"""One batch, or `{}` before the first.

`s` is the source, `n` counts batches (so that two are never equal), `a` is the number of the text before
the first, `e` holds the texts as `[number, text]`, and `k` is what is brought along when more is asked for. A
batch with an empty `s` says that nobody follows a source for this client, as after a reconnect.
"""

_ZONE = rx.Var("Intl.DateTimeFormat().resolvedOptions().timeZone")
_BEHIND_UTC = rx.Var("new Date().getTimezoneOffset()")
# The address of what stands beside the login cookie is only known in the browser.
_OPEN = rx.Var("((_, link) => window.open(window.vibeDoor.address(link), '_blank', 'noopener'))")
_NARROW = rx.Var("(globalThis.innerWidth < 640 ? 12 : 13)")

_PALETTE = {
    "black": "#4b5563",
    "red": "#f87171",
    "green": "#4ade80",
    "yellow": "#fbbf24",
    "blue": "#60a5fa",
    "magenta": "#c084fc",
    "cyan": "#22d3ee",
    "white": "#d4d4d4",
    "brightBlack": "#9ca3af",
    "brightRed": "#fca5a5",
    "brightGreen": "#86efac",
    "brightYellow": "#fde68a",
    "brightBlue": "#93c5fd",
    "brightMagenta": "#d8b4fe",
    "brightCyan": "#67e8f9",
    "brightWhite": "#ffffff",
}
OPTIONS: dict[str, Any] = {
    "allowProposedApi": True,  # search highlights and Unicode 11 widths
    "disableStdin": True,
    "cursorInactiveStyle": "none",
    "cursorStyle": "bar",
    "cursorWidth": 1,
    "fontFamily": 'Consolas, Monaco, "Courier New", monospace',
    "fontSize": _NARROW,
    "lineHeight": 1.25,
    "minimumContrastRatio": 4.5,
    "scrollback": 25_000,
    "linkHandler": {"activate": _OPEN, "allowNonHttpProtocols": True},
    "overviewRuler": {"width": 12},
    "logLevel": "off",
    "theme": {
        "background": "#1e1e1e",
        "foreground": "#d4d4d4",
        "cursor": "#1e1e1e",
        "cursorAccent": "#1e1e1e",
        "selectionBackground": "#3a5a8c",
        "scrollbarSliderBackground": "#ffffff2e",
        "scrollbarSliderHoverBackground": "#ffffff4d",
        "scrollbarSliderActiveBackground": "#ffffff66",
        "overviewRulerBorder": "#1e1e1e",
        **_PALETTE,
    },
}


def _gap(
    source: rx.Var[str], last: rx.Var[int], carry: rx.Var[str], columns: rx.Var[int]
) -> list[rx.Var[Any]]:
    return [source, last, carry, columns, _ZONE, _BEHIND_UTC]


def _matches(index: rx.Var[int], count: rx.Var[int]) -> list[rx.Var[Any]]:
    return [index, count]


class Terminal(rx.NoSSRComponent):
    """A terminal that appends the batches it is given, each text once and in order.

    `on_gap(source, last, carry, columns, zone, minutes behind UTC)` fires when it is mounted, when its width
    changes (then from 0), when a batch does not follow on what it has, and again every 5 s until a batch
    answers: the batches should then start after `last`. `on_matches(index, count)` says what a search has
    found. It is given a `key` by its source, as it is about one alone.
    """

    library = _SOURCE.importable_path
    tag = "TextTerminal"
    lib_dependencies: list[str] = [
        "@xterm/xterm@6.0.0",
        "@xterm/addon-fit@0.11.0",
        "@xterm/addon-search@0.16.0",
        "@xterm/addon-unicode11@0.9.0",
    ]

    source: rx.Var[str]
    batch: rx.Var[Batch]
    options: rx.Var[dict[str, Any]]
    plain: rx.Var[Any]
    """A function in the browser that makes one plain text of a list of those that were given."""
    label: rx.Var[str]
    newest: rx.Var[str]
    """What screen readers call the newest lines."""
    on_gap: rx.EventHandler[_gap]
    on_matches: rx.EventHandler[_matches]

    def add_imports(self) -> dict[str, Any]:
        """Return the style sheet of xterm."""
        return {"": "@xterm/xterm/css/xterm.css"}


def call(what: str, *given: Any) -> Any:
    """Return the event that calls a method of the page's terminal, in the browser alone.

    Args:
        what: The method, of the wrapper (`terminal.jsx`) or of what it holds: `search.findNext`.
        given: Its arguments.
    """
    found = f"document.querySelector('.{HOST}')?.pane.{what}"
    return rx.call_function(FunctionStringVar.create(f"((...given) => {found}(...given))").partial(*given))


def texts(then: str) -> Any:
    """Return the event that gives all that the page's terminal holds, as one plain text, to a function."""
    shown = f"(({{ props, texts }}) => props.current.plain(texts))(document.querySelector('.{HOST}').pane)"
    return rx.call_function(FunctionStringVar.create(f"(() => {then}({shown}))"))
