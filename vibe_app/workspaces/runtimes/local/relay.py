"""A runtime's verbs over a Unix socket, so that one process can use the runtime of another.

One connection for each call: a line of JSON asks, lines of progress follow, the
last line answers. A connection that ends without an answer means that the
process at the other end has let go or died; the verbs are idempotent, so the
call can be repeated elsewhere. Whose turn it is to serve is not decided here.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import UUID

from vibe_app import errors
from vibe_app.addresses import Credential
from vibe_app.errors import InvalidRequest, Unavailable, VibeError
from vibe_app.workspaces.runtimes.base import Endpoint, Progress, Runtime, WorkspaceSpec

logger = logging.getLogger(__name__)

_LONGEST_LINE = 1 << 22
# The kernel takes 108 bytes for a socket's path on Linux and 104 on macOS, the final zero included.
_LONGEST_PATH = 103
_PULSE = 2.0
_SILENCE = 10.0


class HostGone(Exception):
    """The process that serves the verbs is gone, or was never there. Ask who serves now, and repeat."""


class Relay:
    """Serves a runtime's verbs on a Unix socket that only this user can reach.

    Args:
        runtime: Whose verbs.
        path: Where the socket is to be. What an earlier process left there is removed.
    """

    def __init__(self, runtime: Runtime, path: Path) -> None:
        self._runtime = runtime
        self._path = path
        self._server: asyncio.Server | None = None
        self._callers: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to serve.

        Raises:
            OSError: The socket cannot be made.
        """
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with _short(self._path) as address:
            listener.bind(address)
        # Nobody is let in before it listens.
        self._path.chmod(0o600)
        self._server = await asyncio.start_unix_server(self._answer, sock=listener, limit=_LONGEST_LINE)

    async def close(self) -> None:
        """Stop serving. Calls in progress get no answer, so that their callers repeat them elsewhere."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for caller in self._callers:
            caller.cancel()
        await asyncio.gather(*self._callers, return_exceptions=True)
        self._server = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._callers.add(task)
        try:
            asked = json.loads(await reader.readline())
            if asked["verb"] == "attend":
                await self._attend(writer)
            else:
                await self._carry_out(asked, writer)
        except (OSError, ValueError, KeyError, TypeError) as error:
            logger.debug("a caller of the local runtime is gone: %r", error)
        except asyncio.CancelledError:
            # Asked for by `close` alone, which waits. The streams of Python 3.11 log a cancelled callback.
            return
        finally:
            self._callers.discard(task)
            writer.close()

    async def _attend(self, writer: asyncio.StreamWriter) -> None:
        """Say regularly that this process is here, until the caller is gone."""
        while not writer.is_closing():
            _send(writer, {})
            await asyncio.sleep(_PULSE)

    async def _carry_out(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        async def progress(sentence: str) -> None:
            _send(writer, {"progress": sentence})

        try:
            _send(writer, {"answer": await self._verb(asked, progress)})
        except VibeError as error:
            refusal = {"kind": type(error).__name__, "message": error.message, "code": error.code}
            _send(writer, {"error": refusal})
        except OSError as error:
            said = {"number": error.errno, "message": error.strerror, "file": error.filename}
            _send(writer, {"system": said})
        except Exception:
            # Without an answer the caller would repeat the call for ever.
            logger.exception("a verb of the local runtime broke: %s", asked.get("verb"))
            fault = "The process that runs this machine's workspaces met a fault; its log says which."
            _send(writer, {"error": {"kind": "Unavailable", "message": fault, "code": None}})

    async def _verb(self, asked: dict[str, Any], progress: Progress) -> Any:
        match asked["verb"]:
            case "ensure":
                # A process of the version before may ask, which says less.
                credential = Credential(*asked["credential"]) if asked.get("credential") else None
                spec = WorkspaceSpec(
                    UUID(asked["project_id"]), asked["repo_url"], asked.get("branch"), credential
                )
                return asdict(await self._runtime.ensure(spec, progress))
            case "stop":
                return await self._runtime.stop(UUID(asked["project_id"]), erase=asked["erase"])
            case "alive":
                return [str(project_id) for project_id in await self._runtime.alive()]
            case other:
                raise InvalidRequest(
                    f"This version of Vibe does not know {other!r}: restart all of its processes."
                )


class RemoteRuntime:
    """The runtime of another process, by its socket. Made by `reach`.

    Its verbs promise what those of `Runtime` do, and raise `HostGone` where the
    other process ends before it has answered.

    Args:
        path: Where the socket is.
        reader: The connection that tells that the other process is there.
        writer: The same.
    """

    def __init__(self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._path = path
        self._writer = writer
        self._silent = asyncio.Event()
        self._gone = asyncio.create_task(self._listen(reader), name="attend the host of local workspaces")

    @classmethod
    async def reach(cls, path: Path) -> RemoteRuntime | None:
        """Return the runtime of the process that serves at `path`, or None where nobody does."""
        try:
            reader, writer = await _connect(path)
        except OSError:
            return None
        try:
            _send(writer, {"verb": "attend"})
            async with asyncio.timeout(_SILENCE):
                greeting = await reader.readline()
        except (OSError, TimeoutError):
            greeting = b""
        except BaseException:
            writer.close()
            raise
        if not greeting:
            writer.close()
            return None
        return cls(path, reader, writer)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                try:
                    async with asyncio.timeout(_SILENCE):
                        if not await reader.readline():
                            return
                    self._silent.clear()
                except TimeoutError:
                    logger.warning("the process that runs this machine's workspaces does not move")
                    self._silent.set()
        except (OSError, ValueError):
            return
        finally:
            self._writer.close()

    @property
    def gone(self) -> bool:
        """Whether the other process is known to be gone."""
        return self._gone.done()

    async def until_gone(self, seconds: float | None = None) -> None:
        """Return once the other process is gone, or after so many seconds."""
        await asyncio.wait((self._gone,), timeout=seconds)

    async def close(self) -> None:
        """Let go of the other process."""
        self._gone.cancel()
        await self.until_gone()

    async def ensure(self, spec: WorkspaceSpec, progress: Progress | None = None) -> Endpoint:
        """Make the workspace exist and answer; see `Runtime.ensure`.

        Raises:
            HostGone: The other process is gone.
            Unavailable: It cannot be started.
            InvalidRequest: The repository's address cannot be used.
        """
        credential = spec.credential and (spec.credential.username, spec.credential.token)
        asked = {
            "verb": "ensure",
            "project_id": str(spec.project_id),
            "repo_url": spec.repo_url,
            "branch": spec.branch,
            "credential": credential,
        }
        answer = await self._call(asked, progress)
        return Endpoint(**answer | {"notices": tuple(answer.get("notices", ()))})

    async def stop(self, project_id: UUID, *, erase: bool = False) -> None:
        """End every process of the workspace; see `Runtime.stop`.

        Raises:
            HostGone: The other process is gone.
            Unavailable: Some process cannot be ended, or the other process does not move.
            OSError: The files cannot be removed.
        """
        await self._soon({"verb": "stop", "project_id": str(project_id), "erase": erase})

    async def alive(self) -> set[UUID]:
        """Return the projects whose workspace runs now.

        Raises:
            HostGone: The other process is gone.
            Unavailable: It does not move.
        """
        return {UUID(project_id) for project_id in await self._soon({"verb": "alive"})}

    async def _call(self, asked: dict[str, Any], progress: Progress | None = None) -> Any:
        try:
            reader, writer = await _connect(self._path)
        except OSError as error:
            raise HostGone from error
        try:
            _send(writer, asked)
            while True:
                match await _heard(reader):
                    case {"progress": sentence}:
                        await _pass_on(sentence, progress)
                    case {"error": refusal}:
                        kind = getattr(errors, refusal["kind"], Unavailable)
                        raise kind(refusal["message"], refusal["code"])
                    case {"system": said}:
                        raise OSError(said["number"], said["message"], said["file"])
                    case said:
                        return said["answer"]
        finally:
            writer.close()

    async def _soon(self, asked: dict[str, Any]) -> Any:
        """Ask for what never takes long, and give up where the other process does not move."""
        call = asyncio.ensure_future(self._call(asked))
        silence = asyncio.ensure_future(self._silent.wait())
        try:
            await asyncio.wait((call, silence), return_when=asyncio.FIRST_COMPLETED)
            if call.done():
                return call.result()
            raise Unavailable("The process that runs this machine's workspaces does not move: restart it.")
        finally:
            for task in (call, silence):
                task.cancel()
            await asyncio.wait((call, silence))


async def _heard(reader: asyncio.StreamReader) -> dict[str, Any]:
    try:
        line = await reader.readline()
    except ConnectionError as error:
        raise HostGone from error
    if not line.endswith(b"\n"):
        raise HostGone
    return json.loads(line)


async def _pass_on(sentence: str, progress: Progress | None) -> None:
    if progress is None:
        return
    try:
        await progress(sentence)
    except Exception:
        # As in the process that starts it: a listener's trouble must not take the workspace down.
        logger.exception("nobody could be told: %s", sentence)


def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    # Never waits: a caller that is frozen must not hold up a workspace that others wait for too.
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


async def _connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    with _short(path) as address:
        return await asyncio.open_unix_connection(address, limit=_LONGEST_LINE)


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Yield a name for a socket that the kernel takes; what it leads to may be as long as it likes."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    with tempfile.TemporaryDirectory(prefix="vibe-") as folder:
        link = Path(folder, "run")
        link.symlink_to(path.parent, target_is_directory=True)
        yield str(link / path.name)
