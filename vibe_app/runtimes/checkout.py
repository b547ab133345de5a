"""Makes the folder of a workspace: a new git repository, or the clone of one.

The folder appears whole or not at all. Nothing that a repository or its address
contains can run a command here, and nothing waits for a password.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path

from vibe_app.errors import Refused, Unavailable
from vibe_app.private import ORDINARY
from vibe_app.wire import plain_text

_SCHEMES = ("https", "http", "ssh", "git", "file")
_URL = re.compile(rf"(?:{'|'.join(_SCHEMES)})://[^\s-][^\s]*", re.IGNORECASE)
# git's short form for ssh: [user@]host:path. A double colon would name a transport that runs a command.
_SSH_SHORT = re.compile(r"(?:[\w.+][\w.+-]*@)?[\w.][\w.-]*:[^\s:-][^\s]*")
_CREDENTIALS = re.compile(r"(://)[^/\s@]+@")
_PERCENT = re.compile(rb"(Receiving objects|Resolving deltas|Updating files):\s+(\d+)%")
_STEPS = {
    b"Receiving objects": "Cloning the repository",
    b"Resolving deltas": "Unpacking the repository",
    b"Updating files": "Writing the repository's files",
}
_DRAFT = ".new-"

# Seconds. git reports progress every second while data comes, so this much silence means that none does.
_SILENCE = 120.0
_LONGEST_CLONE = 3600.0
_BETWEEN_REPORTS = 0.25

_ALWAYS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("commit.gpgSign", "false"),
    ("credential.interactive", "false"),
    ("user.name", "Vibe"),
    ("user.email", "vibe@localhost"),
)


def check_repo_url(url: str) -> str:
    """Return the address of a repository as it can be cloned.

    Raises:
        Refused: It is none, or one of a kind that could run commands on this machine.
    """
    url = url.strip()
    if url.isprintable() and (_URL.fullmatch(url) or ("://" not in url and _SSH_SHORT.fullmatch(url))):
        return url
    raise Refused(
        "The repository's address must look like https://host/path, ssh://user@host/path or user@host:path."
    )


async def make_workspace(
    folder: Path,
    *,
    repo_url: str | None,
    mark: Mapping[str, str],
    progress: Callable[[str], Awaitable[None]],
) -> None:
    """Make `folder` a git repository with at least one commit, unless it is there already.

    Args:
        folder: Where it shall be; its parent is made if need be.
        repo_url: What to clone, or None to begin empty.
        mark: Variables by which the git processes are recognised if this one dies.
        progress: Takes sentences while a clone goes on.

    Raises:
        Refused: The address cannot be used.
        Unavailable: git is missing or the repository cannot be cloned.
        OSError: The folder cannot be written.
    """
    url = check_repo_url(repo_url) if repo_url else None
    draft = _new_draft(folder)
    if draft is None:
        return exclude_opencode(folder)
    try:
        if url:
            await progress("Cloning the repository")
            await _clone(url, draft, mark, progress)
        else:
            await _git(draft, mark, "init", "--quiet", "--template=", "--initial-branch=main")
        exclude_opencode(draft)
        if not await _has_commit(draft, mark):
            await _git(draft, mark, "commit", "--quiet", "--allow-empty", "--message=Start of the workspace")
        os.rename(draft, folder)
    finally:
        await asyncio.to_thread(shutil.rmtree, draft, ignore_errors=True)


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


def exclude_opencode(folder: Path) -> None:
    """Keep `.opencode/` out of the repository by its own exclude file, not by the team's `.gitignore`."""
    git = folder / ".git"
    if not git.is_dir():
        return
    exclude = git / "info" / "exclude"
    exclude.parent.mkdir(exist_ok=True)
    lines = exclude.read_text(errors="replace") if exclude.exists() else ""
    if "/.opencode/" not in lines.splitlines():
        exclude.write_text(f"{lines.rstrip()}\n/.opencode/\n".lstrip())


async def _clone(
    url: str, draft: Path, mark: Mapping[str, str], progress: Callable[[str], Awaitable[None]]
) -> None:
    process = await _start(draft, mark, "clone", "--progress", "--template=", "--", url, ".")
    assert process.stderr is not None
    reported = 0.0
    tail = b""
    try:
        async with asyncio.timeout(_LONGEST_CLONE):
            while chunk := await asyncio.wait_for(process.stderr.read(4096), _SILENCE):
                tail = (tail + chunk)[-4096:]
                now = asyncio.get_running_loop().time()
                percents = _PERCENT.findall(chunk)
                if percents and now - reported >= _BETWEEN_REPORTS:
                    reported = now
                    step, percent = percents[-1]
                    await progress(f"{_STEPS[step]}: {int(percent)} %")
            status = await process.wait()
    except TimeoutError as exc:
        raise Unavailable("The repository could not be cloned: its server stopped answering.") from exc
    finally:
        await _kill(process)
    if status != 0:
        raise Unavailable(
            f"The repository could not be cloned: {_complaint(tail)}"
            " Check its address and that this machine may read it."
        )


async def _has_commit(folder: Path, mark: Mapping[str, str]) -> bool:
    process = await _start(folder, mark, "rev-parse", "--quiet", "--verify", "HEAD")
    try:
        await process.communicate()
    finally:
        await _kill(process)
    return process.returncode == 0


async def _git(folder: Path, mark: Mapping[str, str], *arguments: str) -> None:
    process = await _start(folder, mark, *arguments)
    try:
        _, errors = await process.communicate()
    finally:
        await _kill(process)
    if process.returncode != 0:
        raise Unavailable(f"The workspace's git repository could not be made: {_complaint(errors)}")


async def _start(folder: Path, mark: Mapping[str, str], *arguments: str) -> asyncio.subprocess.Process:
    settings = [part for name, value in _ALWAYS for part in ("-c", f"{name}={value}")]
    # What a hook or an editor of the person's own repository set would lead git there instead of here.
    env = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "VIBE_"))}
    env |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GIT_SSH_COMMAND": "ssh -o BatchMode=yes",
        "GIT_ALLOW_PROTOCOL": ":".join(_SCHEMES),
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
        "LC_ALL": "C",
    }
    try:
        return await asyncio.create_subprocess_exec(
            "git",
            *settings,
            *arguments,
            cwd=folder,
            env=env | dict(mark),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            umask=ORDINARY,
        )
    except FileNotFoundError as exc:
        raise Unavailable("git is not installed on this machine: install it, or run `make up`.") from exc


async def _kill(process: asyncio.subprocess.Process) -> None:
    """End git and its helpers if they still run, and collect it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _complaint(errors: bytes) -> str:
    """What git said was wrong, without credentials, as a sentence."""
    lines = plain_text(errors.decode("utf-8", "replace")).splitlines()
    said = [line.strip() for line in lines if line.startswith(("fatal:", "ssh:", "error:", "ERROR:"))]
    words = " ".join(said[-2:]) or "git gave no reason"
    words = _CREDENTIALS.sub(r"\1", words).removeprefix("fatal: ").rstrip(". ")
    return f"{words}."
