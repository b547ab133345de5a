"""What a change says, line by line: from its row where that has it, else from its workspace's repository."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from functools import partial
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.access import require, task_of
from vibe_app.board.changes import content
from vibe_app.board.changes import queries as change_queries
from vibe_app.board.changes.models import Change
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import Answer, lasting
from vibe_app.db import Database
from vibe_app.errors import InvalidRequest, NotFound, Waking
from vibe_app.wire.git import AskBlob, AskDiff, AskFile, AskPatches, ChangedFile, Diff, FileDiff
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.service import Workspaces

_EMPTY = Diff(files=list[ChangedFile](), count=0, additions=0, deletions=0)


class Texts:
    """Reads changes for viewers. A workspace that sleeps is woken only for what its change's row has not.

    Args:
        database: Knows the changes.
        workspaces: Makes workspaces ready.
        git: Asks their repositories.
    """

    def __init__(self, database: Database, workspaces: Workspaces, git: GitClient) -> None:
        self._database = database
        self._workspaces = workspaces
        self._git = git

    async def since(
        self, actor: Actor, project_id: UUID, task_id: UUID, since: str, patience: float | None = None
    ) -> Diff:
        """Return what differs between an earlier checkpoint of a card and its newest one.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            task_id: The card.
            since: The hash of the earlier checkpoint.
            patience: Seconds to wait for a workspace that sleeps; None for as long as its start takes.

        Raises:
            NotFound: The card has no change, or had no such checkpoint.
            Waking: Its workspace must be woken first, and is not ready yet.
        """
        async with self._database.read() as db:
            change = await self._change(db, actor, project_id, task_id)
            base = await _known(db, change, since)
        if change.revision is None or base == change.revision:
            return _EMPTY
        endpoint = await self._at(actor, project_id, patience)
        return await self._git.diff(endpoint, AskDiff(base=base, revision=change.revision))

    async def patches(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        paths: Collection[str],
        since: str | None = None,
    ) -> dict[str, str]:
        """Return the patches of some files of a card's change; what is not at hand is missing.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            task_id: The card.
            paths: The files, as the change names them.
            since: The checkpoint from which on; the base where it is not given.
        """
        async with self._database.read() as db:
            change = await self._change(db, actor, project_id, task_id)
            base = await _known(db, change, since) if since else change.base_commit
        if change.revision is None:
            return {}
        if base == change.base_commit:
            found: Mapping[str, str] = content.Patches(change.patches)
        else:
            asked = AskPatches(base=base, revision=change.revision)
            found = (await self._git.patches(await self._at(actor, project_id), asked)).patches
        return {path: found[path] for path in paths if path in found}

    async def file(
        self,
        actor: Actor,
        project_id: UUID,
        task_id: UUID,
        path: str,
        *,
        since: str | None = None,
        offset: int = 0,
        whole: bool = False,
        patience: float | None = None,
    ) -> FileDiff:
        """Return one file of a card's change.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            task_id: The card.
            path: The file, as the change names it.
            since: The checkpoint from which on; the base where it is not given.
            offset: Byte of a long patch at which to begin.
            whole: With both texts, where they are small enough; that needs the workspace.
            patience: Seconds to wait for a workspace that sleeps; None for as long as its start takes.

        Raises:
            NotFound: The change has no such file.
            Waking: Its workspace must be woken first, and is not ready yet.
        """
        async with self._database.read() as db:
            change = await self._change(db, actor, project_id, task_id)
            base = await _known(db, change, since) if since else change.base_commit
        listed = content.find_file(change.files, path)
        if change.revision is None or (listed is None and since is None):
            raise NotFound("The change has no such file.", "file_not_found")
        if not (whole or offset) and base == change.base_commit:
            patch = content.Patches(change.patches).get(path)
            if patch is not None:
                return FileDiff(path=path, patch=patch)
        asked = AskFile(
            base=base,
            revision=change.revision,
            path=path,
            old_path=listed.old_path if listed else None,
            offset=offset,
        )
        return await self._git.file(await self._at(actor, project_id, patience), asked)

    async def blob(
        self, actor: Actor, project_id: UUID, task_id: UUID, path: str, side: str, since: str | None = None
    ) -> Answer:
        """Return a file of a card's change as bytes, before (`old`) or after it (`new`). Close the answer.

        Args:
            actor: Who asks; a viewer.
            project_id: The board.
            task_id: The card.
            path: The file, as the change names it; since a checkpoint, as it is called on that side.
            side: `old` or `new`.
            since: The checkpoint that is before; the base where it is not given.

        Raises:
            NotFound: The change has no such file, or it was not there on that side.
        """
        async with self._database.read() as db:
            change = await self._change(db, actor, project_id, task_id)
            base = await _known(db, change, since) if since else change.base_commit
        listed = content.find_file(change.files, path)
        commit = base if side == "old" else change.revision
        if commit is None or (listed is None and since is None):
            raise NotFound("The change has no such file.", "file_not_found")
        renamed = listed.old_path if listed and side == "old" and since is None else None
        named = renamed or path
        held = partial(self._workspaces.held, project_id)
        asked = self._git.blob(await self._at(actor, project_id), AskBlob(commit=commit, path=named))
        return await lasting(held(), asked)

    async def _at(self, actor: Actor, project_id: UUID, patience: float | None = None) -> Endpoint:
        await self._workspaces.wake(actor, project_id)
        try:
            async with asyncio.timeout(patience):
                return await self._workspaces.ensure(project_id, person=actor.user_id)
        except TimeoutError as error:
            raise Waking("The workspace is being started for this. Ask again in a moment.") from error

    async def _change(self, db: AsyncSession, actor: Actor, project_id: UUID, task_id: UUID) -> Change:
        await require(db, actor, project_id, ProjectRole.VIEWER)
        await task_of(db, project_id, task_id)
        change = await change_queries.newest_change(db, task_id)
        if change is None:
            raise NotFound("This card has no change.", "no_change")
        return change


async def _known(db: AsyncSession, change: Change, revision: str) -> str:
    """Return a checkpoint of the card, so that nobody reads other commits by their hashes."""
    if revision != change.base_commit and not await change_queries.is_checkpoint(db, change, revision):
        raise InvalidRequest("This card has no such checkpoint.", "unknown_revision")
    return revision
