"""Keys in a box of text: what is typed is sent by Ctrl+Enter, on a Mac by Cmd+Enter."""

from __future__ import annotations

from typing import Any

import reflex as rx

_SEND = rx.call_function(
    rx.vars.FunctionStringVar.create("(() => document.activeElement?.form?.requestSubmit())")
)


def sends(key: Any, info: Any) -> Any:
    """Return the event of a key in a form's box, for its `on_key_down`."""
    return rx.cond((key == "Enter") & (info["ctrl_key"] | info["meta_key"]), _SEND, rx.noop())
