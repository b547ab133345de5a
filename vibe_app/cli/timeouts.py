"""How long a connection may take to say what it wants.

uvicorn 0.54 closes a connection that is idle after an answer, and nothing else: one
that never ends its request's head, or its body, is kept until the other side is gone.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from http import HTTPStatus

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

log = logging.getLogger(__name__)

HEAD = 30.0
"""Seconds from a connection's beginning, or the first byte of its next request, to the end of the head."""
BODY = 30.0
"""Seconds without a byte of a body that is not complete."""
HALF_OPEN = 100
"""Connections from one address that have not sent a whole head. A browser opens a few ahead of need."""

_half_open: Counter[str] = Counter()


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which ends what does not go on: with 408, where nothing was answered yet."""

    _timer: asyncio.TimerHandle | None = None
    _half = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # of TCP
        """Take a connection, or close it where too many from there have not said what they want."""
        super().connection_made(transport)
        if _half_open[self._host] >= HALF_OPEN:
            log.info("a connection was closed: %d from its address have sent no whole request", HALF_OPEN)
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._settle()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what came, then see what is still missing."""
        super().handle_events()
        if self.transport.get_protocol() is not self:
            return  # it is a socket by now
        if self.transport.is_closing():
            self._settle()
        elif self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            if not self._half:
                self._await_head()
        elif self.conn.their_state is h11.SEND_BODY:
            if self._timer is not None and (request := self._request) and request.response_complete:
                return  # what still comes is for nobody: it has the time that was left
            self._settle()
            self._timer = self.loop.call_later(BODY, self._body_is_late)
        elif self.conn.their_state is not h11.IDLE or self._request is not None:
            self._settle()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand the connection over: it has said what it wants."""
        self._settle()
        super().handle_websocket_upgrade(event)

    @property
    def _request(self) -> RequestResponseCycle | None:
        """What is being answered; before a connection's first request uvicorn has None in `cycle`."""
        return self.cycle

    @property
    def _host(self) -> str:
        return self.client[0] if self.client else ""

    def _await_head(self) -> None:
        self._settle()
        self._half = True
        _half_open[self._host] += 1
        self._timer = self.loop.call_later(HEAD, self._end, "The request's head did not come in time.")

    def _settle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._half:
            self._half = False
            _half_open[self._host] -= 1
            if not _half_open[self._host]:
                del _half_open[self._host]

    def _body_is_late(self) -> None:
        if self.cycle.response_complete:
            self.transport.close()
            return
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            # It is us who have not read it yet.
            self._timer = self.loop.call_later(BODY, self._body_is_late)
            return
        self._end("The request's body did not go on.")

    def _end(self, sentence: str) -> None:
        self._settle()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            late = HTTPStatus.REQUEST_TIMEOUT
            headers = [("Content-Type", "text/plain; charset=utf-8"), ("Connection", "close")]
            answer = (
                h11.Response(status_code=late, headers=headers, reason=late.phrase.encode()),
                h11.Data(data=sentence.encode()),
                h11.EndOfMessage(),
            )
            for part in answer:
                self.transport.write(self.conn.send(part) or b"")
        if (request := self._request) is not None:
            request.disconnected = True
            request.message_event.set()
        self.transport.close()
