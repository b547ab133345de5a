"""What comes out of a form: only texts, and only such that a database keeps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vibe_app.wire import plain_text


def words(form: Mapping[str, Any], name: str, default: str = "") -> str:
    """Return a field's text, empty or `default` where the form has none."""
    return plain_text(str(form.get(name, default)))


def split_labels(text: str) -> list[str]:
    """Read labels that are separated by commas."""
    return [label.strip() for label in text.split(",") if label.strip()]
