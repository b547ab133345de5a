"""What a page says of a proxy in front of the board that answers in its place, or lets nothing by."""

from __future__ import annotations

import json

import reflex as rx

_SILENT = "The proxy in front of Vibe answered ({status}): the board did not. Try again in a moment."
ANSWERED = {
    "413": (
        "The proxy in front of Vibe refused this as too large (413): its own limit is smaller than the "
        "board's. Raise it (nginx: client_max_body_size)."
    ),
    "502": _SILENT,
    "503": _SILENT,
    "504": _SILENT,
    "other": "Something in front of Vibe answered in its place ({status}).",
}
"""What a person is told of an answer without a sentence of the board's own, by its status."""

WITHOUT_PARTS = r"""
document.addEventListener("DOMContentLoaded", function () {
  if (window.vibeDoor) return;
  var path = location.pathname.replace(/\/(login|setup|settings(\/.*)?|p\/.*)?\/?$/, "");
  var words = document.createElement("p");
  words.setAttribute("role", "alert");
  words.style.cssText = "margin: 15vh auto; padding: 0 16px; max-width: 40em; font: 16px/1.5 sans-serif";
  words.textContent = path
    ? "Vibe does not run under a path (" + path + "/). Give it a host name or a port of its own."
    : "The parts of this page do not come. Load it again; if they still do not, what stands in front of " +
      "Vibe does not pass them on.";
  document.body.replaceChildren(words);
});
"""
"""Shown in the place of the page when the first of its parts, `/door.js`, did not come, as below a path of
another site, where it is that site's. It stands in the page itself, since nothing else would come either; the
policy of the pages allows it by its hash (`vibe_app/api/headers.py`)."""


def door() -> rx.Component:
    """The first part of every page: what it sends beside the login cookie, and how it reads answers."""
    return rx.el.script(src="/door.js", custom_attrs={"data-words": json.dumps(ANSWERED)})
