"""Lets go of what nobody can ask for any more: checkpoints of what was discarded long ago and of deleted
cards, and commits that were accepted and have been delivered.

Only references go, by compare-and-swap; what they led to is removed with the next packing that may prune.
"""

from __future__ import annotations

from collections.abc import Sequence

from vibe_app.wire import git as wire
from vibe_app.workspace_services.git.base import ACCEPTED
from vibe_app.workspace_services.git.checkpoints import kept_of
from vibe_app.workspace_services.git.hub import Hub


async def forget(hub: Hub, number: int, asked: wire.Forget) -> wire.Forgotten:
    """Let go of checkpoints of a card.

    Args:
        hub: The hub.
        number: The card's.
        asked: Of which change, and what of the others is to stay; or of all of them.
    """
    async with hub.locked(number):
        kept = [] if asked.accepted else await kept_of(hub, number)
        if kept and asked.revision is not None:
            going = await _leading(hub, asked.revision, asked.kept)
            kept = [(k, commit) for k, commit in kept if commit in going]
        gone = [(f"refs/vibe/{number}/{k}", commit) for k, commit in kept]
        below = f"{ACCEPTED}{number}/" + (f"{asked.revision}/" if asked.revision else "")
        listed = (await hub.git("for-each-ref", "--format=%(refname) %(objectname)", below)).out.decode()
        gone += [(name, commit) for name, commit in map(str.split, listed.splitlines())]
        if gone:
            words = (f"delete {name} {commit}\n" for name, commit in gone)
            await hub.git("update-ref", "--stdin", given="".join(words).encode())
        return wire.Forgotten(count=len(gone))


async def _leading(hub: Hub, revision: str, kept: Sequence[str]) -> set[str]:
    """The commits that lead to a checkpoint, and neither to others nor to the base branch's head."""
    asked = "\n".join([revision, *(f"^{other}" for other in (hub.reference, *kept))]).encode()
    said = await hub.git("rev-list", "--ignore-missing", "--stdin", given=asked)
    return set(said.out.decode().split())
