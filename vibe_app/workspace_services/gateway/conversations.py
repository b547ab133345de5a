"""Whose OpenCode's conversations are: a session's, or those of the one whose sub-agent they are. Pure."""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Literal

from vibe_app.workspace_services.gateway.journal import Record

Kind = Literal["session", "parent"]

_DEEPEST = 32
_MOST = 20_000


class Conversations:
    """What is known of conversations.

    Args:
        sessions: The ids of those that are registered; conversations of others are nobody's.
    """

    def __init__(self, sessions: Container[str]) -> None:
        self._sessions = sessions
        self._known: dict[str, tuple[Kind, str]] = {}

    def owner(self, conversation: str) -> str | None:
        """Return the live session that a conversation belongs to, through those it is a sub-agent of."""
        for _ in range(_DEEPEST):
            kind, name = self._known.get(conversation, ("session", ""))
            if kind == "session":
                return name if name and name in self._sessions else None
            conversation = name
        return None

    def is_awaited(self, conversation: str) -> bool:
        """Whether a conversation belongs to a session that is not registered."""
        kind, name = self._known.get(conversation, ("parent", ""))
        return kind == "session" and name not in self._sessions

    def forget_awaited(self, but: Container[str]) -> None:
        """Let conversations of sessions that are not registered be nobody's, but those that are named."""
        gone = [name for name in self._known if name not in but and self.is_awaited(name)]
        for name in gone:
            del self._known[name]

    def is_known(self, conversation: str, kind: Kind, name: str) -> bool:
        """Whether exactly this is known of a conversation."""
        return self._known.get(conversation) == (kind, name)

    def remember(self, conversation: str, kind: Kind, name: str) -> None:
        """Take whose a conversation is, or whose sub-agent's."""
        self._known[conversation] = (kind, name)
        if len(self._known) > _MOST:
            self._known = {known: to for known, to in self._known.items() if self.owner(known) is not None}

    def forget(self, session: str) -> None:
        """Let a session's own conversations be nobody's."""
        self._known = {known: to for known, to in self._known.items() if to != ("session", session)}

    def records(self) -> Iterator[Record]:
        """Yield all of it for the journal."""
        for name, (kind, to) in self._known.items():
            yield conversation_record(name, kind, to)


def conversation_record(conversation: str, kind: Kind, name: str) -> Record:
    """Write whose a conversation is."""
    return {"kind": "conversation", "id": conversation, kind: name}
