"""Writes files whole or not at all, makes folders, moves: each replaces nothing that it was not told to.

Everything here blocks and is meant for a thread.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from uuid import uuid4

from vibe_app.errors import Conflict, InvalidRequest, TooLarge
from vibe_app.wire.files import FilePath, FilePut
from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.file_browser.places import Place, Workspace, in_words
from vibe_app.workspace_services.file_browser.reading import PIECE, hashed, mib
from vibe_app.workspace_services.file_browser.removing import drafts_of

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})


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
        self._hash = hashed()
        self._size = 0
        self._name = uuid4().hex.encode()
        with in_words("the draft"):
            self._folder = drafts_of(workspace)
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
            raise TooLarge(f"The file is larger than {mib(self._limit)}, which is the limit here.")
        self._hash.update(piece)
        rest = memoryview(piece)
        with in_words("the draft"):
            while rest:
                rest = rest[os.write(self._file, rest) :]

    def put(
        self, path: str, *, version: str | None = None, overwrite: bool = False, parents: bool = False
    ) -> FilePut:
        """Put the file in place and say which version it is.

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
            return FilePut(
                path=shown(b"/".join(place.parts)),
                size=self._size,
                version=self._hash.hexdigest(),
                created=before is None,
            )

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
    found = hashed()
    with io.FileIO(place.open_file()) as file:
        while piece := file.read(PIECE):
            found.update(piece)
    if found.hexdigest() != version:
        raise Conflict(
            f"{path} was changed since you read it: read it again, and decide which lines are to stay.",
            "changed_meanwhile",
        )


def make_folder(workspace: Workspace, path: str, parents: bool = False) -> FilePath:
    """Make a folder and say where it is.

    Raises:
        Conflict: Something is there already.
        NotFound: A folder on the way is missing.
        InvalidRequest: The path leaves the workspace.
    """
    with workspace.at(path, parents=parents) as place:
        os.mkdir(place.name, dir_fd=place.folder)
        return FilePath(path=shown(b"/".join(place.parts)))


def move(workspace: Workspace, path: str, to: str, parents: bool = False) -> FilePath:
    """Give a file or folder another name or place and say where it is. A link is moved as itself.

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
            return FilePath(path=shown(b"/".join(new.parts)))


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
