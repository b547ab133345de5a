"""What keeps an agent from what is not its own here, in words for everybody who should know.

Where there is no wall and nobody said that this is meant, only admins make agents work: whoever
executes a card can have it read whatever the server's own user can read.
"""

from __future__ import annotations

from dataclasses import dataclass

from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.local.wall import NoWall, Wall, find

ADMINS_ONLY = (
    "There is no wall around agents here, so only admins of this installation can execute cards:"
    " ask one of them, or have the wall put up."
)
_MEANT = "There is no wall around agents (VIBE_SANDBOX=off): their commands can read what the server can."
_LACKING = "There is no wall around agents: their commands can read what the server can, its keys included."


@dataclass(frozen=True)
class Protection:
    """How agents are kept from what is not theirs.

    Args:
        notice: A sentence for the board and for each run; empty where there is a wall.
        reason: Why there is none, as a sentence; empty where it is not lacking.
        cure: What mends that.
    """

    notice: str = ""
    reason: str = ""
    cure: str = ""

    @property
    def admins_only(self) -> str:
        """The sentence for a member who wants to make an agent work and may not; empty where members may."""
        return ADMINS_ONLY if self.reason else ""


def protection(settings: Settings) -> Protection:
    """Find out how agents are kept in. On this machine a wall is tried, which takes some 50 ms and blocks."""
    if settings.runtime == "kubernetes":
        return Protection()
    if settings.sandbox == "off":
        return Protection(notice(None))
    found = find(settings)
    if isinstance(found, NoWall):
        return Protection(notice(found), f"There is no wall around agents: {found.reason}", found.cure)
    return Protection()


def notice(found: Wall | NoWall | None) -> str:
    """What each run begins with: a sentence where there is no wall, wanted (None) or not; else nothing."""
    if isinstance(found, NoWall):
        return _LACKING
    return _MEANT if found is None else ""
