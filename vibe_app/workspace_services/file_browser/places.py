"""Finds places in a workspace: never outside it, whatever the agent does to it meanwhile.

A path is walked folder by folder, each opened relative to the one before and never
through a link, so that exchanging a folder for a link at any moment leads nowhere.
Links are read and followed here, by their text, as long as they stay inside.
`.git` and `.opencode`, at any depth and in any case of letters, do not exist.
"""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable, VibeError
from vibe_app.workspace_services.common.names import raw, shown

HIDDEN = frozenset({b".git", b".opencode"})
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC

_MOST_LINKS = 40
_MOST_PARTS = 256


@dataclass(frozen=True)
class Place:
    """Where something is, or would be: a name in an open folder.

    Args:
        folder: Descriptor of the folder.
        name: The name in it; `.` for the workspace itself.
        parts: The way there from the workspace, without links.
    """

    folder: int
    name: bytes
    parts: tuple[bytes, ...]

    @property
    def is_root(self) -> bool:
        """Whether it is the workspace itself."""
        return not self.parts

    def stat(self) -> os.stat_result:
        """What is there, a link as itself.

        Raises:
            OSError: Nothing is, or it cannot be looked at.
        """
        return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)

    def open_folder(self) -> int:
        """Open the folder that is there and return its descriptor.

        Raises:
            OSError: There is none, or it may not be opened.
        """
        return os.open(self.name, FOLDER, dir_fd=self.folder)

    def open_file(self) -> int:
        """Open the plain file that is there for reading and return its descriptor.

        Raises:
            InvalidRequest: It is something else.
            OSError: There is none, or it may not be read.
        """
        # Looked at before it is opened: opening a device may already do something.
        if stat.S_ISREG(self.stat().st_mode):
            descriptor = os.open(self.name, FILE, dir_fd=self.folder)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
        raise InvalidRequest(f"{shown(b'/'.join(self.parts)) or 'This'} is not a file.", "not_a_file")


class Workspace:
    """The folder whose files are looked at: the workspace's own, its base's, or a card's tree.

    Args:
        path: Where it is, without links.
        drafts: The folder in whose `.opencode` drafts lie, on the same disk; the same by default.
    """

    def __init__(self, path: Path, drafts: Path | None = None) -> None:
        self.path = path
        self.drafts = path if drafts is None else drafts
        self._prefix = os.fsencode(path)

    def open(self) -> int:
        """Open the workspace's own folder and return its descriptor.

        Raises:
            Unavailable: It is not there.
        """
        try:
            return os.open(self.path, FOLDER)
        except OSError as error:
            raise Unavailable(
                "The workspace's folder cannot be opened: restart the workspace.", "workspace_missing"
            ) from error

    def open_parts(self, parts: tuple[bytes, ...] | list[bytes]) -> int:
        """Open a folder by its names, none of which may be a link, and return its descriptor.

        Raises:
            OSError: There is none.
        """
        descriptor = self.open()
        for part in parts:
            try:
                inner = os.open(part, FOLDER, dir_fd=descriptor)
            finally:
                os.close(descriptor)
            descriptor = inner
        return descriptor

    @contextmanager
    def at(self, path: str, *, follow: bool = True, parents: bool = False) -> Generator[Place]:
        """Find a place; what is there, if anything, is for the caller to look at.

        Inside the block an `OSError` becomes the error that says it in words.

        Args:
            path: From the workspace's root, written as `names.shown` writes it.
            follow: Whether a link at its end is followed.
            parents: Whether missing folders on the way are made.

        Raises:
            InvalidRequest: The path leaves the workspace, itself or by a link.
            NotFound: A folder on the way is missing, or hidden.
        """
        name = raw(path)
        parts = [part for part in name.split(b"/") if part not in (b"", b".")]
        if name.startswith(b"/") or b".." in parts:
            raise InvalidRequest(
                "The path must stay inside the workspace: relative, without '..'.", "outside_workspace"
            )
        if len(parts) > _MOST_PARTS:
            raise InvalidRequest(f"The path has more than {_MOST_PARTS} folders.", "invalid_path")
        with in_words(path):
            place = _Walk(self, self._prefix, follow, parents).to(parts)
            try:
                yield place
            finally:
                os.close(place.folder)

    def way(self, path: str, *, follow: bool = True) -> bytes:
        """Return the names that lead to a place, without links; nothing is made.

        Folders on the way may be missing.

        Args:
            path: From the workspace's root, written as `names.shown` writes it.
            follow: Whether a link at its end is followed.

        Raises:
            InvalidRequest: The path leaves the workspace, itself or by a link.
            NotFound: It leads to what is hidden.
        """
        parts = raw(path).split(b"/")
        for known in range(len(parts), 0, -1):
            try:
                with self.at(shown(b"/".join(parts[:known])), follow=follow or known < len(parts)) as place:
                    return b"/".join(
                        part for part in (*place.parts, *parts[known:]) if part not in (b"", b".")
                    )
            except NotFound as error:
                if error.code == "hidden":
                    raise
        return b"/".join(parts)


class _Walk:
    """One way through a workspace."""

    def __init__(self, workspace: Workspace, prefix: bytes, follow: bool, parents: bool) -> None:
        self._workspace = workspace
        self._prefix = prefix
        self._follow = follow
        self._parents = parents
        self._links = 0
        self._done: list[bytes] = []
        self._left: deque[bytes] = deque()
        self._folder = -1

    def to(self, parts: list[bytes]) -> Place:
        self._left.extend(parts)
        self._folder = self._workspace.open()
        try:
            while self._left:
                part = self._left.popleft()
                if part == b"..":
                    self._up()
                elif place := self._step(part):
                    return place
        except BaseException:
            os.close(self._folder)
            raise
        if not self._done:
            return Place(self._folder, b".", ())
        # A link led to a folder by `..`: it is named from the one above.
        self._move(self._workspace.open_parts(self._done[:-1]))
        return Place(self._folder, self._done[-1], tuple(self._done))

    def _step(self, part: bytes) -> Place | None:
        if part.lower() in HIDDEN:
            raise NotFound(f"There is no {shown(part)} here: it belongs to the workspace.", "hidden")
        place = Place(self._folder, part, (*self._done, part))
        if not self._left and not self._follow:
            return place
        try:
            mode = place.stat().st_mode
        except FileNotFoundError:
            if not self._left:
                return place
            if not self._parents:
                raise
            os.mkdir(part, dir_fd=self._folder)
            mode = stat.S_IFDIR
        if stat.S_ISLNK(mode):
            return self._turn(self._target(part))
        if not self._left:
            return place
        self._move(place.open_folder())
        self._done.append(part)
        return None

    def _up(self) -> None:
        if not self._done:
            raise _outside()
        self._done.pop()
        self._move(self._workspace.open_parts(self._done))

    def _target(self, part: bytes) -> bytes:
        try:
            return os.readlink(part, dir_fd=self._folder)
        except OSError as error:
            # It is no link any more.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT)) from error

    def _turn(self, target: bytes) -> None:
        """Go on where a link points to."""
        self._links += 1
        if self._links > _MOST_LINKS:
            raise InvalidRequest("The path goes through too many links.", "too_many_links")
        if target.startswith(b"/"):
            if target != self._prefix and not target.startswith(self._prefix + b"/"):
                raise _outside()
            target = target[len(self._prefix) :]
            self._done.clear()
            self._move(self._workspace.open())
        parts = [part for part in target.split(b"/") if part not in (b"", b".")]
        self._left.extendleft(reversed(parts))

    def _move(self, folder: int) -> None:
        os.close(self._folder)
        self._folder = folder


def _outside() -> InvalidRequest:
    return InvalidRequest("The path leads out of the workspace through a link.", "outside_workspace")


@contextmanager
def in_words(path: str) -> Generator[None]:
    """Turn what the system refuses into a sentence about `path`."""
    try:
        yield
    except OSError as error:
        raise _words(error, path or "the workspace") from error


def _words(error: OSError, path: str) -> VibeError:
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP | errno.ESTALE:
            return NotFound(f"There is no {path} in the workspace.")
        case errno.EACCES | errno.EPERM:
            return InvalidRequest(f"The system does not allow this for {path}.", "not_permitted")
        case errno.EEXIST | errno.ENOTEMPTY:
            return Conflict(f"{path} exists already.", "exists")
        case errno.EISDIR:
            return InvalidRequest(f"{path} is a folder, not a file.", "not_a_file")
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return Unavailable("The workspace's disk is full: delete something first.", "disk_full")
        case errno.EROFS:
            return Unavailable("The workspace cannot be written to.", "read_only")
        case errno.ENAMETOOLONG:
            return InvalidRequest("The name is too long for the disk.", "invalid_path")
        case errno.ENXIO | errno.ENODEV:
            return InvalidRequest(f"{path} is not a file.", "not_a_file")
        case errno.EBUSY | errno.ETXTBSY:
            return Conflict(f"{path} is in use.", "in_use")
        case _:
            return Unavailable(f"{path} cannot be used: {error.strerror or error}.", "disk_fault")
