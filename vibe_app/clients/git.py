"""The verbs of workspaces' repositories, as the contract of `wire.git` has them.

Every verb may be repeated without harm. Each raises `Unavailable` where the service does not answer, or
answers what is not a message of ours; `DiskFull` where there is no room for what it would write.
"""

from __future__ import annotations

from typing import TypeVar

import httpx
from pydantic import BaseModel

from vibe_app.clients.services import Answer, Call, Endpoint, WorkspaceClient
from vibe_app.errors import Unavailable
from vibe_app.wire import git as wire

# A checkpoint of a GiB of new files, and the checkout of as much, take their time.
_SILENCE = 600.0
# 20,000 files with two names of 4 KiB each at the most; usual ones have some 200 bytes each.
_LONGEST = 96 << 20

Told = TypeVar("Told", bound=BaseModel)


class GitClient:
    """Asks the repositories of workspaces.

    Args:
        client: Talks to the services of workspaces.
    """

    def __init__(self, client: WorkspaceClient) -> None:
        self._client = client

    async def repository(self, endpoint: Endpoint) -> wire.Repository:
        """Return how a workspace's repository is."""
        return await self._told(wire.Repository, endpoint, "GET", "")

    async def tree(self, endpoint: Endpoint, number: int, wanted: wire.WantTree) -> wire.Tree:
        """Make a card's tree, or find it again.

        Raises:
            NotFound: There is no such commit.
        """
        return await self._told(wire.Tree, endpoint, "PUT", f"/trees/{number}", wanted)

    async def drop_tree(self, endpoint: Endpoint, number: int, asked: wire.DropTree) -> None:
        """Remove a card's tree; one that is not there is removed already.

        Raises:
            Conflict: It holds what no checkpoint does (`would_be_lost`).
        """
        answer = await self._ask(endpoint, "DELETE", f"/trees/{number}", asked)
        await answer.close()

    async def checkpoint(
        self, endpoint: Endpoint, number: int, wanted: wire.TakeCheckpoint
    ) -> wire.Checkpoint:
        """Keep all that is in a card's tree and that git does not ignore.

        Raises:
            NotFound: The card has no tree.
        """
        return await self._told(wire.Checkpoint, endpoint, "POST", f"/trees/{number}/checkpoint", wanted)

    async def forget(self, endpoint: Endpoint, number: int, wanted: wire.Forget) -> wire.Forgotten:
        """Let go of checkpoints of a card."""
        return await self._told(wire.Forgotten, endpoint, "POST", f"/trees/{number}/forget", wanted)

    async def diff(self, endpoint: Endpoint, asked: wire.AskDiff) -> wire.Diff:
        """Return which files differ between two commits.

        Raises:
            NotFound: There is no such commit.
        """
        return await self._told(wire.Diff, endpoint, "GET", "/diff", asked)

    async def patches(self, endpoint: Endpoint, asked: wire.AskPatches) -> wire.Patches:
        """Return the texts of what differs between two commits, as far as they go.

        Raises:
            NotFound: There is no such commit.
        """
        return await self._told(wire.Patches, endpoint, "GET", "/patches", asked)

    async def file(self, endpoint: Endpoint, asked: wire.AskFile) -> wire.FileDiff:
        """Return one file of a change.

        Raises:
            NotFound: There is no such commit, or no such file in either.
        """
        return await self._told(wire.FileDiff, endpoint, "GET", "/diff/file", asked)

    async def blob(self, endpoint: Endpoint, asked: wire.AskBlob) -> Answer:
        """Return a file as a commit holds it, to be streamed. Close the answer.

        Raises:
            NotFound: There is no such commit, or no such file in it.
        """
        return await self._ask(endpoint, "GET", "/blob", asked)

    async def plan_merge(self, endpoint: Endpoint, wanted: wire.PlanMerge) -> wire.MergePlan:
        """Make the commit that joins a checkpoint into the base branch, without moving it.

        Raises:
            NotFound: There is no such commit.
        """
        return await self._told(wire.MergePlan, endpoint, "POST", "/merges", wanted)

    async def standings(self, endpoint: Endpoint, asked: wire.AskStandings) -> wire.Standings:
        """Tell how changes stand to the base branch as it is now."""
        return await self._told(wire.Standings, endpoint, "POST", "/standings", asked)

    async def move_base(self, endpoint: Endpoint, wanted: wire.MoveBase) -> wire.Moved:
        """Move the base branch from one commit to another, and its folder with it.

        Raises:
            NotFound: There is no such commit.
        """
        return await self._told(wire.Moved, endpoint, "POST", "/base", wanted)

    async def save_on_base(self, endpoint: Endpoint, wanted: wire.SaveOnBase) -> wire.SavedOnBase:
        """Make what was written in the base's folder a commit by a person."""
        return await self._told(wire.SavedOnBase, endpoint, "POST", "/base/saves", wanted)

    async def fetch(self, endpoint: Endpoint, remote: wire.Remote) -> wire.Fetched:
        """Bring the base branch to where its remote is, as far as that goes.

        Raises:
            InvalidRequest: The address may not be reached.
            Unavailable: The remote does not answer, or refuses.
        """
        return await self._told(wire.Fetched, endpoint, "POST", "/fetch", remote)

    async def push(self, endpoint: Endpoint, wanted: wire.Push) -> wire.Pushed:
        """Bring a commit to a branch of the remote, never by force.

        Raises:
            Conflict: The remote refuses it (`push_refused`).
            InvalidRequest: The address may not be reached.
            Unavailable: The remote does not answer.
        """
        return await self._told(wire.Pushed, endpoint, "POST", "/push", wanted)

    async def adopt_found(self, endpoint: Endpoint, number: int, wanted: wire.AdoptFound) -> wire.Adopted:
        """Make the work of an earlier layout a card's tree, and keep it."""
        return await self._told(wire.Adopted, endpoint, "PUT", f"/found/{number}", wanted)

    async def _told(
        self, form: type[Told], endpoint: Endpoint, method: str, path: str, body: BaseModel | None = None
    ) -> Told:
        answer = await self._ask(endpoint, method, path, body)
        try:
            return form.model_validate_json(await answer.content(_LONGEST))
        except ValueError as error:
            raise Unavailable("The workspace sent what is not a message of ours.", "unreachable") from error

    async def _ask(self, endpoint: Endpoint, method: str, path: str, asked: BaseModel | None) -> Answer:
        call = Call(method, f"/git{path}", silence=_SILENCE)
        if asked is not None and method in ("GET", "DELETE"):
            query = httpx.QueryParams(asked.model_dump(exclude_none=True))
            call = Call(method, f"/git{path}", query.multi_items(), silence=_SILENCE)
        elif asked is not None:
            headers = {"Content-Type": "application/json"}
            content = asked.model_dump_json(exclude_defaults=True).encode()
            call = Call(method, f"/git{path}", (), headers, content, _SILENCE)
        return await self._client.ask(endpoint.files_url, endpoint, call)
