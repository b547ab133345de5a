"""Reads and writes files of ours in folders that an agent can write too: never through a link.

A private home, a workspace's `.opencode`, a tree's `.git`: whatever the agent puts there, what
we read or write afterwards stays below the folder that was named. Each folder on the way
is opened relative to the one before and not through a link; a file is read only if it is
a plain one, and written as a new one that then takes the name, so that what a link, a
hard link or a pipe of that name leads to is not touched.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe whose other end nobody holds would wait for ever.
_FILE = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@contextmanager
def folder(root: Path, way: Sequence[str] = (), *, make: bool = False) -> Generator[int]:
    """Open a folder below `root` and give its descriptor, which is closed at the end.

    Args:
        root: Where nothing may lead out of; itself no link.
        way: The names of the folders from there.
        make: Whether what is missing is made. A link or a file in the place of a folder is
            then removed (the link, not what it leads to).

    Raises:
        OSError: There is no such folder, or a link leads there.
    """
    descriptor = os.open(root, _FOLDER)
    try:
        for name in way:
            below = _below(descriptor, name, make)
            os.close(descriptor)
            descriptor = below
        yield descriptor
    finally:
        os.close(descriptor)


def _below(descriptor: int, name: str, make: bool) -> int:
    if make:
        try:
            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            if not stat.S_ISDIR(found.st_mode):
                os.unlink(name, dir_fd=descriptor)
                os.mkdir(name, dir_fd=descriptor)
        except FileNotFoundError:
            # Somebody else may make it at the same time, which is as good.
            with suppress(FileExistsError):
                os.mkdir(name, dir_fd=descriptor)
    return os.open(name, _FOLDER, dir_fd=descriptor)


@dataclass(frozen=True)
class Spot:
    """Where a file is, or would be.

    Args:
        root: Where nothing may lead out of; itself no link.
        way: The names from there, the file's last.
    """

    root: Path
    way: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The same as a path, for sentences and for programs that read it."""
        return self.root.joinpath(*self.way)

    @property
    def _name(self) -> str:
        return self.way[-1]

    def named(self, name: str) -> Spot:
        """The spot of another name in the same folder."""
        return Spot(self.root, (*self.way[:-1], name))

    def open(self, flags: int, *, make: bool = False) -> int:
        """Open the plain file and return its descriptor.

        Args:
            flags: As for `os.open`; with `O_CREAT` it gets the mode 0644.
            make: Whether missing folders are made (see `folder`).

        Raises:
            OSError: There is none, it is something else, or it may not be opened.
        """
        with folder(self.root, self.way[:-1], make=make) as above:
            descriptor = os.open(self._name, flags | _FILE, 0o644, dir_fd=above)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "It is not a file", str(self.path))
        return descriptor

    def read(self, limit: int | None = None) -> bytes:
        """Return the content of the plain file.

        Args:
            limit: Bytes that it may have; any number by default.

        Raises:
            OSError: There is none, it is something else, or it is larger (`EFBIG`).
        """
        with os.fdopen(self.open(os.O_RDONLY), "rb") as file:
            content = file.read() if limit is None else file.read(limit + 1)
        if limit is not None and len(content) > limit:
            raise OSError(errno.EFBIG, "It is larger than any of ours", str(self.path))
        return content

    def write(self, content: str | bytes) -> None:
        """Put a file in place, whole or not at all, whatever lies there; missing folders are made.

        Raises:
            OSError: It cannot be written.
        """
        draft = f"{self._name}.{os.getpid()}.tmp"
        with folder(self.root, self.way[:-1], make=True) as above:
            _remove(above, draft)
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FILE, 0o644, dir_fd=above)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content.encode() if isinstance(content, str) else content)
                with suppress(FileNotFoundError):
                    if stat.S_ISDIR(os.stat(self._name, dir_fd=above, follow_symlinks=False).st_mode):
                        _remove(above, self._name)
                os.replace(draft, self._name, src_dir_fd=above, dst_dir_fd=above)
            except OSError:
                _remove(above, draft)
                raise

    def remove(self) -> None:
        """Remove what is there, if anything: a link as itself, a folder with all that is in it.

        Behind a link on the way there is nothing of ours.

        Raises:
            OSError: It cannot be removed.
        """
        with suppress(FileNotFoundError, NotADirectoryError), folder(self.root, self.way[:-1]) as above:
            _remove(above, self._name)

    def stat(self) -> os.stat_result:
        """What is there, a link as itself.

        Raises:
            OSError: Nothing is, or a link is on the way.
        """
        with folder(self.root, self.way[:-1]) as above:
            return os.stat(self._name, dir_fd=above, follow_symlinks=False)


def _remove(above: int, name: str) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode):
            shutil.rmtree(name, dir_fd=above)
        else:
            os.unlink(name, dir_fd=above)
