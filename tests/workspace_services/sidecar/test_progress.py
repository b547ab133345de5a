"""What is taken for progress, and what for none, without OpenCode."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.workspace_services.sidecar.test_translate import NAMES, own_session, recorded, transcript
from vibe_app.wire import Failure
from vibe_app.workspace_services.sidecar.changes import changed_since
from vibe_app.workspace_services.sidecar.progress import (
    BARREN,
    LONG_CALLS,
    SAME_CALLS,
    SAME_WAITS,
    SUMMARIES,
    UNENDED,
    WAIT_MS,
    Progress,
)

SILENCE = 100.0


class Talk:
    """Makes the events of one OpenCode session."""

    def __init__(self) -> None:
        self.progress = Progress("/workspace", 0.0, SILENCE)
        self.clock = 0.0
        self._numbers = count(1)

    def event(self, kind: str, **properties: Any) -> None:
        self.progress.feed({"type": kind, "properties": {"sessionID": "s", **properties}}, self.clock)

    def message(self, key: str, **info: Any) -> None:
        self.event("message.updated", info={"id": key, "role": "assistant", "sessionID": "s", **info})

    def part(self, message: str, **part: Any) -> None:
        self.event("message.part.updated", part={"messageID": message, "sessionID": "s", **part})

    def begin(self) -> str:
        key = f"m{next(self._numbers)}"
        self.message(key, time={"created": 1})
        return key

    def step(self, *calls: tuple[str, str, int], text: str = "", finish: str = "tool-calls") -> None:
        """One answer with calls of bash: the command, what came of it, how long it took in ms."""
        key = self.begin()
        if text:
            self.part(key, id=f"t{key}", type="text", text=text)
        for number, (command, output, took) in enumerate(calls):
            state = {
                "status": "completed",
                "input": {"command": command},
                "output": output,
                "time": {"start": 1, "end": 1 + took},
            }
            self.part(key, id=f"c{key}-{number}", type="tool", tool="bash", state=state)
        self.part(key, id=f"e{key}", type="step-finish")
        done = {"time": {"created": 1, "completed": 2}, "finish": finish, "tokens": {"input": 9}}
        self.message(key, **done)

    def summary(self) -> None:
        key = f"m{next(self._numbers)}"
        self.message(key, summary=True, time={"created": 1})

    @property
    def words(self) -> str:
        stuck = self.progress.stuck(self.clock)
        return stuck.words if stuck else ""


@pytest.mark.parametrize("name", NAMES)
def test_no_recorded_run_is_stuck_however_often_it_is_told(name: str) -> None:
    events = recorded(name)
    session = own_session(events)
    progress = Progress("/workspace", 0.0)
    for _ in range(3):
        for event in events:
            progress.feed(event, 0.0)
        progress.transcript(session, transcript(events, session), 0.0)
    assert progress.stuck(0.0) is None


def test_the_count_of_one_call_starts_anew_with_a_new_result_of_another() -> None:
    talk = Talk()
    for number in range(50):
        for _ in range(SAME_CALLS - 1):
            talk.step(("test", "3 failed", 10), text=f"Again {number}.")
        talk.step((f"edit {number}", "", 10))
        assert not talk.words
    for _ in range(SAME_CALLS):
        talk.step(("test", "3 failed", 10))
    assert "made 8 times" in talk.words


def test_who_waits_may_ask_more_often() -> None:
    talk = Talk()
    for _ in range(SAME_WAITS - 1):
        talk.step(("sleep 30; status", "pending", WAIT_MS), text=f"Still {next(talk._numbers)}.")
        assert not talk.words
    talk.step(("sleep 30; status", "pending", WAIT_MS))
    assert f"made {SAME_WAITS} times" in talk.words


def test_numbers_that_opencode_gives_anew_make_no_result_new() -> None:
    talk = Talk()
    for number in range(SAME_CALLS):
        talk.step(("dig", f"task_id: ses_dded8b{number}ffe\nnothing found", 10))
    assert "made 8 times" in talk.words


def test_many_known_calls_in_turn_bring_nothing_new() -> None:
    talk = Talk()
    for number in range(BARREN):
        talk.step((f"read {number}", "text", 10))
    for number in range(BARREN):
        assert not talk.words
        talk.step((f"read {number}", "text", 10))
    stuck = talk.progress.stuck(0)
    assert stuck
    assert (stuck.failure, stuck.unless_files_change) == (Failure.NO_PROGRESS, True)
    assert f"{BARREN} requests in a row brought nothing new" in stuck.words
    talk.progress.moved_on(0)
    assert not talk.words


def test_after_a_summary_everything_may_be_read_again() -> None:
    talk = Talk()
    for _ in range(SUMMARIES):
        for number in range(BARREN - 1):
            talk.step((f"read {number}", "text", 10))
        talk.summary()
        assert not talk.words
    talk.step(("write", "new", 10))
    for _ in range(SUMMARIES):
        talk.summary()
        assert not talk.words
    talk.summary()
    assert f"summed up {SUMMARIES} times" in talk.words


def test_an_answer_with_a_call_needs_no_reason_to_end() -> None:
    talk = Talk()
    for number in range(3 * UNENDED):
        talk.step((f"step {number}", "", 10), finish="unknown")
        talk.step(text=f"Thinking about {number}", finish="unknown")
        assert not talk.words


def test_silence_counts_while_the_model_is_asked_but_not_in_a_command_or_a_known_wait() -> None:
    talk = Talk()
    key = talk.begin()
    talk.clock = SILENCE - 1
    assert not talk.words
    talk.part(key, id="c", type="tool", tool="bash", state={"status": "pending", "input": {}})
    talk.clock += SILENCE * LONG_CALLS - 1
    assert not talk.words
    talk.part(key, id="c", type="tool", tool="bash", state={"status": "running", "input": {}})
    talk.clock += 100 * SILENCE
    assert not talk.words
    talk.part(key, id="c", type="tool", tool="bash", state={"status": "completed", "input": {}})
    talk.event("session.status", status={"type": "retry", "next": 1})
    talk.clock += 100 * SILENCE
    assert not talk.words
    for _ in range(3):
        assert not talk.words
        talk.event("session.status", status={"type": "busy"})
        talk.clock += SILENCE / 3
    talk.clock += 1
    assert "without a word" in talk.words


def test_a_changed_file_is_seen_and_ours_are_not(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / ".git").mkdir()
    file = tmp_path / "src" / "a.py"
    file.write_text("1")
    old = 1_000_000_000
    for path in (file, tmp_path / "src", tmp_path / ".git", tmp_path):
        os.utime(path, (old, old))
    assert not changed_since(str(tmp_path), old + 1)
    (tmp_path / ".git" / "index").write_text("2")
    assert not changed_since(str(tmp_path), old + 1)
    os.utime(file, (old + 5, old + 5))
    assert changed_since(str(tmp_path), old + 1)
    assert not changed_since(str(tmp_path / "gone"), old)
