"""Writes a folder of the workspace as a compressed tar, piece by piece, while it is read.

Links stay links where they stay inside the folder; those that lead elsewhere, special
files and what is hidden are left out. A file that shrinks meanwhile is filled up with
zeros, one that grows is cut: the archive stays whole.
"""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from vibe_app.errors import InvalidRequest, TooLarge, VibeError
from vibe_app.workspace_services.file_browser.places import FILE, HIDDEN, Workspace
from vibe_app.workspace_services.file_browser.reading import PIECE

_MOST_MEMBERS = 200_000
_DEEPEST = 256
_BLOCK = tarfile.BLOCKSIZE
_GZIP = 16 + zlib.MAX_WBITS


@dataclass(frozen=True)
class _Member:
    parts: tuple[bytes, ...]
    info: os.stat_result


@dataclass(frozen=True)
class Archive:
    """A folder as an archive to come.

    Args:
        workspace: Where.
        name: The folder's name, for the archive's.
        top: The folder's way from the workspace.
        members: What goes into it.
    """

    workspace: Workspace
    name: bytes
    top: tuple[bytes, ...]
    members: list[_Member]

    def pieces(self) -> Iterator[bytes]:
        """Yield the archive. It blocks while it reads."""
        packer = zlib.compressobj(level=6, wbits=_GZIP)
        for block in self._blocks():
            if packed := packer.compress(block):
                yield packed
        yield packer.compress(b"\0" * (2 * _BLOCK)) + packer.flush()

    def _blocks(self) -> Iterator[bytes]:
        for member in self.members:
            with suppress(OSError):  # it went away or changed its kind since it was counted
                yield from self._member(member)

    def _holds(self, folder: int, target: str) -> bool:
        """Whether a link in a folder leads to something in here, whatever other links are on its way."""
        top = self.workspace.open_parts(self.top)
        try:
            whole = os.path.realpath(f"/proc/self/fd/{top}")
            return Path(os.path.realpath(f"/proc/self/fd/{folder}/{target}")).is_relative_to(whole)
        finally:
            os.close(top)

    def _member(self, member: _Member) -> Iterator[bytes]:
        mode = member.info.st_mode
        info = tarfile.TarInfo()
        info.name = os.fsdecode(b"/".join((self.name, *member.parts)))
        info.mode = stat.S_IMODE(mode) & 0o777
        info.mtime = int(member.info.st_mtime)
        folder = self.workspace.open_parts((*self.top, *member.parts[:-1]))
        try:
            if stat.S_ISDIR(mode):
                info.type = tarfile.DIRTYPE
                yield _header(info)
            elif stat.S_ISLNK(mode):
                info.type = tarfile.SYMTYPE
                target = os.readlink(member.parts[-1], dir_fd=folder)
                info.linkname = os.fsdecode(target)
                if _stays(member.parts, info.linkname) and self._holds(folder, info.linkname):
                    yield _header(info)
            else:
                yield from _file(folder, member.parts[-1], info)
        finally:
            os.close(folder)


def archive_of(workspace: Workspace, path: str, limit: int) -> Archive:
    """Look through a folder and return what its archive will hold.

    Args:
        workspace: Where.
        path: Which folder.
        limit: Bytes of files that an archive may hold, before they are packed.

    Raises:
        InvalidRequest: The path leaves the workspace, or names no folder.
        NotFound: There is no such folder.
        TooLarge: It holds more than the limit.
    """
    with workspace.at(path) as place:
        if not stat.S_ISDIR(place.stat().st_mode):
            raise InvalidRequest(f"{path} is a file, not a folder: download it.", "not_a_folder")
        top = place.parts
    members: list[_Member] = []
    size = 0
    folders: list[tuple[bytes, ...]] = [()]
    while folders:
        parts = folders.pop()
        for member in _inside(workspace, top, parts):
            members.append(member)
            if stat.S_ISREG(member.info.st_mode):
                size += member.info.st_size
            elif stat.S_ISDIR(member.info.st_mode) and len(member.parts) < _DEEPEST:
                folders.append(member.parts)
            if size > limit or len(members) > _MOST_MEMBERS:
                raise TooLarge(
                    f"{path or 'The workspace'} holds more than {limit // (1024 * 1024)} MiB or"
                    f" {_MOST_MEMBERS} files: take a folder inside it."
                )
    return Archive(workspace, top[-1] if top else b"workspace", top, members)


def _inside(workspace: Workspace, top: tuple[bytes, ...], parts: tuple[bytes, ...]) -> list[_Member]:
    found: list[_Member] = []
    with suppress(OSError, VibeError):
        folder = workspace.open_parts((*top, *parts))
        try:
            for name in sorted(map(os.fsencode, os.listdir(folder))):
                if name.lower() in HIDDEN:
                    continue
                with suppress(OSError):
                    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
                    if stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode) or stat.S_ISLNK(info.st_mode):
                        found.append(_Member((*parts, name), info))
        finally:
            os.close(folder)
    return found


def _stays(parts: tuple[bytes, ...], target: str) -> bool:
    if target.startswith("/"):
        return False
    above = posixpath.dirname(os.fsdecode(b"/".join(parts)))
    return posixpath.normpath(posixpath.join(above, target)).split("/")[0] != ".."


def _file(folder: int, name: bytes, info: tarfile.TarInfo) -> Iterator[bytes]:
    with FileIO(os.open(name, FILE, dir_fd=folder)) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            return
        info.size = left = found.st_size
        yield _header(info)
        while left > 0:
            piece = _read(file, min(left, PIECE))
            left -= len(piece)
            yield piece
        yield b"\0" * (-info.size % _BLOCK)


def _read(file: FileIO, size: int) -> bytes:
    """Read up to so many bytes; zeros where the file cannot give them any more."""
    piece = b""
    with suppress(OSError):
        piece = file.read(size)
    return piece or b"\0" * size


def _header(info: tarfile.TarInfo) -> bytes:
    return info.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
