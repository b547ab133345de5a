"""Several requests of a session at once: together they go over a limit by one of them at most."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import eventually
from tests.workspace_services.gateway.gate import GPT, Gate, Reply, Upstream, openai, provider
from vibe_app.catalogue import catalogue
from vibe_app.wire.gateway import DOLLAR, Limits, Spent
from vibe_app.workspace_services.gateway.estimates import Estimate, crowded, estimated

CENT = DOLLAR // 100
# What the provider says costs 60,000 * 150 + 1,667 * 600 = 10,000,200 nanodollars: a cent and 200.
COST = CENT + 200
LONG = {"messages": [{"role": "user", "content": "x" * 60_000}], "max_tokens": 1667}
"""A request that may cost as much as it does, and 60 tokens more: a byte counts as one."""


class Crowd(Upstream):
    """A provider that holds its answers back until it is told; it knows how many it held at once."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.held = self.most = 0
        self.script = self._hold_back

    def _hold_back(self, _: object) -> Reply:
        self.held += not self.go.is_set()
        self.most = max(self.most, self.held)
        return Reply([self.go, *openai(prompt=60_000, completion=1667)])


async def asked_together(gate: Gate, crowd: Crowd, number: int, at_once: int) -> list[int]:
    """Ask so many times at once; return the statuses once all are answered."""
    tasks = [asyncio.create_task(gate.ask(**LONG)) for _ in range(number)]
    await eventually(lambda: len(crowd.asked) >= at_once, 20)
    crowd.go.set()
    return sorted(answer.status_code for answer in await asyncio.gather(*tasks))


@pytest.mark.parametrize(
    ("limit", "at_once", "passing"),
    [
        # A limit that three and a bit would use: the fourth goes alone and over it, by less than itself.
        (3 * COST + 1, 2, 4),
        # One that five use to the cent.
        (5 * COST, 4, 5),
        # The first goes whatever it may cost, and alone.
        (1, 1, 1),
        # There is room for all.
        (100 * COST, 12, 12),
    ],
)
async def test_requests_at_once_go_over_a_limit_of_costs_by_one_at_most(
    gate: Gate, limit: int, at_once: int, passing: int
):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        await gate.session("s", "ses_1", nanodollars=limit)
        statuses = await asked_together(gate, crowd, 12, at_once)
        assert statuses == [200] * passing + [402] * (12 - passing)
        assert crowd.most == at_once
        assert len(crowd.asked) == passing
    spent = (await gate.spending("s")).spent
    assert (spent.requests, spent.nanodollars) == (passing, passing * COST)
    assert spent.nanodollars - limit < COST


async def test_requests_at_once_go_over_a_limit_of_tokens_by_one_at_most(gate: Gate):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        await gate.session("s", "ses_1", tokens=3 * 61_667 + 1)
        statuses = await asked_together(gate, crowd, 12, 2)
        assert statuses == [200] * 4 + [402] * 8
        assert crowd.most == 2
    assert (await gate.spending("s")).spent.total == 4 * 61_667


async def test_without_a_limit_nothing_waits(gate: Gate):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        await gate.session("s", "ses_1")
        assert await asked_together(gate, crowd, 12, 12) == [200] * 12
        assert crowd.most == 12


async def test_one_session_waits_for_no_other(gate: Gate):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        for name in ("a", "b"):
            await gate.session(name, f"ses_{name}", nanodollars=1)
        tasks = [asyncio.create_task(gate.ask(f"ses_{name}", **LONG)) for name in ("a", "b")]
        await eventually(lambda: len(crowd.asked) == 2)
        crowd.go.set()
        assert [answer.status_code for answer in await asyncio.gather(*tasks)] == [200, 200]


async def test_who_waits_goes_on_when_the_limit_is_raised_and_ends_with_the_session(gate: Gate):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        await gate.session("s", "ses_1", nanodollars=1)
        tasks = [asyncio.create_task(gate.ask(**LONG))]
        await eventually(lambda: len(crowd.asked) == 1)
        tasks.append(asyncio.create_task(gate.ask(**LONG)))
        await waits_at(gate)
        assert len(crowd.asked) == 1
        await gate.session("s", nanodollars=100 * COST)
        await eventually(lambda: len(crowd.asked) == 2)
        await gate.session("s", nanodollars=1)
        tasks.append(asyncio.create_task(gate.ask(**LONG)))
        await waits_at(gate)
        await gate.control.delete("/sessions/s")
        assert (await tasks[2]).status_code == 403
        crowd.go.set()
        assert [(await task).status_code for task in tasks[:2]] == [200, 200]


async def test_who_waits_and_goes_away_is_never_asked_for(gate: Gate):
    async with Crowd() as crowd:
        await gate.configure(provider(crowd))
        await gate.session("s", "ses_1", nanodollars=3 * COST)
        first = asyncio.create_task(gate.ask(**LONG))
        await eventually(lambda: len(crowd.asked) == 1)
        await gate.session("s", nanodollars=1)
        second = asyncio.create_task(gate.ask(**LONG))
        await waits_at(gate)
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)
        await waits_at(gate)
        await gate.session("s", nanodollars=100 * COST)
        crowd.go.set()
        assert (await first).status_code == 200
        assert (await gate.ask(**LONG)).status_code == 200
        assert len(crowd.asked) == 2
        assert (await gate.spending("s")).spent.requests == 2


async def waits_at(gate: Gate) -> None:
    """Return once the gateway has read what was sent to it before: it answers in turn, in one thread."""
    for _ in range(20):
        await gate.control.get("/health")


def test_an_estimate_is_what_the_request_may_use_at_most():
    model = catalogue().find("openai", GPT)
    assert model is not None
    told = b'{"model": "gpt-4o-mini", "max_tokens": 100, "messages": []}'
    assert estimated(told, model, free=False) == Estimate(len(told) + 100, len(told) * 150 + 100 * 600)
    for name in ("max_completion_tokens", "max_output_tokens", "maxOutputTokens"):
        assert estimated(told.replace(b"max_tokens", name.encode()), model, free=False).tokens > 100
    # What is said in a text is none, and of several the largest counts.
    text = rb'{"messages": [{"content": "\"max_tokens\": 1"}]}'
    assert estimated(text, model, free=False).tokens == len(text) + model.output
    twice = b'{"max_tokens": 7, "input": {"max_tokens": 3}}'
    assert estimated(twice, model, free=False).tokens == len(twice) + 7
    # No more can be put in than the model holds.
    assert estimated(b"x" * 1_000_000, model, free=False).tokens == model.context + model.output
    assert estimated(told, model, free=True).nanodollars == 0
    assert estimated(b"", None, free=False) == Estimate(32_000, 0)
    # To write to Anthropic's cache costs more than to read.
    sonnet = catalogue().find("anthropic", "claude-sonnet-4-5")
    assert sonnet is not None
    assert estimated(told, sonnet, free=False).nanodollars == len(told) * 3750 + 100 * 15_000


def test_what_costs_nothing_waits_for_no_money():
    held = [Estimate(10, 10)]
    limits, spent = Limits(nanodollars=5), Spent()
    assert crowded(limits, spent, held, Estimate(10, 1))
    assert not crowded(limits, spent, held, Estimate(10, 0))
    assert crowded(Limits(tokens=19), spent, held, Estimate(10, 0))
    assert not crowded(Limits(tokens=20), spent, held, Estimate(10, 0))
    assert not crowded(Limits(), spent, held, Estimate(10, 10))
