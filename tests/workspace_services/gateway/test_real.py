"""Real OpenCode and a real sidecar through a real gateway, in each dialect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.waiting import eventually
from tests.workspace_services.gateway.gate import (
    CONTROL,
    KEY,
    TOKEN,
    Asked,
    Gate,
    Reply,
    Upstream,
    gateway,
    json_reply,
    provider,
    sse,
)
from tests.workspace_services.sidecar.provider import calls, says
from tests.workspace_services.sidecar.stack import Stack, output, texts
from vibe_app.catalogue import catalogue
from vibe_app.wire.gateway import Budget, Configuration, Dialect, Limits, Spent, Tokens
from vibe_app.workspaces.runtimes import hermetic

WORDS = "Read and done."


def chat(_: Asked) -> Reply:
    """Chat completions, with usage in the last piece as OpenCode asks for it."""
    return Reply([bytes(piece) for piece in says(WORDS).body])


def responses(_: Asked) -> Reply:
    """OpenAI's responses."""
    item = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": []}
    usage = {
        "input_tokens": 120,
        "input_tokens_details": {"cached_tokens": 20},
        "output_tokens": 9,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 129,
    }
    response = {"id": "resp_1", "object": "response", "created_at": 1, "model": "gpt-5", "output": []}
    text = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return Reply(
        sse(
            {"type": "response.created", "response": response | {"status": "in_progress"}},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            {"type": "response.output_text.delta", "delta": WORDS, **text},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {
                "type": "response.completed",
                "response": response | {"status": "completed", "usage": usage, "incomplete_details": None},
            },
        )
    )


def messages(_: Asked) -> Reply:
    """Anthropic's messages."""
    usage = {"input_tokens": 80, "cache_read_input_tokens": 30, "cache_creation_input_tokens": 7}
    message = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "content": []}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message | {"usage": usage | {"output_tokens": 1}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": WORDS}},
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": 12},
        },
        {"type": "message_stop"},
    ]
    return Reply([f"event: {each['type']}\n".encode() + sse(each)[0] for each in events])


def contents(_: Asked) -> Reply:
    """Google's generateContent."""
    usage = {"promptTokenCount": 70, "cachedContentTokenCount": 10, "candidatesTokenCount": 6}
    content = {"role": "model", "parts": [{"text": WORDS}]}
    return Reply(
        sse(
            {"candidates": [{"content": content, "index": 0}], "usageMetadata": {"promptTokenCount": 70}},
            {
                "candidates": [
                    {
                        "content": {"role": "model", "parts": [{"text": ""}]},
                        "finishReason": "STOP",
                        "index": 0,
                    }
                ],
                "usageMetadata": usage | {"thoughtsTokenCount": 2, "totalTokenCount": 78},
            },
        )
    )


DIALECTS: list[tuple[str, Dialect, Callable[[Asked], Reply], str, str, Tokens]] = [
    (
        "deepseek/deepseek-v4-pro",
        "openai",
        chat,
        "/v1/chat/completions",
        "authorization",
        Tokens(input=100, output=5),
    ),
    (
        "openai/gpt-5",
        "openai",
        responses,
        "/v1/responses",
        "authorization",
        Tokens(input=100, output=5, reasoning=4, cache_read=20),
    ),
    (
        "anthropic/claude-sonnet-4-5",
        "anthropic",
        messages,
        "/v1/messages",
        "x-api-key",
        Tokens(input=80, output=12, cache_read=30, cache_write=7),
    ),
    (
        "google/gemini-2.5-flash",
        "google",
        contents,
        "/v1/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        "x-goog-api-key",
        Tokens(input=60, output=6, reasoning=2, cache_read=10),
    ),
]


@asynccontextmanager
async def workspace(
    folder: Path, gate: Gate, upstream: Upstream, model: str, dialect: Dialect
) -> AsyncIterator[Stack]:
    """OpenCode and a sidecar whose models are asked through the gateway."""
    name = model.partition("/")[0]
    (folder / "stack").mkdir()
    stack = Stack(folder / "stack", gateway_url=str(gate.control.base_url).rstrip("/"))
    stack.token, stack.key = CONTROL, TOKEN
    stack.config = hermetic.opencode_config(layout=stack.layout, gateway_url=gate.url, model=model)
    stack.provider = name
    await gate.configure(provider(upstream, name, dialect))
    try:
        await stack.start()
        yield stack
    finally:
        stack.close()


async def run(stack: Stack, spends_for: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Have a session of the sidecar work for a session of the board; return its state and its events."""
    session = str(uuid4())
    async with stack.client() as client:
        body = {"session_id": session, "prompt": "Read it", "spends_for": spends_for}
        answer = await client.post("/sessions", json=body)
    assert answer.status_code == 200, answer.text
    events = await stack.events(session, 60)
    return await stack.state(session), events


@pytest.mark.parametrize(("model", "dialect", "script", "path", "header", "tokens"), DIALECTS)
async def test_a_run_in_each_dialect_is_asked_with_the_key_and_counted(
    tmp_path: Path,
    upstream: Upstream,
    model: str,
    dialect: Dialect,
    script: Callable[[Asked], Reply],
    path: str,
    header: str,
    tokens: Tokens,
) -> None:
    upstream.script = script
    async with gateway(tmp_path) as gate, workspace(tmp_path, gate, upstream, model, dialect) as stack:
        await gate.session("card", requests=1)
        state, events = await run(stack, "card")
        assert (state["status"], output(events).strip()) == ("completed", WORDS), events
        (asked,) = upstream.asked
        assert asked.path == path
        assert asked.headers[header] == (f"Bearer {KEY}" if header == "authorization" else KEY)
        assert TOKEN not in str(asked)
        (entry,) = (await gate.usage()).entries
        assert (entry.session_id, entry.usage, entry.model) == ("card", "whole", model.partition("/")[2])
        assert Tokens(**{name: getattr(entry, name) for name in Tokens.model_fields}) == tokens
        assert entry.nanodollars == catalogue().nanodollars(*model.split("/"), tokens)
        assert entry.nanodollars
        # The next request is over the limit: the run ends at once, in the gateway's words.
        state, events = await run(stack, "card")
        assert (state["status"], state["failure"]) == ("failed", "budget_exhausted")
        assert "limit of requests" in state["error"]
        await gate.session("later")
        upstream.script = lambda _: json_reply({"error": {"message": "Quota"}}, 429, retry_after="3600")
        state, events = await run(stack, "later")
        assert (state["status"], state["failure"]) == ("failed", "provider_wait")
        assert state["retry_at"]
        assert "asks to come back later" in state["error"]
        # OpenCode knows neither the key nor whom it asks.
        async with httpx.AsyncClient(auth=("opencode", stack.password), trust_env=False) as client:
            config = await client.get(f"http://127.0.0.1:{stack.opencode_port}/config")
        assert KEY not in config.text
        assert upstream.url not in config.text
        assert texts(events, "error")


@pytest.mark.parametrize("sidecar", ["tells again", "is dead"])
async def test_a_lost_journal_makes_no_talk_of_a_run_whose_sidecar_tells_again(
    tmp_path: Path, upstream: Upstream, sidecar: str
) -> None:
    hold = asyncio.Event()
    upstream.script = lambda asked: Reply([hold]) if len(upstream.asked) == 1 else chat(asked)
    model = "deepseek/deepseek-v4-pro"
    named = provider(upstream, "deepseek", "openai")
    async with gateway(tmp_path) as gate, workspace(tmp_path, gate, upstream, model, "openai") as stack:
        await gate.session("card", requests=5)
        body = {"session_id": str(uuid4()), "prompt": "Read it", "spends_for": "card"}
        async with stack.client() as client:
            assert (await client.post("/sessions", json=body)).status_code == 200
        await eventually(lambda: len(upstream.asked) == 1, 30)
        gate.kill()
        (gate.folder / "journal" / "gateway.jsonl").unlink()
        if sidecar == "is dead":
            assert stack.sidecar is not None
            stack.sidecar.kill()
            stack.sidecar.wait(10)
        await gate.start()
        told = Configuration(providers=(named,), talks=Budget())
        await gate.control.put("/configuration", content=told.model_dump_json())
        await gate.budget("card", Budget(limits=Limits(requests=5), spent=Spent(requests=1)))
        if sidecar == "is dead":
            # The twin: as it would be if nobody told again whose the conversation is.
            await gate.live({})

        async def counted() -> bool:
            return len((await gate.usage()).entries) == 1

        await eventually(counted, 60)
        (entry,) = (await gate.usage()).entries
        assert entry.session_id == ("card" if sidecar == "tells again" else None)
        assert (await gate.spending("card")).spent.requests == (2 if sidecar == "tells again" else 1)
        if sidecar == "tells again":
            assert (await stack.events(body["session_id"], 60))[-1]["text"] == "Session completed"


async def test_a_sub_agent_and_the_title_are_asked_for_by_opencode_in_their_session_s_name(
    tmp_path: Path, upstream: Upstream
) -> None:
    task = {"description": "look", "prompt": "THE PART OF IT", "subagent_type": "general"}

    def script(asked: Asked) -> Reply:
        body = json.loads(asked.body)
        begins = body.get("tools") and "THE PART OF IT" not in json.dumps(body["messages"])
        answer = calls("task", task) if begins else says("Done.")
        return Reply([bytes(piece) for piece in answer.body])

    upstream.script = script
    model = "deepseek/deepseek-v4-pro"
    async with gateway(tmp_path) as gate, workspace(tmp_path, gate, upstream, model, "openai") as stack:
        address = f"http://127.0.0.1:{stack.opencode_port}"
        headers = {"x-opencode-directory": str(stack.workspace)}
        async with httpx.AsyncClient(
            base_url=address, auth=("opencode", stack.password), headers=headers, trust_env=False, timeout=30
        ) as opencode:
            talk = (await opencode.post("/session", json={})).json()["id"]
            await gate.budget("card", Budget(limits=Limits(requests=10)))
            await gate.talk(talk, "card")
            body = {"parts": [{"type": "text", "text": "Do the whole"}]}
            assert (await opencode.post(f"/session/{talk}/prompt_async", json=body)).is_success

            async def four() -> bool:
                return len((await gate.usage()).entries) == 4

            await eventually(four, 30)
            children = (await opencode.get(f"/session/{talk}/children")).json()
        entries = (await gate.usage()).entries
        assert {entry.session_id for entry in entries} == {"card"}
        # The title and two of the talk's own, and one of its sub-agent.
        (child,) = (each["id"] for each in children)
        assert sorted(entry.conversation for entry in entries) == sorted([talk, talk, talk, child])
        assert (await gate.spending("card")).spent.requests == 4
