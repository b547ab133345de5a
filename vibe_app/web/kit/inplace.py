"""A line of text that is edited where it stands, while others may be changing the same."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("inplace.jsx")


def _saved(text: rx.Var[str], version: rx.Var[int]) -> list[rx.Var[Any]]:
    return [text, version]


class InPlace(rx.Component):
    """Calls `on_save(text, version)` when it is left changed; `version` is that of the first key.

    A change of `settled` lets go of what was typed and shows `value` again.
    """

    library = _SOURCE.importable_path
    tag = "InPlace"
    name: rx.Var[str]
    """Under which the browser keeps what is typed."""
    value: rx.Var[str]
    version: rx.Var[int]
    settled: rx.Var[int]
    label: rx.Var[str]
    max_length: rx.Var[int]
    disabled: rx.Var[bool]
    on_save: rx.EventHandler[_saved]
