"""A real gateway as a process, and providers that answer as a test says, byte for byte."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from tests.scripted import send_chunk, send_head
from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import REPOSITORY, free_ports
from vibe_app.wire.gateway import Budget, Configuration, Dialect, Limits, Provider, Spending, UsagePage

TOKEN, CONTROL, KEY = "workspace-token-for-tests", "control-token-for-tests", "sk-the-real-key-for-tests"
SONNET, GPT, FLASH = "claude-sonnet-4-5", "gpt-4o-mini", "gemini-2.5-flash"
CUT = b""
"""Among the pieces of a reply: the connection breaks here."""

Json = dict[str, Any]


@dataclass
class Asked:
    """A request as a provider got it."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What a provider answers; an event among the pieces is waited for."""

    pieces: Sequence[bytes | asyncio.Event] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "text/event-stream"
    hangs: bool = False
    """Whether nothing is answered at all."""
    raw: bytes | None = None
    """Instead of all that: these bytes, and then the connection's end."""


def sse(*events: Json | str) -> list[bytes]:
    """Pieces of an event stream, one for each event."""
    return [
        b"data: " + (each if isinstance(each, str) else json.dumps(each)).encode() + b"\n\n"
        for each in events
    ]


def openai(prompt: int = 100, completion: int = 10, **more: Any) -> list[bytes]:
    """A streamed chat completion."""
    usage = {"prompt_tokens": prompt, "completion_tokens": completion} | more
    delta = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": None}], "usage": None}
    end = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    return sse(delta, end, {"choices": [], "usage": usage}, "[DONE]")


def json_reply(body: object, status: int = 200, **headers: str) -> Reply:
    """A whole answer in JSON; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply([json.dumps(body).encode()], status, named, "application/json")


class Upstream:
    """A provider on a real port. What it answers can be changed at any time.

    Args:
        certificate: Its certificate and key, where it speaks TLS.
    """

    def __init__(self, certificate: tuple[Path, Path] | None = None) -> None:
        self._tls = None
        if certificate is not None:
            self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            self._tls.load_cert_chain(*certificate)
        self.asked: list[Asked] = []
        self.script: Callable[[Asked], Reply] = lambda _: Reply(openai())
        self.url = ""
        self.broken_off = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"http{'s' if self._tls else ''}://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._answer(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.broken_off += 1
        except asyncio.CancelledError:
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        asked = Asked(first.split(" ")[1], headers, body)
        self.asked.append(asked)
        reply = self.script(asked)
        if reply.hangs:
            await reader.read(1)
            return False
        if reply.raw is not None:
            writer.write(reply.raw)
            await writer.drain()
            return False
        await send_head(writer, reply.status, reply.kind, {**reply.headers, "Transfer-Encoding": "chunked"})
        for piece in reply.pieces:
            if isinstance(piece, asyncio.Event):
                gone = asyncio.create_task(reader.read(1))
                waits = asyncio.create_task(piece.wait())
                await asyncio.wait((gone, waits), return_when=asyncio.FIRST_COMPLETED)
                waits.cancel()
                if gone.done():
                    raise ConnectionResetError
                gone.cancel()
                await asyncio.gather(gone, waits, return_exceptions=True)
            elif piece is CUT:
                return False
            else:
                await send_chunk(writer, piece)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


class Gate:
    """One gateway: its process, and how engine, sidecar and OpenCode speak to it."""

    def __init__(self, folder: Path, silence: int = 600, control: str = CONTROL) -> None:
        self.control_token = control
        self.folder = folder
        self.silence = silence
        self.port, self.control_port, self.proxy_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.before: list[str] = []
        self.more: dict[str, str] = {}
        self.control = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self.control_port}",
            headers={"authorization": f"Bearer {control}"},
            trust_env=False,
        )
        self.opencode = httpx.AsyncClient(
            base_url=self.url, headers={"authorization": f"Bearer {TOKEN}"}, trust_env=False, timeout=30
        )

    @property
    def log(self) -> str:
        """What it wrote."""
        return (self.folder / "gateway.log").read_text()

    @property
    def env(self) -> dict[str, str]:
        """What it is started with."""
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(REPOSITORY),
            "PYTHONPYCACHEPREFIX": os.environ.get("PYTHONPYCACHEPREFIX", ""),
            "JOURNAL_DIR": str(self.folder / "journal"),
            "PROJECT_ID": "a-project",
            "GATEWAY_TOKEN": TOKEN,
            "CONTROL_TOKEN": self.control_token,
            "PORT": str(self.port),
            "CONTROL_PORT": str(self.control_port),
            "PROXY_PORT": str(self.proxy_port),
            "MODEL_SILENCE": str(self.silence),
            **self.more,
        }

    async def start(self) -> None:
        """Start it and return once it answers."""
        self._spawn()
        await eventually(self._answers, 30)

    def _spawn(self) -> None:
        with (self.folder / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.before, sys.executable, "-P", "-m", "vibe_app.workspace_services.gateway"],
                env=self.env,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )

    async def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        try:
            return (await self.control.get("/health")).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """As `kill -9`."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    async def close(self) -> None:
        """Let go of the connections to it."""
        await self.control.aclose()
        await self.opencode.aclose()

    async def configure(self, *providers: Provider, **more: Any) -> None:
        """Hand it providers."""
        told = Configuration(providers=providers, **more)
        answer = await self.control.put("/configuration", content=told.model_dump_json())
        assert answer.status_code == 200, answer.text
        await self.live({})

    async def live(self, sessions: Mapping[str, str]) -> None:
        """Say whose all live conversations are, as the sidecar does again and again."""
        answer = await self.control.put("/conversations", json={"sessions": dict(sessions)})
        assert answer.status_code == 200, answer.text

    async def session(self, name: str, *conversations: str, **limits: int) -> Spending:
        """Register a session with its limits and its conversations."""
        found = await self.budget(name, Budget(limits=Limits(**limits)))
        for conversation in conversations:
            await self.talk(conversation, name)
        return found

    async def budget(self, name: str, budget: Budget) -> Spending:
        """Register a session."""
        answer = await self.control.put(f"/sessions/{name}", content=budget.model_dump_json())
        assert answer.status_code == 200, answer.text
        return Spending.model_validate_json(answer.content)

    async def talk(self, conversation: str, session: str) -> None:
        """Say whose a conversation is."""
        answer = await self.control.put(f"/conversations/{conversation}", json={"session_id": session})
        assert answer.status_code == 200, answer.text

    async def spending(self, name: str) -> Spending:
        """Ask how a session stands."""
        answer = await self.control.get(f"/sessions/{name}")
        assert answer.status_code == 200, answer.text
        return Spending.model_validate_json(answer.content)

    async def usage(self, journal: str = "", after: int = 0) -> UsagePage:
        """Ask for the entries after a number."""
        answer = await self.control.get("/usage", params={"journal": journal, "after": after})
        assert answer.status_code == 200, answer.text
        return UsagePage.model_validate_json(answer.content)

    def asking(
        self,
        conversation: str = "ses_1",
        *,
        provider: str = "openai",
        model: str = GPT,
        path: str = "chat/completions",
        parent: str = "",
        **more: Any,
    ) -> httpx.Request:
        """A request as OpenCode makes it."""
        headers = {"x-session-id": conversation} | ({"x-parent-session-id": parent} if parent else {})
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "stream": True} | more
        return self.opencode.build_request("POST", f"/{provider}/{path}", headers=headers, json=body)

    async def ask(self, conversation: str = "ses_1", **more: Any) -> httpx.Response:
        """Ask as OpenCode does, and read the whole answer."""
        return await self.opencode.send(self.asking(conversation, **more))


def provider(upstream: Upstream, name: str = "openai", dialect: Dialect = "openai", **more: Any) -> Provider:
    """A provider with the prices of the catalogue."""
    return Provider(id=name, dialect=dialect, base_url=upstream.url, key=KEY, catalogue=name, **more)


@asynccontextmanager
async def gateway(
    folder: Path, silence: int = 600, control: str = CONTROL, **more: str
) -> AsyncIterator[Gate]:
    """Run a gateway that was told nothing yet; `more` are variables of its environment."""
    gate = Gate(folder, silence, control)
    gate.more = more
    try:
        await gate.start()
        yield gate
    finally:
        await gate.close()
        if gate.process is not None and gate.process.poll() is None:
            gate.kill()
