"""The real OpenCode on a disk that becomes full in mid-run."""

from __future__ import annotations

import json
from pathlib import Path

from tests.disks import needs_mount, small_disk
from tests.workspace_services.sidecar.stack import Stack, texts

pytestmark = needs_mount
FILL = json.dumps({"command": "dd if=/dev/zero of=big bs=1M; echo on", "description": "d"})


async def test_a_disk_that_the_agent_fills_is_told_as_that_and_once(tmp_path: Path, model: Stack) -> None:
    with small_disk(tmp_path / "disk", 64) as disk:
        stack = Stack(disk, model_url=model.url)
        try:
            await stack.start()
            session = await stack.begin(f"rehearse: call bash {FILL}\nrehearse: call bash {FILL}")
            events = await stack.events(session)
            state = await stack.state(session)
            assert (state["status"], state["failure"]) == ("failed", "disk_full")
            assert state["error"].startswith("The workspace's disk is full")
            told = [event["text"] for event in events if "disk is full" in event["text"]]
            assert told == [state["error"], f"Session failed: {state['error']}"]
            assert events[-1]["type"] == "done"
            assert "OpenCode was restarted" not in "".join(texts(events, "error"))
            async with stack.client() as client:
                answer = await client.post("/sessions", json={"session_id": "next", "prompt": "rehearse"})
            assert (answer.status_code, answer.json()["code"]) == (503, "disk_full"), answer.text
            (stack.workspace / "big").unlink()
            again = await stack.events(await stack.begin("rehearse: run echo on"))
            assert again[-1]["text"] == "Session completed"
        finally:
            stack.close()
