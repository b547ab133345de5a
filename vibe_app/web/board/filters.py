"""What a board shows of its cards, as its address says it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from vibe_app.board.lifecycle import Priority

ANY = "any"
"""What a choice says where it leaves nothing out."""
NOBODY = "nobody"
"""The person who has the cards that nobody has."""
_LONGEST = 200


@dataclass(frozen=True)
class Filters:
    """Which cards are shown: those that contain a text, of a priority, with a label, of a person, that need
    whoever looks, or those that are archived; empty, or False, for all.
    """

    search: str = ""
    priority: str = ""
    label: str = ""
    person: str = ""
    needs: bool = False
    archived: bool = False

    def query(self) -> str:
        """Return the query of an address that says this, with its `?`; empty where all is shown."""
        parts = {
            "q": self.search,
            "priority": self.priority,
            "label": self.label,
            "person": self.person,
            "needs": "me" if self.needs else "",
            "show": "archived" if self.archived else "",
        }
        given = {name: value for name, value in parts.items() if value}
        return f"?{urlencode(given)}" if given else ""


def read_filters(query: Mapping[str, str]) -> Filters:
    """Read the query of an address, in which anybody can have written anything."""
    priority = query.get("priority", "")
    return Filters(
        search=query.get("q", "")[:_LONGEST],
        priority=priority if priority in {each.value for each in Priority} else "",
        label=query.get("label", "")[:_LONGEST],
        person=query.get("person", "")[:_LONGEST],
        needs=query.get("needs") == "me",
        archived=query.get("show") == "archived",
    )
