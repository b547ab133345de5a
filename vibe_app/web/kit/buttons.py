"""Buttons that need a hand in the browser: one that is pressed once, and the one that signs out."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.sources import source

_SOURCE = source("buttons.jsx")


def _plain() -> list[rx.Var[Any]]:
    return []


class OnceButton(rx.Component):
    """A button that is disabled from its press on, for 2.5 s unless it is replaced before."""

    library = _SOURCE.importable_path
    tag = "OnceButton"
    label: rx.Var[str]
    on_press: rx.EventHandler[_plain]


class SignOut(rx.Component):
    """A button that ends the login at the REST address `url` and then loads the page `done`.

    Where it cannot, it says `still`, and the server's reason or, without an answer, `away`.
    """

    library = _SOURCE.importable_path
    tag = "SignOut"
    url: rx.Var[str]
    done: rx.Var[str]
    still: rx.Var[str]
    away: rx.Var[str]
