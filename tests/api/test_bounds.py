"""What one person can have open at once."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from tests.api.conftest import Board
from tests.api.test_lasting import Opened, Ticking, runtime, ticking
from tests.waiting import eventually
from vibe_app.api import lasting

__all__ = ["runtime", "ticking"]


async def test_one_person_has_so_many_streams_open_and_others_are_served(
    address: str, board: Board, ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "AT_ONCE", 6)
    task = await board.task()
    session = (await board.editor.post(f"{task}/execute")).json()["session_id"]
    paths = [
        f"{task}/output?session_id={session}",
        f"{board.path}/files/download?path=a",
        f"{board.path}/opencode/event",
    ]
    bearer = {"Authorization": f"Bearer {board.tokens['editor']}"}
    async with httpx.AsyncClient(base_url=f"{address}/api", headers=bearer, timeout=30) as client:
        opened = [Opened() for _ in range(6)]
        tasks = [
            asyncio.create_task(each.read(client, paths[number % 3])) for number, each in enumerate(opened)
        ]
        try:
            await eventually(lambda: all(each.pieces for each in opened))
            for path in paths:
                refused = await client.get(path)
                assert (refused.status_code, refused.json()["code"]) == (429, "too_many_streams")
                assert refused.headers["Retry-After"] == "5"
            assert (await client.get(task)).status_code == 200
            other = {"Authorization": f"Bearer {board.tokens['owner']}"}
            async with client.stream("GET", paths[1], headers=other) as answer:
                assert answer.status_code == 200
            tasks[1].cancel()
            await eventually(lambda: sum(lasting._open.values()) == 5)
            again = Opened()
            tasks.append(asyncio.create_task(again.read(client, paths[0])))
            await eventually(lambda: again.pieces)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: not lasting._open)
