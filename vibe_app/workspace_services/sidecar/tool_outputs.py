"""The files in which OpenCode (1.18.33) keeps all of a long output of a tool, read without trust.

They lie in OpenCode's private home, where an agent's commands can write: each folder on
the way is opened relative to the one before and never through a link, and only a plain
file of a known form of name is read, up to a bound.
"""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from vibe_app.errors import NotFound
from vibe_app.workspace_services.sidecar.opencode_json import Part
from vibe_app.workspace_services.sidecar.tails import NAME, kept_as

LARGEST = 8 * 1024 * 1024
"""Bytes of a file that are read at most, from its start."""
_WAY = (".local", "share", "opencode", "tool-output")
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class ToolOutputs:
    """Reads the long outputs of one workspace's OpenCode.

    Args:
        home: OpenCode's private home as this process sees it; None where it does not.
    """

    def __init__(self, home: Path | None) -> None:
        self._home = home

    async def fill(self, part: Part) -> None:
        """Put the whole text of a long command's output into the part that only has its end.

        Sets `metadata.whole`, and `metadata.cut` where that is only its beginning; leaves the
        part as it is where nothing is missing or the file cannot be read.
        """
        state = part.get("state") or {}
        metadata = state.get("metadata") or {}
        if part.get("tool") != "bash" or state.get("status") != "completed" or not kept_as(metadata):
            return
        try:
            data = await asyncio.to_thread(self.read, kept_as(metadata))
        except NotFound:
            return
        metadata["whole"] = data[:LARGEST].decode("utf-8", "replace")
        metadata["cut"] = len(data) > LARGEST

    def read(self, name: str) -> bytes:
        """Return the content of a file; one byte more than `LARGEST` where it is longer.

        Raises:
            NotFound: There is no such file, or it is something else.
        """
        missing = NotFound("This output is not kept any more.", "output_gone")
        if self._home is None or not NAME.fullmatch(name):
            raise missing
        try:
            descriptor = os.open(self._home, _FOLDER)
            try:
                for step in _WAY:
                    below = os.open(step, _FOLDER, dir_fd=descriptor)
                    os.close(descriptor)
                    descriptor = below
                file = os.open(name, _FILE, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            with open(file, "rb") as opened:
                found = os.fstat(file)
                if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
                    raise missing
                return opened.read(LARGEST + 1)
        except OSError as error:
            raise missing from error
