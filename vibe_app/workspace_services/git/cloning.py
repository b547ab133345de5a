"""Clones a repository as people have it: the branch that is wanted, and what is missing.

A branch is never invented. What a clone cannot bring along is told in sentences.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from vibe_app.addresses import Address, Credential
from vibe_app.errors import Unavailable
from vibe_app.inside import Spot
from vibe_app.networks import Network
from vibe_app.workspace_services.git import program, reach, ssh
from vibe_app.workspace_services.git.program import Call, Failed

Progress = Callable[[str], Awaitable[None]]

_PERCENT = re.compile(rb"(Receiving objects|Resolving deltas|Updating files):\s+(\d+)%")
_STEPS = {
    b"Receiving objects": "Cloning the repository",
    b"Resolving deltas": "Unpacking the repository",
    b"Updating files": "Writing the repository's files",
}
_BETWEEN_REPORTS = 0.25
_OLDEST_GIT = (2, 37)
_HEADS = "refs/heads/"
_NAMED = 10
_POINTER = b"version https://git-lfs.github.com/spec/"
LFS = ":(attr:filter=lfs)"
"""What names the files that are kept by LFS, for git."""


@dataclass(frozen=True)
class Source:
    """What to clone.

    Args:
        address: Where it is.
        branch: Which branch; empty for the one that it names itself.
        credential: What signs in there, if anything.
        private: Networks of private addresses that may be reached.
    """

    address: Address
    branch: str = ""
    credential: Credential | None = None
    private: tuple[Network, ...] = ()


async def clone_bare(source: Source, draft: Path, mark: dict[str, str], progress: Progress) -> None:
    """Clone into an empty folder without files, submodules and contents of LFS.

    Raises:
        InvalidRequest: Its address is not allowed.
        Unavailable: It cannot be cloned, or has no such branch.
    """
    await new_enough(draft, mark)
    call = await reach.allow(source.address, source.credential, source.private, mark)
    url = str(source.address)
    try:
        listed = await program.run(
            draft, call, "ls-remote", "--symref", "--", url, "HEAD", f"{_HEADS}*", "refs/tags/*"
        )
        branch = _branch(listed.decode("utf-8", "replace"), source.branch)
        how = ("clone", "--bare", "--progress", "--template=", *(("--branch", branch) if branch else ()))
        await program.run_long(draft, call, _reporter(progress), *how, "--", url, ".")
        if not branch and source.branch:
            await program.run(draft, call, "symbolic-ref", "HEAD", f"{_HEADS}{source.branch}")
    except Failed as error:
        raise Unavailable(refused(error, source)) from error


async def new_enough(folder: Path, mark: dict[str, str]) -> None:
    """Make sure that git knows `http.curloptResolve`: an older one would go where the name leads by then.

    Raises:
        Unavailable: It is older.
    """
    await need(folder, mark, _OLDEST_GIT, "Cloning")


async def need(folder: Path, mark: dict[str, str], oldest: tuple[int, int], what: str) -> None:
    """Make sure that git is not older than what something needs.

    Raises:
        Unavailable: It is, or is missing.
    """
    said = (await program.run(folder, Call(mark=mark), "version")).decode()
    found = re.search(r"(\d+)\.(\d+)", said)
    if found and (int(found[1]), int(found[2])) < oldest:
        wanted = ".".join(map(str, oldest))
        raise Unavailable(f"{what} needs git {wanted} or newer, and this machine has {found[0]}: update it.")


def _branch(listed: str, wanted: str) -> str:
    """Return the branch to check out; empty where the repository has nothing at all yet."""
    head, default, commits = "", "", dict[str, str]()
    tags = False
    for line in listed.splitlines():
        value, _, name = line.partition("\t")
        if name == "HEAD" and value.startswith("ref: "):
            default = value.removeprefix("ref: ").removeprefix(_HEADS)
        elif name == "HEAD":
            head = value
        elif name.startswith(_HEADS):
            commits[name.removeprefix(_HEADS)] = value
        else:
            tags = True
    if not (commits or head or tags):
        return ""
    if not default and head:
        # A server that does not say the name: it is sure only where one branch alone is there.
        same = [name for name, commit in commits.items() if commit == head]
        default = same[0] if len(same) == 1 else ""
    branch = wanted or default
    if branch in commits:
        return branch
    said = f"has no branch {wanted}" if wanted else "names a branch of its own that is not there"
    if not commits:
        raise Unavailable(f"The repository {said}: it has no branches at all.")
    raise Unavailable(
        f"The repository {said}. Its branches are {_names(sorted(commits))}:"
        " choose one in the project's settings."
    )


def _names(names: list[str]) -> str:
    shown = ", ".join(name[:100] for name in names[:_NAMED])
    return f"{shown} and {len(names) - _NAMED} more" if len(names) > _NAMED else shown


def refused(failed: Failed, source: Source, done: str = "cloned") -> str:
    """Why a repository could not be cloned, or whatever else was to be done, and what to do about it."""
    complaint = str(failed)
    if source.address.scheme == "ssh":
        errors = failed.errors.decode("utf-8", "replace")
        if words := ssh.refusal(errors, source.address.host):
            return f"The repository could not be {done}: {words}"
    said = f"The repository could not be {done}: {complaint}"
    if re.search(r"error: 30[1-8]", complaint):
        return f"{said} The server leads to another address, which is not followed: give that one."
    if "could not read Username" in complaint or "Authentication failed" in complaint:
        if source.credential is None:
            return f"{said} Give a token that may read it in the project's settings, or check the address."
        return f"{said} The server does not take the token: give another in the project's settings."
    return f"{said} Check its address and that this machine may read it."


def _reporter(progress: Progress) -> Callable[[bytes], Awaitable[None]]:
    reported = 0.0

    async def told(chunk: bytes) -> None:
        nonlocal reported
        now = asyncio.get_running_loop().time()
        percents = _PERCENT.findall(chunk)
        if percents and now - reported >= _BETWEEN_REPORTS:
            reported = now
            step, percent = percents[-1]
            await progress(f"{_STEPS[step]}: {int(percent)} %")

    return told


def notable(folder: Path, links: Iterable[str], lfs: Iterable[str], *, cut: bool) -> list[str]:
    """Return sentences on files that are not what they seem to be.

    Args:
        folder: Where they are checked out.
        links: Those that are links.
        lfs: Those that git is told to keep by LFS (`LFS`).
        cut: Whether the history is cut short.
    """
    said: list[str] = []
    if out := [path for path in links if _leads_out(folder, path)]:
        said.append(f"{_count(out, 'link leads', 'links lead')} out of the workspace: {_shown(out)}.")
    if pointers := [path for path in lfs if _is_pointer(folder, path)]:
        are = _count(pointers, "file is only a pointer", "files are only pointers")
        said.append(f"{are} to Git LFS, whose contents are not fetched: {_shown(pointers)}.")
    if cut:
        said.append("The repository's server has only the newest part of its history.")
    return said


def _count(items: list[str], one: str, many: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else many}"


def _shown(paths: Iterable[str]) -> str:
    names = [os.fsencode(path).decode("utf-8", "replace") for path in paths]
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:100] for name in names[:3]) + rest


def _leads_out(folder: Path, path: str) -> bool:
    """Whether a link leads out of the folder, by itself or by other links on its way."""
    try:
        target = os.readlink(folder / path)
    except OSError:
        return False
    return os.path.isabs(target) or not Path(os.path.realpath(folder / path)).is_relative_to(
        os.path.realpath(folder)
    )


def _is_pointer(folder: Path, path: str) -> bool:
    try:
        descriptor = Spot(folder, tuple(path.split("/"))).open(os.O_RDONLY)
    except OSError:  # not a plain file: a link, or the folder of a submodule
        return False
    with os.fdopen(descriptor, "rb") as file:
        return file.read(len(_POINTER)) == _POINTER
