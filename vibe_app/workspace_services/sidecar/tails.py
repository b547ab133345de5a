"""Texts that arrive in pieces and windows: where they may be cut, what is new in them. Pure functions."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from vibe_app.workspace_services.sidecar.opencode_json import Metadata, ToolState

# bash reports while it runs the last 30,000 UTF-16 units of its output, behind this prefix once it is longer.
SLID = "...\n\n"
ANCHOR = 200
"""Characters by which a place in a text is recognised again."""
_TAIL_UNITS = 30_000
NAME = re.compile(r"tool_[A-Za-z0-9]{1,64}")
"""What the names of files look like in which OpenCode keeps all of a long output."""
_NO_OUTPUT = "(no output)"
# A sequence that the next chunk may complete; shown only once it is whole, so that it can be removed whole.
_INCOMPLETE = re.compile(
    r"(?:\r|[\ud800-\udbff]|\x1b(?:\[[0-?]*[ -/]*|[\]PX^_](?:[^\x07\x1b\n]|\x1b(?!\\))*|[ -/]*))\Z"
)
_LONGEST_SEQUENCE = 4096
_HALF = re.compile(r"[\ud800-\udfff]")


def slid(tail: str) -> bool:
    """Whether bash's reported tail has lost its beginning."""
    return tail.startswith(SLID) and len(tail.encode("utf-16-le", "surrogatepass")) // 2 > _TAIL_UNITS


def whole_output(state: ToolState, tail: str) -> str | None:
    """The whole output of a finished command, where OpenCode reports it anywhere."""
    if not slid(tail):
        return "" if tail == _NO_OUTPUT else tail
    metadata = state.get("metadata") or {}
    if metadata.get("truncated"):
        return paired(metadata["whole"]) if "whole" in metadata else None
    return paired(state.get("output") or "").partition("\n\n<shell_metadata>\n")[0]


def kept_as(metadata: Metadata) -> str:
    """The name of the file that holds all of a tool's output; empty where its report has all."""
    name = PurePosixPath(metadata.get("outputPath") or "").name
    return name if NAME.fullmatch(name) else ""


def overlap(before: str, after: str) -> str | None:
    """What `after` adds to `before`, of which it is a later window; None where they do not touch."""
    head = after[:ANCHOR]
    if len(head) < ANCHOR:
        return None
    place = before.find(head)
    while place >= 0:
        if after.startswith(before[place:]):
            return after[len(before) - place :]
        place = before.find(head, place + 1)
    return None


def complete(text: str) -> int:
    """How many characters of `text` do not belong to a sequence that the next chunk may complete."""
    start = max(0, len(text) - _LONGEST_SEQUENCE)
    found = _INCOMPLETE.search(text, start)
    return found.start() if found and found.start() > start else (0 if found and start == 0 else len(text))


def paired(text: str) -> str:
    """Join the halves of a character that arrived in two chunks."""
    if text.isascii() or not _HALF.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
