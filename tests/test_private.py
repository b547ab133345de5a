"""The data folder: nobody but its user may look into it, whatever an earlier version left open."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from vibe_app.private import exposed, keep_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def old_folder(data: Path) -> None:
    """Make a data folder as a version that took no care of modes left it."""
    for name in ("run/servers", "logs", "tools", "workspaces/one/src", "homes/one/.config", "trash/gone"):
        (data / name).mkdir(parents=True)
    for name in ("vibe.db", "vibe.db-wal", "secret.key", "run/token", "logs/one-sidecar.log"):
        (data / name).write_text("private")
    for name in ("tools/rg", "workspaces/one/src/run.sh", "homes/one/.config/it"):
        (data / name).write_text("#!/bin/sh\n")
    for folder, folders, files in os.walk(data):
        for name in (*folders, *files):
            (Path(folder) / name).chmod(0o777 if name in folders or name in ("rg", "run.sh") else 0o666)
    data.chmod(0o755)


def test_what_was_open_to_others_is_mended_down_to_the_workspaces(tmp_path):
    data = tmp_path / "data"
    old_folder(data)
    assert data / "vibe.db" in exposed(data)
    keep_private(data)
    assert exposed(data) == []
    folders = ("", "run", "run/servers", "logs", "tools", "workspaces", "workspaces/one", "homes/one")
    assert {name: mode(data / name) for name in folders} == dict.fromkeys(folders, 0o700)
    files = ("vibe.db", "vibe.db-wal", "secret.key", "run/token", "logs/one-sidecar.log")
    assert {name: mode(data / name) for name in files} == dict.fromkeys(files, 0o600)
    assert mode(data / "tools/rg") == 0o700
    assert mode(data / "workspaces/one/src/run.sh") == 0o777, "what an agent made is left as it is"
    assert mode(data / "homes/one/.config/it") == 0o666


def test_what_a_link_leads_to_is_left_alone(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "below").mkdir(parents=True)
    (elsewhere / "file").write_text("of somebody")
    for path in (elsewhere, elsewhere / "below", elsewhere / "file"):
        path.chmod(0o755)
    data = tmp_path / "data"
    (data / "workspaces").mkdir(parents=True)
    (data / "logs").symlink_to(elsewhere)
    (data / "run").symlink_to(tmp_path / "nowhere")
    (data / "secret.key").symlink_to(elsewhere / "file")
    (data / "workspaces" / "one").symlink_to(elsewhere / "below")
    keep_private(data)
    assert {mode(path) for path in (elsewhere, elsewhere / "below", elsewhere / "file")} == {0o755}
    assert exposed(data) == []


def test_a_new_folder_is_private(tmp_path):
    keep_private(tmp_path / "data")
    assert mode(tmp_path / "data") == 0o700
    assert exposed(tmp_path / "data") == []
    assert exposed(tmp_path / "nowhere") == []
