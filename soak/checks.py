"""The promises, held against the evidence. Pure: each check returns one sentence for each violation."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from uuid import UUID

from soak.evidence import Evidence, Line
from soak.history import Move, pid_of
from vibe_app.board.lifecycle import LIVE, SESSION_MOVES, TASK_AFTER, SessionStatus, TaskStatus
from vibe_app.board.sessions.models import Session, SessionEvent
from vibe_app.runs.retry_policy import MAX_CRASHES
from vibe_app.wire import EventType, clean_text, iso, plain_text

BETWEEN = "Attempt {} failed: "
"""How the app's own line between two attempts begins."""
_CLOSING = {"completed": "Session completed", "cancelled": "Session cancelled", "failed": "Session failed: "}
_FINAL = {str(status) for status in SessionStatus if status not in LIVE}


def all_of(evidence: Evidence) -> list[str]:
    """Return every violation of every promise."""
    return [sentence for check in CHECKS for sentence in check(evidence)]


def ended(evidence: Evidence) -> Iterator[str]:
    """Every session is over, and each that was asked for is there once."""
    keys = Counter(session.idempotency_key for session in evidence.sessions)
    for session in evidence.sessions:
        if session.status not in _FINAL:
            yield f"{session.id} is {session.status} at the end"
        if str(session.id) not in evidence.asked:
            yield f"{session.id} was never asked for"
        if keys[session.idempotency_key] > 1:
            yield f"{session.id} shares its Idempotency-Key with another session"
    there = {str(session.id) for session in evidence.sessions}
    yield from (f"{session} was promised and is not there" for session in evidence.asked.keys() - there)


def logs(evidence: Evidence) -> Iterator[str]:
    """Each log holds what the sidecar said, in order, nothing missing or twice, and the app's own lines."""
    for session in evidence.sessions:
        logged = evidence.events.get(session.id, [])
        if [event.seq for event in logged] != list(range(1, len(logged) + 1)):
            yield f"{session.id}: its events are not numbered from 1 without gaps"
        if len(logged) != session.last_seq:
            yield f"{session.id}: {len(logged)} events are stored, and it counts {session.last_seq}"
        if session.status in _FINAL:
            yield from _compare(session, [_line(event) for event in logged], evidence)
            output = "".join(event.text for event in logged if event.type == EventType.OUTPUT)
            if session.output != plain_text(output):
                yield f"{session.id}: its output is not that of its events"


def _compare(session: Session, logged: list[Line], evidence: Evidence) -> Iterator[str]:
    if (
        not logged
        or logged[-1][0] != EventType.DONE
        or not logged[-1][1].startswith(_CLOSING[session.status])
    ):
        yield f"{session.id} is {session.status} and does not end with those words: {logged[-1:]}"
        return
    told, expected = logged[:-1], list(_expected(session, evidence))
    for number, (got, wanted) in enumerate(zip(told, expected, strict=False), 1):
        if not _same(got, wanted):
            yield f"{session.id}: event {number} is {got} instead of {wanted}"
            return
    if len(told) > len(expected):
        yield f"{session.id}: event {len(expected) + 1} was never said: {told[len(expected)]}"
    # Copying on is what its crashes may come from, so that one is left where it was.
    if len(told) < len(expected) and not capped(session):
        yield (
            f"{session.id} ({session.status}, attempt {session.attempt}) lacks the last"
            f" {len(expected) - len(told)} of {len(expected)} events"
        )


def _expected(session: Session, evidence: Evidence) -> Iterator[Line]:
    for attempt in range(1, session.attempt + 1):
        said = evidence.said.get(_sidecar_id(session.id, attempt))
        for kind, text, moment in said.spoken if said else ():
            yield kind, clean_text(text), moment
        if attempt < session.attempt:
            yield EventType.STATUS.value, BETWEEN.format(attempt), ""


def _same(got: Line, wanted: Line) -> bool:
    if wanted[2]:
        return got == wanted
    return got[0] == wanted[0] and got[1].startswith(wanted[1])


def outcomes(evidence: Evidence) -> Iterator[str]:
    """Each session ends as its agent did; none is cancelled that nobody stopped."""
    for session in evidence.sessions:
        asked = evidence.asked.get(str(session.id))
        if asked is None or session.status not in _FINAL:
            continue
        stopped = session.stop_requested
        if stopped and str(session.task_id) not in evidence.stops:
            yield f"{session.id} was stopped by nobody"
        if session.status == "cancelled":
            if not stopped:
                yield f"{session.id} was cancelled without a stop"
        elif session.status != asked.plan.expected and not capped(session):
            yield f"{session.id} is {session.status} instead of {asked.plan.expected}: {session.error}"
        if not stopped and not capped(session) and session.attempt != min(asked.plan.lost, 3) + 1:
            yield f"{session.id} took {session.attempt} attempts with {asked.plan.lost} lost ones"


def cards(evidence: Evidence) -> Iterator[str]:
    """Each card stands where its last session put it."""
    latest: dict[UUID, Session] = {session.task_id: session for session in evidence.sessions}
    for task in evidence.tasks:
        session = latest.get(task.id)
        if session is None:
            wanted = TaskStatus.TODO
        else:
            status = SessionStatus(session.status)
            wanted = TaskStatus.IN_PROGRESS if status in LIVE else TASK_AFTER[status]
        if task.status != wanted:
            yield f"card {task.id} is in {task.status} instead of {wanted}"
        if session is not None and task.last_session_id != session.id:
            yield f"card {task.id} shows another session than its last"


def moves(evidence: Evidence) -> Iterator[str]:
    """Every status came from one that may become it; an epoch grows with each claim and never else."""
    for move in evidence.moves:
        if move.was_status is None:
            if (move.status, move.epoch) != ("pending", 0):
                yield f"{move.session_id} began as {move.status}"
            continue
        if (
            move.status != move.was_status
            and move.status not in SESSION_MOVES[SessionStatus(move.was_status)]
        ):
            yield f"{move.session_id} went from {move.was_status} to {move.status}"
        new_owner = move.owner is not None and move.owner != move.was_owner
        if move.epoch - (move.was_epoch or 0) not in ((1,) if new_owner else (0, 1)):
            yield f"{move.session_id} went from epoch {move.was_epoch} to {move.epoch}, owner {move.owner}"
        if move.crashes != (move.was_crashes or 0) + move.takeover:
            yield f"{move.session_id} counts {move.crashes} crashes after {move.was_crashes}"
        if move.status == "cancelled" and not move.stop_requested:
            yield f"{move.session_id} was cancelled without a stop"


def limits(evidence: Evidence) -> Iterator[str]:
    """No limit was exceeded at any moment of the history."""
    allowed = {project.id: project.session_limit for project in evidence.projects}
    holders: dict[UUID, set[UUID]] = defaultdict(set)
    for move in evidence.moves:
        held = holders[move.project_id]
        if move.status == "running" or (move.status == "pending" and move.owner is not None):
            held.add(move.session_id)
        else:
            held.discard(move.session_id)
        if len(held) > allowed[move.project_id]:
            yield f"{len(held)} of {allowed[move.project_id]} places of project {move.project_id} were taken"
        if (total := sum(map(len, holders.values()))) > evidence.installation_limit:
            yield f"{total} of {evidence.installation_limit} places of the installation were taken"


def agents(evidence: Evidence) -> Iterator[str]:
    """Agents were not at work at the same time beyond the limits, nor two of one session's attempts.

    Those of sessions that crashed too often are left out: they go on until they can be reached.
    """
    project_of = {session.id: session.project_id for session in evidence.sessions}
    left_out = {session.id for session in evidence.sessions if capped(session)}
    allowed = {project.id: project.session_limit for project in evidence.projects}
    steps: list[tuple[str, int, UUID]] = []
    for name, said in evidence.said.items():
        session_id = UUID(name[:36])
        if session_id not in project_of:
            yield f"an agent was at work on {name}, which is no session"
        elif said.ended is None:
            yield f"the agent of {name} is still at work"
        elif said.began and session_id not in left_out:
            steps += [(said.began, 1, session_id), (said.ended, -1, session_id)]
    at_work: Counter[UUID] = Counter()
    # Time stamps have milliseconds: an end comes before a beginning in the same one.
    for _, step, session_id in sorted(steps, key=lambda each: each[:2]):
        at_work[session_id] += step
        if at_work[session_id] > 1:
            yield f"two attempts of {session_id} were at work at the same time"
        at_work[project_of[session_id]] += step
        if at_work[project_of[session_id]] > allowed[project_of[session_id]]:
            yield f"too many agents were at work in project {project_of[session_id]}"


def crashes(evidence: Evidence) -> Iterator[str]:
    """A session that was given up for its crashes lost its process as often as that."""
    for session in evidence.sessions:
        if not capped(session):
            continue
        taken = [move for move in evidence.moves if move.session_id == session.id and move.takeover]
        real = [move for move in taken if _died(move, evidence)]
        if len(real) < MAX_CRASHES:
            yield f"{session.id} was given up after {len(real)} real crashes of {len(taken)}"


def unexplained(evidence: Evidence) -> list[Move]:
    """Return the takeovers from replicas that nothing had been done to: slow ones, on a busy machine."""
    return [move for move in evidence.moves if move.takeover and not _died(move, evidence)]


def _died(move: Move, evidence: Evidence) -> bool:
    """Tell whether the owner that was replaced had been killed, terminated or frozen."""
    pid = pid_of(move.was_owner or "")
    return any(
        fault.pid == pid
        and fault.began <= move.at
        and (fault.ended is None or move.at <= fault.ended + _BACK_TO_LIFE)
        for fault in evidence.faults
    )


_BACK_TO_LIFE = 3.0
"""Seconds that a replica which was frozen needs to renew what it holds."""


def readers(evidence: Evidence) -> Iterator[str]:
    """Each reader holds exactly the stored events."""
    for name, asked in evidence.asked.items():
        logged = [
            (event.seq, event.type, event.text, iso(event.created_at))
            for event in evidence.events.get(UUID(name), [])
        ]
        for reader in asked.readers:
            yield from reader.troubles
            if reader.seen != logged:
                yield f"a reader of {name} holds {len(reader.seen)} events, not the {len(logged)} stored"


def capped(session: Session) -> bool:
    """Tell whether the session was given up for its crashes, or stopped just when it would have been."""
    return session.status in ("failed", "cancelled") and session.crashes >= MAX_CRASHES


def _line(event: SessionEvent) -> Line:
    return event.type, event.text, iso(event.created_at)


def _sidecar_id(session_id: UUID, attempt: int) -> str:
    return str(session_id) if attempt == 1 else f"{session_id}-{attempt}"


CHECKS: Iterable[Callable[[Evidence], Iterator[str]]] = (
    ended, logs, outcomes, cards, moves, limits, agents, crashes, readers,
)  # fmt: skip
