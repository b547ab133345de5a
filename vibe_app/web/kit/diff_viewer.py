"""Changed files with their lines side by side or one below the other: CodeView of @pierre/diffs.

It draws only what is in sight, so that hundreds of files stay quick, and colours the languages, which it
loads as they are needed. It knows nothing of changes and comments: what stands between the lines, and at the
end of each file's head, are templates given from Python.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import reflex as rx
from reflex.vars.function import ArgsFunctionOperation

from vibe_app.web.kit.hooks import event, js
from vibe_app.web.kit.sources import source

_SOURCE = source("diff_viewer.jsx")
PARTLY = "file"
"""The type of a file of which only some hunks are given, so that nothing can be shown between them."""


@dataclass
class DiffFile:
    """A file, or a part of one.

    `type` is `change`, `new`, `deleted`, `rename-pure`, `rename-changed` or `PARTLY`; `text` are the hunks
    of a unified patch (`patches.pieces`), empty where there is nothing to show but the head. `whole` is
    whether they are all that there is of the file, so that there is nothing between them.
    """

    id: str
    path: str
    text: str
    type: str = "change"
    old: str = ""
    folded: bool = False
    whole: bool = False
    additions: int = 0
    deletions: int = 0


@dataclass
class Target:
    """Where to scroll; the line is selected too. `n` makes the same place twice two targets."""

    item: str = ""
    side: str = "new"
    line: int = 0
    n: int = 0


def _lines(given: rx.Var[Any], context: rx.Var[Any]) -> list[rx.Var[Any]]:
    """Name what was selected: item, first and last line, each line with `deletions` for the old side."""
    # What is undefined in a browser does not arrive: one side is named once, and nothing at all for none.
    side, end_side = f"{given!s}?.side ?? ''", f"{given!s}?.endSide ?? {given!s}?.side ?? ''"
    lines = (f"({side})", f"({given!s}?.start ?? 0)", f"({end_side})", f"({given!s}?.end ?? 0)")
    return [rx.Var(f"{context!s}.item.id"), *(rx.Var(each) for each in lines)]


class DiffViewer(rx.NoSSRComponent):
    """Files below each other, in a window that scrolls.

    A note is an object with at least `item`, `side` (`new` or `old`) and `line`. `options` are those of
    CodeView (`options`).
    """

    library = _SOURCE.importable_path
    tag = "DiffViewer"
    lib_dependencies: list[str] = ["@pierre/diffs@1.6.4"]

    files: rx.Var[list[DiffFile]]
    notes: rx.Var[list[Any]]
    options: rx.Var[dict[str, Any]]
    target: rx.Var[Target]
    label: rx.Var[str]
    """What the window is called."""
    render_annotation: rx.Var[Any]
    render_head: rx.Var[Any]


def whole_texts(address: Any, on_refused: Any, too_long: str, turns: str) -> Any:
    """Return how the viewer gets both texts of a file, for the lines between its hunks.

    Args:
        address: Where the server tells them, as `old_text` and `new_text`; `&path=` is added.
        on_refused: The handler that is told why there are none.
        too_long: Why, where the server leaves one out.
        turns: A pattern of the characters that are shown by their names, as `⟨U+202E⟩`.
    """
    url = js("($address + '&path=' + encodeURIComponent(diff.name))", address=address)
    ask = js("fetch($url, {headers: window.vibeDoor.headers()}).then(window.vibeDoor.read)", url=url)
    none = "[body?.old_text, body?.new_text].includes(null)"
    why = js(f"(error ?? body.error ?? ({none} ? $too_long : ''))", too_long=too_long)
    # Named as in the hunks, to which they must be the same.
    named = f"replace(/{turns}/g, (turn) => '⟨U+' + turn.codePointAt().toString(16).toUpperCase() + '⟩')"
    old = f"oldFile: {{name: diff.prevName ?? diff.name, contents: body.old_text.{named}}}"
    texts = f"({{{old}, newFile: {{name: diff.name, contents: body.new_text.{named}}}}})"
    given = js(
        f"(({{body, error}}) => $why ? ($refused($why), Promise.reject($why)) : {texts})",
        why=why,
        refused=event(on_refused, lambda words: [words]),
    )
    return js("((diff) => $ask.then($given))", ask=ask, given=given)


def options(dark: Any, split: Any, on_lines: Any, texts: Any, expand: str) -> dict[str, Any]:
    """Return how the viewer shows its files.

    Args:
        dark: Whether the page is dark.
        split: Whether the two texts stand side by side.
        on_lines: The handler that is told what was selected by the numbers of lines: item, side, line, and
            the side and line where that ended, which may be above. A side is `deletions` or `additions`.
        texts: How both texts of a file are got (`whole_texts`), or nothing: then what is between hunks stays
            hidden.
        expand: What the button says that shows it.
    """
    # Its own buttons have no name, and no key reaches them.
    press = "onkeydown: (key) => ['Enter', ' '].includes(key.key) && (key.preventDefault(), each.click())"
    named = f"Object.assign(each, {{tabIndex: 0, ariaLabel: $expand, {press}}})"
    buttons = "node.shadowRoot?.querySelectorAll('[data-expand-button]')"
    selected = rx.Var.create(rx.EventChain.create(on_lines, args_spec=_lines))
    return {
        "theme": {"dark": "github-dark-high-contrast", "light": "github-light-high-contrast"},
        "themeType": rx.cond(dark, "dark", "light"),
        "diffStyle": rx.cond(split, "split", "unified"),
        "overflow": "wrap",
        "hunkSeparators": "line-info-basic",
        "stickyHeaders": True,
        "lineHoverHighlight": "number",
        "enableLineSelection": True,
        # A head's own counts are of what is shown of the file; `render_head` says those of the file.
        "unsafeCSS": "[data-additions-count], [data-deletions-count] { display: none; }",
        "onLineSelectionEnd": selected,
        "loadDiffFiles": texts,
        "onPostRender": js(f"((node) => {buttons}.forEach((each) => {named}))", expand=expand),
    }


def diff_viewer(
    note: Callable[..., rx.Component], note_type: type, head: Callable[..., rx.Component], **props: Any
) -> rx.Component:
    """Show files.

    Args:
        note: An `rx.memo` component with one property, `note`.
        note_type: What a note is in Python, for the template's types.
        head: An `rx.memo` component with one property, `file`.
        props: The other properties of `DiffViewer`.
    """
    shown_note = rx.Var.create(note(note=rx.Var(_js_expr="note", _var_type=note_type)))
    shown_head = rx.Var.create(head(file=rx.Var(_js_expr="file", _var_type=DiffFile)))
    return DiffViewer.create(
        render_annotation=ArgsFunctionOperation.create(("{ metadata: note }",), shown_note),
        render_head=ArgsFunctionOperation.create(("file",), shown_head),
        **props,
    )
