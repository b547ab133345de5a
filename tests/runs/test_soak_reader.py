"""The soaks' reader: takes whole events, goes on where it was cut, complains of what it should not meet."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from random import Random

import httpx
import pytest

from soak.reader import Reader

TIME = "2026-11-22T09:30:00.000Z"


def frame(seq: int, kind: str = "output", text: str = "a line\n") -> bytes:
    data = json.dumps({"type": kind, "text": text, "timestamp": TIME})
    return f"id: {seq}\nevent: message\ndata: {data}\n\n".encode()


BOOK = [*(frame(seq) for seq in range(1, 50)), frame(50, "done", "Session completed")]


class Output(httpx.AsyncBaseTransport):
    """Answers with the events after the last one that the reader has; `asked` keeps which that was."""

    def __init__(self, logged: list[bytes], *, chunk: int = 37, breaks: int = 0, status: int = 200) -> None:
        self.logged = logged
        self.chunk = chunk
        self.breaks = breaks
        self.status = status
        self.asked: list[int] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        after = int(request.headers.get("last-event-id", 0))
        self.asked.append(after)
        body = b"retry: 1000\n: nothing new\n" + b"".join(self.logged[after:])
        return httpx.Response(self.status, stream=_Stream(self, body))


class _Stream(httpx.AsyncByteStream):
    def __init__(self, output: Output, body: bytes) -> None:
        self.output = output
        self.body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.body), self.output.chunk):
            if self.output.breaks and start > 500:
                self.output.breaks -= 1
                raise httpx.ReadError("the connection was lost")
            yield self.body[start : start + self.output.chunk]


def reader(output: Output, steadiness: float = 0.2) -> Reader:
    client = httpx.AsyncClient(transport=output)
    return Reader(client, lambda: "http://replica.test", "/output", "x", Random(3), steadiness)


def numbers(reader: Reader) -> list[int]:
    return [seq for seq, *_ in reader.seen]


async def test_cut_by_itself_and_by_the_other_side() -> None:
    output = Output(BOOK, breaks=3)
    cut = reader(output, steadiness=0.0)
    cut.by_bytes, cut.most_bytes = 1.0, 1500
    await cut.follow()
    assert numbers(cut) == list(range(1, 51))
    assert cut.done
    assert cut.cuts > 3
    assert cut.broken == 3
    assert cut.troubles == []
    assert output.asked == sorted(output.asked), "it goes on from where it was"


async def test_a_steady_reader_needs_one_connection() -> None:
    output = Output(BOOK)
    steady = reader(output, steadiness=1.0)
    await steady.follow()
    assert (output.asked, steady.cuts, steady.broken, steady.troubles) == ([0], 0, 0, [])
    assert steady.seen[0] == (1, "output", "a line\n", TIME)


@pytest.mark.parametrize(
    ("logged", "trouble"),
    [
        ([frame(1), frame(3), frame(4, "done")], "got event 3 after 1"),
        ([frame(1), frame(1), frame(2, "done")], "got event 1 after 1"),
        ([frame(2), frame(1, "done")], "got event 2 after 0"),
        ([frame(1), frame(2, "done"), frame(3)[:20]], "ended in mid-event"),
    ],
)
async def test_what_is_missing_or_comes_twice_is_noticed(logged: list[bytes], trouble: str) -> None:
    steady = reader(Output(logged), steadiness=1.0)
    await steady.follow()
    assert any(trouble in sentence for sentence in steady.troubles)


async def test_a_refusal_is_noticed_and_a_missing_database_is_not() -> None:
    output = Output(BOOK, status=500)
    refused = reader(output)
    await refused.connect()
    output.status = 503
    await refused.connect()
    (trouble,) = refused.troubles
    assert "was answered 500" in trouble
