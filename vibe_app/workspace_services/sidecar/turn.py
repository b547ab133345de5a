"""Which part of a conversation is a run's: all that came after where it stood when the run began. Pure.

OpenCode hands out a conversation's whole transcript, and goes on listing permissions and questions that an
aborted turn had asked for. A run that goes on with a conversation must neither show nor judge any of it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from vibe_app.workspace_services.sidecar.opencode_json import Event, Message


class Turn:
    """What one run may look at.

    Args:
        after: The last message of before, by OpenCode session: the conversation's and its sub-agents'.
        stale: Ids of what waited for an answer before.
    """

    def __init__(self, after: Mapping[str, str], stale: Collection[str]) -> None:
        self._after = after
        self._stale = frozenset(stale)
        self._before: set[str] = set()

    def fresh(self, session: str, messages: Sequence[Message]) -> list[Message]:
        """Return what of a session's whole transcript is this run's."""
        keys = [(message.get("info") or {}).get("id", "") for message in messages]
        last = self._after.get(session)
        place = keys.index(last) + 1 if last in keys else 0
        self._before.update(keys[:place])
        return list(messages[place:])

    def is_earlier(self, event: Event) -> bool:
        """Whether an event tells of what was there before; known once the transcripts were read."""
        properties = event.get("properties") or {}
        match event.get("type"):
            case "message.updated":
                return (properties.get("info") or {}).get("id") in self._before
            case "message.part.updated":
                return (properties.get("part") or {}).get("messageID") in self._before
            case "message.part.delta":
                return properties.get("messageID") in self._before
            case "permission.asked" | "question.asked":
                return properties.get("id") in self._stale
            case _:
                return False


def heard(messages: Sequence[Message], session: str) -> bool:
    """Whether a transcript has a message that was said for a session of the board."""
    return any(
        (part.get("metadata") or {}).get("vibe_session") == session
        for message in messages
        for part in message.get("parts") or []
    )


def unanswered(messages: Sequence[Message]) -> list[str]:
    """Return the messages at the end of a transcript that were never answered, newest first.

    A turn that is aborted leaves what was still in line, and OpenCode would answer it with the next prompt.
    That is meant for what was said for a session of the board, which somebody counts on: it is none of these.
    """
    found: list[str] = []
    answered = {(message.get("info") or {}).get("parentID") for message in messages}
    for message in reversed(messages):
        info = message.get("info") or {}
        key = info.get("id")
        if info.get("role") != "user" or key is None or key in answered:
            break
        if not any((part.get("metadata") or {}).get("vibe_session") for part in message.get("parts") or []):
            found.append(key)
    return found
