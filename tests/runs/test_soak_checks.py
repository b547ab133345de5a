"""The checks of the soaks: silent about an exact logged, they name each thing that is wrong with another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID, uuid4

import httpx
import pytest

from soak import checks
from soak.evidence import Evidence, Line, Said, write_out
from soak.history import Move
from soak.people import Asked
from soak.plans import Plan, rehearsed, scripted
from soak.processes import Fault
from soak.reader import Reader
from vibe_app.board.lifecycle import SessionStatus, TaskStatus
from vibe_app.board.projects.models import Project
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.board.tasks.models import Task
from vibe_app.wire import SidecarStatus, iso

CLIENT = httpx.AsyncClient(verify=False)
"""Of readers that have read already."""
BEGAN = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def moment(seconds: float) -> str:
    return iso(BEGAN + timedelta(seconds=seconds))


def reader_of(session: Session, logged: list[SessionEvent]) -> Reader:
    reader = Reader(CLIENT, str, "", str(session.id), Random(0))
    reader.seen = [(event.seq, event.type, event.text, iso(event.created_at)) for event in logged]
    return reader


class Story:
    """Evidence of sessions that went as they should, one after the other in one project."""

    def __init__(self) -> None:
        self.project = Project(name="Soak", session_limit=1)
        self.evidence = Evidence(projects=[self.project], installation_limit=2)
        self.clock = 0.0
        self.add(Plan(3), "completed")
        self.add(Plan(2, lost=1), "completed")
        self.add(Plan(5, outcome="never", stop_after=1.0), "cancelled")

    @property
    def session(self) -> Session:
        """The session that the tests spoil: the first."""
        return self.evidence.sessions[0]

    @property
    def logged(self) -> list[SessionEvent]:
        return self.evidence.events[self.session.id]

    def add(self, plan: Plan, status: str) -> None:
        column = TaskStatus.AI_REVIEW if status == "completed" else TaskStatus.TODO
        task = Task(project_id=self.project.id, title="Card", status=column, position=1.0)
        session = Session(
            task_id=task.id, project_id=self.project.id, status=SessionStatus(status), prompt="",
            attempt=plan.lost + 1,
            idempotency_key=str(uuid4()), stop_requested=status == "cancelled",
        )  # fmt: skip
        task.last_session_id = session.id
        lines = self._said(session, plan)
        words = {"completed": "Session completed", "cancelled": "Session cancelled"}[status]
        lines.append(("done", words, moment(self.clock)))
        logged = [
            SessionEvent(
                session_id=session.id, seq=seq, type=kind, text=text, created_at=datetime.fromisoformat(at)
            )
            for seq, (kind, text, at) in enumerate(lines, 1)
        ]
        session.last_seq, session.output = (
            len(logged),
            "".join(line[1] for line in lines if line[0] == "output"),
        )
        found = self.evidence
        found.sessions, found.tasks = [*found.sessions, session], [*found.tasks, task]
        found.events[session.id] = logged
        reader = reader_of(session, logged)
        found.asked[str(session.id)] = Asked(plan, session.idempotency_key or "", str(task.id), [reader])
        if session.stop_requested:
            found.stops.add(str(task.id))
        found.moves = [*found.moves, *self._moves(session)]

    def _said(self, session: Session, plan: Plan) -> list[Line]:
        told: list[Line] = []
        for attempt in range(1, plan.lost + 2):
            name = str(session.id) if attempt == 1 else f"{session.id}-{attempt}"
            began = moment(self.clock)
            spoken: list[Line] = []
            for number in range(plan.lines):
                self.clock += 1
                spoken.append(("output", f"{name} {number}\n", moment(self.clock)))
            end = ("done", "Session over", moment(self.clock))
            self.evidence.said[name] = Said([*spoken, end], began)
            told += spoken
            if attempt <= plan.lost:
                text = f"Attempt {attempt} failed: lost. Trying again in 2 s."
                told.append(("status", text, moment(self.clock)))
        return told

    def _moves(self, session: Session) -> list[Move]:
        first = Move(
            self.clock,
            session.id,
            session.project_id,
            "pending",
            None,
            0,
            0,
            1,
            False,
            None,
            None,
            None,
            None,
        )
        steps = [("pending", "host-10-a"), ("running", "host-10-a"), (session.status, None)]
        moves = [first]
        for status, owner in steps:
            last = moves[-1]
            moves.append(
                replace(
                    last, status=status, owner=owner, epoch=1, stop_requested=session.stop_requested,
                    was_status=last.status, was_owner=last.owner, was_epoch=last.epoch, was_crashes=0,
                )
            )  # fmt: skip
        return moves

    def give_up(self) -> None:
        """Let the first session end for its crashes, of which there were three."""
        session, moves = self.session, list(self.evidence.moves)
        session.status, session.crashes, session.error = "failed", 3, "It was broken off by a crash 3 times"
        self.evidence.tasks[0].status = "TODO"
        self.logged[-1].text = f"Session failed: {session.error}"
        session.output = session.output.removesuffix(self.logged[-2].text)
        del self.logged[-2]
        self.logged[-1].seq = session.last_seq = len(self.logged)
        self.evidence.asked[str(session.id)].readers = [reader_of(session, self.logged)]
        for crash in range(1, 4):
            last = moves[2 + crash - 1]
            owner = f"host-{10 + crash}-a"
            took = replace(
                last, owner=owner, epoch=crash + 1, crashes=crash, was_status="running", was_owner=last.owner,
                was_epoch=crash, was_crashes=crash - 1,
            )  # fmt: skip
            moves.insert(2 + crash, took)
        moves[6] = replace(
            moves[6], status="failed", epoch=4, crashes=3, was_owner="host-13-a", was_epoch=4, was_crashes=3
        )
        self.evidence.moves = moves
        self.evidence.faults = [Fault("killed", -1.0, pid) for pid in (10, 11, 12)]


@pytest.fixture
def story() -> Story:
    return Story()


def test_what_went_well_is_not_complained_of(story: Story) -> None:
    assert checks.all_of(story.evidence) == []


def lose_the_last_line(story: Story) -> None:
    story.logged[-1].seq -= 1
    story.session.output = story.session.output.removesuffix(story.logged[-2].text)
    del story.logged[-2]
    story.session.last_seq -= 1


def lose_a_row(story: Story) -> None:
    del story.logged[1]


def store_a_line_twice(story: Story) -> None:
    story.logged.insert(1, SessionEvent(**story.logged[0].model_dump()))
    story.session.output += story.logged[0].text
    for seq, event in enumerate(story.logged, 1):
        event.seq = seq
    story.session.last_seq += 1


def change_a_line(story: Story) -> None:
    story.logged[1].text = "something else\n"


def change_a_time(story: Story) -> None:
    story.logged[1].created_at += timedelta(seconds=1)


def change_the_output(story: Story) -> None:
    story.session.output += "more"


def add_what_nobody_said(story: Story) -> None:
    said = story.evidence.said[str(story.session.id)]
    said.lines = [*said.lines[:2], said.lines[-1]]


def end_without_done(story: Story) -> None:
    story.logged[-1].type = "status"


def leave_it_running(story: Story) -> None:
    story.session.status = "running"


def forget_it(story: Story) -> None:
    story.evidence.sessions = story.evidence.sessions[1:]


def run_it_twice(story: Story) -> None:
    story.session.idempotency_key = story.evidence.sessions[1].idempotency_key


def nobody_asked(story: Story) -> None:
    del story.evidence.asked[str(story.session.id)]


def cancel_it(story: Story) -> None:
    story.session.status = "cancelled"


def fail_it(story: Story) -> None:
    story.session.status = "failed"


def repeat_it(story: Story) -> None:
    story.session.attempt = 2


def stop_it(story: Story) -> None:
    story.session.stop_requested = True


def leave_its_card(story: Story) -> None:
    story.evidence.tasks[0].status = "IN_PROGRESS"


def show_another(story: Story) -> None:
    story.evidence.tasks[0].last_session_id = story.evidence.sessions[1].id


def change_move(number: int, **values: object) -> Callable[[Story], None]:
    def change(story: Story) -> None:
        moves = list(story.evidence.moves)
        moves[number] = replace(moves[number], **values)
        story.evidence.moves = moves

    return change


def run_all_at_once(story: Story) -> None:
    moves = sorted(story.evidence.moves, key=lambda move: move.status in ("completed", "cancelled"))
    story.evidence.moves = moves


def in_three_projects(story: Story) -> None:
    run_all_at_once(story)
    projects: dict[UUID, Project] = {}
    for session in story.evidence.sessions:
        projects[session.id] = Project(name="Another", session_limit=1)
        session.project_id = projects[session.id].id
    story.evidence.projects = list(projects.values())
    story.evidence.moves = [
        replace(move, project_id=projects[move.session_id].id) for move in story.evidence.moves
    ]


def agents_at_once(story: Story) -> None:
    story.evidence.said[f"{story.evidence.sessions[1].id}-2"].began = moment(0)


def agent_still_there(story: Story) -> None:
    said = story.evidence.said[str(story.session.id)]
    said.lines = said.lines[:-1]


def reader_misses_one(story: Story) -> None:
    del story.evidence.asked[str(story.session.id)].readers[0].seen[1]


def reader_was_refused(story: Story) -> None:
    story.evidence.asked[str(story.session.id)].readers[0].troubles.append("was answered 500")


def given_up_too_soon(story: Story) -> None:
    story.give_up()
    story.evidence.faults = story.evidence.faults[1:]


SPOILT = [
    (lose_the_last_line, "lacks the last 1 of 3 events"),
    (lose_a_row, "are not numbered from 1 without gaps"),
    (lose_a_row, "3 events are stored, and it counts 4"),
    (store_a_line_twice, "event 2 is"),
    (change_a_line, "event 2 is"),
    (change_a_time, "event 2 is"),
    (change_the_output, "its output is not that of its events"),
    (add_what_nobody_said, "was never said"),
    (end_without_done, "does not end with those words"),
    (leave_it_running, "is running at the end"),
    (forget_it, "was promised and is not there"),
    (forget_it, "which is no session"),
    (run_it_twice, "shares its Idempotency-Key"),
    (nobody_asked, "was never asked for"),
    (cancel_it, "was cancelled without a stop"),
    (fail_it, "is failed instead of completed"),
    (repeat_it, "took 2 attempts with 0 lost ones"),
    (stop_it, "was stopped by nobody"),
    (leave_its_card, "is in IN_PROGRESS instead of AI_REVIEW"),
    (show_another, "shows another session than its last"),
    (change_move(3, was_status="cancelled"), "went from cancelled to completed"),
    (change_move(2, epoch=3), "went from epoch 1 to 3"),
    (change_move(2, owner="host-11-b"), "went from epoch 1 to 1, owner host-11-b"),
    (change_move(2, crashes=1), "counts 1 crashes after 0"),
    (change_move(0, status="running"), "began as running"),
    (change_move(3, status="cancelled", stop_requested=False), "was cancelled without a stop"),
    (run_all_at_once, "2 of 1 places of project"),
    (in_three_projects, "3 of 2 places of the installation"),
    (agents_at_once, "two attempts of"),
    (agents_at_once, "too many agents were at work"),
    (agent_still_there, "is still at work"),
    (reader_misses_one, "a reader of"),
    (reader_was_refused, "was answered 500"),
    (given_up_too_soon, "was given up after 2 real crashes of 3"),
]


@pytest.mark.parametrize(("spoil", "sentence"), SPOILT)
def test_what_is_wrong_is_named(story: Story, spoil: Callable[[Story], None], sentence: str) -> None:
    spoil(story)
    assert any(sentence in violation for violation in checks.all_of(story.evidence))


def test_a_session_that_crashed_three_times_may_lack_its_end(story: Story) -> None:
    story.give_up()
    assert checks.all_of(story.evidence) == []


def test_evidence_is_written_out(story: Story, tmp_path: Path) -> None:
    write_out(story.evidence, tmp_path)
    written = {path.stem: len(path.read_text().splitlines()) for path in tmp_path.glob("*.jsonl")}
    events = sum(len(logged) for logged in story.evidence.events.values())
    assert written == {
        "sessions": 3, "tasks": 3, "projects": 1, "events": events, "history": 12, "faults": 0, "said": 4,
        "read": 3,
    }  # fmt: skip


def test_a_frozen_owner_is_replaced_for_a_reason_while_it_is_frozen(story: Story) -> None:
    story.give_up()
    story.evidence.faults = [Fault("frozen", 0.0, pid, 1.0) for pid in (10, 11, 12)]
    at = story.evidence.moves[3].at
    assert len(checks.unexplained(story.evidence)) == (3 if at > 1.0 + 3.0 else 0)
    story.evidence.faults = [Fault("frozen", 0.0, pid, at) for pid in (10, 11, 12)]
    assert checks.unexplained(story.evidence) == []


def test_dice_make_every_kind_of_plan() -> None:
    dice = Random(1)
    plans = [scripted(dice) for _ in range(300)]
    assert {plan.expected for plan in plans} == {"completed", "failed", "never"}
    assert all(plan.stop_after is not None for plan in plans if plan.outcome == "never")
    assert {plan.lost for plan in plans} == {0, 1, 2, 3, 4}
    assert all(Plan.of(f"A title\n\n{plan.description}") == plan for plan in plans)
    assert {rehearsed(dice).expected for _ in range(100)} == {"completed", "failed"}


def test_a_plan_is_played_attempt_by_attempt() -> None:
    plan = Plan(40, 100.0, silence=5.0, lost=1)
    lost, whole = plan.script("x", 1), plan.script("x-2", 2)
    assert (lost.outcome, lost.failure) == (SidecarStatus.FAILED, "provider_busy")
    assert whole.outcome is SidecarStatus.COMPLETED
    events = list(whole.events)
    assert len(events) == 40
    assert len({text for _, text, _ in events}) == 40
    assert {kind for kind, _, _ in events} == {"output", "error", "status"}
    assert sum(delay for _, _, delay in events) == pytest.approx(40 / 100 + 5)
    assert len(list(lost.events)) == 20
