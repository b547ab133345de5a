"""The verbs of a workspace's files, and the proxy to its OpenCode: who may, and where it is.

Viewers read, editors write. Paths are relative to the workspace and written as the
file browser writes them: a byte that is no UTF-8, or a control character, as `\\xNN`,
a backslash as two. A workspace that is stopped is started first.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from vibe_app.accounts.roles import Actor, ProjectRole, Scope
from vibe_app.board.access import require
from vibe_app.clients.services import Answer, WorkspaceClient
from vibe_app.db import Database
from vibe_app.errors import InvalidRequest
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

PAGE_SIZE = 1000


class Files:
    """Files of workspaces, on whichever runtime.

    Every verb raises `NotFound` where there is no such project, `Forbidden` where the
    actor's role is not enough, and `Unavailable` where the workspace cannot be
    started or its disk is full, `TooMany` where the actor has woken too many others.

    Args:
        database: Knows the projects and who belongs to them.
        workspaces: Starts them.
        client: Talks to their file browsers.
    """

    def __init__(self, database: Database, workspaces: Workspaces, client: WorkspaceClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._client = client

    async def list(
        self, actor: Actor, project_id: UUID, path: str = "", page: int = 1, page_size: int = PAGE_SIZE
    ) -> dict[str, Any]:
        """Return a folder: `{"path", "entries", "total_count"}`, folders first, each by name.

        Each entry has `name`, `path`, `type` (`file`, `directory`, `symlink`, `other`), `size` in bytes,
        `modified`, and a link `leads_to` (`file`, `directory` or None) as well.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._client.list_folder(endpoint, path, page, page_size)

    async def read(
        self, actor: Actor, project_id: UUID, path: str, offset: int = 0, length: int | None = None
    ) -> dict[str, Any]:
        """Return a file or a part of it: `{"path", "size", "offset", "encoding", "content", "version"}`.

        `encoding` is `utf-8`, or `base64` where it is no text; `version` is what `write` asks for, None
        for a part.

        Args:
            actor: Who asks.
            project_id: Whose workspace.
            path: Which file.
            offset: Byte at which to begin.
            length: Bytes wanted at most; all by default, which must then be within the limit (5 MiB).

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
            TooLarge: The file is larger than is read in one piece.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._client.read_file(endpoint, path, offset, length)

    async def write(
        self,
        actor: Actor,
        project_id: UUID,
        path: str,
        content: bytes | AsyncIterable[bytes],
        *,
        version: str | None = None,
        overwrite: bool = False,
        parents: bool = False,
    ) -> dict[str, Any]:
        """Put a file in place, whole or not at all: `{"path", "size", "version", "created"}`.

        Args:
            actor: Who asks.
            project_id: Whose workspace.
            path: Which file.
            content: What is to be in it; an upload as it comes.
            version: The version that was read; anything else there now is a conflict.
            overwrite: Replace whatever is there. With neither, nothing may be there.
            parents: Make missing folders on the way.

        Raises:
            Conflict: The file was changed or deleted since (`changed_meanwhile`, `deleted_meanwhile`),
                or is there already (`exists`).
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: A folder on the way is missing.
            TooLarge: It is larger than the installation's limit.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR)
        pieces = _once(content) if isinstance(content, bytes) else content
        async with self._workspaces.held(project_id):
            return await self._client.write_file(
                endpoint, path, pieces, version=version, overwrite=overwrite, parents=parents
            )

    async def download(
        self, actor: Actor, project_id: UUID, path: str, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Return a file to be streamed; close the answer. `Range` and `If-Range` of `headers` are honoured.

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._lasting(project_id, self._client.download(endpoint, path, headers or {}))

    async def archive(self, actor: Actor, project_id: UUID, path: str = "") -> Answer:
        """Return a folder as a `.tar.gz` to be streamed; close the answer.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
            TooLarge: It holds more than the installation's limit.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._lasting(project_id, self._client.archive(endpoint, path))

    async def output(self, actor: Actor, project_id: UUID, name: str) -> Answer:
        """Return all of a long output of a command, to be streamed; close the answer.

        Args:
            actor: Who asks.
            project_id: Whose workspace.
            name: As the output says it.

        Raises:
            NotFound: It is not kept, or not any more.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._lasting(project_id, self._client.output(endpoint, name))

    async def search(
        self,
        actor: Actor,
        project_id: UUID,
        query: str,
        path: str = "",
        *,
        text: bool = False,
        ignored: bool = False,
    ) -> dict[str, Any]:
        """Return what is found below a folder: `{"results", "truncated"}`, within about 10 s.

        Each result has `path` and `type`, one of a text search `line` (from 1) and `text` as well.

        Args:
            actor: Who asks.
            project_id: Whose workspace.
            query: What to look for, literally; a capital letter in it makes case matter.
            path: The folder to look in.
            text: Look in the files rather than at their names.
            ignored: Look at what git ignores, too.

        Raises:
            InvalidRequest: There is nothing to look for, or the path names no folder.
            NotFound: There is no such folder.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._client.search(endpoint, query, path, text=text, ignored=ignored)

    async def changed(
        self, actor: Actor, project_id: UUID, since: datetime, until: datetime | None = None
    ) -> dict[str, Any]:
        """Return the files last written in a span of time: `{"results", "truncated"}`, newest first.

        Each result has `path`, `type`, `size` in bytes and `modified`: 1000 at most, without those that
        git ignores. It goes by the clock of the workspace's disk and cannot tell who wrote; a file that
        was deleted is not among them, and one that was written again later counts then.

        Args:
            actor: Who asks.
            project_id: Whose workspace.
            since: Where the span begins, as the start of a session; without a time zone it is UTC.
            until: Where it ends; None for no end.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.VIEWER)
        return await self._client.changed(endpoint, _ms(since), None if until is None else _ms(until))

    async def make_folder(self, actor: Actor, project_id: UUID, path: str, *, parents: bool = False) -> str:
        """Make a folder and return its path.

        Raises:
            Conflict: Something is there already.
            InvalidRequest: The path leaves the workspace.
            NotFound: A folder on the way is missing.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR)
        return str((await self._client.make_folder(endpoint, path, parents))["path"])

    async def move(self, actor: Actor, project_id: UUID, path: str, to: str, *, parents: bool = False) -> str:
        """Give a file or folder another name or place and return its new path.

        Raises:
            Conflict: Something is at the new place already.
            InvalidRequest: A path leaves the workspace.
            NotFound: There is nothing to move, or no folder to move it to.
        """
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR)
        return str((await self._client.move(endpoint, path, to, parents))["path"])

    async def delete(self, actor: Actor, project_id: UUID, path: str) -> None:
        """Delete a file, or a folder with all that it holds.

        Raises:
            InvalidRequest: The path leaves the workspace, or is the workspace.
            NotFound: There is no such thing.
        """
        await self._client.delete(await self._at(actor, project_id, ProjectRole.EDITOR), path)

    async def opencode(
        self,
        actor: Actor,
        project_id: UUID,
        method: str,
        path: str,
        query: list[tuple[str, str]],
        headers: Mapping[str, str],
        body: bytes = b"",
    ) -> Answer:
        """Ask the workspace's OpenCode itself, as far as its session proxy lets it pass; close the answer.

        Raises:
            Forbidden: This call does not pass, or the actor may not execute.
            InvalidRequest: What it asks for does not pass, or it asks for OpenCode's web page.
        """
        scope = Scope.READ if method == "GET" else Scope.RUN
        endpoint = await self._at(actor, project_id, ProjectRole.EDITOR, scope, executes=True)
        asked = self._client.opencode(endpoint, method, path, query, headers, body)
        answer = await self._lasting(project_id, asked)
        if answer.status != 204 and answer.kind not in ("application/json", "text/event-stream"):
            await answer.close()
            raise InvalidRequest(
                "OpenCode's web page is not served here, only its interface.", "not_an_interface"
            )
        return answer

    async def _lasting(self, project_id: UUID, asked: Awaitable[Answer]) -> Answer:
        """Return an answer that holds the workspace awake until it is closed."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._workspaces.held(project_id))
            answer = await asked
            answer.keep(stack.pop_all())
            return answer

    async def _at(
        self,
        actor: Actor,
        project_id: UUID,
        needed: ProjectRole,
        scope: Scope | None = None,
        *,
        executes: bool = False,
    ) -> Endpoint:
        async with self._database.read() as db:
            project, _ = await require(db, actor, project_id, needed, scope)
        if executes:
            actor.need_execution()
        await self._workspaces.wake(actor, project.id)
        return await self._workspaces.ensure(project.id)


def _ms(moment: datetime) -> int:
    known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0, int(known.timestamp() * 1000))


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
