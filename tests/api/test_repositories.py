"""A project's repository over the API: address, branch, and a credential that is never shown again."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from tests.api.conftest import Board
from vibe_app.board.projects.models import Project
from vibe_app.configuration.credentials import Credentials
from vibe_app.configuration.keyring import Keyring
from vibe_app.configuration.models import Secret
from vibe_app.configuration.secrets import Secrets
from vibe_app.wiring import services

TOKEN = "ghp_0123456789"
URL = "https://example.org/team/app.git"


async def made(board: Board, **body: Any) -> dict[str, Any]:
    answer = await board.owner.post("/projects", json={"name": "Garden", **body})
    assert answer.status_code == 201, answer.text
    return answer.json()


async def changed(board: Board, project: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = await board.owner.patch(f"/projects/{project['id']}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def told(project: dict[str, Any]) -> tuple[Any, Any, Any]:
    return project["repo_url"], project["branch"], project["has_credential"]


async def kept(project: dict[str, Any]) -> tuple[str, str] | None:
    """The credential with which git would be called."""
    async with services().database.read() as db:
        row = await db.scalar(select(Project).where(col(Project.name) == project["name"]))
        assert row is not None
        credential = await Credentials(Secrets(Keyring(services().settings.keys()))).get(db, row.id)
    return (credential.username, credential.token) if credential else None


@pytest.mark.parametrize(
    "body",
    [
        {"repo_url": f"https://me:{TOKEN}@example.org/team/app.git"},
        {"repo_url": URL, "repo_credential": {"username": "me", "token": TOKEN}},
    ],
)
async def test_a_credential_is_taken_in_and_never_given_out(board: Board, body: dict[str, Any]) -> None:
    project = await made(board, **body)
    assert told(project) == (URL, None, True)
    assert await kept(project) == ("me", TOKEN)
    path = f"/projects/{project['id']}"
    await board.owner.post(f"{path}/members", json={"email": "viewer@example.org", "role": "viewer"})
    for person in (board.owner, board.viewer, board.admin):
        for answer in (await person.get(path), await person.get("/projects")):
            assert answer.status_code == 200
            assert TOKEN not in answer.text
    async with services().database.read() as db:
        stored = await db.scalar(select(col(Project.repo_url)).where(col(Project.name) == "Garden"))
        (row,) = await db.scalars(select(Secret))
    assert stored == URL
    assert TOKEN.encode() not in row.data


async def test_address_branch_and_credential_are_changed_one_by_one(board: Board) -> None:
    project = await made(board, repo_url=URL, repo_credential={"token": TOKEN})
    assert await kept(project) == ("git", TOKEN)
    project = await changed(board, project, branch="next", name="Garden")
    assert told(project) == (URL, "next", True)
    moved = "https://example.org/team/other.git"
    project = await changed(board, project, repo_url=moved)
    assert told(project) == (moved, "next", True)
    project = await changed(board, project, branch=None, repo_credential=None)
    assert told(project) == (moved, None, False)
    project = await changed(board, project, repo_url=None)
    assert told(project) == (None, None, False)


@pytest.mark.parametrize(
    "url", ["https://evil.example/x", "http://example.org/x", "https://example.org:444/x", None]
)
async def test_a_credential_is_not_taken_along_to_another_server(board: Board, url: str | None) -> None:
    project = await made(board, repo_url=URL, repo_credential={"token": TOKEN})
    project = await changed(board, project, repo_url=url)
    assert not project["has_credential"]
    async with services().database.read() as db:
        assert not list(await db.scalars(select(Secret)))


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"repo_credential": {"token": TOKEN}}, "no_place_for_credential"),
        (
            {"repo_url": "git@example.org:a.git", "repo_credential": {"token": TOKEN}},
            "no_place_for_credential",
        ),
        ({"repo_url": URL, "repo_credential": {"token": "a\nb"}}, "invalid_credential"),
        ({"repo_url": URL, "repo_credential": {"token": "", "username": ""}}, "invalid_credential"),
        ({"repo_url": URL, "branch": "a..b"}, "invalid_branch"),
        ({"repo_url": URL, "branch": "a b"}, "invalid_branch"),
        ({"repo_url": "https://u:p$$@[::1"}, "invalid_repo_url"),
        ({"repo_url": "ssh://git:pw@example.org/a"}, "invalid_repo_url"),
    ],
)
async def test_what_cannot_be_used_is_refused_and_changes_nothing(
    board: Board, body: dict[str, Any], code: str
) -> None:
    path = board.path
    before = (await board.owner.get(path)).json()
    for answer in (
        await board.owner.patch(path, json={"description": "changed", **body}),
        await board.owner.post("/projects", json={"name": "Never", **body}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await board.owner.get(path)).json() == before


async def test_a_folder_of_the_server_is_for_admins(board: Board) -> None:
    body = {"name": "n", "repo_url": "file:///srv/git/a.git"}
    for answer in (
        await board.owner.post("/projects", json=body),
        await board.owner.patch(board.path, json={"repo_url": body["repo_url"]}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "admins_only")
    assert (await board.admin.post("/projects", json=body)).status_code == 201


async def test_only_owners_change_the_repository(board: Board) -> None:
    for person in (board.editor, board.viewer, board.stranger):
        answer = await person.patch(board.path, json={"repo_url": URL})
        assert answer.status_code in (403, 404)


async def test_credentials_in_addresses_of_earlier_versions_are_taken_out_at_the_start(board: Board) -> None:
    projects = services().projects
    stored = {
        "One": (f"https://me:{TOKEN}@example.org/team/app.git", URL, ("me", TOKEN)),
        "Two": (f"https://{TOKEN}@example.org/team/app.git", URL, (TOKEN, "")),
        "Ssh": ("git@example.org:team/app.git", "git@example.org:team/app.git", None),
        "Old": ("git://u:pw@example.org/a", "git://example.org/a", None),
        "Mistyped": (f"user:{TOKEN}@example.org/team/app.git", "example.org/team/app.git", None),
        "Odd": ("https://u:p$$@[::1", "https://[::1", None),
    }
    for name, (url, _, _) in stored.items():
        project = await made(board, name=name)
        async with services().database.transaction() as db:
            await db.execute(update(Project).where(col(Project.name) == name).values(repo_url=url))
        # Also before the next start nothing is shown.
        shown = (await board.owner.get(f"/projects/{project['id']}")).json()["repo_url"]
        assert shown == stored[name][1]
    for _ in range(2):
        await projects.take_credentials_out()
        for name, (_, url, credential) in stored.items():
            async with services().database.read() as db:
                found = await db.scalar(select(col(Project.repo_url)).where(col(Project.name) == name))
            assert found == url
            assert await kept({"name": name}) == credential
