"""The verbs of one workspace's file browser, as the contract of `wire.files` has them.

Whoever may only look has a `FileReader`, who may write a `FileWriter`. Every verb raises `Unavailable`
where the service does not answer, or answers what is not a message of ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel

from vibe_app.clients.services import Answer, Call, Endpoint, WorkspaceClient, lasting
from vibe_app.errors import Conflict, Unavailable, VibeError
from vibe_app.wire import files as wire

_CONTENT = frozenset({200, 206, 416})
# Putting a large file on the disk for good takes its time.
_WRITTEN = 120.0
# 5 MiB of a text of which JSON writes each character as six have 30 MiB; 5000 entries of a folder have
# that at 6 KiB each, and a path is at most 4 KiB long.
_LONGEST = 32 * 1024 * 1024

Told = TypeVar("Told", bound=BaseModel)
Saved = Callable[[Sequence[str], str], Awaitable[None]]
_Writes = wire.OneFile | wire.NewFolder | wire.MoveFile


class FileReader:
    """What somebody may ask of a workspace's files who changes nothing.

    Args:
        client: Asks the file browser.
        endpoint: Where it is.
        held: Makes what is entered for a call that lasts, and left at its end.
    """

    def __init__(
        self,
        client: WorkspaceClient,
        endpoint: Endpoint,
        held: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
    ) -> None:
        self._client = client
        self._endpoint = endpoint
        self._held = held

    async def list(self, asked: wire.ListFolder) -> wire.FileList:
        """Return one page of a folder: folders first, each by name.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
            TooLarge: It holds more than can be sorted.
        """
        return await self._told(wire.FileList, "GET", "/files", asked)

    async def read(self, asked: wire.ReadFile) -> wire.FileContent:
        """Return a file or a part of it.

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
            TooLarge: It is larger than is read in one piece.
        """
        return await self._told(wire.FileContent, "GET", "/files/content", asked)

    async def search(self, asked: wire.SearchFiles) -> wire.SearchResults:
        """Return what is found below a folder, within about 10 s.

        Raises:
            InvalidRequest: There is nothing to look for, or the path names no folder.
            NotFound: There is no such folder.
        """
        return await self._told(wire.SearchResults, "GET", "/files/search", asked)

    async def changed(self, asked: wire.WrittenBetween) -> wire.ChangedFiles:
        """Return the files last written in a span of time, newest first, without those that git ignores.

        It goes by the clock of the workspace's disk and cannot tell who wrote; a file that was deleted is
        not among them, and one that was written again later counts then.
        """
        return await self._told(wire.ChangedFiles, "GET", "/files/changed", asked)

    async def download(self, asked: wire.OneFile, headers: Mapping[str, str]) -> Answer:
        """Return a file to be streamed. Close the answer.

        Args:
            asked: Which file.
            headers: `Range` and `If-Range` are passed on.

        Raises:
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: There is no such file.
        """
        passed = {name: headers[name] for name in ("range", "if-range") if name in headers}
        return await self._streamed(self._ask(_call("GET", "/files/download", asked, passed)))

    async def archive(self, asked: wire.OneFolder) -> Answer:
        """Return a folder as a `.tar.gz` to be streamed. Close the answer.

        Raises:
            InvalidRequest: The path leaves the workspace or names no folder.
            NotFound: There is no such folder.
            TooLarge: It holds more than an archive may.
        """
        return await self._streamed(self._ask(_call("GET", "/files/archive", asked)))

    async def output(self, name: str) -> Answer:
        """Return all of a long output of a command, which the sidecar has, to be streamed. Close the answer.

        Args:
            name: As the output says it.

        Raises:
            NotFound: It is not kept, or not any more.
        """
        call = Call("GET", f"/outputs/{quote(name, safe='')}")
        return await self._streamed(self._client.ask(self._endpoint.url, self._endpoint, call))

    async def _told(self, form: type[Told], method: str, path: str, asked: BaseModel) -> Told:
        return await _read(form, await self._ask(_call(method, path, asked)))

    async def _streamed(self, asked: Awaitable[Answer]) -> Answer:
        answer = await lasting(self._held(), asked)
        if answer.status not in _CONTENT:
            await answer.close()
            raise _strange()
        return answer

    async def _ask(self, call: Call) -> Answer:
        return await self._client.ask(self._endpoint.files_url, self._endpoint, call)


class FileWriter(FileReader):
    """What somebody may ask of a workspace's files who may change them.

    Args:
        client: Asks the file browser.
        endpoint: Where it is.
        held: Makes what is entered for a call that lasts, and left at its end.
        saved: Makes what was just changed of the base branch's files a commit: takes the paths, and what
            was done in words; None where nothing is to be made of it.
        refused: Why the base branch may not be changed, raised where a verb would; what git ignores of its
            files is written all the same. None where it may.
    """

    def __init__(
        self,
        client: WorkspaceClient,
        endpoint: Endpoint,
        held: Callable[[], AbstractAsyncContextManager[None]] = nullcontext,
        saved: Saved | None = None,
        refused: VibeError | None = None,
    ) -> None:
        super().__init__(client, endpoint, held)
        self._saved = saved
        self._refused = refused

    def _call(self, method: str, path: str, asked: _Writes, headers: Mapping[str, str] | None = None) -> Call:
        below = "" if self._refused is None or asked.task is not None else "/uncommitted"
        return _call(method, below + path, asked, headers)

    async def _ask(self, call: Call) -> Answer:
        try:
            return await super()._ask(call)
        except Conflict as error:
            if self._refused is not None and error.code == wire.NOT_IGNORED:
                raise self._refused from error
            raise

    async def _save(self, task: int | None, words: str, *paths: str) -> None:
        if self._saved is not None and self._refused is None and task is None:
            await self._saved(paths, words)

    async def write(
        self, asked: wire.WriteFile, content: AsyncIterable[bytes], version: str | None = None
    ) -> wire.FilePut:
        """Put a file in place, whole or not at all.

        Args:
            asked: Where.
            content: What is to be in it, as it comes.
            version: The version that was read; anything else there now is a conflict. Without it, and
                without `overwrite`, nothing may be there.

        Raises:
            Conflict: The file was changed or deleted since (`changed_meanwhile`, `deleted_meanwhile`),
                or is there already (`exists`).
            InvalidRequest: The path leaves the workspace or names no plain file.
            NotFound: A folder on the way is missing.
            TooLarge: It is larger than the limit.
            Unavailable: As always, or the disk is full.
        """
        headers = {} if version is None else {"If-Match": wire.tag(version)}
        call = replace(self._call("PUT", "/files/content", asked, headers), content=content, silence=_WRITTEN)
        async with self._held():
            done = await _read(wire.FilePut, await self._ask(call))
            await self._save(asked.task, f"{'Add' if done.created else 'Change'} {done.path}", done.path)
            return done

    async def make_folder(self, asked: wire.NewFolder) -> wire.FilePath:
        """Make a folder and say where it is.

        Raises:
            Conflict: Something is there already.
            InvalidRequest: The path leaves the workspace.
            NotFound: A folder on the way is missing.
        """
        return await _read(wire.FilePath, await self._ask(self._call("POST", "/files/folder", asked)))

    async def move(self, asked: wire.MoveFile) -> wire.FilePath:
        """Give a file or folder another name or place and say where it is.

        Raises:
            Conflict: Something is at the new place already.
            InvalidRequest: A path leaves the workspace.
            NotFound: There is nothing to move, or no folder to move it to.
        """
        async with self._held():
            done = await _read(wire.FilePath, await self._ask(self._call("POST", "/files/move", asked)))
            await self._save(asked.task, f"Rename {asked.path} to {done.path}", asked.path, done.path)
            return done

    async def delete(self, asked: wire.OneFile) -> None:
        """Delete a file, or a folder with all that it holds.

        Raises:
            InvalidRequest: The path leaves the workspace, or is the workspace.
            NotFound: There is no such thing.
        """
        async with self._held():
            answer = await self._ask(self._call("DELETE", "/files", asked))
            await answer.close()
            if answer.status != 204:
                raise _strange()
            await self._save(asked.task, f"Delete {asked.path}", asked.path)


def _call(method: str, path: str, asked: BaseModel, headers: Mapping[str, str] | None = None) -> Call:
    query = httpx.QueryParams(asked.model_dump(exclude_none=True))
    return Call(method, path, query.multi_items(), headers or {})


async def _read(form: type[Told], answer: Answer) -> Told:
    try:
        return form.model_validate_json(await answer.content(_LONGEST))
    except ValueError as error:
        raise _strange() from error


def _strange() -> Unavailable:
    return Unavailable("The file browser sent what is not a message of ours.", "unreachable")
