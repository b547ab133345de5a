"""Tabs without a browser: each speaks to the server as a page on a card's drawer does, and draws nothing.

The first words are those of a real page, with the card's address in place of
its own. A tab then keeps the terminal's side of the contract: it asks where
nobody follows or where a batch does not go on from what it has.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

from playwright.async_api import BrowserContext, WebSocket
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, CloseConnection, Event, Ping, Request, TextMessage
from wsproto.extensions import PerMessageDeflate

from bench.server import App, NotReady

NAMESPACE = "/_event"
OUTPUT = "reflex___state____state.vibe_app___web___components___output____output_state"


class Recorder:
    """Keeps the first words to the server of a page that is opened after this in a window."""

    def __init__(self, context: BrowserContext) -> None:
        self._words: list[str] = []
        context.on("page", lambda page: page.on("websocket", self._listen))

    def _listen(self, socket: WebSocket) -> None:
        socket.on("framesent", lambda words: self._words.append(str(words)))

    def words(self, path: str, other: str) -> str:
        """Return the first words of the page of the card at `path` as those of another card's page."""
        if not self._words or not self._words[0].startswith(f"40{NAMESPACE},"):
            raise NotReady("The page does not greet the server in the way that the bench knows.")
        words = self._words[0]
        for old, new in zip(ids(path), ids(other), strict=True):
            words = words.replace(old, new)
        return words


def ids(path: str) -> tuple[str, str]:
    """Return the ids in the path of a task below /api."""
    _, _, project, _, task = path.split("/")
    return project, task


class Tab:
    """One card's drawer.

    Args:
        served: The server.
        path: The card's path below /api.
        session_id: The session that it shows.

    Attributes:
        seqs: The numbers of the events, in the order in which they came.
        delays: How many milliseconds after it was said each line came.
        gaps: How often a batch did not go on from what was there.
        answered: Set once the server follows for this tab.
        over: Set once the session's last event came.
    """

    def __init__(self, served: App, path: str, session_id: str) -> None:
        self.seqs: list[int] = []
        self.delays: list[float] = []
        self.gaps = 0
        self.answered, self.over = asyncio.Event(), asyncio.Event()
        self._served = served
        self._session_id = session_id
        project, task = ids(path)
        where = f"/p/{project}/t/{task}"
        query = {"splat": [project, "t", task]}
        self._router = {"pathname": where, "asPath": where, "query": query}
        self._ws = WSConnection(ConnectionType.CLIENT)
        self._text = ""

    @asynccontextmanager
    async def opened(self, words: str) -> AsyncIterator[Tab]:
        """Be open for as long as the block lasts, beginning with these words."""
        host, port = self._served.url.removeprefix("http://").split(":")
        reader, self._writer = await asyncio.open_connection(host, int(port))
        headers = [
            (b"Origin", self._served.url.encode()),
            (b"Cookie", f"vibe_login={self._served.cookie}".encode()),
            (b"X-Vibe-Key", self._served.key.encode()),
        ]
        target = f"{NAMESPACE}/?token={uuid4()}&EIO=4&transport=websocket"
        self._send(Request(f"{host}:{port}", target, [PerMessageDeflate()], headers))
        listening = asyncio.create_task(self._listen(reader, words))
        try:
            yield self
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError):
                await listening
            self._writer.close()

    def _send(self, event: Event) -> None:
        self._writer.write(self._ws.send(event))

    async def _listen(self, reader: asyncio.StreamReader, words: str) -> None:
        while data := await reader.read(2**16):
            self._ws.receive_data(data)
            for event in self._ws.events():
                match event:
                    case AcceptConnection():
                        self._send(TextMessage(words))
                    case TextMessage():
                        self._text += event.data
                        if event.message_finished:
                            text, self._text = self._text, ""
                            self._hear(text)
                    case Ping():
                        self._send(event.response())
                    case CloseConnection():
                        return
                    case _:
                        pass

    def _hear(self, text: str) -> None:
        if text == "2":  # Engine.IO asks whether one is there
            self._send(TextMessage("3"))
        elif text.startswith(f"42{NAMESPACE},"):
            _, update = json.loads(text.removeprefix(f"42{NAMESPACE},"))
            if batch := update.get("delta", {}).get(OUTPUT, {}).get("batch_rx_state_"):
                self._take(batch)

    def _take(self, batch: dict[str, Any]) -> None:
        now, last = time.time() * 1000, self.seqs[-1] if self.seqs else 0
        if batch["s"] == self._session_id and batch["a"] == last:
            self.answered.set()
            for seq, kind, said, _ in batch["e"]:
                self.seqs.append(seq)
                if kind == "d":
                    self.over.set()
                else:
                    self.delays.append(now - said)
            return
        self.gaps += batch["s"] == self._session_id
        payload = {"session_id": self._session_id, "last_seq": last}
        ask = {"name": f"{OUTPUT}.follow", "payload": payload, "router_data": self._router}
        self._send(TextMessage(f"42{NAMESPACE},{json.dumps(['event', ask])}"))
