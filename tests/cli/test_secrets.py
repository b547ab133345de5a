"""`vibe secrets`, as whoever runs an installation uses it, and a start with the wrong key."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from tests.cli.conftest import VIBE, Installation
from vibe_app.cli.server import claimed
from vibe_app.settings import load_settings

TOKEN = "ghp_0123456789"
PROJECT = str(uuid4())
PLACE = f"project/{PROJECT}/repository"


@pytest.fixture
def filled(installation: Installation, migrated: Path) -> Installation:
    """An installation whose key is in its data folder, with a project that has a token."""
    shutil.copy(migrated, installation.data / "vibe.db")
    installation.environment.pop("VIBE_SECRET_KEY", None)
    columns = (
        "id, name, description, session_limit, workspace_status, workspace_used_at, created_at, updated_at"
    )
    times = "'2026-01-01', '2026-01-01', '2026-01-01'"
    with closing(sqlite3.connect(installation.data / "vibe.db")) as connection, connection:
        connection.execute(
            f"INSERT INTO projects ({columns}) VALUES (?, 'Garden', '', 1, 'stopped', {times})",
            [PROJECT.replace("-", "")],
        )
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
    with claimed(load_settings(data=filled.data)) as mine:
        assert mine
        refused = filled.vibe("secrets", "rotate")
    assert refused.returncode == 2
    assert "stop it first" in said(refused)
    assert (filled.data / "secret.key").read_text() == key


@pytest.mark.parametrize("words", [("serve", "--port", "0")], ids=" ".join)
def test_a_start_with_another_key_ends_with_the_cure_and_changes_nothing(
    filled: Installation, words: tuple[str, ...]
):
    with closing(sqlite3.connect(filled.data / "vibe.db")) as connection:
        before = list(connection.iterdump())
    (filled.data / "secret.key").rename(filled.data / "elsewhere")
    refused = filled.vibe(*words)
    assert refused.returncode == 2
    assert "VIBE_SECRET_KEY_BEFORE" in said(refused)
    assert "Traceback" not in refused.stdout
    with closing(sqlite3.connect(filled.data / "vibe.db")) as connection:
        assert list(connection.iterdump()) == before
    assert "cannot be read" in said(filled.vibe("secrets", "list"))
    assert filled.vibe("secrets", "rotate").returncode == 1
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
