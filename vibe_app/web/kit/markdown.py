"""Markdown that people and agents wrote, shown without trusting it.

`rx.markdown` renders HTML inside of the text; `react-markdown` (MIT) shows such HTML as
the text that it is. A picture would call its host from every reader's browser, so it is
a link.
"""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex.utils.imports import ImportVar
from reflex.vars import VarData

_GFM = rx.Var(
    "[remarkGfm]",
    _var_data=VarData(imports={"remark-gfm@4.0.1": [ImportVar(tag="remarkGfm", is_default=True)]}),
)
PACKAGES = ["react-markdown@10.1.0", "remark-gfm@4.0.1"]


@rx.memo
def markdown_link(children: rx.Var[rx.Component], href: rx.Var[str]) -> rx.Component:
    """A link of the text."""
    return _out(children, href)


@rx.memo
def markdown_picture(src: rx.Var[str], alt: rx.Var[str]) -> rx.Component:
    """A picture of the text, as a link."""
    return _out(rx.cond(alt, alt, src), src)


class Outward(rx.el.Span):
    """A link out of the board; Reflex's own `a` looks for each address among the app's pages."""

    tag = "a"


def _out(shown: Any, href: rx.Var[str]) -> rx.Component:
    way = {"href": href, "target": "_blank", "rel": "noopener noreferrer nofollow"}
    return Outward.create(shown, custom_attrs=way)


class SafeMarkdown(rx.NoSSRComponent):
    """Formatted text. No script, style, frame or picture of it reaches the page."""

    library = "react-markdown@10.1.0"
    tag = "Markdown"
    is_default = True
    remark_plugins: rx.Var[Any]
    components: rx.Var[dict[str, Any]]


def markdown(text: Any) -> rx.Component:
    """Show Markdown; its headings stand below those of the page."""
    parts = {
        "a": markdown_link._as_var(),
        "img": markdown_picture._as_var(),
        "h1": "h3",
        "h2": "h4",
        "h3": "h5",
    }
    return rx.el.div(
        SafeMarkdown.create(
            remark_plugins=_GFM,
            components=parts,
            # As a child it would become a component, where only a text is taken.
            custom_attrs={"children": text},
        ),
        class_name="v-markdown",
    )
