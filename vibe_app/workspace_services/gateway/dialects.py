"""The three forms of providers' interfaces: what is asked where, which header holds the key, how it refuses.

OpenCode's own packages read a refusal in their provider's form; `code` and `retry_at` stand beside it in
the same place for all, for whoever reads the answer's body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse

from vibe_app.wire import iso
from vibe_app.wire.gateway import Dialect

_MODEL = r"(?P<model>[A-Za-z0-9._:@-]{1,200})"
_PATHS: Mapping[Dialect, re.Pattern[str]] = {
    "openai": re.compile(r"chat/completions|responses"),
    "anthropic": re.compile(r"messages"),
    "google": re.compile(rf"models/{_MODEL}:(?:generateContent|streamGenerateContent)"),
}
# What OpenCode's packages send begins with the model: a body of a megabyte is not read through for it.
_FIRST = re.compile(rb'\s*\{\s*"model"\s*:\s*"([^"\\\x00-\x1f]{1,200})"')

_KEY_HEADERS: Mapping[Dialect, bytes] = {
    "openai": b"authorization",
    "anthropic": b"x-api-key",
    "google": b"x-goog-api-key",
}


def key_header(dialect: Dialect, key: str) -> tuple[bytes, bytes]:
    """The header that signs in at a provider."""
    return _KEY_HEADERS[dialect], (f"Bearer {key}" if dialect == "openai" else key).encode("ascii")


def is_asked(dialect: Dialect, path: str) -> bool:
    """Tell whether a path below the provider's address is one that OpenCode asks."""
    return _PATHS[dialect].fullmatch(path) is not None


def model_of(dialect: Dialect, path: str, body: bytes) -> str:
    """Return which model a request asks; empty where it names none, or several."""
    if dialect == "google":
        found = _PATHS["google"].fullmatch(path)
        return found["model"] if found else ""
    # Nothing in it can be a second name of a model, spelt with escapes neither.
    once = body.count(b'"model"') == 1 and b"\\u006" not in body.lower()
    if once and (first := _FIRST.match(body)):
        return first[1].decode("utf-8", "replace")
    try:
        asked = json.loads(body, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return ""
    pairs = asked.pairs if isinstance(asked, _Pairs) else []
    named = [value for name, value in pairs if name == "model"]
    # Which of several counts is known to the provider alone.
    return named[0][:200] if len(named) == 1 and isinstance(named[0], str) else ""


class _Pairs:
    """An object of JSON with the names that occur twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        self.pairs = pairs


def refusal(
    dialect: Dialect | None,
    status: int,
    code: str,
    sentence: str,
    retry_at: datetime | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Make an answer of the gateway's own, in the form of a provider's.

    Args:
        dialect: Whose form; None where no provider is known.
        status: The HTTP status.
        code: A word for programs.
        sentence: For people.
        retry_at: When to ask again.
        headers: More headers.
    """
    error: dict[str, Any] = {"message": sentence, "type": code, "code": code}
    if dialect == "google":
        error = {"code": status, "message": sentence, "status": code}
    answer: dict[str, Any] = {"type": "error", "error": error, "code": code}
    if retry_at is not None:
        answer["retry_at"] = iso(retry_at)
    return JSONResponse(answer, status, headers={"x-from-gateway": "1", **(headers or {})})
