"""Forms that lose nothing: what is typed stays with the tab until it is sent or cancelled.

It is kept by the browser, so that it outlives a dialog that was closed, a reload,
and a server that was started again. Signing out forgets it.
"""

from __future__ import annotations

import json
from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import js

_PREFIX, _KEPT = "vibe.draft.", "sessionStorage"
BACK = "What you had typed is back. Cancel discards it."


def kept_as(name: Any) -> Any:
    """Return under which name the browser keeps what is typed into `name`."""
    return js("($prefix + $name)", str, prefix=_PREFIX, name=name)


def draft(name: Any, form: rx.Component) -> rx.Component:
    """Let a form lose nothing but passwords, which the browser does not keep for it.

    Args:
        name: Tells it from other forms of the tab.
        form: The form; the default of each of its fields is `typed`. A press on its `reset` button forgets.
    """
    return _draft(form, key_of=kept_as(name))


@rx.memo
def _draft(children: rx.Var[rx.Component], key_of: rx.Var[str]) -> rx.Component:
    begun = "const [back, tell] = useState(() => !!readSessionStorageValue({key: $key}));"
    back: Any = js("back", bool, (begun,), key=key_of)
    form = "on.currentTarget.querySelector('form')"
    kept = f"[...new FormData({form})].filter(([name]) => {form}.elements[name]?.type !== 'password')"
    keep = js(
        f"((on) => sessionStorage.setItem($key, JSON.stringify(Object.fromEntries({kept}))))", key=key_of
    )
    return rx.el.div(
        rx.cond(back, rx.el.p(BACK, role="status", class_name="v-hint v-draft")),
        children,
        custom_attrs={
            "data-draft": "",
            "onChange": keep,
            "onReset": js(f"(() => {{{_gone('$key')};}})", key=key_of),
            "onSubmit": js(
                f"(() => {{tell(false); {_KEPT}.setItem($key + '.sent', {_KEPT}.getItem($key));}})",
                key=key_of,
            ),
        },
    )


def typed(name: Any, field: str, otherwise: Any) -> rx.Var[str]:
    """Return what was typed into a field of the form `name`, or `otherwise`."""
    kept = "readSessionStorageValue({key: $key})"
    return js(f"({kept}?.[$field] ?? $otherwise)", str, key=kept_as(name), field=field, otherwise=otherwise)


def forget(name: str) -> Any:
    """Return the event with which what was typed into a form goes, once it was sent."""
    # Reflex's own event for this has the whole page loaded anew.
    return rx.call_script(_gone(json.dumps(_PREFIX + name)))


def forget_sent(name: str) -> Any:
    """Return the event with which what was sent of a form goes; what was typed into it since stays."""
    key = json.dumps(_PREFIX + name)
    same = f"{_KEPT}.getItem({key}) === {_KEPT}.getItem({key} + '.sent')"
    return rx.call_script(f"{same} && ({_gone(key)})")


def _gone(key: str) -> str:
    return f"{_KEPT}.removeItem({key}), {_KEPT}.removeItem({key} + '.sent')"
