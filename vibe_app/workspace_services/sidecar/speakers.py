"""Who says a line, where more than one speaks: a short label stands before each of its lines. Pure.

A sub-agent's lines carry its title; those of commands that run at the same time carry
their commands. What the agent says and does by itself, one after the other, has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vibe_app.workspace_services.sidecar.wording import one_line

_LONGEST = 28


class Speakers:
    """The commands that run at present, by the OpenCode session that called them."""

    def __init__(self) -> None:
        self._running: dict[str, dict[str, str]] = {}

    def begins(self, session: str, part: str, given: Mapping[str, object]) -> Mapping[str, str]:
        """Take note of a running command; return the labels of the session's commands, none for a single one.

        Args:
            session: Who called it.
            part: The command's id in the transcript.
            given: What it was called with. A long text is named by what the agent says that it does.
        """
        running = self._running.setdefault(session, {})
        if part not in running:
            command, description = (str(given.get(key) or "") for key in ("command", "description"))
            name = description if description and len(command) > _LONGEST else command
            running[part] = unique(one_line(name, _LONGEST) or "bash", running.values())
        return running if len(running) > 1 else {}

    def ends(self, session: str, part: str) -> None:
        """Take note that a command has ended."""
        self._running.get(session, {}).pop(part, None)


def unique(label: str, others: Iterable[str]) -> str:
    """A label that none of the others is: numbered from the second on."""
    taken, number, found = set(others), 1, label
    while found in taken:
        number += 1
        found = f"{label} ({number})"
    return found


def labelled(text: str, label: str, *, begun: bool) -> str:
    """Put a label before each line of a text.

    Args:
        text: Whole lines or a part of one.
        label: With what separates it from the line.
        begun: Whether the first line goes on with one that has its label already.
    """
    lines = text.split("\n")
    last = lines.pop()
    marked = [label + line for line in lines] + ([label + last] if last else [])
    if begun and marked:
        marked[0] = marked[0].removeprefix(label)
    return "\n".join(marked) + ("" if last or not lines else "\n")
