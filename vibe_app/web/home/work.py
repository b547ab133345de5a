"""What the home page shows of cards and projects: rows made of what the board says of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.home import DayRuns, HomeCard, HomeCards, ProjectTile
from vibe_app.board.lifecycle import SessionStatus
from vibe_app.board.spending.wording import cost_words
from vibe_app.web.card.model import epoch_ms, is_live, run_words, spent, steps_words

DAY_PIXELS = 28
"""How high the highest day of a week is drawn."""


@dataclass
class WorkRow:
    """A card in one of the lists."""

    project_id: str
    task_id: str
    project: str
    ref: str
    title: str
    who: str = ""
    needs: str = ""
    """`answer`, `review`, `failed`, or nothing."""
    words: str = ""
    """One line: why, what it is doing, or what came of it."""
    run: str = ""
    since: int = 0
    cost: str = ""
    stops: bool = False
    """Whether the reader may stop it."""


@dataclass
class DayBar:
    """A day of a week: how high its runs are drawn, and what they were."""

    ended: int
    failed: int
    words: str


@dataclass
class Tile:
    """A project on the page."""

    id: str
    name: str
    key: str
    live: int
    needs: int
    runs: str
    week: list[DayBar] = field(default_factory=list)


def rows_of(cards: HomeCards) -> list[WorkRow]:
    """Return a list's rows."""
    return [_row(each) for each in cards.cards]


def _row(each: HomeCard) -> WorkRow:
    card, session = each.card, each.card.session
    row = WorkRow(
        project_id=str(card.project_id),
        task_id=str(card.id),
        project=each.project,
        ref=card.ref,
        title=card.title,
        needs=str(card.attention or ""),
        stops=each.role.covers(ProjectRole.EDITOR),
    )
    if card.ran_by is not None:
        row.who = card.ran_by.name
    if session is None:
        return row
    row.run = "stopping" if session.stop_requested and is_live(session) else session.status.value
    # The mark says already that it has failed, the badge that it is queued.
    row.words = run_words(session).removeprefix("Failed: ").removeprefix("Queued, ")
    if session.status is SessionStatus.RUNNING and not session.stop_requested:
        row.since = epoch_ms(session.started_at)
        row.words = steps_words(session) or session.last_line or row.words
    if session.completed_at is not None:
        row.since = epoch_ms(session.completed_at)
        row.cost = cost_words(session) if session.cost else ""
        if session.status is SessionStatus.CANCELLED:
            row.words = f"Ran for {spent(session.duration_ms)}" if session.duration_ms else ""
        if session.status is SessionStatus.COMPLETED:
            row.words = _outcome(each) or f"Finished in {spent(session.duration_ms)}"
    return row


def _outcome(each: HomeCard) -> str:
    change = each.card.change
    if change is None or not change.files:
        return ""
    files = "1 file" if change.files == 1 else f"{change.files:,} files"
    return f"{files}, +{change.additions or 0:,} −{change.deletions or 0:,}"


def tiles_of(tiles: list[ProjectTile]) -> list[Tile]:
    """Return the projects with their weeks, all drawn to one scale."""
    highest = max((_ended(day) for each in tiles for day in each.week), default=0)
    return [
        Tile(
            id=str(each.id),
            name=each.name,
            key=each.key,
            live=each.live,
            needs=each.needs_you,
            runs=_week_words(each),
            week=[
                DayBar(
                    _height(day.completed + day.cancelled, highest),
                    _height(day.failed, highest),
                    _day_words(day),
                )
                for day in each.week
            ],
        )
        for each in tiles
    ]


def _ended(day: DayRuns) -> int:
    return day.completed + day.failed + day.cancelled


def _height(count: int, highest: int) -> int:
    """Return how many pixels high some runs are drawn; a single one is seen too."""
    return max(3, round(count / highest * DAY_PIXELS)) if count else 0


def _day_words(day: DayRuns) -> str:
    counts = {"completed": day.completed, "failed": day.failed, "cancelled": day.cancelled}
    words = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    return f"{day.day}: {words or 'no run'}"


def _week_words(tile: ProjectTile) -> str:
    ended = sum(_ended(day) for day in tile.week)
    if not ended:
        return "No run in the last 7 days"
    failed = sum(day.failed for day in tile.week)
    runs = "1 run" if ended == 1 else f"{ended:,} runs"
    return f"{runs} in 7 days, {failed:,} failed" if failed else f"{runs} in 7 days"
