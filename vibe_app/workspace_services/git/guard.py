"""Where git reads what an agent writes: behind bubblewrap, where that can be had.

An agent may exchange a folder for a link at any moment while git walks a tree. So a git that reads a
tree sees the system read-only, the hub and the trees, and nothing else of this machine: no other project,
no home, no network. In a pod the container shows no more than that anyway. Facts about
bubblewrap are those of bwrap(1), tried with 0.8.0.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import cache
from pathlib import Path

_SYSTEM = ("/bin", "/sbin", "/lib", "/lib64", "/lib32")
_ALONE = (
    *("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
    *("--unshare-net", "--new-session", "--die-with-parent", "--cap-drop", "ALL"),
)


@cache
def _system(git: str) -> tuple[str, ...]:
    words = ["--ro-bind", "/usr", "/usr"]
    for path in map(Path, _SYSTEM):
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for path in ("/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives"):
        words += ["--ro-bind-try", path, path]
    if not git.startswith(("/usr/", "/bin/")):
        # One that was installed elsewhere, with its libraries beside it.
        folder = str(Path(os.path.realpath(git)).parents[1])
        words += ["--ro-bind", folder, folder]
    return (*words, "--dev", "/dev", "--tmpfs", "/tmp")


def before(bubblewrap: str, written: Sequence[Path], read: Sequence[Path]) -> tuple[str, ...]:
    """Return the words before a command that is to see the system and some folders alone.

    Args:
        bubblewrap: Path of the program; empty for none, and then nothing stands before the command.
        written: Folders that it may write, each where it is.
        read: Folders that it may only read.
    """
    if not bubblewrap:
        return ()
    words = [bubblewrap, *_ALONE, *_system(shutil.which("git") or "/usr/bin/git")]
    for path in read:
        words += ["--ro-bind", str(path), str(path)]
    for path in written:
        words += ["--bind", str(path), str(path)]
    return (*words, "--chdir", "/", "--")
