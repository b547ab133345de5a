"""Keeps the hub small without ever taking away what a tree borrows.

Trees borrow objects, and git cannot know which: so what nothing leads to is kept while there is one.
It runs beside everything else; git is made for that.
"""

from __future__ import annotations

import logging
import re

from vibe_app.errors import VibeError
from vibe_app.workspace_services.git import trees
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Failed

logger = logging.getLogger(__name__)

LOOSE, PACKS = 4000, 30
"""Loose objects and packs above which the hub is packed anew; git's own figures are 6700 and 50."""
_FIGURE = re.compile(rb"^(count|packs|garbage): (\d+)$", re.MULTILINE)


async def tidy(hub: Hub) -> bool:
    """Pack the hub anew where that is worth it; return whether it was.

    Raises:
        Failed: git cannot do it.
        Unavailable: git is missing, or the disk is full.
    """
    async with hub.locked("maintenance"):
        said = await hub.git("count-objects", "-v")
        figures = {name: int(count) for name, count in _FIGURE.findall(said.out)}
        if figures[b"count"] <= LOOSE and figures[b"packs"] <= PACKS and not figures[b"garbage"]:
            return False
        if (await trees.look(hub)).trees or hub.found.exists():
            await hub.git("repack", "-a", "-d", "-k", "-q")
        else:
            # What was stored within the hour may be a plan that no reference leads to yet.
            await hub.git("repack", "-A", "-d", "-q", "--unpack-unreachable=1.hour.ago")
            await hub.git("prune", "--expire=1.hour.ago")
        return True


async def tidy_quietly(hub: Hub) -> None:
    """The same, as what nobody waits for: a failure is a line in the log."""
    if not hub.exists:
        return
    hub.empty_trash()
    try:
        await tidy(hub)
    except (Failed, VibeError, OSError) as error:
        logger.warning("the workspace's repository could not be packed: %s", error)
