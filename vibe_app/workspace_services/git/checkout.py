"""What stands beside a workspace's folder about it, and what earlier versions left in one."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import suppress
from pathlib import Path

from vibe_app import addresses
from vibe_app.shapes import shaped

_DRAFT = ".new-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Bytes; what keeps the configuration of a repository is far smaller.
_LARGEST_CONFIG = 1 << 20


def remove_drafts(workspaces: Path) -> None:
    """Remove what an interrupted start left half done."""
    for draft in workspaces.glob(f"{_DRAFT}*"):
        shutil.rmtree(draft, ignore_errors=True)


def tidy(workspaces: Path) -> None:
    """Remove what an interrupted start left half done, and credentials that earlier versions left."""
    remove_drafts(workspaces)
    for folder in workspaces.glob("*"):
        forget_credentials(folder)


def _notices_file(folder: Path) -> Path:
    """Beside the workspace, where no agent of a pod can write."""
    return folder.parent / f".{folder.name}.notices"


def notices(folder: Path) -> list[str]:
    """Return what was found when the workspace was made: sentences on what is not in it."""
    try:
        return shaped(list[str], json.loads(_notices_file(folder).read_text()))
    except (OSError, ValueError, RecursionError):
        return []


def note(folder: Path, sentences: list[str]) -> None:
    """Keep what was found when the workspace was made."""
    if sentences:
        _notices_file(folder).write_text(json.dumps(sentences))
    else:
        _notices_file(folder).unlink(missing_ok=True)


def forget_notices(folder: Path) -> None:
    """Forget what was found when the workspace was made, and how; for one that is erased."""
    _notices_file(folder).unlink(missing_ok=True)
    folder.with_name(f".{folder.name}.layout").unlink(missing_ok=True)


def forget_credentials(folder: Path) -> None:
    """Take what stands before the hosts of addresses out of a workspace's `.git/config`.

    Earlier versions cloned from addresses with a credential, which git keeps there. Nothing is
    followed that may be a link of the agent's, and git is not asked: it is only text.
    """
    with suppress(OSError):
        root = os.open(folder, _FOLDER)
        try:
            inside = os.open(".git", _FOLDER, dir_fd=root)
        finally:
            os.close(root)
        try:
            _clean_config(inside)
        finally:
            os.close(inside)


def _clean_config(inside: int) -> None:
    with os.fdopen(os.open("config", _FILE, dir_fd=inside), "rb") as file:
        mode, written = os.fstat(file.fileno()).st_mode, file.read(_LARGEST_CONFIG)
        if file.read(1):
            return
    text = written.decode("utf-8", "surrogateescape")
    if (clean := addresses.shown(text)) == text:
        return
    draft = f"config.vibe-{os.getpid()}"
    made = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode & 0o777, dir_fd=inside)
    with os.fdopen(made, "wb") as file:
        file.write(clean.encode("utf-8", "surrogateescape"))
    os.replace(draft, "config", src_dir_fd=inside, dst_dir_fd=inside)
