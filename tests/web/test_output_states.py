"""The panel's State: its batches of lines, and that lines move nothing else."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import Open, Tab, full_name, owner_of
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import TaskView
from vibe_app.web.board import columns as board
from vibe_app.web.kit.terminal_rows import kind_of
from vibe_app.wire import Event, EventType, now
from vibe_app.wiring import Services


async def test_output_alone_moves_nothing_in_the_drawer(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    task: TaskView,
    tab: Open,
    runtime: FakeRuntime,
    monkeypatch: pytest.MonkeyPatch,
):
    """The board follows the last line of each card; the drawer is neither read nor sent anew."""
    monkeypatch.setattr(board, "PULSE", 0.05)
    runtime._given = Script.lines(1000, rate=20, outcome=None)
    watcher: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
    await watcher.go(watcher.path)
    await parts.starts.execute(await owner_of(parts, tokens), project.id, task.id)

    def line() -> str:
        return next((card.get("line", "") for card in watcher.cards("IN_PROGRESS")), "")

    await eventually(lambda: watcher.var("DrawerState", "run") == "running" and line())
    first = int(line().split()[1])
    await eventually(lambda: int(line().split()[1]) > first)  # all that is not output is read by then
    with monkeypatch.context() as closed:
        closed.setattr(parts.tasks, "read", None)
        sent, before = len(watcher.deltas), line()
        await eventually(lambda: int(line().split()[1]) > int(before.split()[1]) + 20)
    assert full_name("DrawerState") not in {owner for owner, _ in watcher.deltas[sent:]}


class TestOutput:
    """The panel's batches."""

    LINES = 600
    RATE = 400

    @pytest.fixture
    def runtime(self) -> FakeRuntime:
        return FakeRuntime(Script.lines(self.LINES, self.RATE))

    @pytest.fixture
    async def session(
        self, parts: Services, tokens: dict[str, str], project: ProjectView, task: TaskView
    ) -> UUID:
        actor = await owner_of(parts, tokens)
        return (await parts.starts.execute(actor, project.id, task.id)).id

    def batches(self, tab: Tab) -> list[dict[str, Any]]:
        return [batch for batch in tab.all_of("OutputState", "batch") if batch.get("s")]

    def seqs(self, batches: list[dict[str, Any]]) -> list[int]:
        return [event[0] for batch in batches for event in batch["e"]]

    def ended(self, tab: Tab) -> bool:
        return any("Session completed" in event[1] for batch in self.batches(tab) for event in batch["e"])

    async def test_batches_are_numbered_follow_on_each_other_and_are_few(
        self, project: ProjectView, task: TaskView, session: UUID, tab: Open
    ):
        viewer: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
        began = time.monotonic()
        await viewer.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: self.ended(viewer))
        took = time.monotonic() - began
        batches = self.batches(viewer)
        assert [batch["n"] for batch in batches] == list(
            range(batches[0]["n"], batches[0]["n"] + len(batches))
        )
        seqs = self.seqs(batches)
        assert seqs == list(range(1, len(seqs) + 1))
        assert len(seqs) > self.LINES
        for before, after in pairwise(batches):
            assert after["a"] == (before["e"][-1][0] if before["e"] else before["a"])
        assert len(batches) <= 20 * took + 2
        # Only the newest batch is in the State.
        assert sum(len(batch["e"]) for batch in batches[-1:]) < self.LINES / 4

    async def test_a_gap_is_filled_from_the_last_number_that_is_there(
        self, project: ProjectView, task: TaskView, session: UUID, tab: Open
    ):
        viewer: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
        await viewer.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: len(self.seqs(self.batches(viewer))) > 50)
        already = len(self.batches(viewer))
        await viewer.send("OutputState.follow", session_id=str(session), last_seq=20)
        await eventually(lambda: self.ended(viewer))
        later = self.batches(viewer)[already:]
        again = later[[batch["a"] for batch in later].index(20) :]
        # From there on one follower speaks: nothing is missing and nothing comes twice.
        seqs = self.seqs(again)
        assert seqs == list(range(21, 21 + len(seqs)))

    async def test_after_the_end_everything_comes_again(
        self, parts: Services, project: ProjectView, task: TaskView, session: UUID, tab: Open
    ):
        first: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
        await first.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: self.ended(first))
        second: Tab = await tab("owner", f"/p/{project.id}/t/{task.id}")
        await second.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: self.ended(second))
        assert self.seqs(self.batches(second)) == self.seqs(self.batches(first))

    async def test_a_closed_tab_is_not_followed_any_more(
        self, project: ProjectView, task: TaskView, session: UUID, tab: Open
    ):
        viewer: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
        await viewer.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: len(self.seqs(self.batches(viewer))) > 20)
        await viewer.disconnect()
        got = len(viewer.deltas)
        other: Tab = await tab("viewer", f"/p/{project.id}/t/{task.id}")
        await other.send("OutputState.follow", session_id=str(session), last_seq=0)
        await eventually(lambda: self.ended(other))
        assert len(viewer.deltas) == got

    async def test_who_has_left_the_card_is_told_nothing_of_it(
        self, project: ProjectView, session: UUID, tab: Open
    ):
        viewer: Tab = await tab("viewer", f"/p/{project.id}")
        await viewer.call("OutputState.follow", session_id=str(session), last_seq=0)
        await viewer.call("OutputState.arrive")
        assert self.batches(viewer) == []
        assert "toast" not in viewer.told

    @pytest.mark.parametrize(
        ("kind", "text", "letter"),
        [
            (EventType.DONE, "Session completed", "d"),
            (EventType.DONE, "Session failed: The agent gave up.", "f"),
            (EventType.DONE, "Session cancelled", "c"),
            (EventType.OUTPUT, "Session failed", "o"),
        ],
    )
    def test_an_end_that_is_no_success_has_a_colour_of_its_own(self, kind: EventType, text: str, letter: str):
        assert kind_of(Event(seq=1, type=kind, text=text, timestamp=now())) == letter

    @pytest.mark.parametrize("role", ["stranger", None])
    async def test_who_may_not_read_gets_nothing(
        self, project: ProjectView, task: TaskView, session: UUID, tab: Open, role: str | None
    ):
        someone: Tab = await tab(role, f"/p/{project.id}/t/{task.id}")
        for asked in (session, uuid4()):
            await someone.call("OutputState.follow", session_id=str(asked), last_seq=0)
            await eventually(lambda: someone.events)
        assert self.batches(someone) == []
