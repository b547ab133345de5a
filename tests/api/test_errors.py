"""Bad input gets a sentence: bodies, fields, paths, methods, and what nobody expected."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import generate_latest

from tests.api.conftest import Board, Connect, serving
from tests.fakes import FakeRuntime, RuntimeThatIsAway, SidecarThatStopsSlowly
from tests.waiting import eventually
from vibe_app.api.metrics import REGISTRY
from vibe_app.errors import Unavailable
from vibe_app.wiring import Services

MIB = 1024 * 1024


def sentence(answer: httpx.Response, status: int, code: str) -> str:
    """Return the sentence of an error of this status and code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body.keys() == {"error", "code"}
    assert body["code"] == code
    return body["error"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "The body is not valid JSON"),
        (b'{"title": "a"', "The body is not valid JSON"),
        (b"\xff\xfe", "body"),
        (b"", "The body is missing"),
        (b"[]", "The body must be a JSON object"),
        (b'"title"', "The body must be a JSON object"),
        (b"{}", '"title" is missing'),
        (b'{"title": 5}', '"title"'),
        (b'{"title": null}', '"title"'),
        (b'{"title": "a", "titel": "b"}', '"titel"'),
        (b'{"title": "a\\ud800"}', '"title"'),
        (b'{"title": "a", "labels": "docs"}', '"labels"'),
        (b'{"title": "a", "labels": [1]}', '"labels.0"'),
        (b"[" * 100_000, "body"),
        (b'{"title": "\xff"}', "The body is no JSON that can be read"),
        (b'{"title": "x", "priority": ' + b"9" * 5000 + b"}", "The body is no JSON that can be read"),
    ],
)
async def test_a_body_that_cannot_be_used(board: Board, content: bytes, expected: str) -> None:
    answer = await board.editor.post(
        f"{board.path}/tasks", content=content, headers={"Content-Type": "application/json"}
    )
    assert expected in sentence(answer, 400, "invalid_request")
    assert (await board.viewer.get(f"{board.path}/tasks")).json()["total_count"] == 0


async def test_numbers_of_thousands_of_digits_are_answered(board: Board) -> None:
    digits, tasks = "9" * 5000, f"{board.path}/tasks"
    for name in ("page", "page_size"):
        answer = await board.viewer.get(tasks, params={name: digits})
        assert f'"{name}" is not right' in sentence(answer, 400, "invalid_request")
    announced = await board.editor.post(tasks, content=b"{}", headers={"Content-Length": digits})
    assert "larger than" in sentence(announced, 413, "too_large")


async def test_a_body_that_is_not_json_is_not_guessed_at(board: Board) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = await board.editor.post(
            f"{board.path}/tasks", content=b'{"title": "a"}', headers={"Content-Type": kind}
        )
        assert "Content-Type: application/json" in sentence(answer, 400, "invalid_request")


@pytest.mark.parametrize(
    "query", ["page=0", "page=-1", "page=x", "page_size=0", "page_size=101", "page=99999999999999999999"]
)
async def test_pages_have_limits(board: Board, query: str) -> None:
    for path in ("/projects", f"{board.path}/tasks", f"{board.path}/sessions", f"{board.path}/members"):
        answer = await board.owner.get(f"{path}?{query}")
        assert query.partition("=")[0] in sentence(answer, 400, "invalid_request")


async def test_a_query_that_is_not_utf_8_is_not_guessed_at(board: Board) -> None:
    for query in ("path=a%FF.txt", "path=%C3", "a=b&%ED%A0%80"):
        answer = await board.editor.get(f"{board.path}/files/content?{query}")
        assert "UTF-8" in sentence(answer, 400, "invalid_request")
    read = await board.viewer.get(f"{board.path}/tasks?page=1&of=%C3%A9t%C3%A9")
    assert read.status_code == 200


async def test_an_unknown_path_and_a_wrong_method(board: Board) -> None:
    for path in ("/nothing", "/projects/", f"{board.path}/tasks/a/b/c"):
        assert "/api/docs" in sentence(await board.owner.get(path), 404, "no_such_route")
    answer = await board.owner.put("/projects")
    assert "PUT is not possible at /api/projects" in sentence(answer, 405, "method_not_allowed")
    assert {"GET", "POST"} == set(answer.headers["allow"].replace(" ", "").split(","))


async def chunks(size: int) -> AsyncIterator[bytes]:
    """A body without a length: valid JSON but for its size."""
    yield b'{"title": "a", "description": "'
    for _ in range(size // 65536):
        yield b"x" * 65536
    yield b'"}'


async def test_bodies_over_a_mebibyte(board: Board) -> None:
    path = f"{board.path}/tasks"
    big = b'{"title": "' + b"x" * MIB + b'"}'
    headers = {"Content-Type": "application/json"}
    assert "1 MiB" in sentence(await board.editor.post(path, content=big, headers=headers), 413, "too_large")
    answer = await board.editor.post(path, content=chunks(2 * MIB), headers=headers)
    assert "1 MiB" in sentence(answer, 413, "too_large")
    fits = b'{"title": "a", "description": "'
    fits += b"x" * (MIB - len(fits) - 2) + b'"}'
    answer = await board.editor.post(path, content=fits, headers=headers)
    assert "64 KiB" in sentence(answer, 400, "description_too_long")
    task = await board.task()
    answer = await board.editor.post(f"{task}/execute", content=big, headers=headers)
    assert answer.status_code == 413
    assert await board.sessions(task) == []


async def test_over_a_real_connection_too(board: Board, address: str) -> None:
    headers = {"Authorization": f"Bearer {board.tokens['editor']}", "Content-Type": "application/json"}
    async with httpx.AsyncClient(base_url=address, headers=headers) as client:
        for content in (b"x" * (3 * MIB), chunks(3 * MIB)):
            answer = await client.post(f"/api{board.path}/tasks", content=content)
            assert sentence(answer, 413, "too_large")


async def test_what_nobody_expected_is_logged_under_an_id(
    board: Board, parts: Services, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_: Any) -> None:
        raise LookupError("the word of the vault is sesame")

    monkeypatch.setattr(parts.projects, "read", broken)
    with caplog.at_level(logging.ERROR, "vibe_app.api"):
        answer = await board.owner.get(board.path)
    text = sentence(answer, 500, "internal_error")
    assert "sesame" not in text
    [record] = [record for record in caplog.records if record.name.startswith("vibe_app.api")]
    fault = text.removesuffix(".").rpartition(" ")[2]
    assert fault in record.getMessage()
    assert record.exc_info is not None


async def test_a_database_that_does_not_answer(
    board: Board, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise Unavailable("The database does not answer.", "database_unavailable")

    async def ready() -> bool:
        return (await board.nobody.get("/ready")).status_code == 200

    await eventually(ready)
    monkeypatch.setattr(parts.projects, "read", away)
    monkeypatch.setattr(parts.database, "ping", away)
    sentence(await board.owner.get(board.path), 503, "database_unavailable")
    answer = await board.nobody.get("/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "error": "The database does not answer.",
        "code": "not_ready",
        "reasons": {"database": "The database does not answer."},
    }
    assert (await board.nobody.get("/health")).json() == {"status": "ok"}


async def test_ready(parts: Services, connect: Connect) -> None:
    client = connect()

    async def ready() -> bool:
        answer = await client.get("/ready")
        return (answer.status_code, answer.json()) == (200, {"status": "ready"})

    await eventually(ready)


@pytest.mark.parametrize("runtime", [RuntimeThatIsAway()], ids=[""])
async def test_ready_only_once_workspaces_can_be_looked_after(
    parts: Services, connect: Connect, runtime: RuntimeThatIsAway
) -> None:
    client, reason = connect(), "Nobody starts workspaces at the moment. The cluster does not answer: "

    async def told() -> bool:
        answer = await client.get("/ready")
        reasons = answer.json()["reasons"]
        assert (answer.status_code, list(reasons)) == (503, ["runtime"])
        return reasons["runtime"].startswith(reason)

    async def ready() -> bool:
        return (await client.get("/ready")).status_code == 200

    await eventually(told)
    runtime.away = False
    await eventually(ready)


@pytest.mark.parametrize("runtime", [FakeRuntime(lambda _: SidecarThatStopsSlowly())], ids=[""])
async def test_what_the_servers_stop_breaks_off_is_asked_for_again(
    app: Any, board: Board, runtime: FakeRuntime
) -> None:
    task = await board.task()
    assert (await board.editor.post(f"{task}/execute")).json()["status"] == "running"
    (sidecar,) = runtime.sidecars.values()
    headers = {"Authorization": f"Bearer {board.tokens['editor']}"}
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        async with serving(app) as url:
            stop = asyncio.create_task(client.post(f"{url}/api{task}/stop"))
            await eventually(lambda: sidecar.calls["POST /sessions/stop"])
        answer = await stop
    assert sentence(answer, 503, "stopping").startswith("The server is stopping")
    assert answer.headers["retry-after"] == "1"
    assert isinstance(sidecar, SidecarThatStopsSlowly)
    sidecar.may_stop.set()
    await board.session_is(task, "cancelled")


async def test_a_method_that_somebody_made_up_makes_no_figure_of_its_own(board: Board) -> None:
    await board.viewer.request("MADEUP", "/projects")
    figures = generate_latest(REGISTRY).decode()
    assert 'method="other"' in figures
    assert "MADEUP" not in figures
