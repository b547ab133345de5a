"""`vibe secrets`, as whoever runs an installation uses it, and a start with the wrong key."""

from __future__ import annotations

import subprocess
from uuid import UUID, uuid4

import pytest

from tests.cli.conftest import VIBE, Installation
from tests.conftest import BOTH
from vibe_app.board.projects.models import Project
from vibe_app.cli.server import claimed
from vibe_app.configuration.kept import everything
from vibe_app.db import Database
from vibe_app.settings import load_settings

TOKEN = "ghp_0123456789"
PROJECT = str(uuid4())
PLACE = f"project/{PROJECT}/repository"


@pytest.fixture(params=BOTH)
def database_kind(request: pytest.FixtureRequest) -> str:
    """Both, one after the other."""
    return request.param


@pytest.fixture
async def filled(installation: Installation, database_url: str) -> Installation:
    """An installation whose key is in its data folder, with a project that has a token."""
    installation.environment.pop("VIBE_SECRET_KEY", None)
    installation.environment["VIBE_DATABASE_URL"] = database_url
    database = Database(database_url)
    async with database.transaction() as db:
        db.add(Project(id=UUID(PROJECT), name="Garden"))
    await database.close()
    give(installation)
    return installation


def give(installation: Installation) -> None:
    given = subprocess.run(
        [VIBE, "secrets", "set", PLACE],
        env=installation.environment,
        cwd=installation.data,
        input=TOKEN,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert given.returncode == 0, given.stdout + given.stderr
    assert TOKEN not in given.stdout + given.stderr


def said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stdout.split())


def test_secrets_are_listed_replaced_under_a_new_key_and_forgotten(filled: Installation):
    assert PLACE in said(filled.vibe("secrets", "list"))
    key = (filled.data / "secret.key").read_text()
    rotated = filled.vibe("secrets", "rotate")
    assert rotated.returncode == 0, rotated.stdout
    assert "1 secrets were encrypted anew" in said(rotated)
    assert (filled.data / "secret.key").read_text() != key
    listed = filled.vibe("secrets", "list")
    assert PLACE in said(listed)
    assert "cannot be read" not in said(listed)
    assert filled.vibe("secrets", "remove", PLACE).returncode == 0
    assert filled.vibe("secrets", "list").stdout == ""
    assert filled.vibe("secrets", "remove", PLACE).returncode == 2
    assert TOKEN not in rotated.stdout + listed.stdout


def test_the_key_of_the_data_folder_is_not_replaced_under_a_server(filled: Installation):
    key = (filled.data / "secret.key").read_text()
    with claimed(
        load_settings(data=filled.data, database_url=filled.environment["VIBE_DATABASE_URL"])
    ) as mine:
        assert mine
        refused = filled.vibe("secrets", "rotate")
    assert refused.returncode == 2
    assert "stop it first" in said(refused)
    assert (filled.data / "secret.key").read_text() == key


async def kept(url: str) -> list[tuple[str, bytes]]:
    database = Database(url)
    async with database.read() as db:
        found = [(kept.place, kept.sealed.data) for kept in await everything(db)]
    await database.close()
    return found


async def test_a_start_with_another_key_ends_with_the_cure_and_changes_nothing(
    filled: Installation, database_url: str
):
    before = await kept(database_url)
    assert len(before) == 1
    (filled.data / "secret.key").rename(filled.data / "elsewhere")
    refused = filled.vibe("serve", "--port", "0")
    assert refused.returncode == 2
    assert "VIBE_SECRET_KEY_BEFORE" in said(refused)
    assert "Traceback" not in refused.stdout
    assert await kept(database_url) == before
    assert "cannot be read" in said(filled.vibe("secrets", "list"))
    assert "some were encrypted under another key" in said(filled.vibe("doctor", "--port", "0"))
    assert not (filled.data / "secret.key").exists()
    assert filled.vibe("secrets", "rotate").returncode == 1
    assert await kept(database_url) == before
    assert filled.vibe("secrets", "remove", PLACE).returncode == 0
    assert filled.vibe("secrets", "rotate").returncode == 0


def test_a_place_that_is_not_there_is_named(filled: Installation):
    for place in ("provider/nobody", f"project/{uuid4()}/repository", f"project/{PROJECT}/other", "x"):
        refused = subprocess.run(
            [VIBE, "secrets", "set", place],
            env=filled.environment,
            cwd=filled.data,
            input=TOKEN,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert refused.returncode == 2, place
        assert "There is no place" in refused.stderr
