"""Execute on a warm workspace against asking its sidecar directly, with real OpenCode.

The rehearsal model answers; each session is stopped as soon as it runs, so that
no request waits for another's work.
"""

from __future__ import annotations

import time
from uuid import uuid4

import httpx

from bench.figures import Figure, percentile, spread
from bench.server import App, app, status_is
from tests.waiting import eventually
from vibe_app.settings import load_settings
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.local.records import Record

MORE_MS = 400
"""150, and at most 250 for the card's own tree."""
PROMPT = "Add a README file"


async def warm(served: App, project: str) -> Record:
    """Have the project's workspace made; return how its sidecar is reached."""
    task = await served.task(project, PROMPT)
    await served.ask("POST", f"{task}/execute")
    await status_is(served, task, "completed", seconds=120)
    record = served.data / "run" / f"{project.rpartition('/')[2]}.json"
    return Record.model_validate_json(record.read_bytes())


async def through_the_app(served: App, project: str) -> float:
    """Return how many milliseconds pass from Execute to `running`, and stop."""
    task = await served.task(project, PROMPT)
    began = time.perf_counter()
    answer = await served.ask("POST", f"{task}/execute")
    if answer["status"] != "running":
        await status_is(served, task, "running")
    taken = (time.perf_counter() - began) * 1000
    await served.ask("POST", f"{task}/stop")
    await status_is(served, task, "cancelled", "completed")
    return taken


async def directly(sidecar: httpx.AsyncClient) -> float:
    """Return how many milliseconds the sidecar takes to accept a session, and stop."""
    name = str(uuid4())
    began = time.perf_counter()
    answer = await sidecar.post("/sessions", json={"session_id": name, "prompt": PROMPT})
    taken = (time.perf_counter() - began) * 1000
    answer.raise_for_status()
    await sidecar.post(f"/sessions/{name}/stop")

    async def over() -> bool:
        return (await sidecar.get(f"/sessions/{name}")).json()["status"] != "running"

    await eventually(over)
    return taken


async def run(quick: bool) -> list[Figure]:
    """Measure by turns."""
    samples = 5 if quick else 30
    async with app() as served:
        project = await served.project()
        record = await warm(served, project)
        key = load_settings(data=served.data).signing_key()
        token = ServiceKeys.of(key, record.project_id, record.epoch).token
        headers = {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{record.sidecar_port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as sidecar:
            taken = [
                (await through_the_app(served, project), await directly(sidecar)) for _ in range(samples)
            ]
    executed, direct = [first for first, _ in taken], [second for _, second in taken]
    return [
        Figure(
            "p95 from the request to `running`, more than POST /sessions",
            percentile(executed) - percentile(direct),
            "ms",
            MORE_MS,
            f"Execute {spread(executed)}; sidecar {spread(direct)}",
        )
    ]
