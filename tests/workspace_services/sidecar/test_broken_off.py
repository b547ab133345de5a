"""OpenCode that breaks its own work off: the run is lost, not failed by its model, and may be tried again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.workspace_services.sidecar.test_missed import OURS, OpenCodeAway, run_of
from vibe_app.wire import RETRYABLE, Failure, SidecarStatus
from vibe_app.workspace_services.sidecar.watch import Watch

# As `prompt_async` of OpenCode 1.18.33 tells of it: the cause with the place, in one text.
ERROR = {
    "name": "UnknownError",
    "data": {"message": "Error: All fibers interrupted without error\n    at SessionPrompt.getModel (1:2)"},
}


class OpenCodeBreakingOff(OpenCodeAway):
    """Takes the prompt, interrupts its own work, and is idle.

    Args:
        beside: Whether somebody else is at work in the same folder.
    """

    def __init__(self, *, beside: bool) -> None:
        super().__init__(0, said=0)
        self.beside = beside
        self.disposed = 0

    async def statuses(self) -> dict[str, Any]:
        return {"ses_other": {"type": "busy"}} if self.beside else {}

    async def messages(self, _: str) -> list[dict[str, Any]]:
        return [{"info": {"id": "msg_1", "sessionID": OURS, "role": "user"}, "parts": []}]

    async def dispose(self) -> None:
        self.disposed += 1


@pytest.mark.parametrize("beside", [False, True])
async def test_what_opencode_breaks_off_by_itself_is_worth_another_try_with_a_new_instance(
    tmp_path: Path, beside: bool
) -> None:
    client = OpenCodeBreakingOff(beside=beside)
    watch = Watch(client)  # type: ignore[arg-type]
    run = run_of(client, watch, tmp_path)
    task = run.begin()
    for kind, more in (("session.error", {"error": ERROR}), ("session.idle", {})):
        watch._tell({"type": kind, "properties": {"sessionID": OURS, **more}})  # type: ignore[arg-type]
    await asyncio.wait_for(task, 10)
    end = run.session.end
    assert end is not None
    assert (end.status, end.failure) == (SidecarStatus.FAILED, Failure.AGENT_LOST)
    assert end.failure in RETRYABLE
    assert end.error == "OpenCode broke off by itself what it was doing."
    assert client.disposed == (not beside), "an instance in which others work is left alone"
