"""What passes through the gateway, and what does not: bytes, headers, keys, refusals."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.waiting import eventually
from tests.workspace_services.gateway.gate import (
    CONTROL,
    CUT,
    KEY,
    TOKEN,
    Gate,
    Reply,
    Upstream,
    gateway,
    json_reply,
    openai,
    provider,
)
from vibe_app.wire.gateway import Network
from vibe_app.workspace_services.gateway.app import Config, listeners

HEADERS = {"openai": "authorization", "anthropic": "x-api-key", "google": "x-goog-api-key"}
PATHS = {
    "openai": "chat/completions",
    "anthropic": "messages",
    "google": "models/gemini-2.5-flash:streamGenerateContent",
}


async def pieces_of(answer: httpx.Response) -> list[bytes]:
    return [piece async for piece in answer.aiter_raw()]


async def test_a_stream_passes_piece_by_piece_and_byte_for_byte(gate: Gate, upstream: Upstream) -> None:
    """Odd pieces, too: cut in mid-line and in mid-character, with other line ends, with no sense."""
    await gate.session("s", "ses_1")
    said = [
        b": hello\r\n\r\nda",
        b'ta: {"choices":[]}\n\n',
        "é".encode()[:1],
        "é".encode()[1:],
        b"data: {\n\n",
        b"\x00",
    ]
    turns = [asyncio.Event() for _ in said]
    upstream.script = lambda _: Reply([each for pair in zip(turns, said, strict=True) for each in pair])
    answer = await gate.opencode.send(gate.asking(), stream=True)
    raw = answer.aiter_raw()
    for turn, piece in zip(turns, said, strict=True):
        turn.set()
        # It comes before the provider says anything more.
        assert await asyncio.wait_for(anext(raw), 10) == piece
    assert [piece async for piece in raw] == []
    assert (await gate.usage()).entries[0].usage == "none"


@pytest.mark.parametrize("dialect", HEADERS)
async def test_the_token_is_replaced_by_the_key_and_nothing_else_of_it_leaves(
    gate: Gate, upstream: Upstream, dialect: str
) -> None:
    await gate.session("s", "ses_1")
    request = gate.asking(provider=dialect, path=PATHS[dialect] + "?alt=sse&key=stolen")
    del request.headers["authorization"]
    token = f"Bearer {TOKEN}" if dialect == "openai" else TOKEN
    request.headers[HEADERS[dialect]] = token
    request.headers.update({"cookie": "a=b", "anthropic-version": "2023-06-01"})
    request.headers = httpx.Headers([*request.headers.raw, (b"x-odd", b"\xe9")])
    assert (await gate.opencode.send(request)).status_code == 200
    asked = upstream.asked[0]
    assert asked.path == f"/v1/{PATHS[dialect]}?alt=sse"
    expected = f"Bearer {KEY}" if dialect == "openai" else KEY
    assert {name: asked.headers.get(name) for name in HEADERS.values()} == {
        name: expected if name == HEADERS[dialect] else None for name in HEADERS.values()
    }
    assert asked.body == request.content
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.headers["accept-encoding"] == "identity"
    assert not {"cookie", "x-session-id", "x-parent-session-id"} & set(asked.headers)
    assert TOKEN not in str(asked)


@pytest.mark.parametrize("given", ["", TOKEN[:-1], TOKEN + "x", CONTROL, KEY, "é"])
async def test_without_the_workspace_s_token_nothing_is_answered(
    gate: Gate, upstream: Upstream, given: str
) -> None:
    await gate.session("s", "ses_1")
    for name in HEADERS.values():
        request = gate.asking()
        del request.headers["authorization"]
        value = (f"Bearer {given}" if name == "authorization" else given).strip()
        request.headers = httpx.Headers([*request.headers.raw, (name.encode(), value.encode("latin-1"))])
        assert (await gate.opencode.send(request)).status_code == 401
    assert upstream.asked == []


@pytest.mark.parametrize("token", ["", TOKEN, "wrong"])
async def test_the_control_api_wants_its_own_token_and_is_not_at_the_agent_s_port(
    gate: Gate, token: str
) -> None:
    headers = {"authorization": f"Bearer {token}".strip()}
    async with httpx.AsyncClient(headers=headers, trust_env=False) as anybody:
        for path in ("/usage", "/sessions/s"):
            assert (await anybody.get(str(gate.control.base_url.join(path)))).status_code == 401
        put = await anybody.put(str(gate.control.base_url.join("/configuration")), json={})
        assert put.status_code == 401
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {CONTROL}"}, trust_env=False) as engine:
        for path in ("/usage", "/configuration", "/health"):
            assert (await engine.get(gate.url + path)).status_code in (404, 405)
        forged = {"authorization": f"Bearer {CONTROL}", "host": f"127.0.0.1:{gate.control_port}"}
        assert (await engine.get(gate.url + "/usage", headers=forged)).status_code == 404


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("openai", "embeddings"),
        ("openai", "files"),
        ("openai", "chat/completions/../files"),
        ("openai", "chat/completions%2f..%2ffiles"),
        ("openai", "messages"),
        ("anthropic", "messages/batches"),
        ("google", "models/x:countTokens"),
        ("google", "models/../x:generateContent"),
        ("nobody", "chat/completions"),
    ],
)
async def test_what_opencode_does_not_ask_does_not_pass(
    gate: Gate, upstream: Upstream, name: str, path: str
) -> None:
    await gate.session("s", "ses_1")
    assert (await gate.ask(provider=name, path=path)).status_code == 404
    assert upstream.asked == []


async def test_a_request_that_is_too_large_is_refused(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1")
    assert (await gate.ask(padding="x" * 33 * 1024 * 1024)).status_code == 413
    assert upstream.asked == []
    assert (await gate.ask(padding="x" * 20 * 1024 * 1024)).status_code == 200


async def test_a_redirect_is_not_followed(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1")
    upstream.script = lambda _: Reply([b"there"], 307, {"location": upstream.url + "/elsewhere"})
    refused = await gate.ask()
    assert (refused.status_code, refused.json()["code"]) == (502, "provider_redirects")
    assert "location" not in refused.headers
    assert len(upstream.asked) == 1


async def test_a_provider_s_own_refusal_passes_but_never_with_the_key(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1", nanodollars=10)
    body = {"error": {"message": f"Incorrect API key provided: {KEY}."}}
    upstream.script = lambda _: json_reply(body, 401, set_cookie="a=b", x_request_id="r")
    refused = await gate.ask()
    assert refused.status_code == 401
    assert refused.json() == {"error": {"message": "Incorrect API key provided: ***."}}
    assert (refused.headers.get("x-request-id"), refused.headers.get("set-cookie")) == ("r", None)
    entry = (await gate.usage()).entries[0]
    assert (entry.status, entry.usage, entry.nanodollars, entry.total) == (401, "whole", 0, 0)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"", 502),
        (b"this is no HTTP\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\ncontent-length: nonsense\r\n\r\n", 502),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 40_000, 502),
        (b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}", 500),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", 200),
    ],
)
async def test_a_provider_that_answers_nonsense_is_told_truthfully(
    gate: Gate, upstream: Upstream, raw: bytes, status: int
) -> None:
    await gate.session("s", "ses_1")
    upstream.script = lambda _: Reply(raw=raw)
    answer = await gate.ask()
    assert answer.status_code == status
    assert KEY not in answer.text
    assert (await gate.spending("s")).spent.requests == 1
    upstream.script = lambda _: Reply(openai())
    assert (await gate.ask()).status_code == 200


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1")
    upstream.script = lambda _: Reply([*openai()[:1], CUT])
    with pytest.raises(httpx.RemoteProtocolError):
        await gate.ask()


async def test_a_provider_that_hangs_is_given_up_before_and_in_mid_answer(
    tmp_path: Path, upstream: Upstream
) -> None:
    async with gateway(tmp_path, silence=1) as gate:
        await gate.configure(provider(upstream))
        await gate.session("s", "ses_1")
        upstream.script = lambda _: Reply(hangs=True)
        silent = await gate.ask()
        assert (silent.status_code, silent.json()["code"]) == (504, "provider_silent")
        assert "did not answer for 1 s" in silent.json()["error"]["message"]
        upstream.script = lambda _: Reply([*openai()[:1], asyncio.Event()])
        with pytest.raises(httpx.RemoteProtocolError):
            await gate.ask()
        assert (await gate.spending("s")).spent.cut_off == 2


async def test_a_provider_that_cannot_be_reached_is_named_and_nothing_counts(
    bare: Gate, upstream: Upstream
) -> None:
    gone = provider(upstream).model_copy(update={"base_url": "http://127.0.0.1:9/v1"})
    await bare.configure(gone)
    await bare.session("s", "ses_1")
    refused = await bare.ask()
    assert refused.status_code == 502
    assert "cannot be reached" in refused.json()["error"]["message"]
    spent = (await bare.spending("s")).spent
    assert (spent.cut_off, spent.nanodollars) == (0, 0)


async def test_until_it_was_told_the_providers_it_asks_to_wait(bare: Gate, upstream: Upstream) -> None:
    assert (await bare.control.get("/ready")).status_code == 503
    refused = await bare.ask()
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
    await bare.configure(provider(upstream))
    assert (await bare.control.get("/ready")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/configuration", {"providers": [{"id": "a/b", "dialect": "openai", "base_url": "http://x"}]}),
        ("/configuration", {"providers": [{"id": "a", "dialect": "cohere", "base_url": "http://x"}]}),
        ("/configuration", {"providers": [{"id": "a", "dialect": "openai", "base_url": "file:///x"}]}),
        ("/configuration", {"providers": [{"id": "a", "dialect": "openai", "base_url": "http://u:p@x"}]}),
        (
            "/configuration",
            {"providers": [{"id": "a", "dialect": "openai", "base_url": "http://x", "key": "a\nb"}]},
        ),
        ("/configuration", {"network": {"policy": "listed", "hosts": ["http://x.org"]}}),
        ("/configuration", {"network": {"policy": "ajar"}}),
        ("/sessions/s", {"limits": {"requests": -1}}),
        ("/sessions/s", {"limits": {"requests": 2**64}}),
        ("/sessions/a%2Fb", {}),
        ("/conversations/c", {"session_id": ""}),
    ],
)
async def test_a_message_that_does_not_fit_changes_nothing_and_is_not_repeated(
    gate: Gate, path: str, body: dict[str, Any]
) -> None:
    refused = await gate.control.put(path, json=body)
    assert refused.status_code in (400, 404), refused.text
    assert refused.json()["error"]
    assert (await gate.control.get("/ready")).status_code == 200
    assert (await gate.control.get("/sessions/s")).status_code == 404


def written_in(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


async def test_the_key_is_in_no_log_and_no_file(gate: Gate, upstream: Upstream, tmp_path: Path) -> None:
    await gate.session("s", "ses_1")
    for raw in (b"", b"HTTP/1.1 500 Oh\r\ncontent-length: 2\r\n\r\n{}"):
        upstream.script = lambda _, raw=raw: Reply(raw=raw)
        await gate.ask()
    bad = {"providers": [{"id": "a", "dialect": "openai", "base_url": "nowhere", "key": KEY}]}
    assert KEY not in (await gate.control.put("/configuration", json=bad)).text
    gate.kill()
    texts = written_in(tmp_path)
    assert any(b"ses_1" in text for text in texts)
    assert not any(secret.encode() in text for text in texts for secret in (KEY, TOKEN, CONTROL))


async def test_sigterm_ends_it_within_a_second_or_two_though_a_stream_is_open(
    gate: Gate, upstream: Upstream
) -> None:
    await gate.session("s", "ses_1")
    upstream.script = lambda _: Reply([*openai()[:1], asyncio.Event()])
    answer = await gate.opencode.send(gate.asking(), stream=True)
    assert await anext(answer.aiter_raw())
    process = gate.process
    assert process is not None
    process.terminate()
    await eventually(lambda: process.poll() is not None, 20)
    await answer.aclose()


def test_bad_variables_end_it_with_sentences(tmp_path: Path) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PORT": "7",
        "CONTROL_PORT": "7",
        "PROXY_PORT": "x",
        "LOG_LEVEL": "loud",
    }
    run = subprocess.run(
        [sys.executable, "-m", "vibe_app.workspace_services.gateway"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 2
    for word in (
        "JOURNAL_DIR",
        "PROJECT_ID",
        "GATEWAY_TOKEN",
        "CONTROL_TOKEN",
        "PROXY_PORT",
        "different",
        "LOG_LEVEL",
    ):
        assert word in run.stderr


def test_small_pieces_are_not_held_back(gate_config: Config) -> None:
    """asyncio sets TCP_NODELAY on connections of sockets whose protocol is named, and on no others."""
    found = listeners(gate_config)
    try:
        assert [each.proto for each in found] == [socket.IPPROTO_TCP] * 2
    finally:
        for each in found:
            each.close()


@pytest.fixture
def gate_config(tmp_path: Path) -> Config:
    return Config.from_env(Gate(tmp_path).env)


async def test_a_second_gateway_does_not_take_the_journal(gate: Gate, tmp_path: Path) -> None:
    other = Gate(tmp_path)
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "vibe_app.workspace_services.gateway"],
        env=other.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 3
    assert "Another gateway" in run.stderr
    await other.close()


async def test_the_network_is_closed_until_it_is_told_otherwise(gate: Gate, upstream: Upstream) -> None:
    proxy = f"http://127.0.0.1:{gate.proxy_port}"
    async with httpx.AsyncClient(proxy=proxy, trust_env=False) as agent:
        assert "is closed" in (await agent.get("http://example.org/")).text
        await gate.configure(provider(upstream), network=Network(policy="listed", hosts=("example.com",)))
        assert "not among the hosts" in (await agent.get("http://example.org/")).text


async def test_only_the_models_that_are_named_may_be_asked(gate: Gate, upstream: Upstream) -> None:
    await gate.configure(provider(upstream, models=("gpt-4o-mini", "another")))
    await gate.session("s", "ses_1")
    upstream.script = lambda _: Reply(openai())
    assert (await gate.opencode.send(gate.asking())).status_code == 200
    assert (await gate.opencode.send(gate.asking(model="another"))).status_code == 200
    asked = len(upstream.asked)
    refused = await gate.opencode.send(gate.asking(model="gpt-5-pro"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
    rest = b',"messages":[],"stream":true}'
    for named in (
        b'{"model":"another","model":"gpt-5-pro"',
        b'{"model":"another","m\\u006fdel":"gpt-5-pro"',
        b'{"model":"another","m\\U006fdel":"gpt-5-pro"',
        b'{"x":{"model":"another"},"model":"gpt-5-pro"',
        b'{"model":["another"]',
        b"{",
    ):
        body = named + (rest if named != b"{" else b"")
        answer = await gate.opencode.post(
            "/openai/chat/completions", content=body, headers={"x-session-id": "ses_1"}
        )
        assert answer.status_code == 403, named
    assert len(upstream.asked) == asked
