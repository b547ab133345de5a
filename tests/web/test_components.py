"""What cards, addresses and the history say, without a browser."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from vibe_app import vibe_app as front
from vibe_app.board.lifecycle import Priority, SessionStatus, TaskStatus, WorkspaceStatus
from vibe_app.board.sessions.schemas import SessionPreview
from vibe_app.board.spending.limits import NO_LIMITS, LimitsView
from vibe_app.board.tasks.schemas import TaskView
from vibe_app.web.board.cards import face_of
from vibe_app.web.card.history import TEXT_CHARS, session_row, within_reason
from vibe_app.web.card.model import epoch_ms, run_words, spent, waiting_words
from vibe_app.web.forms import split_labels, words
from vibe_app.web.kit.status import COLUMNS, PRIORITY_LOOKS, session_look, workspace_look
from vibe_app.web.place import Place, parse_place

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
P, T, S = (UUID(int=number) for number in (1, 2, 3))


def session(**values: object) -> SessionPreview:
    """A running session, changed as given."""
    view = SessionPreview(
        id=S,
        task_id=T,
        project_id=P,
        status="running",
        prompt="Write it",
        prompt_size=8,
        output="",
        output_size=0,
        message=None,
        summary=None,
        asking=None,
        error=None,
        started_at=NOON,
        completed_at=None,
        duration_ms=None,
        created_at=NOON,
        updated_at=NOON,
        created_by=None,
        model="rehearsal",
        tokens_input=None,
        tokens_output=None,
        tokens_reasoning=None,
        tokens_cache_read=None,
        tokens_cache_write=None,
        cost=None,
        cost_at_least=None,
        model_requests=None,
        limits=LimitsView.show(NO_LIMITS),
        attempt=1,
        failure=None,
        stop_requested=False,
        last_line="",
        last_seq=0,
        last_event_at=None,
    )
    return SessionPreview.model_validate(dict(view) | values)


def task(status: TaskStatus = TaskStatus.TODO, run: SessionPreview | None = None) -> TaskView:
    """A card in a column."""
    return TaskView(
        id=T,
        project_id=P,
        number=14,
        title="Title",
        description="",
        priority=Priority.HIGH,
        labels=["docs"],
        status=status,
        position=1.0,
        version=1,
        created_by=None,
        created_at=NOON,
        updated_at=NOON,
        session=run,
    )


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/", Place()),
        ("/settings", Place()),
        ("/p/not-an-id", Place()),
        (f"/p/{P}", Place(P)),
        (f"/p/{P}/", Place(P)),
        (f"/p/{P}/t/{T}", Place(P, T)),
        (f"/p/{P}/t/not-an-id", Place(P)),
        (f"/p/{P}/t/{T}/history", Place(P, T, "history")),
        (f"/p/{P}/t/{T}/changes", Place(P, T, "changes")),
        (f"/p/{P}/t/{T}/details", Place(P, T, "overview")),
        (f"/p/{P}/t/{T}/nonsense", Place(P, T)),
        (f"/p/{P}/t/{T}/run/{S}", Place(P, T, "output", S)),
        (f"/p/{P}/t/{T}/run", Place(P, T)),
    ],
)
def test_an_address_names_its_place(path: str, place: Place):
    assert parse_place(path) == place


@pytest.mark.parametrize(
    ("position", "reason", "words"),
    [
        (2, "project limit", "Queued, 2nd: waits for this project's limit"),
        (1, "installation limit", "Queued, 1st: waits for this installation's limit"),
        (3, "workspace limit", "Queued, 3rd: waits until fewer workspaces run"),
        (11, "project limit", "Queued, 11th: waits for this project's limit"),
        (23, "project limit", "Queued, 23rd: waits for this project's limit"),
        (None, "workspace starting", "Starting the workspace"),
        (None, "retry in 8 s", "Trying again in 8 s"),
        (None, "the provider until 14:32 UTC", "Waits for the provider until 14:32 UTC"),
        (None, None, "Starting"),
    ],
)
def test_a_waiting_session_says_what_it_waits_for(position: int | None, reason: str | None, words: str):
    assert waiting_words(position, reason) == words


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"status": "running"}, "Running"),
        ({"status": "running", "waiting_for": "retry in 4 s"}, "Trying again in 4 s"),
        ({"status": "running", "stop_requested": True}, "Stopping"),
        ({"status": "completed", "duration_ms": 151_000}, "Finished in 2 min 31 s"),
        ({"status": "completed", "stop_requested": True, "duration_ms": 400}, "Finished in 0.4 s"),
        (
            {"status": "completed", "asking": True, "duration_ms": 5000},
            "Asks you something, finished in 5 s",
        ),
        (
            {"status": "failed", "error": "The model refused the key.\nstack"},
            "Failed: The model refused the key.",
        ),
        ({"status": "failed", "error": ""}, "Failed: no reason given"),
        ({"status": "cancelled"}, "Cancelled"),
    ],
)
def test_a_run_is_put_in_a_few_words(values: dict[str, object], words: str):
    assert run_words(session(**values)) == words


@pytest.mark.parametrize(
    ("duration", "words"),
    [(None, "–"), (949, "0.9 s"), (1000, "1 s"), (60_000, "1 min 0 s"), (3_725_000, "1 h 2 min")],
)
def test_durations_are_written_as_people_say_them(duration: int | None, words: str):
    assert spent(duration) == words


def test_a_card_is_locked_exactly_while_its_run_is_live():
    live = face_of(task(TaskStatus.IN_PROGRESS, session(last_line="Reading files")))
    assert (live.locked, live.todo, live.run, live.line) == (True, False, "running", "Reading files")
    assert live.since == epoch_ms(NOON)
    ended = session(status="failed", error="No", last_line="Reading")
    failed = face_of(task(TaskStatus.TODO, ended))
    assert (failed.locked, failed.todo, failed.run, failed.line) == (False, True, "failed", "")
    assert face_of(task()).run == ""


def test_a_row_of_the_history_carries_a_preview_and_not_the_output():
    output = "word " * 5000
    row = session_row(session(status="completed", output=output, tokens_input=1200, cost=0.5))
    assert len(row.preview) <= 200
    assert row.preview.startswith("word")
    assert (row.short, row.tokens, row.cost) == (str(S)[:8], "1,200 tokens in, 0 out", "$0.50")
    assert session_row(session(status="failed", tokens_input=0, tokens_output=0)).tokens == ""


def test_labels_are_split_at_commas():
    assert split_labels(" docs, api ,,two words ") == ["docs", "api", "two words"]


def test_the_history_shows_of_a_very_long_output_the_beginning():
    assert within_reason("x" * TEXT_CHARS) == "x" * TEXT_CHARS
    shown = within_reason("x" * (TEXT_CHARS + 1_500_000))
    assert len(shown) < TEXT_CHARS + 200
    assert shown.startswith("x" * TEXT_CHARS + "\n\n… and 1,500,000 characters more.")


def test_a_form_says_only_what_a_database_keeps():
    assert words({"title": "a\0b\ud800c"}, "title") == "ab?c"
    assert (words({}, "title"), words({}, "priority", "normal")) == ("", "normal")


def test_every_status_has_one_look():
    assert set(PRIORITY_LOOKS) == set(Priority)
    assert [column["status"] for column in COLUMNS] == list(TaskStatus)
    words = [session_look(status).word for status in SessionStatus]
    assert len(set(words)) == len(words)
    words = [workspace_look(status).word for status in WorkspaceStatus]
    assert len(set(words)) == len(words)


def test_an_unknown_id_is_no_place():
    assert parse_place(f"/p/{uuid4()}x").project is None


def test_a_size_that_a_browser_tells_late_is_no_page_that_broke(caplog: pytest.LogCaptureFixture):
    front._page_broke(Exception("ResizeObserver loop completed with undelivered notifications.\n    at /p"))
    assert not caplog.records
    front._page_broke(Exception("TypeError: nothing is no function"))
    assert "nothing is no function" in caplog.text
