"""What sessions spend, end to end: engine, gateway, sidecar and OpenCode as they are, a scripted provider."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeRuntime
from tests.runs.rig import Rig, rigged
from tests.runs.test_spending import Access
from tests.workspace_services.gateway.gate import (
    TOKEN,
    Asked,
    Gate,
    Reply,
    Upstream,
    gateway,
    json_reply,
    provider,
)
from tests.workspace_services.sidecar.provider import USAGE, Answer, calls, runs, says
from tests.workspace_services.sidecar.stack import Stack
from vibe_app.board.projects.schemas import ProjectPatch
from vibe_app.board.sessions.schemas import SessionView
from vibe_app.board.spending.limits import LimitsPatch
from vibe_app.db import Database
from vibe_app.runs.retry_policy import RetryPolicy
from vibe_app.runs.run import WHO_MAY
from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes import hermetic

MODEL = "o1-pro"
CENTS_21 = USAGE.replace(b"100,", b"1000,").replace(b":5,", b":100,")
"""1,000 tokens read at 150 dollars and 100 written at 600 dollars a million."""


class Whole:
    """An engine with one project whose workspace is real but for the model's provider."""

    def __init__(self, rig: Rig, gate: Gate, upstream: Upstream, stack: Stack, project: Any) -> None:
        self.rig, self.gate, self.upstream, self.stack, self.project = rig, gate, upstream, stack, project

    def answers(self, script: Callable[[int, Asked], Answer | Reply]) -> None:
        """Have the provider answer by number of the request, from 1; each answer costs 21 cents."""

        def reply(asked: Asked) -> Reply:
            found = script(len(self.upstream.asked), asked)
            if isinstance(found, Reply):
                return found
            return Reply([CENTS_21 if piece == USAGE else piece for piece in found.body])

        self.upstream.script = reply

    async def over(self, **limits: Any) -> SessionView:
        """A session of a project with these limits, once it is over."""
        await self.limit(**limits)
        return await self.rig.over(await self.rig.execute(await self.rig.card(self.project)), 60)

    async def limit(self, **limits: Any) -> None:
        """Set the project's limits."""
        patch = ProjectPatch(limits=LimitsPatch(**limits))
        await self.rig.projects.change(self.rig.actor, self.project, patch)


@asynccontextmanager
async def wholes(settings: Settings, folder: Path) -> AsyncIterator[Whole]:
    """Set it up."""
    async with Upstream() as upstream:
        database, runtime = Database(settings.database), FakeRuntime()
        access = Access(provider(upstream), database, settings)
        policy = RetryPolicy(count=0.1)
        async with rigged(settings, runtime, database, policy, access=access) as rig:
            project = await rig.project()
            token = rig.workspaces.keys(project, 1).token
            async with gateway(folder, control=token) as gate:
                stack = Stack(folder)
                stack.token = token
                stack.gateway_url = runtime.gateway_url = f"http://127.0.0.1:{gate.control_port}"
                stack.config = hermetic.opencode_config(
                    layout=stack.layout, model=f"openai/{MODEL}", gateway_url=gate.url, compatible=True
                )
                stack.key = TOKEN
                runtime.sidecar_url = stack.url
                try:
                    await stack.start()
                    yield Whole(rig, gate, upstream, stack, project)
                finally:
                    await asyncio.to_thread(stack.close)


@pytest.fixture
async def whole(settings: Settings, tmp_path: Path) -> AsyncIterator[Whole]:
    """One for each test."""
    async with wholes(settings, tmp_path) as found:
        yield found


async def test_a_session_says_to_the_cent_what_it_has_cost(whole: Whole) -> None:
    whole.answers(lambda number, _: runs(f"echo {number}") if number < 4 else says("All done."))
    over = await whole.over(usd=2)
    assert (over.status, over.cost, over.model_requests) == ("completed", 0.84, 4)
    assert (over.tokens_input, over.tokens_output) == (4000, 400)
    assert len(whole.upstream.asked) == 4


async def test_a_session_that_reaches_its_limit_ends_and_says_so(whole: Whole) -> None:
    whole.answers(lambda number, _: runs(f"echo {number}"))
    over = await whole.over(usd=0.5)
    assert (over.status, over.failure, over.cost, over.attempt) == ("failed", "budget_exhausted", 0.63, 1)
    assert over.error is not None
    assert over.error.startswith("The limit of costs is reached: $0.63 of $0.50 spent.")
    assert over.error.endswith(WHO_MAY)
    assert len(whole.upstream.asked) == 3
    assert (await whole.rig.task(over)).status == "TODO"


async def test_sub_agents_count_with_their_parent(whole: Whole) -> None:
    task = {"description": "d", "prompt": "Look around", "subagent_type": "general"}

    def script(number: int, asked: Asked) -> Answer:
        if number > 1:
            return says("Done.")
        return calls("task", task)

    whole.answers(script)
    over = await whole.over()
    assert over.status == "completed"
    assert over.model_requests == len(whole.upstream.asked) == 3
    assert over.cost == 0.63


async def test_a_provider_that_wants_to_be_left_alone_for_long_is(whole: Whole) -> None:
    whole.answers(lambda number, _: json_reply({"error": {"message": "Slow down"}}, 429, retry_after="3600"))
    session = await whole.rig.execute(await whole.rig.card(whole.project))
    waits = await whole.rig.until(
        session, lambda view: (view.waiting_for or "").startswith("the provider until"), 60
    )
    assert (waits.status, waits.attempt) == ("running", 2)
    await whole.rig.stop(session)
    assert (await whole.rig.over(session)).status == "cancelled"
