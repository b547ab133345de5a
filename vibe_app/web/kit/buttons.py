"""Buttons that need a hand in the browser: one that is pressed once, and the one that signs out."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.connection import heard
from vibe_app.web.kit.hooks import event, js

_APART = 400
"""Milliseconds after a press in which what slid under the pointer does not react."""
_HELD = 2500


def guarded(handler: Any, *args: Any) -> rx.Var[Any]:
    """Return an event as a function of a press that does nothing within 400 ms of another guarded press.

    For the `onClick` of `custom_attrs`: what a press does may move another card's button under the pointer.
    Nor does it do anything while the page is not connected.
    """
    told = event(handler(*args) if args else handler, lambda: [])
    since = f"(press.timeStamp - (window.guardedPress ?? -{_APART}))"
    free = js(f"($heard && {since} >= {_APART})", heard=heard)
    return js(
        "((press) => $free && (window.guardedPress = press.timeStamp, $told(press)))", free=free, told=told
    )


class OnceButton:
    """A button that is disabled from its press on, for 2.5 s unless it is replaced before."""

    @staticmethod
    def create(*children: Any, on_press: Any, class_name: Any = "", label: Any = "") -> rx.Component:
        """Make one that is not pressed within 400 ms of another one.

        Args:
            children: What it shows.
            on_press: The event.
            class_name: Its look.
            label: For screen readers, where what it shows is no words.
        """
        return _once(rx.fragment(*children), press=guarded(on_press), look=class_name, label=label)


@rx.memo
def _once(
    children: rx.Var[rx.Component], press: rx.Var[Any], look: rx.Var[str], label: rx.Var[str]
) -> rx.Component:
    pressed = js(
        "pressed",
        bool,
        (
            "const [pressed, {open: hold, close: release}] = useDisclosure(false);",
            f"const {{start}} = useTimeout(release, {_HELD});",
        ),
    )
    return rx.el.button(
        children,
        type="button",
        class_name=look,
        aria_label=rx.cond(label == "", js("undefined"), label),
        disabled=pressed,
        aria_busy=pressed,
        custom_attrs={"onClick": js("((on) => $press(on) !== false && (hold(), start()))", press=press)},
    )


class SignOut:
    """A button that ends the login."""

    @staticmethod
    def create(
        *children: Any, url: str, done: str, still: str, away: str, class_name: str = ""
    ) -> rx.Component:
        """End the login at the REST address `url`, and load the page `done`.

        Only an answer to the browser itself can take the login cookie back; then a whole page load, so
        that no socket lives on that was opened with it. Where it cannot, it says `still`, and the server's
        reason or, without an answer, `away`.
        """
        ask = js("fetch($url, {method: 'POST', headers: window.vibeDoor.headers()})", url=url)
        answer = js("$ask.then(window.vibeDoor.read, () => ({error: $away}))", ask=ask, away=away)
        refused = js("(said.error && said.body?.code !== 'unauthenticated')")
        leave = js("(window.vibeDoor.forget(), location.assign($done))", done=done)
        told = js("alert($still + ' ' + said.error)", still=still)
        press = js(
            "(() => $answer.then((said) => $refused ? $told : $leave))",
            answer=answer,
            refused=refused,
            told=told,
            leave=leave,
        )
        return rx.el.button(*children, type="button", class_name=class_name, custom_attrs={"onClick": press})
