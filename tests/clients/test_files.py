"""The contract of the file browser from both sides: a real one keeps it, and one that breaks it is none."""

from __future__ import annotations

import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from tests.api.conftest import serving
from vibe_app.clients.files import FileReader, FileWriter
from vibe_app.clients.services import Answer, WorkspaceClient
from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import files as wire
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspaces.runtimes.base import Endpoint

STRANGE = "The file browser sent what is not a message of ours."
STREAMED = {"download", "archive", "output"}
MAY_BE_NULL = {"leads_to", "version", "line", "text"}
Verb = Callable[[FileWriter], Awaitable[Any]]


async def once(content: bytes) -> AsyncIterator[bytes]:
    yield content


VERBS: dict[str, Verb] = {
    "list": lambda files: files.list(wire.ListFolder(path="src", page=1, page_size=10)),
    "read": lambda files: files.read(wire.ReadFile(path="src/a.txt")),
    "search": lambda files: files.search(wire.SearchFiles(query="hello", text=True)),
    "changed": lambda files: files.changed(wire.WrittenBetween(since=0)),
    "write": lambda files: files.write(wire.WriteFile(path="new", overwrite=True), once(b"new")),
    "make_folder": lambda files: files.make_folder(wire.NewFolder(path="made/inner", parents=True)),
    "move": lambda files: files.move(wire.MoveFile(path="new", to="moved")),
    "delete": lambda files: files.delete(wire.OneFile(path="moved")),
    "download": lambda files: files.download(wire.OneFile(path="src/a.txt"), {}),
    "archive": lambda files: files.archive(wire.OneFolder(path="src")),
    "output": lambda files: files.output("tool_1"),
}
JSON_VERBS = [name for name in VERBS if name not in STREAMED | {"delete"}]


@dataclass
class Recorded:
    """Passes everything on to an app and keeps the newest body; or answers in its place."""

    app: Any
    body: bytes = b""
    instead: tuple[int, list[tuple[bytes, bytes]], bytes] | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.instead is not None:
            status, headers, body = self.instead
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        self.body = b""

        async def keeping(message: Any) -> None:
            self.body += message.get("body", b"")
            await send(message)

        await self.app(scope, receive, keeping)


Held = Callable[[], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def browsing(app: Any, held: Held = nullcontext) -> AsyncIterator[FileWriter]:
    """The verbs of a service on a real port."""
    async with serving(app) as url, WorkspaceClient() as client:
        yield FileWriter(client, Endpoint(url=url, token="token", files_url=url), held)


@pytest.fixture
async def recorded(tmp_path: Path) -> Recorded:
    """A real file browser of a small workspace, overheard."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.txt").write_text("hello\n")
    (tmp_path / "src" / "link").symlink_to("a.txt")
    return Recorded(create_app(Config(tmp_path, Listening("token"))))


def verbs_of(kind: type) -> set[str]:
    """The names of what may be asked."""
    return {name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")}


def test_every_verb_is_tried_here() -> None:
    assert verbs_of(FileWriter) == set(VERBS)
    # Whoever may only look has none that changes anything.
    assert verbs_of(FileWriter) - verbs_of(FileReader) == {"write", "make_folder", "move", "delete"}


async def test_a_real_file_browser_says_what_the_contract_says_and_no_more(recorded: Recorded) -> None:
    async with browsing(recorded) as files:
        for name in JSON_VERBS:
            found = await VERBS[name](files)
            assert json.loads(recorded.body) == found.model_dump(mode="json"), name
        await VERBS["delete"](files)
        assert recorded.body == b""
        for name in ("download", "archive"):
            answer: Answer = await VERBS[name](files)
            assert answer.status == 200
            assert await answer.content(10_000) == recorded.body
        with pytest.raises(InvalidRequest, match="src is not a file"):
            await files.read(wire.ReadFile(path="src"))
        assert json.loads(recorded.body).keys() == {"error", "code"}


async def test_all_that_is_asked_arrives(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    for name in ("a", "b", "c"):
        (tmp_path / "many" / name).write_text("äöü")
    async with browsing(recorded) as files:
        second = await files.list(wire.ListFolder(path="many", page=2, page_size=2))
        assert ([entry.name for entry in second.entries], second.total_count) == (["c"], 3)
        part = await files.read(wire.ReadFile(path="many/a", offset=2, length=2))
        assert (part.content, part.offset, part.version) == ("ö", 2, None)
        written = await files.write(wire.WriteFile(path="x/y", parents=True), once(b"1"))
        assert written == wire.FilePut(path="x/y", size=1, version=written.version, created=True)
        again = await files.write(wire.WriteFile(path="x/y"), once(b"2"), written.version)
        assert not again.created
        assert (await files.changed(wire.WrittenBetween(since=0, until=1))).results == []
        ranged = await files.download(wire.OneFile(path="many/a"), {"range": "bytes=0-1"})
        assert (ranged.status, await ranged.content(10)) == (206, "ä".encode())


class Holds:
    """Counts what is held at the moment, and what ever was."""

    now = ever = 0

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        self.now += 1
        self.ever += 1
        try:
            yield
        finally:
            self.now -= 1


@pytest.mark.parametrize("name", ["download", "archive"])
async def test_what_is_streamed_is_held_until_it_is_closed(recorded: Recorded, name: str) -> None:
    holds = Holds()
    async with browsing(recorded, holds.held) as files:
        answer: Answer = await VERBS[name](files)
        assert holds.now == 1
        async for _ in answer.pieces():
            assert holds.now == 1
        await answer.close()
        assert holds.now == 0
        recorded.instead = (404, [], b'{"error": "There is no such thing.", "code": "not_found"}')
        with pytest.raises(NotFound):
            await VERBS[name](files)
        recorded.instead = (204, [], b"")
        with pytest.raises(Unavailable, match=STRANGE):
            await VERBS[name](files)
    assert (holds.now, holds.ever) == (0, 3)


async def test_what_cannot_be_closed_is_held_no_longer(
    recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    holds = Holds()
    async with browsing(recorded, holds.held) as files:
        answer: Answer = await VERBS["download"](files)
        close = answer._response.aclose

        async def close_and_fail() -> None:
            await close()
            raise ZeroDivisionError("what nobody thought of")

        monkeypatch.setattr(answer._response, "aclose", close_and_fail)
        with pytest.raises(ZeroDivisionError):
            await answer.close()
    assert (holds.now, holds.ever) == (0, 1)


async def test_what_is_written_is_held_from_its_first_piece_to_its_last(recorded: Recorded) -> None:
    holds, seen = Holds(), list[int]()

    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"two"):
            seen.append(holds.now)
            yield piece
        seen.append(holds.now)

    async with browsing(recorded, holds.held) as files:
        await files.write(wire.WriteFile(path="new"), pieces())
        assert (seen, holds.now) == ([1, 1, 1], 0)
        with pytest.raises(Conflict):
            await files.write(wire.WriteFile(path="new"), pieces())
        assert (holds.now, holds.ever) == (0, 2)


async def test_the_largest_answer_that_is_honest_is_taken(recorded: Recorded, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"\x01" * 5 * 1024 * 1024)
    async with browsing(recorded) as files:
        found = await files.read(wire.ReadFile(path="large"))
        assert len(found.content) == found.size == 5 * 1024 * 1024
        assert len(recorded.body) > 6 * found.size


def spoiled(honest: Any) -> Iterator[Any]:
    """Yield an answer again and again, each time with one thing in it that cannot be."""
    for name, put, found in _places(honest):
        for wrong in _wrong(found):
            if wrong is not None or name not in MAY_BE_NULL:
                yield put(wrong)


def _places(
    value: Any, name: Any = "", put: Callable[[Any], Any] = lambda each: each
) -> Iterator[tuple[Any, Callable[[Any], Any], Any]]:
    yield name, put, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:

        def inside(wrong: Any, key: Any = key) -> Any:
            copy = value.copy()
            copy[key] = wrong
            return put(copy)

        yield from _places(each, key, inside)


def _wrong(value: Any) -> list[Any]:
    match value:
        case bool():
            return [None, "true", 1]
        case int():
            return [None, "7", -1, 1.5, True, 10**400, [], {}]
        case str():
            return [7, True, [], {"a": "b"}, "\ud800"]
        case list():
            return [None, {}, "[]", 5, [None], [[]]]
        case dict():
            return [None, [], "x", 5, {}]
        case _:
            return [7 * [7], {"a": 1}]


@pytest.mark.parametrize("name", JSON_VERBS)
async def test_whatever_does_not_fit_is_no_answer(recorded: Recorded, name: str) -> None:
    async with browsing(recorded) as files:
        if name == "move":
            await VERBS["write"](files)
        await VERBS[name](files)
        honest = json.loads(recorded.body)
        lies = [json.dumps(lie).encode() for lie in spoiled(honest)]
        assert len(lies) > 8
        lies += [b"", b"null", b"{}", b"<!doctype html>", b"\xff\xfe", b"[" * 100_000, recorded.body[:-1]]
        for lie in lies:
            recorded.instead = (200, [(b"content-type", b"application/json")], lie)
            taken = None
            with suppress(Unavailable):
                taken = await VERBS[name](files)
            assert taken is None, lie[:500]
        with pytest.raises(Unavailable, match=STRANGE) as refusal:
            await VERBS[name](files)
        assert refusal.value.code == "unreachable"


@pytest.mark.parametrize(
    ("verb", "changes"),
    [
        ("list", {"modified": "2026-02-31T00:00:00.000Z"}),
        ("list", {"modified": "yesterday"}),
        ("list", {"type": "door"}),
        ("list", {"leads_to": "symlink"}),
        ("read", {"version": "é\r\nSet-Cookie: a=b"}),
        ("read", {"encoding": "utf-7"}),
        ("write", {"version": ""}),
        ("search", {"line": 0}),
    ],
)
async def test_words_are_held_against_their_form(
    recorded: Recorded, verb: str, changes: dict[str, Any]
) -> None:
    async with browsing(recorded) as files:
        await VERBS[verb](files)
        honest = json.loads(recorded.body)
        place = next((each[0] for each in honest.values() if isinstance(each, list)), honest)
        assert changes.keys() <= place.keys()
        place.update(changes)
        recorded.instead = (200, [], json.dumps(honest).encode())
        with pytest.raises(Unavailable, match="not a message of ours"):
            await VERBS[verb](files)


async def test_what_a_later_file_browser_adds_is_left_out(recorded: Recorded) -> None:
    async with browsing(recorded) as files:
        found = await VERBS["list"](files)
        more = json.loads(recorded.body) | {"secret": "x"}
        more["entries"][0]["secret"] = "x"
        recorded.instead = (200, [], json.dumps(more).encode())
        again = await VERBS["list"](files)
        assert isinstance(again, BaseModel)
        assert again == found
        assert "secret" not in again.model_dump_json()


async def test_a_path_that_no_address_holds_is_refused_in_words(recorded: Recorded) -> None:
    async with browsing(recorded) as files:
        with pytest.raises(InvalidRequest, match="Shorten it"):
            await files.list(wire.ListFolder(path="x" * 70_000))


async def test_an_answer_larger_than_any_can_be_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vibe_app.clients.files._LONGEST", 1_000_000)

    async def long(scope: Any, receive: Any, send: Any) -> None:
        status = 200 if scope["path"] == "/files/content" else 404
        await send({"type": "http.response.start", "status": status, "headers": []})
        for more in range(40, -1, -1):
            await send({"type": "http.response.body", "body": b" " * 65_536, "more_body": more > 0})

    async with browsing(long) as files:
        with pytest.raises(Unavailable, match="not a message of ours"):
            await VERBS["read"](files)
        with pytest.raises(Unavailable, match="Something other than the workspace"):
            await VERBS["list"](files)
