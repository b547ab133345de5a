"""How the pages show a run that says nothing for long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from tests.web.test_components import NOON, session, task
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.sessions.archive import BEGINNING
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.settings import Settings
from vibe_app.web.board import columns as board
from vibe_app.web.board.cards import face_of
from vibe_app.web.card.history import PREVIEW_CHARS, session_row
from vibe_app.web.card.model import epoch_ms
from vibe_app.wiring import Services


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A board that is soon of the opinion that a run is quiet."""
    return settings.model_copy(update={"quiet_notice": 0.3})


@pytest.fixture
def runtime() -> FakeRuntime:
    """Workspaces whose sessions say one line and go on until they are stopped."""
    return FakeRuntime(Script.endless())


def test_a_card_and_a_row_say_since_when() -> None:
    quiet = session(quiet_since=NOON + timedelta(minutes=5))
    assert face_of(task(TaskStatus.IN_PROGRESS, quiet)).quiet == epoch_ms(NOON) + 300_000
    assert session_row(quiet).quiet == epoch_ms(NOON) + 300_000
    assert face_of(task(TaskStatus.IN_PROGRESS, session())).quiet == 0
    assert session_row(session()).quiet == 0


def test_a_preview_needs_no_more_than_an_archived_session_keeps_in_its_row() -> None:
    assert 4 * PREVIEW_CHARS <= BEGINNING


async def test_a_page_shows_it_though_nothing_happens(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    tab: Open,
    runtime: FakeRuntime,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(board, "LOOK_AGAIN", 0.2)
    owner = await parts.accounts.who(tokens["owner"])
    card = await parts.tasks.create(owner, project.id, NewTask(title="Add a README file"))
    watcher: Tab = await tab("viewer", f"/p/{project.id}/t/{card.id}/history")
    await watcher.go(watcher.path)
    await eventually(lambda: watcher.cards("TODO"))
    run = await parts.starts.execute(owner, project.id, card.id)

    def quiet() -> list[int]:
        cards, rows = watcher.cards("IN_PROGRESS"), watcher.var("HistoryState", "rows")
        return [each.get("quiet", 0) for each in (*cards, *(rows or []))] + [
            watcher.var("DrawerState", "quiet") or 0
        ]

    await eventually(lambda: len(quiet()) == 3 and all(quiet()))
    played = runtime.sidecars[project.id].sessions[str(run.id)]

    def speaks_on() -> bool:
        # Output alone is shown once a second, by when one line is an old one for this board.
        played.append("output", "Still here\n")
        played.knock()
        return not any(quiet())

    await eventually(speaks_on)
