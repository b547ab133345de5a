"""A change that names the version that was read is not written over what somebody else has changed since."""

from __future__ import annotations

from tests.api.conftest import Board


async def test_a_project_that_names_a_version(board: Board) -> None:
    read = await board.viewer.get(board.path)
    version = read.json()["version"]
    assert read.headers["etag"] == f'"{version}"'
    first = await board.owner.patch(
        board.path, json={"description": "Theirs"}, headers={"If-Match": read.headers["etag"]}
    )
    assert (first.status_code, first.json()["version"]) == (200, version + 1)
    assert first.headers["etag"] == f'"{version + 1}"'
    token = "a-token-of-the-server"
    mine = {
        "description": "Mine",
        "repo_url": "https://example.org/team/app.git",
        "repo_credential": {"username": "git", "token": token},
    }
    second = await board.owner.patch(board.path, json=mine | {"version": version})
    assert (second.status_code, second.json()["code"]) == (409, "version_changed")
    assert second.json()["yours"] == {name: mine[name] for name in ("description", "repo_url")}
    assert token not in second.text
    assert second.json()["project"] == first.json() == (await board.owner.get(board.path)).json()
    assert not second.json()["project"]["has_credential"]
    same = await board.owner.patch(board.path, json={"version": version, "description": "Theirs"})
    assert (same.status_code, same.json()["version"]) == (200, version + 1), "no change is no conflict"
    unnamed = await board.owner.patch(board.path, json={"description": "Mine"})
    assert (unnamed.status_code, unnamed.json()["version"]) == (200, version + 2)
    for tag in ("*", '"x"', "9" * 40):
        odd = await board.owner.patch(board.path, json={"name": "x"}, headers={"If-Match": tag})
        assert (odd.status_code, odd.json()["code"]) == (400, "invalid_version")


async def test_a_member_that_names_a_version(board: Board) -> None:
    path = f"{board.path}/members/{board.ids['editor']}"
    listed = (await board.owner.get(f"{board.path}/members")).json()["members"]
    version = next(each["version"] for each in listed if each["user_id"] == board.ids["editor"])
    first = await board.owner.patch(path, json={"role": "viewer", "version": version})
    assert (first.status_code, first.json()["version"]) == (200, version + 1)
    second = await board.owner.patch(path, json={"role": "owner", "version": version})
    assert (second.status_code, second.json()["code"]) == (409, "version_changed")
    assert second.json()["yours"] == {"role": "owner"}
    assert second.json()["member"]["role"] == "viewer"
    same = await board.owner.patch(path, json={"role": "viewer", "version": version})
    assert same.status_code == 200


async def test_an_account_that_names_a_version(board: Board) -> None:
    path = f"/users/{board.ids['editor']}"
    me = (await board.editor.get("/auth/me")).json()
    theirs = await board.admin.patch(path, json={"name": "Edith", "version": me["version"]})
    assert (theirs.status_code, theirs.json()["version"]) == (200, me["version"] + 1)
    mine = await board.editor.patch("/auth/me", json={"name": "Eddy", "version": me["version"]})
    assert (mine.status_code, mine.json()["code"]) == (409, "version_changed")
    assert mine.json()["yours"] == {"name": "Eddy"}
    assert mine.json()["user"] == theirs.json() == (await board.editor.get("/auth/me")).json()
    password = {"password": "another horse battery", "role": "admin", "version": me["version"]}
    stale = await board.admin.patch(path, json=password)
    assert (stale.status_code, stale.json()["yours"]) == (409, {"role": "admin"})
    assert (await board.editor.get("/auth/me")).status_code == 200, "its login has not ended"
