"""How a git that was started ends, and how what was thrown away is removed: parts of `hub`."""

from __future__ import annotations

import asyncio
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from vibe_app.workspace_services.git.program import Failed


@dataclass(frozen=True)
class Done:
    """How a git ended.

    Args:
        status: Its exit status.
        out: What it answered.
        errors: What it complained of.
    """

    status: int
    out: bytes
    errors: bytes

    @property
    def word(self) -> str:
        """An answer of one line, such as a hash."""
        return self.out.decode("utf-8", "surrogateescape").strip()


async def gathered(process: asyncio.subprocess.Process, given: bytes, most: int) -> tuple[bytes, bytes, int]:
    """Give a process what it reads, and return what it answers, what it complains of, and its status.

    Raises:
        Failed: It answers more than `most` bytes.
    """
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    out, errors, _ = await asyncio.gather(
        _read(process.stdout, most, whole=True),
        _read(process.stderr, 1 << 20, whole=False),
        _feed(process.stdin, given),
    )
    return out, errors, await process.wait()


async def _feed(stream: asyncio.StreamWriter, given: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(given)
        await stream.drain()
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.close()
        await stream.wait_closed()


async def _read(stream: asyncio.StreamReader, most: int, *, whole: bool) -> bytes:
    """Read to the end; what is more than `most` is a fault, or left out."""
    said = bytearray()
    while chunk := await stream.read(1 << 16):
        if len(said) + len(chunk) > most:
            if whole:
                raise Failed("the answer is too long.")
            continue
        said += chunk
    return bytes(said)


def remove(path: Path) -> None:
    """Remove a folder with all that it holds, also what was made read-only; what cannot be stays.

    Nothing is followed that is a link.
    """
    if not os.path.isdir(path) or os.path.islink(path):
        with suppress(OSError):
            path.unlink()
        return
    with suppress(OSError):
        os.chmod(path, 0o700)
        for _, folders, _, descriptor in os.fwalk(path, follow_symlinks=False):
            for name in folders:
                with suppress(OSError):
                    _open_up(name, descriptor)
    shutil.rmtree(path, ignore_errors=True)


def _open_up(name: str, above: int) -> None:
    """Make a folder ours to read and write, without following a link that took its place."""
    folder = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        os.chmod(f"/proc/self/fd/{folder}", 0o700)
    finally:
        os.close(folder)
