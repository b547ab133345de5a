"""Links by which people set their password: who makes them, and that each is good once and for a day."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.api.conftest import PASSWORD, Board, Connect
from tests.conftest import BOTH
from vibe_app.accounts.models import PasswordLink
from vibe_app.wire import now
from vibe_app.wiring import Services

NEW = "another horse battery"


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


async def link(board: Board, role: str = "editor") -> str:
    """Have an admin make a link, and return its token."""
    made = await board.admin.post(f"/users/{board.ids[role]}/password-reset")
    assert made.status_code == 201, made.text
    assert made.json()["path"] == f"/reset?token={made.json()['token']}"
    return made.json()["token"]


async def test_a_forgotten_password_is_set_by_a_link(board: Board, connect: Connect) -> None:
    token = await link(board)
    assert (await board.editor.get("/auth/me")).status_code == 200, "nothing changes until it is used"
    weak = await connect().post("/auth/reset", json={"token": token, "password": "short"})
    assert (weak.status_code, weak.json()["code"]) == (400, "weak_password")
    used = await connect().post("/auth/reset", json={"token": token, "password": NEW})
    assert used.status_code == 200
    me = await connect(used.json()["access_token"]).get("/auth/me")
    assert me.json()["email"] == "editor@example.org"
    assert (await board.editor.get("/auth/me")).status_code == 401, "its other logins end"
    again = await connect().post("/auth/reset", json={"token": token, "password": NEW})
    assert (again.status_code, again.json()["code"]) == (404, "link_ended")
    for password, status in ((PASSWORD, 401), (NEW, 200)):
        person = {"email": "editor@example.org", "password": password}
        assert (await connect().post("/auth/login", json=person)).status_code == status


async def test_an_invitation_gives_rights_and_projects(board: Board, connect: Connect) -> None:
    body = {
        "email": "new@example.org",
        "name": "Nia",
        "can_execute": False,
        "projects": [{"project_id": board.project, "role": "viewer"}],
    }
    nowhere = body | {"projects": [{"project_id": board.ids["owner"]}]}
    refused = await board.admin.post("/users/invite", json=nowhere)
    assert (refused.status_code, refused.json()["code"]) == (404, "project_not_found")
    some = body | {"projects": [*body["projects"], {"project_id": "f" * 8 + board.project[8:]}]}
    refused = await board.admin.post("/users/invite", json=some)
    assert (refused.status_code, refused.json()["code"]) == (404, "project_not_found")
    assert len((await board.owner.get(f"{board.path}/members")).json()["members"]) == 3, "nor a member"
    made = await board.admin.post("/users/invite", json=body)
    assert made.status_code == 201, "those that were refused have made no account"
    user = made.json()["user"]
    assert (user["role"], user["can_create_projects"], user["can_execute"]) == ("member", True, False)
    members = (await board.owner.get(f"{board.path}/members")).json()["members"]
    assert {each["user_id"]: each["role"] for each in members}[user["id"]] == "viewer"


async def test_a_link_ends(board: Board, connect: Connect, parts: Services) -> None:
    first = await link(board)
    second = await link(board)
    async with parts.database.read() as db:
        (kept,) = await db.scalars(select(PasswordLink))
    assert second not in repr(kept), "it is kept as a hash"
    assert timedelta(hours=23) < kept.expires_at - now() <= timedelta(hours=24)
    replaced = await connect().post("/auth/reset", json={"token": first, "password": NEW})
    assert replaced.json()["code"] == "link_ended"
    async with parts.database.transaction() as db:
        await db.execute(update(PasswordLink).values(expires_at=now() - timedelta(seconds=1)))
    late = await connect().post("/auth/reset", json={"token": second, "password": NEW})
    assert (late.status_code, late.json()["code"]) == (404, "link_ended")
    async with parts.database.transaction() as db:
        await db.execute(update(PasswordLink).values(expires_at=now() + timedelta(hours=1)))
    assert (await board.admin.delete(f"/users/{board.ids['editor']}")).status_code == 204
    gone = await connect().post("/auth/reset", json={"token": second, "password": NEW})
    assert gone.json()["code"] == "link_ended"


async def test_somebody_new_is_invited(board: Board, connect: Connect, parts: Services) -> None:
    person = {"email": "New@example.org", "name": "New"}
    made = (await board.admin.post("/users/invite", json=person)).json()
    assert (made["user"]["email"], made["user"]["role"]) == ("new@example.org", "member")
    shown = await parts.accounts.link_owner(made["link"]["token"])
    assert shown.name == "New"
    taken = await board.admin.post("/users/invite", json=person)
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")
    used = await connect().post("/auth/reset", json={"token": made["link"]["token"], "password": NEW})
    assert used.status_code == 200
    assert (await connect(used.json()["access_token"]).get("/auth/me")).json()["name"] == "New"


async def test_links_are_for_admins_to_make(board: Board, connect: Connect) -> None:
    for role in ("owner", "editor"):
        for path, body in (
            (f"/users/{board.ids['viewer']}/password-reset", None),
            ("/users/invite", {"email": "new@example.org", "name": "New"}),
        ):
            refused = await board.clients[role].post(path, json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "not_an_admin")
    made = (await board.admin.post("/tokens", json={"name": "ci", "scopes": ["admin"]})).json()
    by_token = await connect(made["token"]).post(f"/users/{board.ids['viewer']}/password-reset")
    assert (by_token.status_code, by_token.json()["code"]) == (403, "login_needed")
    nobody = await board.admin.post(f"/users/{board.project}/password-reset")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "user_not_found")


async def test_who_could_be_added_is_told_to_owners(board: Board) -> None:
    async def found(q: str = "") -> list[str]:
        answer = await board.owner.get(f"{board.path}/members/candidates", params={"q": q})
        assert answer.status_code == 200
        return [person["name"] for person in answer.json()["people"]]

    assert await found() == ["Admin", "Stranger"]
    assert await found("STRANG") == ["Stranger"]
    assert await found("admin@example") == ["Admin"]
    assert await found("%") == []
    await board.owner.post(f"{board.path}/members", json={"user_id": board.ids["stranger"]})
    assert await found() == ["Admin"]
