"""How names of files are written for people and in JSON: always plain text, always reversible.

A name on disk is bytes. Here a byte that is no UTF-8, and every byte of a control
or direction-changing character, is written as `\\xNN`, and a backslash as two. All
other names are what they are.
"""

from __future__ import annotations

import re

from vibe_app.errors import InvalidRequest

LONGEST = 4096
"""Bytes of a path; Linux takes no longer ones (PATH_MAX)."""

# What surrogateescape makes of stray bytes, control characters, direction marks and line separators.
_UNSAFE = re.compile("[\udc80-\udcff\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\\\\]")
_ESCAPE = re.compile(rb"\\(\\|x[0-9a-fA-F]{2}|)")


def shown(name: bytes) -> str:
    """Write a name or a path as text; `raw` takes it back."""
    return _UNSAFE.sub(_escaped, name.decode("utf-8", "surrogateescape"))


def raw(text: str) -> bytes:
    """Read what `shown` wrote.

    Raises:
        InvalidRequest: It is none of that, or too long for a path.
    """
    try:
        name = _ESCAPE.sub(_byte, text.encode("utf-8"))
    except UnicodeEncodeError:
        raise InvalidRequest(
            "The path holds half a character. Write bytes that are no UTF-8 as \\xNN.", "invalid_path"
        ) from None
    if b"\0" in name:
        raise InvalidRequest("A path cannot hold a zero byte.", "invalid_path")
    if len(name) > LONGEST:
        raise InvalidRequest(f"The path is longer than {LONGEST} bytes.", "invalid_path")
    return name


def _escaped(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _byte(match: re.Match[bytes]) -> bytes:
    if not match[1]:
        raise InvalidRequest("A backslash in a path is written twice, a byte as \\xNN.", "invalid_path")
    return b"\\" if match[1] == b"\\" else bytes([int(match[1][1:], 16)])
