"""A short text that is edited where it stands, while others may be changing the same."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.draft import kept_as
from vibe_app.web.kit.hooks import event, js

EMPTY = "It cannot be empty, so the old one is back."


class InPlace:
    """A field that shows a text, and from the first key on nothing but what is typed into it."""

    @staticmethod
    def create(
        *,
        name: Any,
        value: Any,
        version: Any,
        settled: Any,
        label: Any,
        disabled: Any,
        on_save: Any,
        empty: str = EMPTY,
        key: Any = "",
    ) -> rx.Component:
        """Edit a text: Enter and leaving the field save it, Escape brings the old one back.

        Args:
            name: Under which the browser keeps what is typed, also over a reload.
            value: The text as it is kept; typing follows it only up to the first key.
            version: Its version; the one at the first key is told with what is saved.
            settled: Whenever this changes, what was typed is let go of and `value` shown again.
            label: For screen readers.
            disabled: Whether it may only be read.
            on_save: The event that is told the text and the version.
            empty: What is said of an empty text, in whose place the old one is back.
            key: Tells two fields in the same place from each other.
        """
        save = event(on_save, lambda text, version: [text, version])
        field = _in_place(
            key_of=kept_as(name),
            value=value,
            version=version,
            settled=settled,
            label=label,
            off=disabled,
            save=save,
            refuse=event(rx.toast.warning(empty), lambda: []),
        )
        return rx.el.div(field, key=key, class_name="v-inplace")


@rx.memo
def _in_place(
    key_of: rx.Var[str],
    value: rx.Var[str],
    version: rx.Var[int],
    settled: rx.Var[int],
    label: rx.Var[str],
    off: rx.Var[bool],
    save: rx.Var[Any],
    refuse: rx.Var[Any],
) -> rx.Component:
    kept = "useSessionStorage({key: $key, getInitialValueInEffect: false})"
    held = js(
        "held",
        hooks=(
            f"const [held, hold, drop] = /** @type {{any}} */ ({kept});",
            "useEffect(() => drop, []);",
            "useDidUpdate(drop, [$settled]);",
            "const same = held?.text === $value;",
            "useDidUpdate(() => {same && drop();}, [same]);",
            "const text = held?.text.trim();",
        ),
        key=key_of,
        settled=settled,
        value=value,
    )
    hold = js(
        # It may take several lines, and has none of its own.
        "((on) => hold({text: $line, version: $held?.version ?? $version}))",
        line=js("on.target.value.replace(/[\\r\\n]+/g, ' ')"),
        held=held,
        version=version,
    )
    # What is saved is shown as it will be kept, so that it is let go of once it is.
    keep = js("(hold({text, version: held.version}), $save(text, held.version))", save=save)
    ends = js(
        "(text === $value ? drop() : text ? $keep : (drop(), $refuse()))",
        value=value,
        keep=keep,
        refuse=refuse,
    )
    leave = js("(() => held && $ends)", ends=ends)
    revert = js("(on.preventDefault(), held ? drop() : on.target.blur())")
    keys = js(
        "((on) => on.key === 'Enter' ? $done : on.key === 'Escape' && $revert)",
        done=js("(on.preventDefault(), on.target.blur())"),
        revert=revert,
    )
    return rx.el.textarea(
        value=js("($held?.text ?? $value)", str, held=held, value=value),
        # What came back is saved like what is typed: by leaving the field.
        auto_focus=js("!!$held", bool, held=held),
        aria_label=label,
        disabled=off,
        rows="1",
        dir="auto",
        custom_attrs={"onChange": hold, "onBlur": leave, "onKeyDown": keys},
    )
