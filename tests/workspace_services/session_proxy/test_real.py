"""The real OpenCode behind the proxy: a talk with the agent, its page, and no secret anywhere."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import REPOSITORY, Stack, free_port
from vibe_app.workspace_services.session_proxy.allowed import _ROUTES

TOKEN = "token-of-the-proxy"


@pytest.fixture(scope="module")
def proxy(stack: Stack) -> Iterator[str]:
    """The address of a session proxy before the stack's OpenCode, as a process of its own."""
    stack.tree(1)
    port = free_port()
    env = {
        "PATH": os.environ["PATH"],
        "WORKSPACE_DIR": str(stack.workspace),
        "SIDECAR_TOKEN": TOKEN,
        "PORT": str(port),
        "OPENCODE_URL": f"http://127.0.0.1:{stack.opencode_port}",
        "OPENCODE_SERVER_PASSWORD": stack.password,
    }
    command = [sys.executable, "-m", "vibe_app.workspace_services.session_proxy"]
    with (stack.root / "proxy.log").open("ab") as log:
        process = subprocess.Popen(command, env=env, cwd=REPOSITORY, stdout=log, stderr=log)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(10)


@pytest.fixture
async def client(proxy: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(
        base_url=proxy, headers=headers, params={"task": "1"}, trust_env=False, timeout=60
    ) as client:

        async def ready() -> bool:
            try:
                return (await client.get("/ready")).status_code == 200
            except httpx.ConnectError:
                return False

        await eventually(ready, 30)
        yield client


async def test_a_talk_with_the_agent_streams(client: httpx.AsyncClient, stack: Stack) -> None:
    async with client.stream("GET", "/event") as events:
        lines = events.aiter_lines()
        assert "server.connected" in await anext(lines)
        session = (await client.post("/session", json={"title": "By hand"})).json()["id"]
        prompt = {"parts": [{"type": "text", "text": "Add a file talk.md that says hello"}]}
        answer = await client.post(f"/session/{session}/prompt_async", json=prompt)
        assert answer.status_code == 204
        kinds = []
        async with asyncio.timeout(60):
            async for line in lines:
                if line.startswith("data:"):
                    kinds.append(json.loads(line[5:])["type"])
                    if kinds[-1] == "session.idle":
                        break
        assert "message.part.delta" in kinds
    assert (stack.tree(1) / "talk.md").exists()
    assert (await client.get(f"/session/{session}")).json()["directory"] == str(stack.tree(1))
    assert (await client.delete(f"/session/{session}")).status_code == 200


async def test_a_session_that_is_deleted_while_it_works_stops_working(
    client: httpx.AsyncClient, stack: Stack
) -> None:
    session = (await client.post("/session", json={"title": "To be deleted"})).json()["id"]
    begun, done = stack.tree(1) / "begun", stack.tree(1) / "done"
    command = {"command": f"touch {begun.name}; sleep 4; touch {done.name}", "description": "d"}
    prompt = {"parts": [{"type": "text", "text": f"rehearse: call bash {json.dumps(command)}"}]}
    assert (await client.post(f"/session/{session}/prompt_async", json=prompt)).status_code == 204
    await eventually(begun.exists, 30)
    assert (await client.delete(f"/session/{session}")).status_code == 200
    # Another command, which takes longer than the first one had left: by then that would be done.
    other = (await client.post("/session", json={"title": "After it"})).json()["id"]
    later = {"command": "sleep 6; touch later", "description": "d"}
    prompt = {"parts": [{"type": "text", "text": f"rehearse: call bash {json.dumps(later)}"}]}
    assert (await client.post(f"/session/{other}/prompt_async", json=prompt)).status_code == 204
    await eventually((stack.tree(1) / "later").exists, 60)
    assert not done.exists()
    assert (await client.delete("/session/ses_unknown0000")).status_code == 404


async def test_no_answer_holds_a_secret(client: httpx.AsyncClient, stack: Stack) -> None:
    secrets = (stack.password, stack.key, stack.token, TOKEN)
    asked = [path for path in _ROUTES["GET"] if "{id}" not in path and not path.endswith("event")]
    assert len(asked) > 20
    for path in asked:
        answer = await client.get(path, params={"path": ".", "query": "a", "pattern": "a"})
        said = answer.text + str(answer.headers)
        assert not any(secret in said for secret in secrets), path
        assert "text/html" not in answer.headers["content-type"], path
    # They were there to be taken out.
    direct = httpx.BasicAuth("opencode", stack.password)
    url = f"http://127.0.0.1:{stack.opencode_port}/provider"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as plain:
        assert stack.key in (await plain.get(url, auth=direct)).text


async def test_no_file_outside_the_workspace_is_opened(client: httpx.AsyncClient, stack: Stack) -> None:
    asked = {"directory": "/etc"}
    headers = {"X-OpenCode-Directory": "/etc"}
    found = (await client.get("/path", params=asked, headers=headers)).json()
    assert found["directory"] == str(stack.tree(1))
    read = await client.get("/file/content", params={**asked, "path": "hostname"}, headers=headers)
    assert read.json()["content"] == ""
    session = (await client.post("/session", json={})).json()["id"]
    parts = [{"type": "file", "url": "file:///proc/self/environ", "mime": "text/plain"}]
    refused = await client.post(f"/session/{session}/message", json={"parts": parts})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    hook = stack.root / "hook"
    hook.write_text(f"#!/bin/sh\ntouch {stack.root}/ran\n")
    hook.chmod(0o755)
    await client.get("/find", params={"pattern": f"--pre={hook}"})
    assert not (stack.root / "ran").exists()


async def test_a_planted_link_leads_nowhere(client: httpx.AsyncClient, stack: Stack) -> None:
    secret = stack.root / "secret"
    secret.write_text("of the server's user\n")
    (stack.tree(1) / "planted").symlink_to(secret)
    (stack.tree(1) / "folder").symlink_to(stack.root)
    (stack.tree(1) / "notes.txt").write_text("ours to read\n")
    session = (await client.post("/session", json={"title": "Attached"})).json()["id"]
    for name in ("planted", "folder/secret", "folder"):
        parts = [{"type": "file", "url": f"file://{stack.tree(1)}/{name}", "mime": "text/plain"}]
        refused = await client.post(f"/session/{session}/prompt_async", json={"parts": parts})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request"), name
        assert "links are not followed" in refused.json()["error"]
        for path in ("/file/content", "/file"):
            read = await client.get(path, params={"path": name})
            assert read.status_code == 400, (path, name)
            assert secret.read_text().strip() not in read.text
    parts = [
        {"type": "text", "text": "rehearse: run echo on"},
        {"type": "file", "url": f"file://{stack.tree(1)}/notes.txt", "mime": "text/plain"},
    ]
    assert (await client.post(f"/session/{session}/prompt_async", json={"parts": parts})).status_code == 204

    async def heard() -> bool:
        return "ours to read" in (await client.get(f"/session/{session}/message")).text

    await eventually(heard, 30)
    assert "ours to read" in (await client.get("/file/content", params={"path": "notes.txt"})).text


async def test_the_page_asks_nobody_but_the_proxy(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert "<title>OpenCode</title>" in page.text
    policy = page.headers["content-security-policy"]
    assert "connect-src 'self';" in policy
    assert "https:" not in policy
    script = re.search(r'"(/assets/[^"]+\.js)"', page.text)
    assert script is not None
    assert (await client.get(script[1])).headers["content-type"].startswith("text/javascript")
