"""Comments on a change, founded on what somebody read of them."""

from __future__ import annotations

from uuid import UUID

from tests.api.conftest import Board
from tests.seeding import seed_change
from vibe_app.wiring import Services


async def test_words_that_were_changed_meanwhile_are_not_written_over(board: Board, parts: Services) -> None:
    task = await board.task()
    await seed_change(parts.database, UUID(task.rpartition("/")[2]), {"a.py": ("one\n", "two\n")})
    comment = {"revision": "1" * 40, "path": "a.py", "line": 1, "quote": "two", "body": "Why?"}
    made = (await board.viewer.post(f"{task}/change/comments", json=comment)).json()
    own = f"{task}/change/comments/{made['id']}"
    first = await board.viewer.patch(own, json={"body": "How?", "was": "Why?"})
    assert (first.status_code, first.json()["body"]) == (200, "How?")
    second = await board.viewer.patch(own, json={"body": "When?", "was": "Why?"})
    said = second.json()
    assert (second.status_code, said["code"]) == (409, "version_changed")
    assert (said["yours"], said["comment"]["body"]) == ({"body": "When?"}, "How?")
    # Who says what is there already is in nobody's way; who names nothing writes over it, as before.
    assert (await board.viewer.patch(own, json={"body": "How?", "was": "Why?"})).status_code == 200
    assert (await board.viewer.patch(own, json={"body": "When?"})).json()["body"] == "When?"
