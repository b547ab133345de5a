"""Pieces of the settings pages: a section, a labelled control, a row of them."""

from __future__ import annotations

from typing import Any

import reflex as rx


def section(title: str, lead: str, *children: rx.Component) -> rx.Component:
    """A part of a settings page under its heading."""
    return rx.el.section(
        rx.el.h3(title, class_name="v-h3"),
        rx.el.p(lead, class_name="v-lead"),
        *children,
        class_name="v-section",
    )


def labelled(label: str, control: rx.Component, grow: str = "1") -> rx.Component:
    """A control under its label."""
    return rx.el.label(
        rx.text(label, size="2", weight="medium", as_="span", display="block", margin_bottom="4px"),
        control,
        flex=grow,
        min_width="160px",
    )


def row_of(*children: rx.Component) -> rx.Component:
    """Controls side by side, below each other where it is narrow."""
    return rx.flex(*children, wrap="wrap", gap="12px", align="end", width="100%")


def for_owners(looks_only: Any, *parts: rx.Component) -> rx.Component:
    """The fields of a form that an owner of the project may change; others see them and are told so."""
    return rx.el.fieldset(
        rx.vstack(
            rx.cond(looks_only, rx.text("Only an owner of the project changes this.", class_name="v-hint")),
            *parts,
            spacing="4",
            align="stretch",
        ),
        disabled=looks_only,
        class_name="v-plain",
    )
