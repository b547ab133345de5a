"""What the file browser does with a workspace's files, one function for each verb. It knows no HTTP.

Everything here blocks and is meant for a thread. A file's version is a hash of its
content, so that writing the same again is no change and no conflict.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from vibe_app.errors import Conflict, InvalidRequest, TooLarge, Unavailable, VibeError
from vibe_app.workspace_services.file_browser.names import raw, shown
from vibe_app.workspace_services.file_browser.places import FOLDER, HIDDEN, Place, Workspace, in_words

PIECE = 256 * 1024
_MOST_NAMES = 200_000
_DRAFTS = b"drafts"
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


def list_folder(workspace: Workspace, path: str, page: int = 1, page_size: int = 1000) -> dict[str, Any]:
    """Return `{"path", "entries", "total_count"}` of a folder: one page, folders first, each by name.

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
        return {"path": shown(b"/".join(place.parts)), "entries": entries, "total_count": len(names)}


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


def _entry(workspace: Workspace, folder: int, above: tuple[bytes, ...], name: bytes) -> dict[str, Any] | None:
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:  # removed since its folder was read
        return None
    path = shown(b"/".join((*above, name)))
    kind = kind_of(info.st_mode)
    entry: dict[str, Any] = {
        "name": shown(name),
        "path": path,
        "type": kind,
        "size": info.st_size,
        "modified": iso(info.st_mtime),
    }
    if kind == "symlink":
        entry["leads_to"] = _leads_to(workspace, path)
    return entry


def _leads_to(workspace: Workspace, path: str) -> str | None:
    with contextlib.suppress(VibeError), workspace.at(path) as place:
        kind = kind_of(place.stat().st_mode)
        return kind if kind in ("file", "directory") else None
    return None


def kind_of(mode: int) -> str:
    """Say what a file is: `directory`, `file`, `symlink` or `other`."""
    if stat.S_ISLNK(mode):
        return "symlink"
    if stat.S_ISDIR(mode):
        return "directory"
    return "file" if stat.S_ISREG(mode) else "other"


def read_file(
    workspace: Workspace, path: str, limit: int, offset: int = 0, length: int | None = None
) -> dict[str, Any]:
    """Return a file or a part of it: `{"path", "size", "offset", "encoding", "content", "version"}`.

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
    with workspace.at(path) as place:
        descriptor = place.open_file()
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            wanted = limit if length is None else min(length, limit)
            present = os.fstat(descriptor).st_size
            file.seek(min(offset, present))  # no file system takes every number
            data = _up_to(file, wanted + 1) if offset <= present else b""
            size = max(os.fstat(descriptor).st_size, offset + len(data) if data else 0)
    if length is None and len(data) > wanted:
        raise TooLarge(
            f"{path} is larger than {_mib(limit)}, too large to be shown whole. Read a part, or download it."
        )
    data = data[:wanted]
    whole = offset == 0 and len(data) == size
    encoding, content, start = _as_text(data, offset, whole)
    return {
        "path": shown(b"/".join(place.parts)),
        "size": size,
        "offset": start,
        "encoding": encoding,
        "content": content,
        "version": version_of(data) if whole else None,
    }


def _up_to(file: Any, most: int) -> bytes:
    pieces = []
    while most > 0 and (piece := file.read(min(most, 1024 * 1024))):
        pieces.append(piece)
        most -= len(piece)
    return b"".join(pieces)


def _as_text(data: bytes, offset: int, whole: bool) -> tuple[str, str, int]:
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
    return _hash(content).hexdigest()


def _hash(content: bytes = b"") -> Any:
    return hashlib.blake2b(content, digest_size=16)


@dataclass(frozen=True)
class Opened:
    """A file that is open for reading; whoever has it closes the descriptor.

    Args:
        descriptor: The open file.
        size: Its size in bytes.
        modified: When it was changed, in seconds since 1970.
        name: Its name, as bytes.
        tag: Changes whenever the file does; not its version, which would mean reading it all.
    """

    descriptor: int
    size: int
    modified: float
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
        return Opened(descriptor, info.st_size, info.st_mtime, name, tag)


class Draft:
    """A file that is being written: unseen until it is put in place whole, or dropped without a trace.

    It lies in `.opencode`, so on the same disk, and outside the team's git.

    Args:
        workspace: Where.
        limit: Bytes that it may have.
    """

    def __init__(self, workspace: Workspace, limit: int) -> None:
        self._workspace = workspace
        self._limit = limit
        self._hash = _hash()
        self._size = 0
        self._name = uuid4().hex.encode()
        with in_words("the draft"):
            self._folder = _own_folder(workspace, _DRAFTS)
            try:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                self._file = os.open(self._name, flags, 0o666, dir_fd=self._folder)
            except OSError:
                os.close(self._folder)
                raise

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            TooLarge: The file would be over the limit.
            Unavailable: The disk is full.
        """
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"The file is larger than {_mib(self._limit)}, which is the limit here.")
        self._hash.update(piece)
        rest = memoryview(piece)
        with in_words("the draft"):
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def put(
        self, path: str, *, version: str | None = None, overwrite: bool = False, parents: bool = False
    ) -> dict[str, Any]:
        """Put the file in place and return `{"path", "size", "version", "created"}`.

        Args:
            path: Where to. A link at its end is followed.
            version: The version that must be there; without one nothing may be there, unless `overwrite`.
            overwrite: Whether whatever is there may be replaced.
            parents: Whether missing folders on the way are made.

        Raises:
            Conflict: Something else is there, or nothing where a version was expected.
            InvalidRequest: The path leaves the workspace, or names no file.
            NotFound: A folder on the way is missing.
        """
        with self._workspace.at(path, parents=parents) as place:
            os.fsync(self._file)
            before = _before(place, path)
            if before is not None:
                os.fchmod(self._file, stat.S_IMODE(before.st_mode) & 0o777)
            if version is not None:
                _check_version(place, path, before, version)
            if before is None:
                _move_file(self._folder, self._name, place.folder, place.name)
            elif version is None and not overwrite:
                raise Conflict(f"{path} exists already.", "exists")
            else:
                os.rename(self._name, place.name, src_dir_fd=self._folder, dst_dir_fd=place.folder)
            os.fsync(place.folder)
            return {
                "path": shown(b"/".join(place.parts)),
                "size": self._size,
                "version": self._hash.hexdigest(),
                "created": before is None,
            }

    def close(self) -> None:
        """Drop what was not put in place."""
        os.close(self._file)
        with contextlib.suppress(OSError):
            os.unlink(self._name, dir_fd=self._folder)
        os.close(self._folder)


def _before(place: Place, path: str) -> os.stat_result | None:
    if place.is_root:
        raise InvalidRequest("A file needs a name.", "invalid_path")
    try:
        info = place.stat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(info.st_mode):
        raise InvalidRequest(f"{path} is not a file.", "not_a_file")
    return info


def _check_version(place: Place, path: str, before: os.stat_result | None, version: str) -> None:
    if before is None:
        raise Conflict(f"{path} was deleted since you read it.", "deleted_meanwhile")
    found = _hash()
    with os.fdopen(place.open_file(), "rb", buffering=0) as file:
        while piece := file.read(PIECE):
            found.update(piece)
    if found.hexdigest() != version:
        raise Conflict(
            f"{path} was changed since you read it: read it again, and decide which lines are to stay.",
            "changed_meanwhile",
        )


def make_folder(workspace: Workspace, path: str, parents: bool = False) -> dict[str, Any]:
    """Make a folder and return `{"path"}`.

    Raises:
        Conflict: Something is there already.
        NotFound: A folder on the way is missing.
        InvalidRequest: The path leaves the workspace.
    """
    with workspace.at(path, parents=parents) as place:
        os.mkdir(place.name, dir_fd=place.folder)
        return {"path": shown(b"/".join(place.parts))}


def move(workspace: Workspace, path: str, to: str, parents: bool = False) -> dict[str, Any]:
    """Give a file or folder another name or place and return `{"path"}`. A link is moved as itself.

    Raises:
        Conflict: Something is at the new place already.
        NotFound: There is nothing to move, or a folder on the way is missing.
        InvalidRequest: A path leaves the workspace, or a folder would go into itself.
    """
    with workspace.at(path, follow=False) as old:
        info = old.stat()
        if old.is_root:
            raise InvalidRequest("The workspace itself cannot be moved.", "invalid_path")
        with workspace.at(to, follow=False, parents=parents) as new:
            if new.parts[: len(old.parts)] == old.parts and len(new.parts) > len(old.parts):
                raise InvalidRequest("A folder cannot be moved into itself.", "invalid_path")
            _rename(old, new, stat.S_ISDIR(info.st_mode), to)
            return {"path": shown(b"/".join(new.parts))}


def _rename(old: Place, new: Place, is_folder: bool, to: str) -> None:
    exists = Conflict(f"{to} exists already.", "exists")
    if is_folder:
        with contextlib.suppress(FileNotFoundError):
            new.stat()
            raise exists
        # Whatever else is there by now, only an empty folder would give way.
        os.rename(old.name, new.name, src_dir_fd=old.folder, dst_dir_fd=new.folder)
        return
    try:
        _move_file(old.folder, old.name, new.folder, new.name)
    except FileExistsError:
        raise exists from None


def _move_file(folder: int, name: bytes, to_folder: int, to_name: bytes) -> None:
    """Move what is no folder, replacing nothing: a link, unlike a rename, never does.

    Raises:
        FileExistsError: Something is there.
    """
    try:
        os.link(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A disk that knows no hard links (some network volumes). What comes into being in between is lost.
        with contextlib.suppress(FileNotFoundError):
            os.stat(to_name, dir_fd=to_folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST)) from None
        os.rename(name, to_name, src_dir_fd=folder, dst_dir_fd=to_folder)
    else:
        os.unlink(name, dir_fd=folder)


def delete(workspace: Workspace, path: str) -> None:
    """Delete a file, a link as itself, or a folder with all that it holds, at one stroke.

    Raises:
        NotFound: There is no such thing.
        InvalidRequest: The path leaves the workspace, or is the workspace.
    """
    with workspace.at(path, follow=False) as place:
        if place.is_root:
            raise InvalidRequest("The workspace itself cannot be deleted here.", "invalid_path")
        if not stat.S_ISDIR(place.stat().st_mode):
            return os.unlink(place.name, dir_fd=place.folder)
        drafts = _own_folder(workspace, _DRAFTS)
        try:
            name = uuid4().hex.encode()
            os.rename(place.name, name, src_dir_fd=place.folder, dst_dir_fd=drafts)
            _empty(drafts, [name])
        finally:
            os.close(drafts)


def tidy(workspace: Workspace) -> None:
    """Remove the drafts and half-deleted folders that an earlier file browser left behind.

    Raises:
        VibeError: The workspace cannot be written to.
    """
    with in_words("the drafts"):
        drafts = _own_folder(workspace, _DRAFTS)
        try:
            left = os.listdir(drafts)
            files = [name for name in left if not _is_folder(drafts, os.fsencode(name))]
            for name in files:
                os.unlink(name, dir_fd=drafts)
            _empty(drafts, [os.fsencode(name) for name in left if name not in files])
        finally:
            os.close(drafts)


def _own_folder(workspace: Workspace, name: bytes) -> int:
    """Open a folder inside `.opencode`, made if need be; nothing of it may be a link."""
    root = workspace.open()
    folder = root
    try:
        for part in (b".opencode", name):
            with contextlib.suppress(FileExistsError):
                os.mkdir(part, dir_fd=folder)
            inner = os.open(part, FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
    except OSError as error:
        os.close(folder)
        if error.errno in (errno.ENOTDIR, errno.ELOOP):
            raise Unavailable(
                "Something else is where the workspace's own folder .opencode was: restart the workspace.",
                "workspace_damaged",
            ) from error
        raise
    return folder


def _is_folder(above: int, name: bytes) -> bool:
    return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)


def _empty(drafts: int, names: list[bytes]) -> None:
    """Remove folders of the drafts with what they hold; however deep, two are open at a time.

    What cannot be removed stays there, out of sight, until the next `tidy`.
    """
    emptied: list[bytes] = []
    while names:
        name = names.pop()
        emptied.append(name)
        with contextlib.suppress(OSError):
            for inner, is_folder in _contents(drafts, name):
                if is_folder:
                    # Brought up to the top, so that no path gets too long and no stack too high.
                    flat = uuid4().hex.encode()
                    with _opened(drafts, name) as folder:
                        os.rename(inner, flat, src_dir_fd=folder, dst_dir_fd=drafts)
                    names.append(flat)
                else:
                    with _opened(drafts, name) as folder:
                        os.unlink(inner, dir_fd=folder)
    for name in emptied:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=drafts)


@contextlib.contextmanager
def _opened(drafts: int, name: bytes) -> Iterator[int]:
    folder = os.open(name, FOLDER, dir_fd=drafts)
    try:
        yield folder
    finally:
        os.close(folder)


def _contents(drafts: int, name: bytes) -> list[tuple[bytes, bool]]:
    with contextlib.suppress(OSError):
        # An agent's tools may have left it read-only.
        os.chmod(name, 0o700, dir_fd=drafts)
    with _opened(drafts, name) as folder, os.scandir(folder) as entries:
        return [(os.fsencode(entry.name), entry.is_dir(follow_symlinks=False)) for entry in entries]


def _mib(size: int) -> str:
    return f"{size // 1024} KiB" if size < 1024 * 1024 else f"{size // (1024 * 1024)} MiB"


def iso(seconds: float) -> str:
    """Write a moment, given in seconds since 1970, as JSON has it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
