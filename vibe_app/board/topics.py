"""What the board announces of cards: which one has changed, so that whoever shows it reads that one again."""

from __future__ import annotations

from uuid import UUID


def card_topics(project_id: UUID, task_id: UUID) -> tuple[str, str]:
    """Return what is announced where one card has changed: its project's topic, and its own."""
    return f"project:{project_id}", f"card:{project_id}:{task_id}"


def cards_of(project_id: UUID) -> str:
    """Return the topic for whoever wants to hear of each card of a project by its own topic.

    Where changes may have been missed, it is itself among what has changed: then any card may have.
    """
    return f"card:{project_id}:*"


def cards_in(topics: set[str]) -> set[UUID]:
    """Return which cards are named in what has changed."""
    named = (topic.rpartition(":")[2] for topic in topics if topic.startswith("card:"))
    return {UUID(name) for name in named if name != "*"}
