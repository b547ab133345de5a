"""Links, pipes and folders that an agent plants where Vibe writes: what they lead to is left alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vibe_app.inside import Spot
from vibe_app.wire import SidecarStatus
from vibe_app.workspace_services.sidecar.journal import End, Header
from vibe_app.workspace_services.sidecar.sessions import SessionStore
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.layout import Layout

HEADER = Header(session_id="one", prompt_sha256="00", opencode_session="ses_1")

SECRET = "not yours\n"
IN_HOME = (
    ".config/opencode",
    ".opencode",
    ".cache",
    ".cache/opencode",
    ".local",
    ".local/share",
    ".local/share/opencode",
    ".local/state",
    ".local/state/opencode",
    "tmp",
    ".gitconfig",
)
IN_GIVEN = ("config", "config/opencode", "home", "models.json", "command.sh", "bash_env", "bounds")
IN_WORKSPACE = (
    ".opencode",
    ".opencode/config.json",
    ".opencode/sessions",
    ".opencode/sessions/one.jsonl",
    ".opencode/sessions/one.end",
    ".git",
    ".git/info",
    ".git/info/exclude",
)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of somebody else's, with a file and the names that Vibe writes."""
    folder = tmp_path / "outside"
    for name in ("opencode", "sessions", "info", "share"):
        (folder / name).mkdir(parents=True)
    for name in ("file", "opencode/auth.json", "config.json", "one.jsonl", "exclude", "info/exclude"):
        (folder / name).write_text(SECRET)
    return folder


def to_folder(place: Path, outside: Path) -> None:
    place.symlink_to(outside)


def to_file(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "file")


def to_nothing(place: Path, outside: Path) -> None:
    place.symlink_to(outside / "made-through-a-link")


def hard(place: Path, outside: Path) -> None:
    os.link(outside / "file", place)


def pipe(place: Path, outside: Path) -> None:
    os.mkfifo(place)


PLANTS = (to_folder, to_file, to_nothing, hard, pipe)
Plant = Callable[[Path, Path], None]


def plant(root: Path, name: str, how: Plant, outside: Path) -> None:
    place = root / name
    place.parent.mkdir(parents=True, exist_ok=True)
    Spot(root, tuple(Path(name).parts)).remove()
    how(place, outside)


def contents(folder: Path) -> dict[str, str | None]:
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize("how", PLANTS)
@pytest.mark.parametrize("name", IN_HOME)
def test_a_start_removes_what_was_planted_in_the_home_and_not_what_it_leads_to(
    tmp_path: Path, outside: Path, name: str, how: Plant
) -> None:
    home = tmp_path / "home"
    hermetic.prepare_home(home)
    before = contents(outside)
    plant(home, name, how, outside)
    hermetic.prepare_home(home)
    assert contents(outside) == before
    if name != ".gitconfig":
        links = [path for path in home.rglob("*") if path.is_symlink()]
        assert links == []


@pytest.mark.parametrize("how", PLANTS)
@pytest.mark.parametrize("name", IN_GIVEN)
def test_a_start_hands_over_what_is_ours_whatever_was_planted_there(
    tmp_path: Path, outside: Path, name: str, how: Plant
) -> None:
    layout = Layout(tmp_path / "workspace", tmp_path / "home", tmp_path / "given")
    hermetic.prepare_given(layout)
    before, wanted = contents(outside), contents(layout.given)
    plant(layout.given, name, how, outside)
    hermetic.prepare_given(layout)
    assert contents(outside) == before
    assert contents(layout.given) == wanted
    assert [path for path in layout.given.rglob("*") if path.is_symlink()] == []


@pytest.mark.parametrize("how", PLANTS)
@pytest.mark.parametrize("name", IN_WORKSPACE)
def test_a_start_and_a_run_write_through_nothing_that_was_planted_in_the_workspace(
    tmp_path: Path, outside: Path, name: str, how: Plant
) -> None:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=workspace, check=True)
    before = contents(outside)
    plant(workspace, name, how, outside)
    hermetic.write_config(workspace, {"model": "a/b"})
    store = SessionStore(workspace)
    assert store.unfinished() == []
    assert store.find("one") is None
    session = store.create(HEADER)
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    assert contents(outside) == before
    assert SessionStore(workspace).get("one").end == End(status=SidecarStatus.COMPLETED)


def test_a_journal_that_is_exchanged_for_a_link_during_a_run_is_written_anew(
    tmp_path: Path, outside: Path
) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    before = contents(outside)
    for name in ("one.jsonl", "one.end"):
        plant(tmp_path, f".opencode/sessions/{name}", to_file, outside)
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    assert contents(outside) == before
    assert [event.text for event in SessionStore(tmp_path).get("one").events] == ["Session completed"]


def test_a_home_s_data_is_kept_where_it_is_told_and_nowhere_else(tmp_path: Path, outside: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "kept"
    kept.mkdir()
    hermetic.prepare_home(home, kept)
    (kept / "opencode" / "data").write_text("kept")
    plant(home, ".local/share", to_folder, outside)
    before = contents(outside)
    hermetic.prepare_home(home, kept)
    assert contents(outside) == before
    assert (home / ".local" / "share" / "opencode" / "data").read_text() == "kept"
