"""Fetches the base branch from where the repository came from, and pushes there, never by force.

The credential is in the environment of the one git that needs it, and nowhere else. Whatever the remote
does, what the workspace has stays as it was.
"""

from __future__ import annotations

import re
from dataclasses import replace

from vibe_app import addresses
from vibe_app.addresses import Credential
from vibe_app.errors import Conflict, InvalidRequest, Unavailable
from vibe_app.networks import networks
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import base, cloning, program, reach
from vibe_app.workspace_services.git.cloning import Source
from vibe_app.workspace_services.git.hub import REMOTE_HEAD, Hub
from vibe_app.workspace_services.git.program import Call, Failed

_HEADS, _REMOTE = "refs/heads/", "refs/remotes/origin/"
_REFUSED = re.compile(r"^!\t\S*\t\[(?P<who>[\w ]+)\](?: \((?P<why>.*)\))?$", re.MULTILINE)
_BEHIND = ("fetch first", "non-fast-forward", "needs force", "stale info")
_MOST_WORDS = 1500


async def fetch(hub: Hub, remote: wire.Remote) -> wire.Fetched:
    """Bring the base branch to where its remote is: forward, or joined with it, or not at all.

    Raises:
        InvalidRequest: The address cannot be used, or may not be reached.
        Unavailable: The remote cannot be read.
    """
    source = _source(remote)
    branch = source.branch or hub.branch()
    async with hub.locked("remote"):
        await _checked(hub, branch)
        try:
            call = await _allowed(hub, source)
            there = f"{_HEADS}{branch}"
            at = ("--", str(source.address))
            if not await program.run(hub.path, call, "ls-remote", *at, there):
                return wire.Fetched(outcome="gone", head=await hub.head(), branch=branch)
            how = ("fetch", "--quiet", "--no-write-fetch-head", "--no-recurse-submodules")
            into = f"+{there}:{_REMOTE}{branch}"
            await program.run_long(hub.path, call, None, *how, "--progress", *at, into)
        except Failed as error:
            raise Unavailable(cloning.refused(error, source, "fetched"), "fetch_failed") from error
        except Unavailable as error:
            raise Unavailable(error.message.replace(" cloned", " fetched"), "fetch_failed") from error
        await hub.git("symbolic-ref", REMOTE_HEAD, f"{_REMOTE}{branch}")
        theirs = await hub.remote_head()
    async with hub.locked("base"):
        message = f"Merge branch '{branch}' of {source.address}\n"
        before = await hub.head()
        outcome, head = await base.join(hub, theirs, message)
        moved = 0 if head == before else await hub.count(before, head)
        counted = await hub.git("rev-list", "--left-right", "--count", f"{head}...{theirs}")
        ahead, behind = map(int, counted.out.split())
        told = {"outcome": outcome, "head": head, "branch": branch}
        return wire.Fetched.model_validate(told | {"moved": moved, "ahead": ahead, "behind": behind})


async def push(hub: Hub, asked: wire.Push) -> wire.Pushed:
    """Bring a commit to a branch of the remote.

    Raises:
        Conflict: The remote refuses it (`push_refused`), or has another branch of this name (`branch_taken`).
        InvalidRequest: The address or the branch's name cannot be used, or the address not be reached.
        NotFound: The commit is not in the hub.
        Unavailable: The remote does not answer, or does not let this in.
    """
    source = _source(asked.remote)
    await hub.require(asked.commit)
    async with hub.locked("remote"):
        await _checked(hub, asked.branch)
        refspec = f"{asked.commit}:{_HEADS}{asked.branch}"
        # An empty expectation: there is no such branch. One that is at the commit already is no fault.
        lease = (f"--force-with-lease={_HEADS}{asked.branch}:",) if asked.fresh else ()
        how = ("push", "--porcelain", "--no-verify", *lease)
        call = Call()
        try:
            call = await _allowed(hub, source)
            await program.run(hub.path, call, *how, "--", str(source.address), refspec)
        except Failed as error:
            if asked.fresh and _is_taken(call, error):
                raise Conflict(f"There is another branch {asked.branch} already.", "branch_taken") from error
            if words := _refusal(call, error, asked.branch):
                raise Conflict(words, "push_refused") from error
            raise Unavailable(cloning.refused(error, source, "pushed to"), "push_failed") from error
        except Unavailable as error:
            raise Unavailable(error.message.replace(" cloned", " pushed to"), "push_failed") from error
        await hub.git("update-ref", f"{_REMOTE}{asked.branch}", asked.commit)
    return wire.Pushed(commit=asked.commit)


def _source(remote: wire.Remote) -> Source:
    address = addresses.parse(remote.url)
    given = Credential(remote.username, remote.token, tuple(remote.host_keys))
    credential = given if given.username or given.token else address.credential
    return Source(replace(address, credential=None), remote.branch, credential, networks(remote.networks))


async def _allowed(hub: Hub, source: Source) -> Call:
    await cloning.new_enough(hub.path, hub.mark)
    return await reach.allow(source.address, source.credential, source.private, hub.mark)


async def _checked(hub: Hub, branch: str) -> None:
    said = await hub.git("check-ref-format", f"{_HEADS}{branch}", accepted=(0, 1))
    if said.status or branch.startswith("-"):
        raise InvalidRequest(f"{branch[:200]} cannot be the name of a branch.", "invalid_branch")


def _is_taken(call: Call, failed: Failed) -> bool:
    found = _REFUSED.search(call.words(failed.out))
    return found is not None and found["why"] in _BEHIND


def _refusal(call: Call, failed: Failed, branch: str) -> str:
    """Why the remote does not take a commit; empty where it has not said that."""
    found = _REFUSED.search(call.words(failed.out))
    if found is None:
        return ""
    why = found["why"] or found["who"]
    if why in _BEHIND:
        return f"The branch {branch} has moved on there: it must be fetched first."
    lines = call.words(failed.errors).splitlines()
    told = [line.removeprefix("remote:").strip() for line in lines if line.startswith("remote:")]
    words = " ".join([f"The repository does not take this into {branch} ({why}).", *filter(None, told)])
    return words[:_MOST_WORDS]
