"""The client of a sidecar against servers on real ports: the contract, and each way to break it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from tests import fakes
from tests.api.conftest import serving
from tests.scripted import Script, ScriptedSidecar
from vibe_app.clients.sidecar import Agent
from vibe_app.errors import Conflict, InvalidRequest, NotFound, Unavailable
from vibe_app.wire import Event, EventType, Failure, SidecarStatus, StartSession, Usage
from vibe_app.workspaces.runtimes.base import Endpoint

START = StartSession(session_id="s1", prompt="Write the file hello.txt")


@pytest.fixture
async def agent() -> AsyncIterator[Agent]:
    async with Agent(connect=2, answer=2, silence=2) as agent:
        yield agent


async def read(agent: Agent, sidecar: ScriptedSidecar, after: int = 0) -> list[Event]:
    return [event async for event in agent.stream(sidecar.endpoint, START.session_id, after)]


async def test_a_session_from_start_to_done(agent: Agent) -> None:
    script = Script(events=[("output", "Héllo\n\n", 0), ("status", "tool", 0)], usage=Usage(tokens_input=7))
    async with ScriptedSidecar(script) as sidecar:
        accepted = await agent.start(sidecar.endpoint, START)
        assert (accepted.session_id, accepted.status) == ("s1", SidecarStatus.RUNNING)
        events = await read(agent, sidecar)
        state = await agent.state(sidecar.endpoint, "s1")
    assert [(event.seq, event.type, event.text) for event in events] == [
        (1, EventType.OUTPUT, "Héllo\n\n"),
        (2, EventType.STATUS, "tool"),
        (3, EventType.DONE, "Session completed"),
    ]
    assert state is not None
    assert (state.status, state.last_seq, state.usage.tokens_input) == (SidecarStatus.COMPLETED, 3, 7)


async def test_a_failed_session_says_why(agent: Agent) -> None:
    async with ScriptedSidecar(Script.failing("no such model", Failure.PROVIDER_REFUSED)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        events = await read(agent, sidecar)
        state = await agent.state(sidecar.endpoint, "s1")
    assert events[-1].text == "Session failed: no such model"
    assert state is not None
    assert (state.error, state.failure) == ("no such model", Failure.PROVIDER_REFUSED)


async def test_what_a_sidecar_works_on(agent: Agent) -> None:
    async with ScriptedSidecar(Script.endless()) as sidecar:
        assert await agent.live(sidecar.endpoint) == []
        await agent.start(sidecar.endpoint, START)
        assert [state.session_id for state in await agent.live(sidecar.endpoint)] == ["s1"]
        await agent.stop(sidecar.endpoint, "s1")
        assert await agent.live(sidecar.endpoint) == []
    with pytest.raises(Unavailable):
        await agent.live(sidecar.endpoint)


async def test_starting_twice_is_starting_once(agent: Agent) -> None:
    async with ScriptedSidecar() as sidecar:
        await agent.start(sidecar.endpoint, START)
        await agent.start(sidecar.endpoint, START)
        assert len(sidecar.started) == 1


async def test_the_same_id_with_another_prompt_is_a_conflict(agent: Agent) -> None:
    async with ScriptedSidecar() as sidecar:
        await agent.start(sidecar.endpoint, START)
        with pytest.raises(Conflict, match="another prompt"):
            await agent.start(sidecar.endpoint, START.model_copy(update={"prompt": "Something else"}))


async def test_a_stream_continues_after_the_last_number(agent: Agent) -> None:
    async with ScriptedSidecar(Script.lines(10)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        events = await read(agent, sidecar, after=7)
    assert [event.seq for event in events] == [8, 9, 10, 11]


async def test_stop_ends_the_stream_with_done_and_may_be_asked_twice(agent: Agent) -> None:
    async with ScriptedSidecar(Script.endless()) as sidecar:
        await agent.start(sidecar.endpoint, START)
        reading = asyncio.create_task(read(agent, sidecar))
        await sidecar.reached("s1", 1)
        first = await agent.stop(sidecar.endpoint, "s1")
        second = await agent.stop(sidecar.endpoint, "s1")
        events = await reading
    assert first == second
    assert first.status is SidecarStatus.CANCELLED
    assert events[-1].text == "Session cancelled"


async def test_an_unknown_session(agent: Agent) -> None:
    async with ScriptedSidecar() as sidecar:
        assert await agent.state(sidecar.endpoint, "nobody") is None
        with pytest.raises(NotFound, match="no such session"):
            await agent.stop(sidecar.endpoint, "nobody")
        with pytest.raises(NotFound, match="no such session"):
            await read(agent, sidecar)


async def test_a_wrong_token_means_the_workspace_must_be_restarted(agent: Agent) -> None:
    async with ScriptedSidecar() as sidecar:
        stranger = Endpoint(sidecar.endpoint.url, "wrong")
        with pytest.raises(Unavailable, match="token"):
            await agent.start(stranger, START)
        with pytest.raises(Unavailable, match="token"):
            await agent.state(stranger, "s1")


async def test_nothing_listens(agent: Agent) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        endpoint = Endpoint(f"http://127.0.0.1:{free.getsockname()[1]}", "token")
    with pytest.raises(Unavailable, match="cannot be reached"):
        await agent.start(endpoint, START)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1"])
async def test_an_address_that_is_none(agent: Agent, url: str) -> None:
    with pytest.raises(Unavailable):
        await agent.start(Endpoint(url, "token"), START)


@pytest.mark.parametrize("call", ["start", "state", "stop", "stream"])
async def test_a_web_page_is_not_an_answer(agent: Agent, call: str) -> None:
    async with fakes.SidecarAnsweringHtml() as sidecar:
        with pytest.raises(Unavailable, match="Something other than the workspace's sidecar"):
            await ask(agent, sidecar, call)


@pytest.mark.parametrize("call", ["start", "state", "stop", "stream"])
async def test_a_server_that_hangs_up(agent: Agent, call: str) -> None:
    async with fakes.SidecarThatHangsUp() as sidecar:
        with pytest.raises(Unavailable, match="lost"):
            await ask(agent, sidecar, call)


@pytest.mark.parametrize("call", ["start", "state", "stop", "stream"])
async def test_a_server_that_never_answers(call: str) -> None:
    async with fakes.SidecarThatNeverAnswers() as sidecar, Agent(answer=0.1, silence=0.1) as agent:
        with pytest.raises(Unavailable, match="in time"):
            await ask(agent, sidecar, call)


@pytest.mark.parametrize(
    ("status", "sentence", "error"),
    [
        (500, "", Unavailable),
        (502, "", Unavailable),
        (503, "OpenCode is not ready.", Unavailable),
        (401, "The token is wrong.", Unavailable),
        (409, "It ran with another prompt.", Conflict),
        (422, "A prompt is needed.", InvalidRequest),
        (404, "", Unavailable),
        (302, "Elsewhere.", Unavailable),
    ],
)
@pytest.mark.parametrize("call", ["start", "stream"])
async def test_refusals(agent: Agent, status: int, sentence: str, error: type[Exception], call: str) -> None:
    async with fakes.SidecarAnsweringError(status, sentence=sentence) as sidecar:
        with pytest.raises(error) as caught:
            await ask(agent, sidecar, call)
    assert type(caught.value) is error
    assert str(caught.value).endswith(".")
    if sentence and status not in (401,):
        assert str(caught.value) == sentence


async def test_an_answer_about_another_session(agent: Agent) -> None:
    async with ScriptedSidecar() as sidecar:
        await agent.start(sidecar.endpoint, START)
        sidecar.sessions["other"] = sidecar.session("s1")
        with pytest.raises(Unavailable, match="another session"):
            await agent.state(sidecar.endpoint, "other")


async def test_a_repeated_number_is_dropped(agent: Agent) -> None:
    async with fakes.SidecarThatStutters(Script.lines(3)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        assert [event.seq for event in await read(agent, sidecar)] == [1, 2, 3, 4]


async def test_a_missing_number_is_an_error_and_what_came_before_it_is_not_lost(agent: Agent) -> None:
    async with fakes.SidecarThatSkips(3, Script.lines(5)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        stream = agent.stream(sidecar.endpoint, START.session_id)
        assert [(await anext(stream)).seq for _ in range(2)] == [1, 2]
        with pytest.raises(Unavailable, match="from number 2 to 4"):
            await anext(stream)


async def test_a_stream_that_ends_before_done(agent: Agent) -> None:
    async with fakes.SidecarThatEndsWithoutDone() as sidecar:
        await agent.start(sidecar.endpoint, START)
        with pytest.raises(Unavailable, match="before its end"):
            await read(agent, sidecar)


async def test_silence_counts_as_lost_and_keep_alive_does_not() -> None:
    silent = fakes.SidecarThatFallsSilent(1, Script.endless())
    waiting = ScriptedSidecar(Script(events=[("output", "late\n", 0.8)]), keep_alive=0.1)
    async with silent, waiting, Agent(silence=0.4) as agent:
        await agent.start(silent.endpoint, START)
        stream = agent.stream(silent.endpoint, "s1")
        assert (await anext(stream)).seq == 1
        with pytest.raises(Unavailable, match="in time"):
            await anext(stream)
        await agent.start(waiting.endpoint, START)
        assert [event.seq for event in await read(agent, waiting)] == [1, 2]


async def test_cut_streams_are_put_together_again_from_the_last_number(agent: Agent) -> None:
    async with fakes.SidecarThatCutsStreams(7, Script.lines(30)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        seen: list[int] = []
        cuts = 0
        while len(seen) < 31:
            try:
                async for event in agent.stream(sidecar.endpoint, "s1", seen[-1] if seen else 0):
                    seen.append(event.seq)
            except Unavailable:
                cuts += 1
    assert seen == list(range(1, 32))
    assert cuts == 4


async def test_leaving_early_closes_the_connection(agent: Agent) -> None:
    async with ScriptedSidecar(Script.endless()) as sidecar:
        await agent.start(sidecar.endpoint, START)
        async with aclosing(agent.stream_batches(sidecar.endpoint, "s1")) as batches:
            await anext(batches)
            assert sidecar.readers["s1"] == 1
        await sidecar.readers_are("s1", 0)


async def test_cancellation_passes_through(agent: Agent) -> None:
    async with ScriptedSidecar(Script.endless()) as sidecar:
        await agent.start(sidecar.endpoint, START)
        reading = asyncio.create_task(read(agent, sidecar))
        await sidecar.readers_are("s1", 1)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading


async def test_twenty_thousand_lines_in_batches(agent: Agent) -> None:
    async with ScriptedSidecar(Script.lines(20_000)) as sidecar:
        await agent.start(sidecar.endpoint, START)
        batches = [batch async for batch in agent.stream_batches(sidecar.endpoint, "s1")]
    assert [event.seq for batch in batches for event in batch] == list(range(1, 20_002))
    assert len(batches) < 2_000


async def test_use_before_opening_is_a_mistake_of_the_program() -> None:
    with pytest.raises(RuntimeError, match="before open"):
        await Agent().start(Endpoint("http://127.0.0.1:1", "token"), START)


async def ask(agent: Agent, sidecar: ScriptedSidecar, call: str) -> object:
    """Make one of the four calls."""
    if call == "start":
        return await agent.start(sidecar.endpoint, START)
    if call == "state":
        return await agent.state(sidecar.endpoint, START.session_id)
    if call == "stop":
        return await agent.stop(sidecar.endpoint, START.session_id)
    return await read(agent, sidecar)


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_an_answer_without_an_end_is_given_up(
    agent: Agent, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("vibe_app.clients.sidecar._LONGEST", 100_000)

    async def long(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for more in range(10, -1, -1):
            await send({"type": "http.response.body", "body": b" " * 65_536, "more_body": more > 0})

    async with serving(long) as url:
        with pytest.raises(Unavailable, match="not a message of ours"):
            await agent.known(Endpoint(url, "token"))


async def test_a_refusal_in_half_characters_has_no_words(agent: Agent) -> None:
    async with fakes.SidecarAnsweringError(503, sentence="No \ud800.") as sidecar:
        with pytest.raises(Unavailable, match=r"answered with an error \(503\)"):
            await agent.live(sidecar.endpoint)
