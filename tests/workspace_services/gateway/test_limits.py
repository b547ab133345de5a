"""Limits of a session, to the cent, and whose each request is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.waiting import eventually
from tests.workspace_services.gateway.gate import CUT, GPT, Gate, Reply, Upstream, openai, provider, sse
from vibe_app.wire import now
from vibe_app.wire.gateway import DOLLAR, Budget, Configuration, Limits, Spent

# gpt-4o-mini costs $0.15 and $0.60 for a million tokens.
CENT = Reply(openai(prompt=60_000, completion=1_666, total_tokens=61_666))
REST = Reply(openai(prompt=4, completion=0))


async def test_the_request_after_the_last_cent_is_refused(gate: Gate, upstream: Upstream) -> None:
    # 60,000 * 150 + 1,666 * 600 = 9,999,600 nanodollars, and 4 * 150 = 600 more: two cents and 400.
    replies = [CENT, REST, CENT, REST, CENT]
    upstream.script = lambda _: replies[len(upstream.asked) - 1]
    await gate.session("s", "ses_1", nanodollars=2 * DOLLAR // 100 + 400)
    for number in range(4):
        assert (await gate.ask()).status_code == 200, number
    assert (await gate.spending("s")).spent.nanodollars == 20_000_400
    refused = await gate.ask()
    assert refused.status_code == 402
    assert len(upstream.asked) == 4
    error = refused.json()["error"]
    assert error["code"] == "budget_exhausted"
    assert "$0.0200004 of $0.0200004" in error["message"]
    ended = (await gate.spending("s")).ended
    assert ended is not None
    assert (ended.code, ended.limit, ended.message) == ("budget_exhausted", "dollars", error["message"])


async def test_one_nanodollar_below_the_limit_one_more_request_passes(gate: Gate, upstream: Upstream) -> None:
    upstream.script = lambda _: REST
    await gate.session("s", "ses_1", nanodollars=601)
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask()).status_code == 402


async def test_tokens_of_every_kind_count_to_the_limit_of_tokens(gate: Gate, upstream: Upstream) -> None:
    usage = {
        "prompt_tokens_details": {"cached_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 3},
    }
    upstream.script = lambda _: Reply(openai(prompt=100, completion=10, **usage))
    await gate.session("s", "ses_1", tokens=220)
    assert (await gate.ask()).status_code == 200
    spent = (await gate.spending("s")).spent
    assert (spent.input, spent.cache_read, spent.output, spent.reasoning) == (60, 40, 7, 3)
    assert (await gate.ask()).status_code == 200
    refused = await gate.ask()
    assert "220 of 220" in refused.json()["error"]["message"]
    assert (await gate.spending("s")).ended == (await gate.spending("s")).ended


async def test_requests_under_way_count_to_the_limit_of_requests(gate: Gate, upstream: Upstream) -> None:
    go = asyncio.Event()
    upstream.script = lambda _: Reply([go, *openai()])
    await gate.session("s", "ses_1", requests=2)
    under_way = [asyncio.create_task(gate.ask()) for _ in range(2)]
    await eventually(lambda: len(upstream.asked) == 2)
    assert (await gate.ask()).status_code == 402
    go.set()
    assert [answer.status_code for answer in await asyncio.gather(*under_way)] == [200, 200]
    assert (await gate.ask()).status_code == 402
    assert (await gate.spending("s")).spent.requests == 2


async def test_a_session_s_minutes_end_it(gate: Gate) -> None:
    begun = now() - timedelta(minutes=10)
    await gate.budget("s", Budget(limits=Limits(minutes=11), started_at=begun))
    await gate.talk("ses_1", "s")
    assert (await gate.ask()).status_code == 200
    await gate.budget("s", Budget(limits=Limits(minutes=10), started_at=begun))
    refused = await gate.ask()
    assert refused.status_code == 402
    assert "10 min" in refused.json()["error"]["message"]


async def test_a_limit_that_was_raised_lets_it_go_on(gate: Gate) -> None:
    await gate.session("s", "ses_1", requests=1)
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask()).status_code == 402
    found = await gate.session("s", requests=2)
    assert (found.spent.requests, found.ended) == (1, None)
    assert (await gate.ask()).status_code == 200
    assert (await gate.spending("s")).ended is None


async def test_title_requests_and_sub_agents_count_with_their_session(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1", requests=4)
    await gate.session("other", "ses_9")
    assert (await gate.ask("ses_1")).status_code == 200
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    assert (await gate.ask("ses_3", parent="ses_2")).status_code == 200
    # A title is asked for in the session's own name, with another model; a sub-agent may ask again.
    assert (await gate.ask("ses_1", model="gpt-4.1-nano")).status_code == 200
    assert (await gate.ask("ses_3", parent="ses_2")).status_code == 402
    assert (await gate.ask("ses_9")).status_code == 200
    entries = (await gate.usage()).entries
    assert [entry.session_id for entry in entries] == ["s", "s", "s", "s", "other"]
    assert [entry.conversation for entry in entries] == ["ses_1", "ses_2", "ses_3", "ses_1", "ses_9"]


async def test_a_follow_up_of_the_same_conversation_counts_to_its_own_session(gate: Gate) -> None:
    await gate.session("first", "ses_1")
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    await gate.control.delete("/sessions/first")
    await gate.session("second", "ses_1")
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    assert [entry.session_id for entry in (await gate.usage()).entries] == ["first"] * 2 + ["second"] * 2


@pytest.mark.parametrize("conversation", ["", "ses_unknown", "../x", "ses_ended"])
async def test_a_conversation_that_nobody_registered_is_refused(
    gate: Gate, upstream: Upstream, conversation: str
) -> None:
    await gate.session("ended", "ses_ended")
    await gate.control.delete("/sessions/ended")
    for parent in ("", "ses_foreign", conversation):
        refused = await gate.ask(conversation, parent=parent)
        assert refused.status_code == 403
        assert "belongs to no session" in refused.json()["error"]["message"]
    assert upstream.asked == []


async def test_talks_count_to_the_project_as_far_as_its_allowance_goes(
    gate: Gate, upstream: Upstream
) -> None:
    allowance = Budget(limits=Limits(requests=2), spent=Spent(requests=1))
    await gate.configure(provider(upstream), talks=allowance)
    await gate.session("s", "ses_1")
    assert (await gate.ask("ses_talk")).status_code == 200
    assert (await gate.ask("ses_talk")).status_code == 402
    assert (await gate.ask("ses_1")).status_code == 200
    entries = (await gate.usage()).entries
    assert [(entry.session_id, entry.conversation) for entry in entries] == [
        (None, "ses_talk"),
        ("s", "ses_1"),
    ]
    await gate.configure(provider(upstream))
    assert (await gate.ask("ses_talk")).status_code == 403


async def test_a_gateway_that_lost_its_journal_asks_for_nobody_until_it_knows_whose_it_is(
    gate: Gate, upstream: Upstream
) -> None:
    allowance = {"talks": Budget(limits=Limits(requests=9))}
    await gate.session("s", "ses_1", requests=2)
    assert (await gate.ask()).status_code == 200
    gate.kill()
    (gate.folder / "journal" / "gateway.jsonl").unlink()
    await gate.start()

    async def refused(conversation: str, parent: str = "") -> None:
        answer = await gate.ask(conversation, parent=parent)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert "has not been told whose" in answer.json()["error"]["message"]

    told = Configuration(providers=(provider(upstream),), **allowance)
    answer = await gate.control.put("/configuration", content=told.model_dump_json())
    assert answer.status_code == 200
    # Nobody has said whose the live conversations are: any may be a session's.
    await refused("ses_1")
    await refused("ses_talk")
    await gate.live({"ses_1": "s"})
    assert (await gate.ask("ses_talk")).status_code == 200
    # It is said, but not yet what the session may spend.
    await refused("ses_1")
    await refused("ses_2", parent="ses_1")
    await gate.budget("s", Budget(limits=Limits(requests=2), spent=Spent(requests=1)))
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    assert (await gate.ask()).status_code == 402
    entries = (await gate.usage()).entries
    assert [(entry.session_id, entry.conversation) for entry in entries] == [
        (None, "ses_talk"),
        ("s", "ses_2"),
    ]
    # A run that is over is no longer named, and whoever goes on with its conversation talks.
    await gate.control.delete("/sessions/s")
    await gate.live({"ses_1": "s"})
    await refused("ses_1")
    await gate.live({})
    assert (await gate.ask()).status_code == 200


async def test_an_unknown_price_stays_unknown(gate: Gate) -> None:
    await gate.session("s", "ses_1", nanodollars=10)
    assert (await gate.ask(model="nobody-knows-this")).status_code == 200
    spent = (await gate.spending("s")).spent
    assert (spent.nanodollars, spent.unpriced, spent.input) == (0, 1, 100)
    assert (await gate.usage()).entries[0].nanodollars is None


async def test_what_costs_nothing_costs_nothing(gate: Gate, upstream: Upstream) -> None:
    free = provider(upstream, "rehearsal").model_copy(update={"free": True, "catalogue": ""})
    await gate.configure(free)
    await gate.session("s", "ses_1")
    assert (await gate.ask(provider="rehearsal", model="rehearsal")).status_code == 200
    assert (await gate.usage()).entries[0].nanodollars == 0
    assert (await gate.spending("s")).spent.unpriced == 0


async def test_what_the_engine_holds_and_what_it_has_not_fetched_are_added_once(gate: Gate) -> None:
    await gate.session("s", "ses_1")
    for _ in range(3):
        await gate.ask()
    page = await gate.usage()
    one = page.entries[0].nanodollars
    assert one is not None
    spent = Spent(requests=11, input=200, nanodollars=50)
    # It holds the first two of these entries, and nine requests of another gateway.
    held = Budget(spent=spent, journal=page.journal, after=2)
    for _ in range(2):
        found = (await gate.budget("s", held)).spent
        assert (found.requests, found.input, found.nanodollars) == (12, 300, 50 + one)
    # A number of another journal says nothing of this one, which knows the session.
    foreign = Budget(spent=spent, journal="another", after=3)
    assert (await gate.budget("s", foreign)).spent.requests == 12
    await gate.control.delete("/sessions/s")
    assert (await gate.budget("s", foreign)).spent.requests == 14


async def test_a_request_that_was_broken_off_counts_with_what_was_seen(
    gate: Gate, upstream: Upstream
) -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
    upstream.script = lambda _: Reply([*sse(start, {"type": "content_block_delta"}), CUT])
    await gate.session("s", "ses_1")
    request = gate.asking(provider="anthropic", model="claude-sonnet-4-5", path="messages")
    answer = await gate.opencode.send(request, stream=True)
    with pytest.raises(Exception, match="closed"):
        await answer.aread()
    await answer.aclose()
    entry = (await gate.usage()).entries[0]
    assert (entry.usage, entry.input, entry.output, entry.nanodollars) == ("part", 10, 1, 45_000)
    spent = (await gate.spending("s")).spent
    assert (spent.requests, spent.cut_off, spent.input) == (1, 1, 10)


async def test_who_goes_away_ends_the_provider_s_work_and_the_request_counts(
    gate: Gate, upstream: Upstream
) -> None:
    never = asyncio.Event()
    upstream.script = lambda _: Reply([*openai()[:1], never])
    await gate.session("s", "ses_1")
    answer = await gate.opencode.send(gate.asking(), stream=True)
    assert await anext(answer.aiter_raw())
    await answer.aclose()
    await eventually(lambda: upstream.broken_off == 1)
    upstream.script = lambda _: Reply([never])
    before = asyncio.create_task(gate.ask())
    await eventually(lambda: len(upstream.asked) == 2)
    before.cancel()
    await eventually(lambda: upstream.broken_off == 2)

    async def counted() -> bool:
        return (await gate.spending("s")).spent.cut_off == 2

    await eventually(counted)
    assert [entry.usage for entry in (await gate.usage()).entries] == ["part", "part"]
    assert GPT in {entry.model for entry in (await gate.usage()).entries}
