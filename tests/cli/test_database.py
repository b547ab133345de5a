"""The database of another version: what `vibe` says of it, and the way back."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from alembic import command
from tests.cli.conftest import EMAIL, PASSWORD, Installation
from tests.conftest import alembic_config, in_thread

ACCOUNT = ("--email", EMAIL, "--name", "Ada", "--password", PASSWORD)
COMMANDS = [
    ("serve", "--port", "0"),
    ("up", "--port", "0", "--no-browser"),
    ("doctor", "--port", "0"),
    ("db", "current"),
    ("user", "add", *ACCOUNT),
]


def put_at(installation: Installation, revision: str) -> None:
    with closing(sqlite3.connect(installation.data / "vibe.db")) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", [revision])


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> Path:
    """A database at its first revision. Copy it; do not use it."""
    path = shutil.copy(migrated, tmp_path_factory.mktemp("older") / "vibe.db")
    in_thread(partial(command.downgrade, alembic_config(f"sqlite+aiosqlite:///{path}"), "0001"))
    return path


@pytest.mark.parametrize("words", [*COMMANDS, ("db", "upgrade"), ("db", "downgrade", "0001")], ids=" ".join)
def test_a_newer_database_is_named_as_such_and_left_alone(
    installation: Installation, migrated: Path, words: tuple[str, ...]
):
    shutil.copy(migrated, installation.data / "vibe.db")
    put_at(installation, "9999")
    refused = installation.vibe(*words)
    assert refused.returncode == 1
    said = " ".join(refused.stdout.split())
    assert "at revision 9999, which this version of Vibe does not know" in said
    assert "vibe db downgrade" in said
    assert "Traceback" not in said
    with closing(sqlite3.connect(installation.data / "vibe.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("words", [each for each in COMMANDS if each[0] != "up"], ids=" ".join)
def test_an_older_database_is_to_be_upgraded(installation: Installation, older: Path, words: tuple[str, ...]):
    shutil.copy(older, installation.data / "vibe.db")
    refused = installation.vibe(*words)
    assert refused.returncode == 1
    assert "run `vibe db upgrade`" in " ".join(refused.stdout.split())


def test_the_way_back_and_forth(installation: Installation, migrated: Path):
    shutil.copy(migrated, installation.data / "vibe.db")
    back = installation.vibe("db", "downgrade", "0001")
    assert (back.returncode, back.stdout) == (0, "The database is at revision 0001.\n")
    assert installation.vibe("db", "upgrade").returncode == 0
    assert installation.vibe("db", "current").returncode == 0


def test_the_way_back_leads_to_a_revision_that_there_is(installation: Installation, migrated: Path):
    shutil.copy(migrated, installation.data / "vibe.db")
    refused = installation.vibe("db", "downgrade", "0000")
    assert refused.returncode == 2
    assert "There is no revision 0000; known are 0001" in refused.stdout
