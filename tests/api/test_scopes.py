"""What an access token is for: every route with a token of each scope, and of one project."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx
import pytest

from tests.api.conftest import PASSWORD, Board, Connect
from tests.api.test_access import NEEDS, PUBLIC, call, operations
from vibe_app.settings import Settings

SCOPES = ("read", "run", "write", "admin")
# Whoever may look may do these, and they write.
COMMENTING = [
    ("put", "/tasks/{task_id}/change/seen"),
    ("post", "/tasks/{task_id}/change/comments"),
    ("patch", "/tasks/{task_id}/change/comments/{comment_id}"),
    ("delete", "/tasks/{task_id}/change/comments/{comment_id}"),
]
# What a route needs of a token, by its method and its place in a project.
IN_PROJECT = {
    "read": [
        *[key for key, role in NEEDS.items() if role == "viewer" and key not in COMMENTING],
        ("get", "/opencode/{path}"),
        ("get", "/deploy-key"),
    ],
    "run": [
        ("post", "/tasks/{task_id}/execute"),
        ("post", "/workspace/restart"),
        ("post", "/tasks/{task_id}/stop"),
        ("post", "/tasks/{task_id}/follow-up"),
        ("post", "/tasks/{task_id}/change/solve"),
        ("post", "/opencode/{path}"),
        ("patch", "/opencode/{path}"),
        ("delete", "/opencode/{path}"),
    ],
    "write": [
        ("patch", ""),
        ("delete", ""),
        ("delete", "/files"),
        ("put", "/files/content"),
        ("post", "/files/folder"),
        ("post", "/files/move"),
        ("post", "/remote/fetch"),
        ("post", "/deploy-key"),
        ("post", "/deploy-key/scan"),
        ("post", "/remote/join"),
        ("post", "/tasks"),
        ("post", "/tasks/bulk"),
        ("patch", "/tasks/{task_id}"),
        ("delete", "/tasks/{task_id}"),
        ("post", "/tasks/{task_id}/move"),
        ("post", "/tasks/{task_id}/restore"),
        ("post", "/tasks/{task_id}/archive"),
        ("post", "/tasks/{task_id}/unarchive"),
        ("delete", "/tasks/{task_id}/sessions/{session_id}"),
        *COMMENTING,
        ("post", "/tasks/{task_id}/change/accept"),
        ("post", "/tasks/{task_id}/change/discard"),
        ("post", "/tasks/{task_id}/change/restore"),
        ("post", "/tasks/{task_id}/change/deliver"),
    ],
    "admin": [
        ("get", "/members/candidates"),
        ("post", "/members"),
        ("patch", "/members/{user_id}"),
        ("delete", "/members/{user_id}"),
    ],
}
ELSEWHERE = {
    ("get", "/auth/me"): "read",
    ("get", "/tokens"): "read",
    ("get", "/projects"): "read",
    ("get", "/home"): "read",
    ("post", "/projects"): "write",
    ("get", "/users"): "admin",
    ("post", "/users"): "admin",
    ("post", "/users/invite"): "admin",
    ("patch", "/users/{user_id}"): "admin",
    ("delete", "/users/{user_id}"): "admin",
    ("get", "/providers"): "admin",
    ("post", "/providers"): "admin",
    ("get", "/providers/{provider}"): "admin",
    ("patch", "/providers/{provider}"): "admin",
    ("delete", "/providers/{provider}"): "admin",
}
WITH_A_LOGIN = {
    ("post", "/users/{user_id}/password-reset"),
    ("patch", "/auth/me"),
    ("get", "/auth/logins"),
    ("delete", "/auth/logins"),
    ("delete", "/auth/logins/{login_id}"),
    ("post", "/tokens"),
    ("patch", "/tokens/{token_id}"),
    ("delete", "/tokens/{token_id}"),
}
TABLE = ELSEWHERE | {
    (method, "/projects/{project_id}" + rest): scope
    for scope, keys in IN_PROJECT.items()
    for method, rest in keys
}


async def token(board: Board, connect: Connect, role: str = "admin", **body: Any) -> httpx.AsyncClient:
    """Return a client with a new access token of a person."""
    made = await board.clients[role].post("/tokens", json={"name": "ci", **body})
    assert made.status_code == 201, made.text
    return connect(made.json()["token"])


def code(answer: httpx.Response) -> str:
    """Return the word for what went wrong, or nothing."""
    return answer.json().get("code", "") if answer.status_code >= 400 else ""


def test_every_route_is_in_the_table(document: Any) -> None:
    closed = {(method, path) for method, path in operations(document) if path not in PUBLIC}
    assert closed == TABLE.keys() | WITH_A_LOGIN


@pytest.mark.parametrize("scope", SCOPES)
async def test_every_route_asks_for_its_scope(board: Board, connect: Connect, scope: str) -> None:
    """An admin may do everything, so whatever is refused is refused to the token."""
    client = await token(board, connect, scopes=[scope])
    task = (await board.task()).rpartition("/")[2]
    there = {"project_id": board.project, "task_id": task}
    for (method, path), needed in TABLE.items():
        allowed = needed in ("read", scope)
        # What would be done is aimed at what does not exist; what is refused at what does.
        answer = await call(client, method, path, None if allowed else there)
        if allowed:
            assert code(answer) not in ("scope_missing", "other_project", "login_needed"), (method, path)
        else:
            assert (answer.status_code, code(answer)) == (403, "scope_missing"), (method, path)
            assert f"scope {needed}" in answer.json()["error"]
    assert (await board.owner.get(board.path)).json()["task_count"] == 1


async def test_a_token_of_another_project_opens_nothing(board: Board, connect: Connect) -> None:
    other = (await board.owner.post("/projects", json={"name": "Other"})).json()["id"]
    client = await token(board, connect, scopes=SCOPES, project_id=other)
    there = {"project_id": board.project, "task_id": (await board.task()).rpartition("/")[2]}
    own = {("get", "/auth/me"), ("get", "/tokens"), ("get", "/projects"), ("get", "/home")}
    for method, path in TABLE.keys() - own:
        answer = await call(client, method, path, there)
        assert (answer.status_code, code(answer)) == (403, "other_project"), (method, path)
    assert [row["id"] for row in (await client.get("/projects")).json()["projects"]] == [other]
    assert (await client.get("/projects")).json()["total_count"] == 1
    assert [row["id"] for row in (await client.get("/home")).json()["projects"]] == [other]
    assert (await client.get(f"/projects/{other}")).status_code == 200
    assert (await client.get("http://board.test/metrics")).status_code == 403


async def test_no_token_reaches_tokens_logins_or_passwords(board: Board, connect: Connect) -> None:
    client = await token(board, connect, scopes=SCOPES)
    logins = (await board.admin.get("/auth/logins")).json()["logins"]
    second = (await board.admin.post("/tokens", json={"name": "other"})).json()
    for method, path in WITH_A_LOGIN:
        ids = {"token_id": second["id"], "login_id": logins[0]["id"]}
        answer = await call(client, method, path, ids)
        assert (answer.status_code, code(answer)) == (403, "login_needed"), (method, path)
    for person in ("admin", "owner"):
        answer = await client.patch(f"/users/{board.ids[person]}", json={"password": "x" * 12})
        assert (answer.status_code, code(answer)) == (403, "login_needed")
    listed = (await client.get("/tokens")).json()
    assert [row["name"] for row in listed["tokens"]] == ["ci"]
    assert (await board.admin.get("/tokens")).json()["total_count"] == 2


async def test_a_token_has_no_more_than_its_owners_present_rights(board: Board, connect: Connect) -> None:
    client = await token(board, connect, "editor", scopes=SCOPES)
    assert (await client.patch(board.path, json={"name": "Mine"})).json()["code"] == "role_too_low"
    assert (await client.get("/users")).json()["code"] == "not_an_admin"
    task = await board.task()
    await board.owner.patch(f"{board.path}/members/{board.ids['editor']}", json={"role": "viewer"})
    assert (await client.patch(task, json={"title": "x", "version": 1})).json()["code"] == "role_too_low"
    assert (await client.get(task)).status_code == 200


async def test_scopes_and_a_project_are_given_when_a_token_is_made(board: Board, connect: Connect) -> None:
    body = {"name": "ci", "scopes": ["run"], "project_id": board.project}
    made = (await board.editor.post("/tokens", json=body)).json()
    assert (made["scopes"], made["project_id"]) == (["read", "run"], board.project)
    least = (await board.editor.post("/tokens", json={"name": "ci"})).json()
    assert (least["scopes"], least["project_id"]) == (["read"], None)
    for wrong in (["everything"], [], ["read", ""]):
        answer = await board.editor.post("/tokens", json={"name": "ci", "scopes": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_scope")
    unseen = await board.stranger.post("/tokens", json=body)
    assert (unseen.status_code, unseen.json()["code"]) == (403, "not_a_member")
    assert (await board.owner.delete(board.path, params={"confirm": "Sample"})).status_code == 204
    assert (await connect(made["token"]).get("/auth/me")).status_code == 401


async def test_an_older_token_is_for_everything(board: Board, connect: Connect, settings: Settings) -> None:
    client = await token(board, connect)
    assert (await client.post("/projects", json={"name": "New"})).json()["code"] == "scope_missing"
    with sqlite3.connect(settings.data / "vibe.db") as db:
        # As the migration leaves it: without a word about scopes.
        db.execute("CREATE TEMP TABLE old AS SELECT id, user_id, name, token_hash, created_at, expires_at "
                   "FROM access_tokens")  # fmt: skip
        db.execute("DELETE FROM access_tokens")
        db.execute("INSERT INTO access_tokens (id, user_id, name, token_hash, created_at, expires_at) "
                   "SELECT * FROM old")  # fmt: skip
    db.close()
    assert (await client.post("/projects", json={"name": "New"})).status_code == 201
    assert (await client.get("/users")).status_code == 200


async def test_a_password_reset_by_an_admin_ends_logins_and_tokens(board: Board, connect: Connect) -> None:
    client = await token(board, connect, "editor")
    answer = await board.admin.patch(f"/users/{board.ids['editor']}", json={"password": "x" * 12})
    assert answer.status_code == 200
    assert (await client.get("/auth/me")).status_code == 401
    assert (await board.editor.get("/auth/me")).status_code == 401


@pytest.mark.parametrize("kept", [True, False])
async def test_a_new_password_of_ones_own_keeps_tokens_if_asked(
    board: Board, connect: Connect, kept: bool
) -> None:
    client = await token(board, connect, "editor")
    change = {"password": "y" * 12, "current_password": PASSWORD, "keep_tokens": kept}
    assert (await board.editor.patch("/auth/me", json=change)).status_code == 200
    assert (await client.get("/auth/me")).status_code == (200 if kept else 401)
    assert (await board.editor.get("/auth/me")).status_code == 401
