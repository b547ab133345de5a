"""The database of another version: what `vibe` says of it, and the way back."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import EMAIL, PASSWORD, Installation

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


@pytest.mark.parametrize("command", [*COMMANDS, ("db", "upgrade"), ("db", "downgrade", "0001")], ids=" ".join)
def test_a_newer_database_is_named_as_such_and_left_alone(
    installation: Installation, command: tuple[str, ...]
):
    installation.vibe("db", "upgrade")
    put_at(installation, "9999")
    refused = installation.vibe(*command)
    assert refused.returncode == 1
    said = " ".join(refused.stdout.split())
    assert "at revision 9999, which this version of Vibe does not know" in said
    assert "vibe db downgrade" in said
    assert "Traceback" not in said
    with closing(sqlite3.connect(installation.data / "vibe.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("9999",)]


@pytest.mark.parametrize("command", [each for each in COMMANDS if each[0] != "up"], ids=" ".join)
def test_an_older_database_is_to_be_upgraded(installation: Installation, command: tuple[str, ...]):
    installation.vibe("db", "upgrade")
    back = installation.vibe("db", "downgrade", "0001")
    assert (back.returncode, back.stdout) == (0, "The database is at revision 0001.\n")
    refused = installation.vibe(*command)
    assert refused.returncode == 1
    assert "run `vibe db upgrade`" in " ".join(refused.stdout.split())
    assert installation.vibe("db", "upgrade").returncode == 0
    assert installation.vibe("db", "current").returncode == 0


def test_the_way_back_leads_to_a_revision_that_there_is(installation: Installation):
    installation.vibe("db", "upgrade")
    refused = installation.vibe("db", "downgrade", "0000")
    assert refused.returncode == 2
    assert "There is no revision 0000; known are 0001" in refused.stdout
