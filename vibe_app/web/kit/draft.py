"""Forms that lose nothing: what is typed stays with the tab until it is sent or cancelled.

It is kept by the browser, so that it outlives a dialog that was closed, a reload,
and a server that was started again. Signing out forgets it.
"""

from __future__ import annotations

import json
from typing import Any

import reflex as rx
from reflex.utils.imports import ImportVar
from reflex.vars import FunctionStringVar, VarData

from vibe_app.web.kit.sources import source

_SOURCE = source("draft.jsx")


class Draft(rx.Component):
    """Keeps what is typed into the form inside; a press on a `reset` button forgets it."""

    library = _SOURCE.importable_path
    tag = "Draft"
    name: rx.Var[str]


def draft(name: Any, form: rx.Component) -> rx.Component:
    """Let a form lose nothing.

    Args:
        name: Tells it from other forms of the tab.
        form: The form; the default of each of its fields is `typed`.
    """
    return Draft.create(form, name=name)


def typed(name: Any, field: str, otherwise: Any) -> rx.Var[str]:
    """Return what was typed into a field of the form `name`, or `otherwise`."""
    imports = {_SOURCE.importable_path: [ImportVar(tag="typed")]}
    read = FunctionStringVar.create("typed", _var_data=VarData(imports=imports))
    return read.call(name, field, otherwise).to(str)


def forget(name: str) -> Any:
    """Return the event with which what was typed into a form goes, once it was sent."""
    # Reflex's own event for this has the whole page loaded anew.
    return rx.call_script(f"window.sessionStorage.removeItem({json.dumps('vibe.draft.' + name)})")
