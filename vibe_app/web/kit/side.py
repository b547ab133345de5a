"""A page of parts: their links at the side, above each other on a phone, and the one that is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx


def side_page(
    label: str,
    base: Any,
    parts: Mapping[str, tuple[str, str, rx.Component]],
    here: Any,
    only: Mapping[str, Any] | None = None,
) -> rx.Component:
    """Show a part beside the links to all of them.

    Args:
        label: What the links are called.
        base: The address of the first part; the others are below it.
        parts: Title, lead and content of each, by its name in the address.
        here: A var with the name of the part that is shown.
        only: For parts that not everybody is led to, a var that tells whether the person is.
    """
    first = next(iter(parts))
    shown = {name: _part(*part) for name, part in parts.items()}
    links: dict[str, Any] = {
        name: rx.link(
            title,
            href=base if name == first else f"{base}/{name}",
            class_name="v-side-link",
            custom_attrs={"aria-current": rx.cond(here == name, "page", "false")},
        )
        for name, (title, _, _) in parts.items()
    }
    for name, may in (only or {}).items():
        links[name] = rx.cond(may, links[name])
    return rx.el.div(
        rx.el.nav(*links.values(), aria_label=label, class_name="v-side-nav"),
        rx.match(here, *shown.items(), shown[first]),
        class_name="v-settings",
    )


def _part(title: str, lead: str, content: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.h2(title, class_name="v-h2"),
        rx.el.p(lead, class_name="v-lead"),
        content,
        class_name="v-settings-part",
    )
