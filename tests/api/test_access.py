"""Who asks and how: every route without a login, roles, the cookie and foreign pages, throttling, tokens."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.api.conftest import PASSWORD, Board, Connect
from vibe_app.api import access, changes, files, output
from vibe_app.api.lasting import LastingRoute
from vibe_app.settings import Settings
from vibe_app.wiring import Services

PUBLIC = {"/health", "/ready", "/front", "/auth/setup", "/auth/login", "/auth/reset", "/auth/logout"}
BODIES = {
    "/users": {"email": "new@example.org", "name": "New", "password": PASSWORD},
    "/users/invite": {"email": "new@example.org", "name": "New"},
    "/tokens": {"name": "ci"},
    "/tokens/{token_id}": {"name": "ci"},
    "/providers": {"id": "new", "name": "New", "kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
    "/projects": {"name": "New"},
    "/projects/{project_id}/members": {"email": "stranger@example.org"},
    "/projects/{project_id}/members/{user_id}": {"role": "viewer"},
    "/projects/{project_id}/files/folder": {"path": "new"},
    "/projects/{project_id}/files/move": {"path": "old", "to": "new"},
    "/projects/{project_id}/tasks": {"title": "New"},
    "/projects/{project_id}/tasks/{task_id}": {"version": 1},
    "/projects/{project_id}/tasks/bulk": {"ids": [str(uuid4())], "action": "archive"},
    "/projects/{project_id}/tasks/{task_id}/move": {"status": "DONE"},
    **{
        f"/projects/{{project_id}}/tasks/{{task_id}}/{rest}": body
        for rest, body in {
            "follow-up": {"message": "Go on"},
            "change/accept": {"revision": "0" * 40},
            "change/seen": {"path": "README.md"},
            "change/comments": {"revision": "0" * 40, "path": "README.md", "line": 1, "body": "Why?"},
            "change/comments/{comment_id}": {"state": "resolved"},
        }.items()
    },
}
WEIGHT = {"stranger": 0, "viewer": 1, "editor": 2, "owner": 3}
NEEDS = {
    ("get", ""): "viewer",
    ("patch", ""): "owner",
    ("delete", ""): "owner",
    ("get", "/sessions"): "viewer",
    ("get", "/labels"): "viewer",
    ("get", "/members"): "viewer",
    ("get", "/members/candidates"): "owner",
    ("post", "/members"): "owner",
    ("patch", "/members/{user_id}"): "owner",
    ("delete", "/members/{user_id}"): "owner",
    ("get", "/files"): "viewer",
    ("delete", "/files"): "editor",
    ("get", "/files/content"): "viewer",
    ("put", "/files/content"): "editor",
    ("get", "/files/download"): "viewer",
    ("get", "/files/archive"): "viewer",
    ("get", "/files/search"): "viewer",
    ("get", "/files/changed"): "viewer",
    ("get", "/files/outputs/{name}"): "viewer",
    ("post", "/files/folder"): "editor",
    ("post", "/files/move"): "editor",
    ("get", "/opencode/{path}"): "editor",
    ("post", "/opencode/{path}"): "editor",
    ("patch", "/opencode/{path}"): "editor",
    ("delete", "/opencode/{path}"): "editor",
    ("get", "/tasks"): "viewer",
    ("post", "/tasks"): "editor",
    ("post", "/tasks/bulk"): "editor",
    ("get", "/tasks/{task_id}"): "viewer",
    ("patch", "/tasks/{task_id}"): "editor",
    ("delete", "/tasks/{task_id}"): "editor",
    ("post", "/tasks/{task_id}/move"): "editor",
    ("get", "/tasks/{task_id}/activity"): "viewer",
    ("post", "/tasks/{task_id}/restore"): "editor",
    ("post", "/tasks/{task_id}/archive"): "editor",
    ("post", "/tasks/{task_id}/unarchive"): "editor",
    ("post", "/tasks/{task_id}/execute"): "editor",
    ("post", "/workspace/restart"): "editor",
    ("post", "/remote/fetch"): "editor",
    ("get", "/deploy-key"): "owner",
    ("post", "/deploy-key"): "owner",
    ("post", "/deploy-key/scan"): "owner",
    ("post", "/remote/join"): "editor",
    ("post", "/tasks/{task_id}/stop"): "editor",
    ("get", "/tasks/{task_id}/sessions"): "viewer",
    ("get", "/tasks/{task_id}/sessions/{session_id}"): "viewer",
    ("delete", "/tasks/{task_id}/sessions/{session_id}"): "editor",
    ("get", "/tasks/{task_id}/output"): "viewer",
    ("get", "/tasks/{task_id}/change"): "viewer",
    ("get", "/tasks/{task_id}/change/file"): "viewer",
    ("get", "/tasks/{task_id}/change/blob"): "viewer",
    ("put", "/tasks/{task_id}/change/seen"): "viewer",
    ("get", "/tasks/{task_id}/change/comments"): "viewer",
    ("post", "/tasks/{task_id}/change/comments"): "viewer",
    ("patch", "/tasks/{task_id}/change/comments/{comment_id}"): "viewer",
    ("delete", "/tasks/{task_id}/change/comments/{comment_id}"): "viewer",
    ("post", "/tasks/{task_id}/follow-up"): "editor",
    ("post", "/tasks/{task_id}/change/accept"): "editor",
    ("post", "/tasks/{task_id}/change/discard"): "editor",
    ("post", "/tasks/{task_id}/change/restore"): "editor",
    ("post", "/tasks/{task_id}/change/deliver"): "editor",
    ("post", "/tasks/{task_id}/change/solve"): "editor",
}


def test_an_answer_that_lasts_is_broken_off_for_want_of_no_more_than_it_needed_to_begin():
    prefix = "/projects/{project_id}"
    lasting = [
        (route, method.lower())
        for router in (files.files, output.output, changes.changes, changes.comments)
        for route in router.routes
        if isinstance(route, LastingRoute)
        for method in route.methods
    ]
    assert len(lasting) > 20
    asked = {
        (method, route.path.removeprefix(prefix)): route.needed(method.upper()).value
        for route, method in lasting
    }
    assert asked == {each: NEEDS[each] for each in asked}


async def call(
    client: httpx.AsyncClient, method: str, path: str, ids: dict[str, str] | None = None
) -> httpx.Response:
    """Call a route as it is described, with made-up ids where none are given."""
    address = re.sub(r"\{(\w+)\}", lambda found: (ids or {}).get(found[1], str(uuid4())), path)
    body = BODIES.get(path) or ({} if method in ("post", "patch") else None)
    given = {"session_id": str(uuid4()), "path": "README.md", "query": "x", "since": "2026-11-22T09:30:00Z"}
    if "/{task_id}/change" in path:
        del given["since"]
    params = given if method != "post" else None
    return await client.request(method.upper(), address, json=body, params=params)


def operations(document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return every described method and path."""
    return [(method, path) for path, methods in document["paths"].items() for method in methods]


async def test_every_route_asks_for_a_login(parts: Services, connect: Connect, document: Any) -> None:
    nobody, liar = connect(), connect("vibe_not-a-token")
    closed = [(method, path) for method, path in operations(document) if path not in PUBLIC]
    assert len(closed) > 30
    for method, path in closed:
        for client in (nobody, liar):
            answer = await call(client, method, path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer"), path
            assert answer.json()["code"] == "unauthenticated"


async def test_every_route_refuses_what_is_no_uuid(board: Board, document: Any) -> None:
    for method, path in operations(document):
        for name in re.findall(r"\{(\w+_id)\}", path):
            answer = await call(board.admin, method, path, {name: "42"})
            assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), path
            assert name in answer.json()["error"]


async def test_every_route_of_a_project_that_is_none(board: Board, document: Any) -> None:
    for method, path in operations(document):
        if "{project_id}" in path:
            answer = await call(board.admin, method, path)
            assert (answer.status_code, answer.json()["code"]) == (404, "project_not_found"), path


async def test_every_route_of_a_project_checks_the_role(board: Board, document: Any) -> None:
    routes = {(m, p.removeprefix("/projects/{project_id}")) for m, p in operations(document)
              if p.startswith("/projects/{project_id}")}  # fmt: skip
    assert routes == NEEDS.keys()
    task = (await board.task()).rpartition("/")[2]
    for (method, rest), needed in NEEDS.items():
        for role in ("stranger", "viewer", "editor"):
            if WEIGHT[role] < WEIGHT[needed]:
                ids = {"project_id": board.project, "task_id": task, "user_id": board.ids["owner"]}
                answer = await call(board.clients[role], method, "/projects/{project_id}" + rest, ids)
                assert answer.status_code == 403, (method, rest, role)
                assert answer.json()["code"] in ("not_a_member", "role_too_low")
    assert (await board.viewer.get(board.path)).json()["task_count"] == 1


async def test_setup_makes_the_first_admin_once(parts: Services, connect: Connect) -> None:
    client = connect()
    person = {"email": "First@Example.org", "name": "First", "password": PASSWORD}
    for token in ({}, {"setup_token": ""}, {"setup_token": "0" * 64}, {"setup_token": "ü"}):
        anybody = await client.post("/auth/setup", json=person | token)
        assert (anybody.status_code, anybody.json()["code"]) == (403, "set_up_link_needed")
    assert await parts.accounts.is_empty()
    person["setup_token"] = parts.accounts.set_up_token
    answer = await client.post("/auth/setup", json=person)
    assert answer.status_code == 201
    assert answer.json().keys() == {"access_token", "token_type", "key", "expires_in"}
    client.headers["X-Vibe-Key"] = answer.json()["key"]
    me = (await client.get("/auth/me")).json()
    assert (me["email"], me["role"]) == ("first@example.org", "admin")
    again = await connect().post("/auth/setup", json=person)
    assert (again.status_code, again.json()["code"]) == (409, "already_set_up")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"email": "nobody"}, "invalid_email"),
        ({"password": "short"}, "weak_password"),
        ({"password": "p" * 201}, "weak_password"),
        ({"name": " "}, "invalid_name"),
        ({"name": "n" * 101}, "invalid_name"),
        ({"name": None}, "invalid_request"),
        ({"role": "admin"}, "invalid_request"),
    ],
)
async def test_setup_refuses(parts: Services, connect: Connect, change: dict[str, Any], code: str) -> None:
    person = {"email": "first@example.org", "name": "First", "password": PASSWORD} | change
    person["setup_token"] = parts.accounts.set_up_token
    answer = await connect().post("/auth/setup", json=person)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert await parts.accounts.is_empty()


async def test_login_sets_the_cookie_and_logout_ends_both(board: Board, connect: Connect) -> None:
    client = connect()
    answer = await client.post("/auth/login", json={"email": "OWNER@example.org", "password": PASSWORD})
    assert answer.json() | {"access_token": "", "key": ""} == {
        "access_token": "",
        "key": "",
        "token_type": "bearer",
        "expires_in": 7 * 86400,
    }
    cookie = answer.headers["set-cookie"]
    client.headers["X-Vibe-Key"] = answer.json()["key"]
    for attribute in ("HttpOnly", "Path=/", "SameSite=lax", "Max-Age=604800"):
        assert attribute in cookie
    assert "Secure" not in cookie
    by_token = connect(answer.json()["access_token"])
    for signed_in in (client, by_token):
        assert (await signed_in.get("/auth/me")).json()["email"] == "owner@example.org"
    out = await client.post("/auth/logout", headers={"Origin": "http://board.test"})
    assert (out.status_code, out.json()) == (200, {"message": "Signed out"})
    assert "vibe_login" not in client.cookies
    assert (await by_token.get("/auth/me")).status_code == 401


async def test_the_cookie_is_secure_over_https(board: Board, connect: Connect) -> None:
    answer = await connect().post(
        "https://board.test/api/auth/login", json={"email": "owner@example.org", "password": PASSWORD}
    )
    assert "Secure" in answer.headers["set-cookie"]


OWN = [
    {"Origin": "http://board.test"},
    {"Origin": "http://board.test:80"},
    {"Referer": "http://board.test/p/1"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "http://behind.a.proxy"},
    {"Origin": "https://board.test", "X-Forwarded-Proto": "https"},
    {"Origin": "https://front.test", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "front.test"},
]
FOREIGN = [
    {},
    {"Origin": "null"},
    {"Origin": "http://evil.test"},
    {"Origin": "http://board.test.evil.test"},
    {"Origin": "http://board.test:8001"},
    {"Origin": "https://board.test"},
    {"Origin": "http://board.test:443"},
    {"Referer": "http://evil.test/board.test"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://board.test"},
    {"Sec-Fetch-Site": "same-site"},
]


@pytest.mark.parametrize("headers", OWN)
async def test_a_write_with_the_cookie_from_the_boards_own_page(
    board: Board, connect: Connect, headers: dict[str, str]
) -> None:
    client = board.browse(connect(), "editor")
    answer = await client.post(f"{board.path}/tasks", json={"title": "Mine"}, headers=headers)
    assert answer.status_code == 201


@pytest.mark.parametrize("headers", FOREIGN)
async def test_a_write_with_the_cookie_from_another_page_changes_nothing(
    board: Board, connect: Connect, headers: dict[str, str]
) -> None:
    client = board.browse(connect(), "editor")
    for answer in (
        await client.post(f"{board.path}/tasks", json={"title": "Theirs"}, headers=headers),
        await client.delete(board.path, headers=headers, params={"confirm": "Sample"}),
        await client.post("/auth/logout", headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    read = await client.get(f"{board.path}/tasks", headers=headers)
    assert read.status_code == (403 if headers else 200)
    assert (await board.editor.get(f"{board.path}/tasks")).json()["total_count"] == 0
    bearer = await board.editor.post(f"{board.path}/tasks", json={"title": "Mine"}, headers=headers)
    assert bearer.status_code == 201


async def test_an_address_typed_by_hand_reads_with_the_cookie(board: Board, connect: Connect) -> None:
    client = board.browse(connect(), "editor")
    typed = {"Sec-Fetch-Site": "none"}
    assert (await client.get(board.path, headers=typed)).status_code == 200
    assert (await client.patch(board.path, json={}, headers=typed)).status_code == 403


async def test_neither_half_of_a_browsers_login_opens_anything(board: Board, connect: Connect) -> None:
    login, other = board.logins["editor"], board.logins["viewer"]
    for key in ({}, {"X-Vibe-Key": ""}, {"X-Vibe-Key": other.key}, {"X-Vibe-Key": login.token}):
        client = connect()
        client.cookies.set("vibe_login", login.cookie)
        client.headers.update(key | {"Origin": "http://board.test"})
        for answer in (
            await client.get(board.path),
            await client.get(board.path, params={"key": other.key}),
            await client.post(f"{board.path}/tasks", json={"title": "Theirs"}),
        ):
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        await client.post("/auth/logout")
    only_key = await connect().get(board.path, headers={"X-Vibe-Key": login.key})
    assert only_key.status_code == 401
    silent = connect()
    silent.cookies.set("vibe_login", login.cookie)
    assert "Sign in again on the board's own page" in (await silent.get(board.path)).json()["error"]
    assert (await board.browse(connect(), "editor").get(board.path)).status_code == 200


async def test_a_token_in_the_place_of_the_other_is_none(board: Board, connect: Connect) -> None:
    login = board.logins["editor"]
    assert (await connect(login.cookie).get(board.path)).status_code == 401
    swapped = board.browse(connect(), "editor")
    swapped.cookies.clear()
    swapped.cookies.set("vibe_login", login.token)
    assert (await swapped.get(board.path)).status_code == 401
    access = (await board.editor.post("/tokens", json={"name": "ci"})).json()["token"]
    swapped.cookies.clear()
    swapped.cookies.set("vibe_login", access)
    assert (await swapped.get(board.path)).status_code == 401


async def test_the_key_in_an_address_is_for_reading_alone(board: Board, connect: Connect) -> None:
    client = board.browse(connect(), "editor")
    key = {"key": client.headers.pop("X-Vibe-Key")}
    assert (await client.get(board.path, params=key)).status_code == 200
    own = {"Origin": "http://board.test"}
    write = await client.post(f"{board.path}/tasks", params=key, json={"title": "Mine"}, headers=own)
    assert write.status_code == 401


async def test_another_page_cannot_sign_a_browser_in(board: Board, connect: Connect) -> None:
    answer = await connect().post(
        "/auth/login",
        json={"email": "stranger@example.org", "password": PASSWORD},
        headers={"Origin": "http://evil.test"},
    )
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "set-cookie" not in answer.headers


async def test_a_refusal_says_what_a_proxy_may_have_made_of_the_address(
    board: Board, connect: Connect
) -> None:
    client = board.browse(connect(), "editor")
    said = {
        name: (await client.post(f"{board.path}/tasks", json={"title": "Mine"}, headers=headers)).json()
        for name, headers in {
            "host": {"Origin": "https://vibe.test:8443", "X-Forwarded-Proto": "https"},
            "scheme": {"Origin": "https://board.test"},
            "foreign": {"Origin": "http://evil.test", "Sec-Fetch-Site": "cross-site"},
        }.items()
    }
    assert {each["code"] for each in said.values()} == {"foreign_origin"}
    assert "is at https://vibe.test:8443, and Vibe was asked for https://board.test." in said["host"]["error"]
    assert "proxy_set_header Host $http_host" in said["host"]["error"]
    assert "X-Forwarded-Proto $scheme" in said["scheme"]["error"]
    assert "proxy" not in said["foreign"]["error"]


async def test_a_browser_asks_whether_its_address_arrives(parts: Services, connect: Connect) -> None:
    client = connect()
    for page in ("http://board.test", "http://board.test:80", "null", "", "http://[", "x" * 5000):
        assert (await client.get("/front", params={"page": page})).status_code == 204, page
    changed = await client.get("/front", params={"page": "http://vibe.test"})
    assert (changed.status_code, changed.json()["code"]) == (400, "host_changed")
    assert "is at http://vibe.test, and Vibe was asked for http://board.test." in changed.json()["error"]
    told = await client.get(
        "/front", params={"page": "http://vibe.test"}, headers={"X-Forwarded-Host": "vibe.test"}
    )
    assert told.status_code == 204
    long = await client.get("/front", params={"page": "http://vibe.test" + "x" * 5000})
    assert len(long.json()["error"]) < 600


async def test_a_browser_over_plain_http_is_told_why_a_secure_cookie_lets_nobody_in(
    board: Board, connect: Connect, parts: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = replace(parts, settings=parts.settings.model_copy(update={"cookie_secure": True}))
    monkeypatch.setattr(access, "services", lambda: secure)
    client = connect()
    right = {"email": "owner@example.org", "password": PASSWORD}
    first = {"email": "x@example.org", "name": "X", "password": PASSWORD, "setup_token": ""}
    for page in (
        {"Origin": "http://board.test"},
        {"Origin": "http://board.test", "X-Forwarded-Proto": "https"},
        {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"},
        {"Referer": "http://board.test/login"},
    ):
        for path, body in (("/auth/login", right), ("/auth/setup", first)):
            answer = await client.post(path, json=body, headers=page)
            assert (answer.status_code, answer.json()["code"]) == (400, "cookie_needs_https"), page
            assert "without VIBE_COOKIE_SECURE" in answer.json()["error"]
            assert "set-cookie" not in answer.headers
    asked = await client.get("/front", params={"page": "http://board.test"})
    assert asked.json()["code"] == "cookie_needs_https"
    # A proxy that speaks TLS need not say so, and a program sends no origin.
    for headers in ({"Origin": "https://board.test"}, {}):
        answer = await connect().post("/auth/login", json=right, headers=headers)
        assert answer.status_code == 200
        assert "Secure" in answer.headers["set-cookie"]
    assert (await client.get("/front", params={"page": "https://board.test"})).status_code == 204


async def test_unknown_address_and_wrong_password_look_the_same(board: Board, connect: Connect) -> None:
    answers = [
        await connect().post("/auth/login", json={"email": email, "password": "not the password"})
        for email in ("owner@example.org", "unknown@example.org", "a\x00b@example.org", "")
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1


async def test_repeated_failures_are_throttled(board: Board, connect: Connect) -> None:
    client = connect()
    wrong = {"email": "owner@example.org", "password": "not the password"}
    statuses = [(await client.post("/auth/login", json=wrong)).status_code for _ in range(6)]
    assert statuses == [401] * 5 + [429]
    right = await client.post("/auth/login", json=wrong | {"password": PASSWORD})
    assert (right.status_code, right.json()["code"]) == (429, "too_many_requests")
    assert 1 <= int(right.headers["retry-after"]) <= 3
    other = await client.post("/auth/login", json={"email": "editor@example.org", "password": PASSWORD})
    assert other.status_code == 200


async def test_one_host_is_throttled_over_all_addresses(board: Board, connect: Connect) -> None:
    client = connect(host="198.51.100.7")
    statuses = [
        (await client.post("/auth/login", json={"email": f"{n}@example.org", "password": "x"})).status_code
        for n in range(51)
    ]
    assert statuses == [401] * 50 + [429]
    right = {"email": "owner@example.org", "password": PASSWORD}
    assert (await client.post("/auth/login", json=right)).status_code == 429
    assert (await connect(host="198.51.100.8").post("/auth/login", json=right)).status_code == 200


async def test_access_tokens_are_shown_once_hashed_and_end(
    board: Board, connect: Connect, settings: Settings
) -> None:
    made = await board.editor.post("/tokens", json={"name": "ci", "days": 1})
    assert made.status_code == 201
    token = made.json()["token"]
    assert token.startswith("vibe_")
    client = connect(token)
    assert (await client.get("/auth/me")).json()["email"] == "editor@example.org"
    listed = (await board.editor.get("/tokens")).json()
    assert listed["total_count"] == 1
    assert listed["tokens"][0].keys() == {
        *("id", "name", "scopes", "project_id", "created_at", "expires_at", "last_used_at")
    }
    assert listed["tokens"][0]["last_used_at"] is not None
    assert token not in (settings.data / "vibe.db").read_bytes().decode("latin-1")
    path = f"/tokens/{made.json()['id']}"
    assert (await board.editor.patch(path, json={"name": "nightly"})).json()["name"] == "nightly"
    for method in ("PATCH", "DELETE"):
        foreign = await board.stranger.request(
            method, path, json={"name": "x"} if method == "PATCH" else None
        )
        assert (foreign.status_code, foreign.json()["code"]) == (404, "token_not_found")
    with sqlite3.connect(settings.data / "vibe.db") as db:
        db.execute("UPDATE access_tokens SET expires_at = '2020-01-01 00:00:00'")
    db.close()
    assert (await client.get("/auth/me")).status_code == 401
    assert (await board.editor.delete(path)).status_code == 204
    assert (await board.editor.get("/tokens")).json()["total_count"] == 0


@pytest.mark.parametrize("days", [0, 366, -1, "many", None])
async def test_a_token_lasts_between_a_day_and_a_year(board: Board, days: object) -> None:
    answer = await board.editor.post("/tokens", json={"name": "ci", "days": days})
    assert answer.status_code == 400


async def test_admins_keep_the_accounts(board: Board, connect: Connect) -> None:
    for answer in (
        await board.owner.get("/users"),
        await board.owner.post("/users", json=BODIES["/users"]),
        await board.owner.patch(f"/users/{board.ids['owner']}", json={"role": "admin"}),
        await board.owner.delete(f"/users/{board.ids['stranger']}"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "not_an_admin")
    made = await board.admin.post("/users", json=BODIES["/users"])
    assert made.status_code == 201
    assert made.json().keys() == {
        *("id", "email", "name", "role", "can_create_projects", "can_execute", "version", "created_at")
    }
    taken = await board.admin.post("/users", json=BODIES["/users"])
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    path = f"/users/{made.json()['id']}"
    assert (await board.admin.patch(path, json={"role": "king"})).json()["code"] == "invalid_role"
    changed = await board.admin.patch(path, json={"role": "admin", "name": "Newer", "password": "x" * 12})
    assert (changed.json()["role"], changed.json()["name"]) == ("admin", "Newer")
    login = await connect().post("/auth/login", json={"email": "new@example.org", "password": "x" * 12})
    assert login.status_code == 200
    listed = (await board.admin.get("/users", params={"page_size": 2, "page": 3})).json()
    assert (len(listed["users"]), listed["total_count"]) == (2, 6)
    assert (await board.admin.delete(path)).status_code == 204
    assert (await connect(login.json()["access_token"]).get("/auth/me")).status_code == 401
    for answer in (
        await board.admin.delete(f"/users/{board.ids['admin']}"),
        await board.admin.patch(f"/users/{board.ids['admin']}", json={"role": "member"}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_admin")
    assert (await board.admin.delete(path)).status_code == 404


async def test_people_change_their_own_account(board: Board, connect: Connect) -> None:
    assert (await board.editor.patch("/auth/me", json={"name": "Ed"})).json()["name"] == "Ed"
    wrong = await board.editor.patch("/auth/me", json={"password": "y" * 12, "current_password": "no"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "wrong_password")
    change = {"password": "y" * 12, "current_password": PASSWORD}
    assert (await board.editor.patch("/auth/me", json=change)).status_code == 200
    assert (await board.editor.get("/auth/me")).status_code == 401
    login = await connect().post("/auth/login", json={"email": "editor@example.org", "password": "y" * 12})
    assert login.status_code == 200


async def test_a_forged_or_ended_login_is_none(board: Board, connect: Connect, settings: Settings) -> None:
    token = board.tokens["owner"]
    head, body, signature = token.split(".")
    for forged in (f"{head}.{body}.{signature[::-1]}", f"{head}.{body}.", "x", f"{token}x"):
        assert (await connect(forged).get("/auth/me")).status_code == 401
    with sqlite3.connect(settings.data / "vibe.db") as db:
        db.execute("UPDATE logins SET expires_at = '2020-01-01 00:00:00'")
    db.close()
    assert (await board.owner.get("/auth/me")).status_code == 401


async def test_metrics_are_for_this_machine_and_admins(board: Board, connect: Connect) -> None:
    url = "http://board.test/metrics"
    assert (await board.nobody.get(url)).status_code == 401
    assert (await board.owner.get(url)).status_code == 403
    assert (await board.admin.get(url)).status_code == 200
    here = connect(host="127.0.0.1")
    assert (await here.get(url)).status_code == 200
    assert (await here.get(url, headers={"X-Forwarded-For": "203.0.113.9"})).status_code == 401
