"""OpenCode's instance of a folder, begun with the guidance of that folder, and ended.

Each tree may say something else to agents (`guidance`). OpenCode reads `instructions` out of the one
configuration file when the instance of a folder begins, and keeps them until it is disposed; what is said
with a prompt (`system`) its sub-agents are not told. So before each prompt the configuration names the
tree's own copy, and the instance is asked which one it has: where that is another, since somebody else
had it begin meanwhile or OpenCode was started anew, it is disposed and begins again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path

from vibe_app.inside import Spot
from vibe_app.shapes import shaped
from vibe_app.workspace_services.sidecar.guidance import refresh
from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeError

logger = logging.getLogger(__name__)

_LARGEST = 1 << 20
_OUT_OF_DATE = "The repository's guidance for agents could not be copied and may be out of date."
_IN_USE = (
    "The repository's guidance for agents is not read in this run: "
    "somebody works in the card's tree with OpenCode at present."
)


class Instances:
    """OpenCode's instances of a workspace and of its trees.

    Args:
        workspace: The workspace; OpenCode's configuration lies in its `.opencode`.
        guidance: Where the copy of the workspace's own guidance is put, and in a folder of that name those
            of trees; None where OpenCode reads none.
    """

    def __init__(self, workspace: Path, guidance: Path | None) -> None:
        self._config = Spot(workspace, (".opencode", "config.json"))
        self._guidance = guidance
        self._beginning = asyncio.Lock()

    async def begin(self, client: OpenCode, tree: int | None) -> list[str]:
        """Have the instance of a folder begin, if it has not; return what of its guidance is not read.

        Args:
            client: OpenCode, seen from that folder.
            tree: The number of the card whose tree it is; None for the workspace itself.

        Raises:
            OpenCodeError: It does not begin as it should.
        """
        if self._guidance is None:
            return []
        copy = self._copy(self._guidance, tree)
        try:
            said = await asyncio.to_thread(refresh, client.folder, copy)
        except OSError as error:
            logger.warning("the repository's guidance for agents was not copied: %s", error)
            said = [_OUT_OF_DATE]
        async with self._beginning:
            try:
                await asyncio.to_thread(self._name, copy)
            except (OSError, ValueError) as error:
                logger.warning("OpenCode's configuration was not written: %s", error)
                return [*said, _OUT_OF_DATE]
            if await self._has(client, copy):
                return said
            if await client.statuses():
                return [*said, _IN_USE]
            await client.dispose()
            if not await self._has(client, copy):
                raise OpenCodeError("OpenCode did not read its configuration")
        return said

    async def end(self, client: OpenCode, tree: int) -> None:
        """End the instance of a tree and forget its guidance.

        Raises:
            OpenCodeError: OpenCode does not do its part.
        """
        if self._guidance is not None:
            await asyncio.to_thread(self._copy(self._guidance, tree).unlink, missing_ok=True)
        await client.dispose()

    @staticmethod
    def _copy(guidance: Path, tree: int | None) -> Path:
        return guidance if tree is None else guidance.with_suffix("") / f"{tree}.md"

    @staticmethod
    async def _has(client: OpenCode, copy: Path) -> bool:
        return (await client.settings()).get("instructions") == [str(copy)]

    def _name(self, copy: Path) -> None:
        """Have the configuration name a copy.

        Raises:
            OSError: It cannot be read or written.
            ValueError: It is no configuration.
        """
        config = shaped(dict[str, object], json.loads(self._config.read(_LARGEST)))
        if config.get("instructions") != [str(copy)]:
            self._config.write(json.dumps(config | {"instructions": [str(copy)]}, indent=2) + "\n")
