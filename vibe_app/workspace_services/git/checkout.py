"""Makes the folder of a workspace: a new git repository, or the clone of one.

The folder appears whole or not at all. Nothing that a repository or its address
contains can run a command here, and nothing waits for a password.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from vibe_app import addresses
from vibe_app.errors import Unavailable
from vibe_app.inside import exclude_from_git
from vibe_app.shapes import shaped
from vibe_app.workspace_services.git import program
from vibe_app.workspace_services.git.cloning import Source, clone
from vibe_app.workspace_services.git.program import Call, Failed

_DRAFT = ".new-"
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
# Bytes; what keeps the configuration of a repository is far smaller.
_LARGEST_CONFIG = 1 << 20


async def make_workspace(
    folder: Path,
    *,
    source: Source | None,
    mark: Mapping[str, str],
    progress: Callable[[str], Awaitable[None]],
) -> list[str]:
    """Make `folder` a git repository with at least one commit, unless it is there already.

    Args:
        folder: Where it shall be; its parent is made if need be.
        source: What to clone, or None to begin empty.
        mark: Variables by which the git processes are recognised if this one dies.
        progress: Takes sentences while a clone goes on.

    Returns:
        Sentences on what of the repository is not in the folder, also where it was there already.

    Raises:
        InvalidRequest: The address may not be reached.
        Unavailable: git is missing or the repository cannot be cloned.
        OSError: The folder cannot be written.
    """
    draft = _new_draft(folder)
    if draft is None:
        await asyncio.to_thread(forget_credentials, folder)
        await asyncio.to_thread(exclude_from_git, folder)
        return notices(folder)
    missing: list[str] = []
    call = Call(mark=mark)
    try:
        if source:
            await progress("Cloning the repository")
            missing = await clone(source, draft, dict(mark), progress)
        else:
            await program.run(draft, call, "init", "--quiet", "--template=", "--initial-branch=main")
        exclude_from_git(draft)
        if not await _has_commit(draft, call):
            await program.run(
                draft, call, "commit", "--quiet", "--allow-empty", "--message=Start of the workspace"
            )
        note(folder, missing)
        os.rename(draft, folder)
    except Failed as error:
        raise Unavailable(f"The workspace's git repository could not be made: {error}") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)
    return missing


def _new_draft(folder: Path) -> Path | None:
    """Make an empty folder that can be renamed to `folder`; None if that is there already."""
    if folder.exists():
        return None
    folder.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=_DRAFT, dir=folder.parent))


def remove_drafts(workspaces: Path) -> None:
    """Remove what an interrupted start left half done."""
    for draft in workspaces.glob(f"{_DRAFT}*"):
        shutil.rmtree(draft, ignore_errors=True)


def tidy(workspaces: Path) -> None:
    """Remove what an interrupted start left half done, and credentials that earlier versions left."""
    remove_drafts(workspaces)
    for folder in workspaces.glob("*"):
        forget_credentials(folder)


async def _has_commit(folder: Path, call: Call) -> bool:
    try:
        await program.run(folder, call, "rev-parse", "--quiet", "--verify", "HEAD")
    except Failed:
        return False
    return True


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
