"""One's own logins, and what failing to sign in does to whom."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.api.conftest import PASSWORD, Board, Connect
from vibe_app.accounts.models import LoginThrottle
from vibe_app.wire import now
from vibe_app.wiring import Services

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


async def sign_in(client: httpx.AsyncClient, email: str, password: str = PASSWORD, **headers: str) -> Any:
    """Try to sign in; return the answer."""
    return await client.post("/auth/login", json={"email": email, "password": password}, headers=headers)


async def fail(client: httpx.AsyncClient, email: str, times: int) -> list[int]:
    """Fail to sign in; return the status codes."""
    return [(await sign_in(client, email, "not the password")).status_code for _ in range(times)]


async def test_logins_are_listed_and_end_one_by_one_or_all_others(board: Board, connect: Connect) -> None:
    tokens = [
        (await sign_in(connect(host="2001:db8::7"), "editor@example.org", **{"User-Agent": FIREFOX})).json()
        for _ in range(2)
    ]
    second, third = (connect(answer["access_token"]) for answer in tokens)
    listed = (await second.get("/auth/logins")).json()
    assert listed["total_count"] == 3
    (mine,) = [row for row in listed["logins"] if row["current"]]
    assert (mine["host"], mine["browser"]) == ("2001:db8::7", "Firefox on Linux")
    assert mine["last_used_at"] is not None
    foreign = await board.stranger.delete(f"/auth/logins/{mine['id']}")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "login_not_found")
    assert (await third.delete(f"/auth/logins/{mine['id']}")).status_code == 204
    assert (await second.get("/auth/me")).status_code == 401
    assert (await third.delete("/auth/logins")).status_code == 204
    assert (await board.editor.get("/auth/me")).status_code == 401
    assert (await third.get("/auth/logins")).json()["total_count"] == 1


async def test_ending_a_login_is_announced(board: Board, parts: Services) -> None:
    with parts.database.bus.subscribe(f"rights:{board.ids['editor']}") as changes:
        (login,) = (await board.editor.get("/auth/logins")).json()["logins"]
        assert (await board.editor.delete(f"/auth/logins/{login['id']}")).status_code == 204
        assert await changes.wait(1.0)


async def test_nobody_locks_another_out(board: Board, connect: Connect, parts: Services) -> None:
    """Somebody else's failures bind neither a browser nor a place that has signed in, nor others."""
    email = "owner@example.org"
    browser = connect(host="198.51.100.1")
    assert (await sign_in(browser, email)).status_code == 200
    assert await fail(connect(host="203.0.113.1"), email, 7) == [401] * 5 + [429] * 2
    assert (await sign_in(connect(host="203.0.113.2"), email)).status_code == 200
    async with parts.database.transaction() as db:
        for key in (f"email:{email}", "host:198.51.100.1", "host:203.0.113.9"):
            await db.merge(LoginThrottle(key=key, failures=5000, last_failure_at=now()))
    unknown = await sign_in(connect(host="203.0.113.3"), email)
    assert unknown.status_code == 429
    assert int(unknown.headers["retry-after"]) <= 61
    assert (await sign_in(connect(host="198.51.100.1"), email)).status_code == 200
    assert (await sign_in(connect(host="203.0.113.9"), "editor@example.org")).status_code == 429
    moved = connect(host="203.0.113.9")
    moved.cookies.set("vibe_browser", browser.cookies["vibe_browser"])
    assert (await sign_in(moved, email)).status_code == 200
    assert (await sign_in(moved, "editor@example.org")).status_code == 429


async def test_a_stolen_mark_of_a_browser_guesses_no_faster(board: Board, connect: Connect) -> None:
    browser = connect()
    assert (await sign_in(browser, "owner@example.org")).status_code == 200
    mark = browser.cookies["vibe_browser"]
    assert (await connect(mark).get("/auth/me")).status_code == 401
    statuses: list[int] = []
    for number in range(7):
        thief = connect(host=f"203.0.113.{number}")
        thief.cookies.set("vibe_browser", mark)
        statuses += await fail(thief, "owner@example.org", 1)
    assert statuses == [401] * 5 + [429] * 2


async def test_one_network_of_ipv6_is_one_place(board: Board, connect: Connect) -> None:
    statuses: list[int] = []
    for number in range(6):
        statuses += await fail(connect(host=f"2001:db8:0:1::{number}"), "owner@example.org", 1)
    assert statuses == [401] * 5 + [429]


async def test_the_current_password_is_throttled_for_this_login_alone(board: Board, connect: Connect) -> None:
    other = connect((await sign_in(connect(), "editor@example.org")).json()["access_token"])
    wrong = {"password": "y" * 12, "current_password": "no"}
    statuses = [(await board.editor.patch("/auth/me", json=wrong)).status_code for _ in range(6)]
    assert statuses == [400] * 5 + [429]
    right = wrong | {"current_password": PASSWORD}
    assert (await board.editor.patch("/auth/me", json=right)).status_code == 429
    assert (await other.patch("/auth/me", json=right)).status_code == 200


@pytest.mark.parametrize(
    "password", [" " * 12, "\u00a0\u2003" * 8, "\u200b" * 12, "\u3164" * 12, "\t abcdefghi \t\u200d"]
)
async def test_what_cannot_be_seen_is_no_password(board: Board, password: str) -> None:
    person = {"email": "new@example.org", "name": "New", "password": password}
    answer = await board.admin.post("/users", json=person)
    assert (answer.status_code, answer.json()["code"]) == (400, "weak_password")


async def test_who_may_not_execute_or_make_projects(board: Board, connect: Connect) -> None:
    task = await board.task()
    path = f"/users/{board.ids['editor']}"
    changed = await board.admin.patch(path, json={"can_execute": False, "can_create_projects": False})
    assert (changed.json()["can_execute"], changed.json()["can_create_projects"]) == (False, False)
    for method, address in (("POST", f"{task}/execute"), ("GET", f"{board.path}/opencode/session")):
        answer = await board.editor.request(method, address)
        assert (answer.status_code, answer.json()["code"]) == (403, "may_not_execute")
        assert "admin" in answer.json()["error"]
    answer = await board.editor.post("/projects", json={"name": "Mine"})
    assert (answer.status_code, answer.json()["code"]) == (403, "may_not_create_projects")
    assert (await board.editor.get(f"{task}/sessions")).status_code == 200
    assert (await board.editor.get("/auth/me")).json()["can_execute"] is False
    admin = await board.admin.patch(f"/users/{board.ids['admin']}", json={"can_execute": False})
    assert (admin.status_code, admin.json()["code"]) == (400, "admin_may_all")
    assert (await board.admin.patch(path, json={"can_create_projects": True})).status_code == 200
    assert (await board.editor.post("/projects", json={"name": "Mine"})).status_code == 201
