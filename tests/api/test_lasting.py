"""What goes on for a while ends with the right to it, over every door and however the right ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import PASSWORD, Board, serving
from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from vibe_app.accounts import lasting
from vibe_app.accounts.proof import Proof
from vibe_app.accounts.roles import ProjectRole
from vibe_app.db import Bus
from vibe_app.wiring import Services

PROMISED = 5.0
"""Seconds after the end of a right in which everything must have ended."""


class Ticking:
    """Stands in for the file browser and the session proxy: what it says, and what it is sent, never ends."""

    def __init__(self) -> None:
        self.readers = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.readers += 1
        try:
            if scope["method"] == "PUT":
                await self._until_gone(receive)
                return
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            gone = asyncio.ensure_future(self._until_gone(receive))
            while not gone.done():
                await send({"type": "http.response.body", "body": b"data: more\n\n", "more_body": True})
                await asyncio.wait({gone}, timeout=0.05)
        finally:
            self.readers -= 1

    async def _until_gone(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass


@pytest.fixture
def runtime() -> FakeRuntime:
    """Workspaces whose sessions say something twenty times a second, and do not end."""
    return FakeRuntime(Script.lines(4000, 20))


@pytest.fixture
async def ticking(runtime: FakeRuntime) -> AsyncIterator[Ticking]:
    ticking = Ticking()
    async with serving(ticking) as url:
        runtime.files_url = runtime.proxy_url = url
        yield ticking


class Opened:
    """An answer that is being read, or a body that is being sent.

    Attributes:
        status: What was answered.
        last: When the last piece came.
    """

    def __init__(self) -> None:
        self.status = 0
        self.pieces = 0
        self.last = 0.0

    async def read(self, client: httpx.AsyncClient, path: str, **options: Any) -> None:
        try:
            async with client.stream("GET", path, **options) as answer:
                self.status = answer.status_code
                async for _ in answer.aiter_raw():
                    self.pieces, self.last = self.pieces + 1, time.monotonic()
        except httpx.RemoteProtocolError:
            pass  # broken off before its end: nobody takes it for the whole

    async def write(self, client: httpx.AsyncClient, path: str) -> None:
        async def body() -> AsyncIterator[bytes]:
            while True:
                self.pieces, self.last = self.pieces + 1, time.monotonic()
                yield b"more"
                await asyncio.sleep(0.05)

        # The answer is read when all is sent, which is never: that the workspace gets no more is what counts.
        await client.put(path, content=body())


async def open_everything(stack: AsyncExitStack, address: str, board: Board, token: str) -> dict[str, Any]:
    """Have an editor follow, download and upload by every door; returns what goes on."""
    bearer = {"Authorization": f"Bearer {token}"}
    login = board.logins["editor"]
    cookie = {
        "Cookie": f"vibe_login={login.cookie}",
        "X-Vibe-Key": login.key,
        "Sec-Fetch-Site": "same-origin",
    }
    task = await board.task()
    session = (await board.editor.post(f"{task}/execute")).json()["session_id"]
    files = f"{board.path}/files"
    doors: dict[str, tuple[str, dict[str, str]]] = {
        "output": (f"{task}/output?session_id={session}", bearer),
        "download": (f"{files}/download?path=a", bearer),
        "archive": (f"{files}/archive", bearer),
        "proxy": (f"{board.path}/opencode/event", bearer),
    }
    if not token.startswith("vibe_"):
        doors["output with the cookie"] = (doors["output"][0], cookie)
        doors["download with the cookie"] = (doors["download"][0], cookie)
    opened: dict[str, tuple[Opened, asyncio.Task[None]]] = {}
    client = await stack.enter_async_context(
        httpx.AsyncClient(base_url=f"{address}/api", timeout=30, trust_env=False)
    )
    for name, (path, headers) in doors.items():
        one = Opened()
        opened[name] = (one, asyncio.create_task(one.read(client, path, headers=headers)))
    upload = Opened()
    client.headers.update(bearer)
    path = f"{files}/content?path=b&overwrite=true"
    opened["upload"] = (upload, asyncio.create_task(upload.write(client, path)))
    for _, running in opened.values():
        stack.callback(running.cancel)
    for one, _ in opened.values():
        await eventually(lambda one=one: one.pieces > 3)
    return opened


async def expect_the_end(
    opened: dict[str, tuple[Opened, asyncio.Task[None]]], ticking: Ticking, since: float
) -> None:
    _, upload = opened.pop("upload")
    for name, (one, running) in opened.items():
        async with asyncio.timeout(PROMISED + 5):
            await running
        assert one.last - since < PROMISED, f"{name}: went on for {one.last - since:.1f} s"
    await eventually(lambda: ticking.readers == 0, PROMISED)
    upload.cancel()


End = Callable[[Services, Board], Awaitable[object]]


async def _admin(parts: Services, board: Board) -> Any:
    return await parts.accounts.who(board.tokens["admin"])


async def removed(parts: Services, board: Board) -> None:
    actor = await parts.accounts.who(board.tokens["owner"])
    await parts.members.remove(actor, UUID(board.project), UUID(board.ids["editor"]))


async def demoted(parts: Services, board: Board) -> None:
    actor = await parts.accounts.who(board.tokens["owner"])
    await parts.members.put(actor, UUID(board.project), UUID(board.ids["editor"]), ProjectRole.VIEWER)


async def logged_out(parts: Services, board: Board) -> None:
    await parts.accounts.logout(Proof(board.tokens["editor"]))


async def password_changed(parts: Services, board: Board) -> None:
    actor = await parts.accounts.who(board.tokens["editor"])
    await parts.accounts.change_me(actor, password="another good one", current_password=PASSWORD)


async def password_reset(parts: Services, board: Board) -> None:
    await parts.users.change(
        await _admin(parts, board), UUID(board.ids["editor"]), password="another good one"
    )


async def role_changed(parts: Services, board: Board) -> None:
    await parts.users.change(await _admin(parts, board), UUID(board.ids["editor"]), role="admin")


async def deleted(parts: Services, board: Board) -> None:
    await parts.users.remove(await _admin(parts, board), UUID(board.ids["editor"]))


ENDS: list[End] = [removed, logged_out, password_changed, password_reset, role_changed, deleted]


@pytest.mark.parametrize("end", ENDS)
async def test_everything_ends_at_once_when_the_right_is_taken(
    end: End,
    board: Board,
    parts: Services,
    address: str,
    ticking: Ticking,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lasting, "LOOK_AGAIN", 600.0)  # only what is announced can end it
    async with AsyncExitStack() as stack:
        opened = await open_everything(stack, address, board, board.tokens["editor"])
        began = time.monotonic()
        await end(parts, board)
        await expect_the_end(opened, ticking, began)
    assert not parts.rights._watches


async def test_everything_ends_though_the_message_is_lost(
    board: Board, parts: Services, address: str, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_everything(stack, address, board, board.tokens["editor"])
        publish = Bus.publish
        monkeypatch.setattr(
            Bus,
            "publish",
            lambda bus, topics: publish(bus, [each for each in topics if not each.startswith("rights:")]),
        )
        began = time.monotonic()
        await removed(parts, board)
        await expect_the_end(opened, ticking, began)


async def test_an_access_token_that_is_revoked_ends_what_it_opened(
    board: Board, parts: Services, address: str, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "LOOK_AGAIN", 600.0)
    actor = await parts.accounts.who(board.tokens["editor"])
    made = await parts.accounts.tokens.add(actor, "script", scopes=("read", "write"))
    async with AsyncExitStack() as stack:
        opened = await open_everything(stack, address, board, str(made.token))
        began = time.monotonic()
        await parts.accounts.tokens.remove(actor, made.id)
        await expect_the_end(opened, ticking, began)


async def test_the_passage_ends_with_the_right_to_execute(
    board: Board, parts: Services, address: str, ticking: Ticking
) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_everything(stack, address, board, board.tokens["editor"])
        began = time.monotonic()
        admin = await _admin(parts, board)
        await parts.users.change(admin, UUID(board.ids["editor"]), can_execute=False)
        proxy, running = opened.pop("proxy")
        async with asyncio.timeout(PROMISED + 5):
            await running
        assert proxy.last - began < PROMISED
        assert not any(running.done() for _, running in opened.values())


async def test_who_may_only_look_from_now_on_goes_on_looking(
    board: Board, parts: Services, address: str, ticking: Ticking
) -> None:
    async with AsyncExitStack() as stack:
        opened = await open_everything(stack, address, board, board.tokens["editor"])
        await demoted(parts, board)
        looking = len(opened) - len({"proxy", "upload"} | {each for each in opened if "output" in each})
        await eventually(lambda: ticking.readers == looking)
        opened.pop("upload")[1].cancel()
        await opened.pop("proxy")[1]
        for one, running in opened.values():
            pieces = one.pieces
            await eventually(lambda one=one, pieces=pieces: one.pieces > pieces + 3)
            assert not running.done()


async def test_many_streams_of_one_person_are_one_question(
    board: Board, parts: Services, address: str, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "LOOK_AGAIN", 600.0)
    headers = {"Authorization": f"Bearer {board.tokens['viewer']}"}
    async with (
        httpx.AsyncClient(
            base_url=f"{address}/api",
            headers=headers,
            timeout=30,
            trust_env=False,
            limits=httpx.Limits(max_connections=None),
        ) as client,
        asyncio.TaskGroup() as group,
    ):
        many = [Opened() for _ in range(40)]
        for one in many:
            group.create_task(one.read(client, f"{board.path}/files/download?path=a"))
        await eventually(lambda: all(one.pieces for one in many))
        asked = 0
        check = parts.projects.check

        async def counting(*args: Any) -> None:
            nonlocal asked
            asked += 1
            await check(*args)

        object.__setattr__(parts.projects, "check", counting)
        owner = await parts.accounts.who(board.tokens["owner"])
        await parts.members.remove(owner, UUID(board.project), UUID(board.ids["viewer"]))
    assert asked == 1
