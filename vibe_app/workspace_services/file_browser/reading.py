"""Lists folders and reads files. A file's version is a hash of its content.

So writing the same again is no change and no conflict. Everything here blocks and is meant for a thread.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from vibe_app.errors import InvalidRequest, TooLarge, VibeError
from vibe_app.wire import iso
from vibe_app.wire.files import PAGE_SIZE, FileContent, FileEntry, FileList, Kind
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.file_browser.places import HIDDEN, Workspace

PIECE = 256 * 1024
_MOST_NAMES = 200_000
# What `datetime` can say, in seconds since 1970: the years 1 to 9999. A disk may say more.
_FIRST, _LAST = -62_135_596_800.0, 253_402_300_799.0


def list_folder(workspace: Workspace, path: str, page: int = 1, page_size: int = PAGE_SIZE) -> FileList:
    """Return one page of a folder: folders first, each by name.

    Raises:
        InvalidRequest: The path leaves the workspace, or names no folder.
        NotFound: There is no such folder.
        TooLarge: It holds more than can be sorted.
    """
    with workspace.at(path) as place:
        if not stat.S_ISDIR(place.stat().st_mode):
            raise InvalidRequest(f"{path} is a file, not a folder.", "not_a_folder")
        folder = place.open_folder()
        try:
            names = _sorted_names(folder, path)
            wanted = names[(page - 1) * page_size : page * page_size]
            entries = [entry for name in wanted if (entry := _entry(workspace, folder, place.parts, name))]
        finally:
            os.close(folder)
        return FileList(path=shown(b"/".join(place.parts)), entries=entries, total_count=len(names))


def _sorted_names(folder: int, path: str) -> list[bytes]:
    found: list[tuple[bool, str, bytes]] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = os.fsencode(entry.name)
            if name.lower() in HIDDEN:
                continue
            found.append((not entry.is_dir(follow_symlinks=False), entry.name.casefold(), name))
            if len(found) > _MOST_NAMES:
                raise TooLarge(f"{path or 'This folder'} holds more than {_MOST_NAMES} files.")
    return [name for *_, name in sorted(found)]


def _entry(workspace: Workspace, folder: int, above: tuple[bytes, ...], name: bytes) -> FileEntry | None:
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:  # removed since its folder was read
        return None
    path = shown(b"/".join((*above, name)))
    kind = kind_of(info.st_mode)
    return FileEntry(
        name=shown(name),
        path=path,
        type=kind,
        size=info.st_size,
        modified=iso(written(info)),
        leads_to=_leads_to(workspace, path) if kind == "symlink" else None,
    )


def written(info: os.stat_result) -> datetime:
    """Say when a file was last written; beyond the years of a date, the nearest moment that is none."""
    return datetime.fromtimestamp(min(max(info.st_mtime, _FIRST), _LAST), UTC)


def _leads_to(workspace: Workspace, path: str) -> Literal["file", "directory"] | None:
    with contextlib.suppress(VibeError), workspace.at(path) as place:
        kind = kind_of(place.stat().st_mode)
        return kind if kind == "file" or kind == "directory" else None
    return None


def kind_of(mode: int) -> Kind:
    """Say what a file is: `directory`, `file`, `symlink` or `other`."""
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def read_file(
    workspace: Workspace, path: str, limit: int, offset: int = 0, length: int | None = None
) -> FileContent:
    """Return a file or a part of it.

    Args:
        workspace: Where.
        path: Which file.
        limit: Bytes that are returned at most.
        offset: Where to begin. In a text, a character that begins earlier is left out.
        length: Bytes wanted; by default all, which must then be within `limit`.

    Raises:
        InvalidRequest: The path leaves the workspace or does not name a plain file.
        NotFound: There is no such file.
        TooLarge: What was asked for is over the limit.
    """
    with workspace.at(path) as place, io.FileIO(place.open_file()) as file:
        wanted = limit if length is None else min(length, limit)
        present = os.fstat(file.fileno()).st_size
        file.seek(min(offset, present))  # no file system takes every number
        data = _up_to(file, wanted + 1) if offset <= present else b""
        size = max(os.fstat(file.fileno()).st_size, offset + len(data) if data else 0)
    if length is None and len(data) > wanted:
        raise TooLarge(
            f"{path} is larger than {mib(limit)}, too large to be shown whole. Read a part, or download it."
        )
    data = data[:wanted]
    whole = offset == 0 and len(data) == size
    encoding, content, start = _as_text(data, offset, whole)
    return FileContent(
        path=shown(b"/".join(place.parts)),
        size=size,
        offset=start,
        encoding=encoding,
        content=content,
        version=version_of(data) if whole else None,
    )


def _up_to(file: io.FileIO, most: int) -> bytes:
    pieces: list[bytes] = []
    while most > 0 and (piece := file.read(min(most, 1024 * 1024))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _as_text(data: bytes, offset: int, whole: bool) -> tuple[Literal["utf-8", "base64"], str, int]:
    """Return encoding, content and where the content begins; a part of a text is cut between characters."""
    begin, end = 0, len(data)
    if not whole:
        while offset and begin < min(3, end) and data[begin] & 0xC0 == 0x80:
            begin += 1
        for back in range(1, min(4, end - begin) + 1):
            lead = data[end - back]
            if lead & 0xC0 != 0x80:
                needed = 4 if lead >= 0xF0 else 3 if lead >= 0xE0 else 2 if lead >= 0xC0 else 1
                end -= back if needed > back else 0
                break
    if b"\0" not in data:
        with contextlib.suppress(UnicodeDecodeError):
            return "utf-8", data[begin:end].decode("utf-8"), offset + begin
    return "base64", base64.b64encode(data).decode("ascii"), offset


def version_of(content: bytes) -> str:
    """The version of a file with this content."""
    return hashed(content).hexdigest()


def hashed(content: bytes = b"") -> hashlib.blake2b:
    """Begin the hash that is a version, with some content or none."""
    return hashlib.blake2b(content, digest_size=16)


@dataclass(frozen=True)
class Opened:
    """A file that is open for reading; whoever has it closes the descriptor.

    Args:
        descriptor: The open file.
        size: Its size in bytes.
        modified: When it was last written.
        name: Its name, as bytes.
        tag: Changes whenever the file does; not its version, which would mean reading it all.
    """

    descriptor: int
    size: int
    modified: datetime
    name: bytes
    tag: str


def open_file(workspace: Workspace, path: str) -> Opened:
    """Open a file to be streamed.

    Raises:
        InvalidRequest: The path leaves the workspace or does not name a plain file.
        NotFound: There is no such file.
    """
    with workspace.at(path) as place:
        descriptor = place.open_file()
        info = os.fstat(descriptor)
        tag = f"{info.st_ino:x}-{info.st_size:x}-{info.st_mtime_ns:x}"
        # The last part of what was asked for: a link keeps its name.
        name = raw(path).rstrip(b"/").rpartition(b"/")[2] or place.name
        return Opened(descriptor, info.st_size, written(info), name, tag)


def mib(size: int) -> str:
    """Say how much a number of bytes is."""
    return f"{size // 1024} KiB" if size < 1024 * 1024 else f"{size // (1024 * 1024)} MiB"
