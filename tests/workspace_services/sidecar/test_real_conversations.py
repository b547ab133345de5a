"""Real conversations that go on: after an end of any kind the next message finds all that was said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workspace_services.sidecar.provider import Answer, Provider, calls, providing, runs, says
from tests.workspace_services.sidecar.stack import Stack, direct, output, running, texts
from vibe_app.workspaces.runtimes import hermetic


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with providing() as found:
        yield found


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> Iterator[Stack]:
    """A stack whose model the test plays."""
    stack = Stack(tmp_path_factory.mktemp("asking"))
    config = hermetic.opencode_config(layout=stack.layout, gateway_url="")
    # What an agent may ask for, a test must be able to leave unanswered.
    config["permission"]["bash"] = {"*": "allow", "rm *": "ask"}
    stack.config = direct(config, provider.url)
    with running(stack):
        yield stack


def asked(provider: Provider) -> list[str]:
    """What the people said, in the newest request."""
    messages = provider.requests[-1]["messages"]
    return [json.dumps(message["content"]) for message in messages if message["role"] == "user"]


async def first(asking: Stack, provider: Provider, tree: int, **more: Any) -> str:
    """Have one turn end well, and return its conversation."""
    asking.tree(tree)
    provider.reset(lambda *_: says("I know the word: MARIGOLD."))
    session = await asking.begin("The word is MARIGOLD.", tree=tree, **more)
    assert (await asking.events(session))[-1]["text"] == "Session completed"
    return (await asking.state(session))["conversation"]


async def test_a_follow_up_remembers_and_shows_and_counts_its_own_part_alone(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 1)
    provider.reset(lambda *_: says("It was MARIGOLD?"))
    session = await asking.begin("What was it?", tree=1, conversation=conversation)
    events = await asking.events(session)
    assert output(events) == "It was MARIGOLD?\n"
    assert "The word is MARIGOLD." in asked(provider)[0]
    state = await asking.state(session)
    assert state["conversation"] == conversation
    assert (state["status"], state["asking"], state["began_anew"]) == ("completed", True, False)
    assert state["usage"]["tokens_input"] == 100
    assert state["usage"]["tokens_output"] == 5
    assert state["summary"] == "It was MARIGOLD?"


async def test_sub_agents_of_before_are_not_told_again(asking: Stack, provider: Provider) -> None:
    asking.tree(2)

    def play(_: int, request: dict[str, Any]) -> Answer:
        last = request["messages"][-1]
        if "BELOW" in json.dumps(last):
            return says("from below")
        if last["role"] == "tool":
            return says("Done.")
        return calls("task", {"description": "d", "prompt": "BELOW", "subagent_type": "general"})

    provider.reset(play)
    session = await asking.begin("go", tree=2)
    assert "from below" in output(await asking.events(session))
    conversation = (await asking.state(session))["conversation"]
    provider.reset(lambda *_: says("And now."))
    follow = await asking.begin("more", tree=2, conversation=conversation)
    events = await asking.events(follow)
    assert output(events) == "And now.\n"
    assert (await asking.state(follow))["usage"]["tokens_input"] == 100


async def test_a_follow_up_after_a_stop_is_not_disturbed_by_what_that_left(
    asking: Stack, provider: Provider
) -> None:
    asking.tree(3)
    provider.reset(lambda *_: runs("echo begun; sleep 600"))
    session = await asking.begin("begin", tree=3)
    await asking.until(session, "begun")
    conversation = (await asking.state(session))["conversation"]
    async with asking.opencode_client(asking.tree(3)) as client:
        body = {"parts": [{"type": "text", "text": "IN LINE"}]}
        (await client.post(f"/session/{conversation}/prompt_async", json=body)).raise_for_status()
    assert (await asking.stop(session))["status"] == "cancelled"
    provider.reset(lambda *_: says("Other."))
    follow = await asking.begin("do something else", tree=3, conversation=conversation)
    events = await asking.events(follow)
    assert output(events) == "Other.\n"
    assert events[-1]["text"] == "Session completed"
    assert not any("IN LINE" in text for text in asked(provider))
    assert "begin" in asked(provider)[0]
    assert len(provider.requests) == 1


async def test_what_an_aborted_turn_had_asked_for_is_not_asked_again(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 4)
    provider.reset(lambda *_: runs("rm nothing"))
    async with asking.opencode_client(asking.tree(4)) as client:
        body = {"parts": [{"type": "text", "text": "fetch"}]}
        (await client.post(f"/session/{conversation}/prompt_async", json=body)).raise_for_status()
        while not (await client.get("/permission")).json():
            pass
        (await client.post(f"/session/{conversation}/abort")).raise_for_status()
        assert (await client.get("/permission")).json()
    provider.reset(lambda *_: says("Fine."))
    follow = await asking.begin("more", tree=4, conversation=conversation)
    events = await asking.events(follow)
    assert not any("InvalidRequest" in text for text in texts(events, "status"))
    assert events[-1]["text"] == "Session completed"


async def test_a_turn_that_nobody_watches_any_more_is_ended_first(asking: Stack, provider: Provider) -> None:
    conversation = await first(asking, provider, 5)
    provider.reset(lambda *_: runs("touch begun; sleep 600"))
    async with asking.opencode_client(asking.tree(5)) as client:
        body = {"parts": [{"type": "text", "text": "left alone"}]}
        (await client.post(f"/session/{conversation}/prompt_async", json=body)).raise_for_status()
        while conversation not in (await client.get("/session/status")).json():
            pass
    provider.reset(lambda *_: says("Fine."))
    follow = await asking.begin("more", tree=5, conversation=conversation)
    assert output(await asking.events(follow)) == "Fine.\n"


async def test_two_sessions_do_not_go_on_with_one_conversation_at_once(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 6)
    provider.reset(lambda *_: runs("echo begun; until [ -e go ]; do sleep 0.05; done"))
    session = await asking.begin("more", tree=6, conversation=conversation)
    await asking.until(session, "begun")
    async with asking.client() as client:
        body = {"session_id": "other", "prompt": "p", "tree": 6, "conversation": conversation}
        answer = await client.post("/sessions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "conversation_busy")
    await asking.stop(session)


@pytest.mark.parametrize("who", ["opencode", "sidecar", "both"])
async def test_a_follow_up_after_a_kill_remembers(asking: Stack, provider: Provider, who: str) -> None:
    tree = {"opencode": 7, "sidecar": 8, "both": 9}[who]
    conversation = await first(asking, provider, tree)
    if who != "sidecar":
        asking.kill(asking.opencode)
        asking.start_opencode()
    if who != "opencode":
        asking.kill(asking.sidecar)
        asking.start_sidecar()
    await asking.ready()
    provider.reset(lambda *_: says("It was MARIGOLD."))
    follow = await asking.begin("What was it?", tree=tree, conversation=conversation)
    assert output(await asking.events(follow)) == "It was MARIGOLD.\n"
    assert "The word is MARIGOLD." in asked(provider)[0]


async def test_a_follow_up_taken_up_by_another_sidecar_shows_its_own_part_alone(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 10)
    script = [runs("echo begun; until [ -e go ]; do sleep 0.05; done; echo gone on"), says("Finished.")]
    provider.reset(lambda number, _: script[number - 1])
    session = await asking.begin("more", tree=10, conversation=conversation)
    await asking.until(session, "begun")
    asking.kill(asking.sidecar)
    (asking.tree(10) / "go").touch()
    asking.start_sidecar()
    await asking.ready()
    events = await asking.events(session)
    assert output(events) == "begun\ngone on\nFinished.\n"
    state = await asking.state(session)
    assert (state["status"], state["usage"]["tokens_input"]) == ("completed", 200)


@pytest.mark.parametrize("gone", ["ses_0000000000000000000000000", "no-conversation", "elsewhere"])
async def test_a_conversation_that_is_gone_begins_anew_and_says_so(
    asking: Stack, provider: Provider, gone: str
) -> None:
    # One of another tree would be worked on there.
    conversation = await first(asking, provider, 11) if gone == "elsewhere" else gone
    asking.tree(12)
    provider.reset(lambda *_: says("I see."))
    more = {"conversation": conversation, "lost_prompt": "All that you must know."}
    session = await asking.begin("And now?", tree=12, **more)
    events = await asking.events(session)
    assert any("conversation" in text and "gone" in text for text in texts(events, "status"))
    assert "All that you must know." in asked(provider)[0]
    assert "And now?" not in asked(provider)[0]
    state = await asking.state(session)
    assert state["began_anew"]
    assert state["conversation"] not in ("", conversation)
    assert await asking.begin("And now?", session, tree=12, **more) == session


async def test_a_message_is_said_whole_until_its_conversation_has_it(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 13)
    more = {"tree": 13, "conversation": conversation, "spends_for": "the-session", "again": "Go on."}
    provider.reset(lambda *_: runs("echo begun; sleep 600"))
    lost = await asking.begin("See to PRIMROSE.", **more)
    await asking.until(lost, "begun")
    assert "See to PRIMROSE." in asked(provider)[-1]
    asking.kill(asking.opencode)
    asking.start_opencode()
    assert (await asking.events(lost))[-1]["text"].startswith("Session failed")
    await asking.ready()
    provider.reset(lambda *_: says("Done."))
    again = await asking.begin("See to PRIMROSE.", **more)
    assert output(await asking.events(again)) == "Done.\n"
    assert "Go on." in asked(provider)[-1]
    assert sum("See to PRIMROSE." in text for text in asked(provider)) == 1


async def test_a_conversation_tells_whether_it_has_what_was_said_for_a_session(
    asking: Stack, provider: Provider
) -> None:
    """The sidecar has nothing of it any more, and its tree is gone."""
    conversation = await first(asking, provider, 15)
    provider.reset(lambda *_: says("Done."))
    more = {"tree": 15, "conversation": conversation, "spends_for": "the-session"}
    session = await asking.begin("See to PRIMROSE.", **more)
    await asking.events(session)

    async def heard(of: str, said_for: str) -> bool:
        async with asking.client() as client:
            answer = await client.get(f"/conversations/{of}/heard", params={"session": said_for})
            assert answer.status_code == 200, answer.text
            return answer.json()["heard"]

    async with asking.client() as client:
        assert (await client.delete(f"/sessions/{session}")).status_code == 200
        assert (await client.delete("/trees/15")).status_code == 200
    shutil.rmtree(asking.tree(15))
    assert await heard(conversation, "the-session")
    assert not await heard(conversation, "another-session")
    assert not await heard("ses_0000000000000000000000000", "the-session")
    assert not await heard("no-conversation", "the-session")


async def test_a_repeated_message_is_not_taken_for_that_of_another_session(
    asking: Stack, provider: Provider
) -> None:
    conversation = await first(asking, provider, 14)
    for session in ("one", "other"):
        provider.reset(lambda *_: says("Done."))
        more = {"tree": 14, "conversation": conversation, "again": "Go on."}
        begun = await asking.begin("More of it.", spends_for=session, **more)
        await asking.events(begun)
        assert "More of it." in asked(provider)[-1]


async def test_a_session_that_was_stopped_before_it_began_does_not_begin(asking: Stack) -> None:
    async with asking.client() as client:
        assert (await client.post("/sessions/late/stop")).status_code == 404
        answer = await client.post("/sessions", json={"session_id": "late", "prompt": "p"})
    assert (answer.status_code, answer.json()["code"]) == (409, "called_off")
