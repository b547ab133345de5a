"""The output panel's terminal: xterm.js behind a Reflex component.

It shows numbered batches of a session's events and asks for what it misses. It
knows nothing of sessions beyond their id, and never sends what is typed in it.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("terminal.jsx")
source("terminal.css")

Batch = dict[str, Any]
"""One batch, or `{}` before the first.

`s` is the session, `n` counts batches (so that two are never equal), `a` is the
`seq` before the first event, `e` holds the events as `[seq, letter, epoch ms,
text]` with the first letter of the event's type. A batch with an empty `s` says
that nobody follows a session for this client, as after a reconnect.
"""


def _gap(session_id: rx.Var[str], last_seq: rx.Var[int]) -> list[rx.Var[Any]]:
    return [session_id, last_seq]


class Terminal(rx.NoSSRComponent):
    """A terminal that appends the batches it is given, each event once and in order.

    `on_gap(session_id, last_seq)` fires when it is mounted, when the session
    changes, when a batch does not follow on what it has, and again every 5 s until
    a batch answers: the batches should then start after `last_seq`.
    """

    library = _SOURCE.importable_path
    tag = "OutputTerminal"
    lib_dependencies: list[str] = [
        "@xterm/xterm@6.0.0",
        "@xterm/addon-fit@0.11.0",
        "@xterm/addon-search@0.16.0",
        "@xterm/addon-unicode11@0.9.0",
    ]

    session_id: rx.Var[str]
    batch: rx.Var[Batch]
    name: rx.Var[str]
    """What the window's title says."""
    live: rx.Var[bool]
    """Whether more is to come; shows the LIVE badge."""
    file_name: rx.Var[str]
    """What a download is called."""
    linked: rx.Var[str]
    """A regular expression; what its first group finds in the output is a link."""
    linked_to: rx.Var[str]
    """Where such a link leads, with the found text added at the end."""
    on_gap: rx.EventHandler[_gap]


terminal = Terminal.create
