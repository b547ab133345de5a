"""What OpenCode's database says of accounts is forgotten before it starts, whoever wrote it."""

from __future__ import annotations

import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from vibe_app.workspaces.runtimes import forgetting

TABLES = """
CREATE TABLE account (id text PRIMARY KEY);
CREATE TABLE account_state (id integer PRIMARY KEY, active_account_id text REFERENCES account(id));
CREATE TABLE credential (id text);
CREATE TABLE session (id text);
INSERT INTO account VALUES ('a');
INSERT INTO account_state VALUES (1, 'a');
INSERT INTO credential VALUES ('c');
INSERT INTO session VALUES ('kept');
"""


def forget(binary: Path, folder: Path) -> None:
    script = folder / "given" / "forget.js"
    script.parent.mkdir(exist_ok=True)
    script.write_text(forgetting.SCRIPT)
    subprocess.run(forgetting.command(binary, script, folder), check=True, timeout=60, cwd=script.parent)


def written(folder: Path, text: str) -> Path:
    path = folder / "opencode.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(text)
    return path


def test_accounts_and_credentials_are_forgotten_and_nothing_else(opencode: Path, tmp_path: Path) -> None:
    path = written(tmp_path, "PRAGMA journal_mode = WAL;" + TABLES)
    forget(opencode, tmp_path)
    with closing(sqlite3.connect(path)) as database:
        counts = [
            database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("account", "account_state", "credential", "session")
        ]
    assert counts == [0, 0, 0, 1]


@pytest.mark.parametrize(
    "trick",
    [
        "CREATE TRIGGER t AFTER DELETE ON account BEGIN INSERT INTO account VALUES ('a'); END;",
        "CREATE TRIGGER t AFTER INSERT ON session BEGIN INSERT INTO account_state VALUES (2, 'a'); END;",
        "DROP TABLE account_state; CREATE VIEW account_state AS SELECT 1 AS id, 'a' AS active_account_id;",
        "CREATE VIRTUAL TABLE accounts USING fts5(id);",
    ],
)
def test_a_database_that_would_bring_them_back_is_removed(opencode: Path, tmp_path: Path, trick: str) -> None:
    path = written(tmp_path, TABLES + trick)
    forget(opencode, tmp_path)
    assert not path.exists()


def test_what_is_no_database_is_removed(opencode: Path, tmp_path: Path) -> None:
    path = tmp_path / "opencode.db"
    path.write_bytes(b"nothing" * 1000)
    forget(opencode, tmp_path)
    assert not path.exists()


def test_where_there_is_none_nothing_happens(tmp_path: Path) -> None:
    forget(Path("/nowhere"), tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["given"]


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [("kill -9 $$", "exit 0", True), ("exit 1", "exit 0", False), ("kill -9 $$", "kill -9 $$", False)],
    ids=["killed once", "refused", "killed each time"],
)
def test_a_kill_alone_loses_no_talks(tmp_path: Path, first: str, second: str, kept: bool) -> None:
    binary, database = tmp_path / "binary", tmp_path / "opencode.db"
    database.write_bytes(b"talks")
    binary.write_text(f"#!/bin/bash\n[[ -e {tmp_path}/once ]] && {second}\n: > {tmp_path}/once\n{first}\n")
    binary.chmod(0o755)
    subprocess.run(forgetting.command(binary, tmp_path / "script", tmp_path), check=True)
    assert database.exists() == kept
