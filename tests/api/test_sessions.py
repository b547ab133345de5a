"""Execute, stop and history through the API, with the real engine."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from tests.api.conftest import Board
from tests.fakes import BrokenRuntime, FakeRuntime, Script, SidecarNotReady, SidecarThatHangsUp, SlowRuntime
from tests.waiting import eventually
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.spending.models import ModelTotal
from vibe_app.jobs.models import JobRow
from vibe_app.wire import Failure, Usage, now
from vibe_app.wiring import Services
from vibe_app.workspaces.models import Workspace
from vibe_app.workspaces.states import Desired

FIELDS = {
    "id", "task_id", "project_id", "status", "prompt", "output", "error", "started_at", "completed_at",
    "duration_ms", "created_at", "updated_at", "queue_position", "waiting_for", "quiet_since", "asking",
    "attempt",
    "model", "tokens_input", "tokens_output", "tokens_reasoning", "tokens_cache_read",
    "tokens_cache_write", "cost", "cost_at_least", "model_requests", "limits", "stop_requested", "last_seq",
    "created_by", "failure", "last_line", "last_event_at", "prompt_size", "output_size",
    "kind", "message", "summary", "steps", "change_id", "conversation_id", "configuration_version",
    "opencode_version", "image", "revision_before", "revision_after", "round_files", "round_additions",
    "round_deletions",
}  # fmt: skip

DIRECTIONS = ("input", "output", "reasoning", "cache_read", "cache_write")


def with_script(script: Script) -> pytest.MarkDecorator:
    """Run a test on workspaces whose sidecars play this script."""
    return pytest.mark.parametrize("runtime", [FakeRuntime(script)], ids=[""])


@pytest.fixture
def runtime(request: pytest.FixtureRequest) -> FakeRuntime:
    """Workspaces of the kind that is the test's parameter, whose sessions go on until they are stopped."""
    return getattr(request, "param", FakeRuntime)(Script.endless())


@with_script(
    Script(events=[("output", "Hello\n", 0.0)], usage=Usage(tokens_input=7, tokens_output=2, cost=0.5))
)
async def test_full_lifecycle(board: Board) -> None:
    task = await board.task(description="Say what it is for.")
    started = await board.editor.post(f"{task}/execute", json={"instructions": "Be brief."})
    assert started.status_code == 200
    assert started.json().keys() == {"session_id", "status"}
    assert started.json()["status"] in ("running", "completed")
    session = await board.session_is(task, "completed")
    assert session.keys() == FIELDS
    assert session["id"] == started.json()["session_id"]
    assert session["prompt"] == "Add a README file\n\nSay what it is for.\n\nBe brief."
    assert session["output"] == "Hello\n"
    assert (session["tokens_input"], session["tokens_output"], session["cost"]) == (7, 2, 0.5)
    assert session["created_at"] <= session["started_at"] <= session["completed_at"]
    assert session["duration_ms"] >= 0
    assert session["completed_at"].endswith("Z")
    assert await board.status(task) == "AI_REVIEW"
    assert session["asking"] is False


@with_script(Script(asking=True))
async def test_a_run_that_ends_with_a_question_is_marked_on_its_card(board: Board) -> None:
    task = await board.task()
    await board.editor.post(f"{task}/execute")
    assert (await board.session_is(task, "completed"))["asking"] is True
    assert (await board.editor.get(task)).json()["session"]["asking"] is True
    assert (await board.editor.post(f"{task}/move", json={"status": "DONE"})).json()["status"] == "DONE"


async def test_stop(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    assert (await board.editor.post(f"{task}/execute")).json()["status"] == "running"
    assert await board.status(task) == "IN_PROGRESS"
    answer = await board.editor.post(f"{task}/stop")
    assert (answer.status_code, answer.json()) == (200, {"message": "Session stopped"})
    [session] = await board.sessions(task)
    assert (session["status"], session["error"]) == ("cancelled", None)
    assert await board.status(task) == "TODO"


async def test_concurrent_execution_is_refused(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    answers = await asyncio.gather(*(board.editor.post(f"{task}/execute") for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    refused = next(answer for answer in answers if answer.status_code == 409)
    assert refused.json() == {"error": "This task already has a running session.", "code": "already_active"}
    assert len(await board.sessions(task)) == 1


async def test_many_executes_at_once_make_one_session(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    answers = await asyncio.gather(*(board.editor.post(f"{task}/execute") for _ in range(40)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 39}
    assert len(await board.sessions(task)) == 1
    [sidecar] = runtime.sidecars.values()
    assert len(sidecar.started) == 1


@pytest.mark.parametrize(
    "runtime",
    [
        BrokenRuntime("OpenCode ended while starting: out of memory."),
        FakeRuntime(lambda _: SidecarThatHangsUp()),
        FakeRuntime(lambda _: SidecarNotReady()),
    ],
    ids=["no workspace", "no sidecar", "no OpenCode"],
)
async def test_sidecar_unavailable(board: Board) -> None:
    task = await board.task()
    answer = await board.editor.post(f"{task}/execute", timeout=20)
    assert answer.status_code == 502
    assert answer.json()["code"] == "unreachable"
    [session] = await board.sessions(task)
    assert session["status"] == "failed"
    assert session["error"] == answer.json()["error"]
    assert await board.status(task) == "TODO"


@pytest.mark.parametrize("runtime", [FakeRuntime(lambda _: SidecarNotReady(times=2))], ids=[""])
async def test_a_sidecar_that_is_back_within_three_tries_is_no_failure(board: Board) -> None:
    task = await board.task()
    assert (await board.editor.post(f"{task}/execute")).json()["status"] in ("running", "completed")


@with_script(Script(events=[("output", "Hello\n", 0.0)]))
async def test_history(board: Board) -> None:
    task = await board.task()
    ids: list[str] = []
    for _ in range(3):
        ids.insert(0, (await board.editor.post(f"{task}/execute")).json()["session_id"])
        await board.session_is(task, "completed")
        await board.editor.post(f"{task}/move", json={"status": "TODO"})
    page = (await board.viewer.get(f"{task}/sessions", params={"page_size": 2})).json()
    assert page["total_count"] == 3
    assert [session["id"] for session in page["sessions"]] == ids[:2]
    page = (await board.viewer.get(f"{task}/sessions", params={"page_size": 2, "page": 2})).json()
    assert [session["id"] for session in page["sessions"]] == ids[2:]
    one = await board.viewer.get(f"{task}/sessions/{ids[1]}")
    assert (one.status_code, one.json()["id"]) == (200, ids[1])
    assert (await board.editor.delete(f"{task}/sessions/{ids[1]}")).status_code == 204
    assert [session["id"] for session in await board.sessions(task)] == [ids[0], ids[2]]
    assert (await board.viewer.get(f"{task}/sessions/{ids[1]}")).status_code == 404


async def test_a_live_session_is_not_deleted(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    session = (await board.editor.post(f"{task}/execute")).json()["session_id"]
    answer = await board.editor.delete(f"{task}/sessions/{session}")
    assert (answer.status_code, answer.json()["code"]) == (409, "session_live")


@pytest.mark.parametrize("status", ["AI_REVIEW", "HUMAN_REVIEW", "DONE"])
async def test_invalid_task_state(board: Board, status: str) -> None:
    task = await board.task()
    await board.editor.post(f"{task}/move", json={"status": status})
    answer = await board.editor.post(f"{task}/execute")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_in_todo")
    assert TaskStatus(status).column in answer.json()["error"]
    assert await board.sessions(task) == []
    assert await board.status(task) == status


async def test_another_users_project(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    for answer in (
        await board.stranger.post(f"{task}/execute"),
        await board.stranger.post(f"{task}/stop"),
        await board.stranger.get(f"{task}/sessions"),
        await board.stranger.get(f"{task}/output", params={"session_id": str(uuid4())}),
        await board.stranger.get(f"{board.path}/sessions"),
        await board.viewer.post(f"{task}/execute"),
        await board.viewer.post(f"{task}/stop"),
    ):
        assert answer.status_code == 403, answer.request
    assert await board.sessions(task) == []
    assert runtime.ensured == {}


async def test_a_task_of_another_project_is_not_found(board: Board) -> None:
    task = await board.task()
    other = (await board.editor.post("/projects", json={"name": "Other"})).json()["id"]
    task_id = task.rpartition("/")[2]
    for path in ("execute", "stop"):
        answer = await board.editor.post(f"/projects/{other}/tasks/{task_id}/{path}")
        assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")


async def test_project_wide_list(board: Board, runtime: FakeRuntime) -> None:
    await board.owner.patch(board.path, json={"session_limit": 2})
    tasks = [await board.task(f"Task {number}") for number in range(2)]
    for task in tasks:
        assert (await board.editor.post(f"{task}/execute")).json()["status"] == "running"
    await board.editor.post(f"{tasks[0]}/stop")
    listed = (await board.viewer.get(f"{board.path}/sessions")).json()
    assert listed["total_count"] == 2
    assert {session["task_id"] for session in listed["sessions"]} == {t.rpartition("/")[2] for t in tasks}
    for active, task in (("true", tasks[1]), ("false", tasks[0])):
        listed = (await board.viewer.get(f"{board.path}/sessions", params={"active": active})).json()
        assert [session["task_id"] for session in listed["sessions"]] == [task.rpartition("/")[2]]
        assert listed["total_count"] == 1


async def test_stop_when_not_running(board: Board) -> None:
    task = await board.task()
    answer = await board.editor.post(f"{task}/stop")
    assert (answer.status_code, answer.json()["code"]) == (400, "not_running")
    assert await board.status(task) == "TODO"


async def test_waiting_in_line_says_for_what(board: Board, runtime: FakeRuntime) -> None:
    first, second, third = [await board.task(f"Task {number}") for number in range(3)]
    assert (await board.editor.post(f"{first}/execute")).json()["status"] == "running"
    for place, task in enumerate((second, third), start=1):
        assert (await board.editor.post(f"{task}/execute")).json()["status"] == "pending"
        [session] = await board.sessions(task)
        assert (session["queue_position"], session["waiting_for"]) == (place, "project limit")
    card = (await board.viewer.get(third)).json()
    assert card["session"]["waiting_for"] == "project limit"
    assert (await board.editor.post(f"{second}/stop")).json() == {"message": "Session stopped"}
    assert await board.status(second) == "TODO"
    await board.editor.post(f"{first}/stop")
    assert (await board.session_is(third, "running"))["queue_position"] is None


@pytest.mark.parametrize("runtime", [SlowRuntime], indirect=True, ids=[""])
async def test_a_starting_workspace_is_not_waited_for(board: Board, runtime: SlowRuntime) -> None:
    task = await board.task()
    assert (await board.editor.post(f"{task}/execute")).json()["status"] == "pending"
    [session] = await board.sessions(task)
    assert (session["queue_position"], session["waiting_for"]) == (None, "workspace starting")
    runtime.may_start.set()
    await board.session_is(task, "running")


@with_script(Script.failing("The model refused the key.", Failure.PROVIDER_REFUSED))
async def test_a_failed_session_says_why(board: Board) -> None:
    task = await board.task()
    await board.editor.post(f"{task}/execute")
    session = await board.session_is(task, "failed")
    assert session["error"] == "The model refused the key."
    assert await board.status(task) == "TODO"


async def test_the_same_idempotency_key_starts_one_session(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    headers = {"Idempotency-Key": "one"}
    answers = await asyncio.gather(
        *(board.editor.post(f"{task}/execute", headers=headers) for _ in range(10))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["session_id"] for answer in answers}) == 1
    await board.editor.post(f"{task}/stop")
    again = (await board.editor.post(f"{task}/execute", headers=headers)).json()
    assert again == {"session_id": answers[0].json()["session_id"], "status": "cancelled"}
    other = await board.editor.post(f"{task}/execute", headers={"Idempotency-Key": "two"})
    assert other.json()["session_id"] != again["session_id"]


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_an_unusable_idempotency_key_is_refused(board: Board, key: str) -> None:
    answer = await board.editor.post(f"{await board.task()}/execute", headers={"Idempotency-Key": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_idempotency_key")


async def test_live_cards_stay_as_they_are(board: Board, runtime: FakeRuntime) -> None:
    task = await board.task()
    await board.editor.post(f"{task}/execute")
    for answer in (
        await board.editor.patch(task, json={"version": 1, "title": "Another"}),
        await board.editor.patch(task, json={"version": 1, "description": "Another"}),
        await board.editor.post(f"{task}/move", json={"status": "DONE"}),
        await board.editor.delete(task),
        await board.editor.post(f"{task}/archive"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "session_live")
    assert (await board.editor.patch(task, json={"version": 1, "labels": ["docs"]})).status_code == 200
    await board.editor.post(f"{task}/stop")
    assert (await board.editor.delete(task)).status_code == 204


@with_script(Script.endless())
async def test_a_project_is_deleted_with_what_runs(board: Board, runtime: FakeRuntime) -> None:
    running, waiting = await board.task(), await board.task()
    for task in (running, waiting):
        await board.editor.post(f"{task}/execute")
    await board.session_is(running, "running")
    [sidecar] = runtime.sidecars.values()
    answer = await board.owner.delete(board.path, params={"confirm": "Sample"})
    assert answer.status_code == 204
    assert sidecar.calls["POST /sessions/stop"] == 1
    assert (await board.owner.get(board.path)).status_code == 404


async def test_a_prompt_of_64_kib_arrives_clean(board: Board, runtime: FakeRuntime) -> None:
    nasty = "\x1b[31mred\x1b[0m\x07</script><b>&amp;\x00\u202e"
    description = nasty + "x" * (64 * 1024 - len("red</script><b>&amp;"))
    task = await board.task(description=description)
    assert (await board.editor.post(f"{task}/execute")).json()["status"] == "running"
    [sidecar] = runtime.sidecars.values()
    [start] = sidecar.started
    assert start.prompt == "Add a README file\n\nred</script><b>&amp;" + description[len(nasty) :]


@with_script(Script.endless())
async def test_a_workspace_is_restarted_under_a_session_only_where_that_is_meant(
    board: Board, runtime: FakeRuntime
) -> None:
    task, project = await board.task(), UUID(board.project)
    await board.editor.post(f"{task}/execute")
    await board.session_is(task, "running")
    restart = f"{board.path}/workspace/restart"
    for query in ({}, {"interrupt": False}):
        refused = await board.editor.post(restart, params=query)
        assert (refused.status_code, refused.json()["code"]) == (409, "session_live")
    assert runtime.stops[project] == 0
    assert (await board.editor.post(restart, params={"interrupt": True})).status_code == 202
    await eventually(lambda: runtime.starts[project] == 2)
    await board.editor.post(f"{task}/stop")
    await board.session_is(task, "cancelled")


async def test_metrics_count(board: Board, parts: Services, runtime: FakeRuntime) -> None:
    assert (await board.admin.get("http://board.test/metrics")).status_code == 200
    task = await board.task()
    await board.editor.post(f"{task}/execute")
    await board.editor.post(f"{task}/stop")
    text = (await board.admin.get("http://board.test/metrics")).text
    assert 'vibe_sessions{status="cancelled"} 1.0' in text
    assert "vibe_sessions_live 0.0" in text
    assert 'vibe_job_running{job="reconcile workspaces"} 1.0' in text
    assert 'vibe_workspaces{status="ready"} 1.0' in text
    assert "vibe_workspace_orphans 0.0" in text
    assert f"vibe_events_written_total {float(parts.event_log.written)}" in text
    route = "/projects/{project_id}/tasks/{task_id}/execute"
    assert f'vibe_http_requests_total{{method="POST",route="{route}",status="200"}}' in text
    assert board.project not in text


async def test_metrics_tell_how_jobs_ended_and_what_belongs_to_nobody(board: Board, parts: Services) -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    async with parts.database.transaction() as db:
        row = {"epoch": 1, "lease_until": 0.0, "due": 4e9, "started_at": moment}
        db.add(JobRow(name="went well", **row, finished_at=moment))
        db.add(JobRow(name="went wrong", **row, failed_at=moment, failure="No room left."))
        db.add(Workspace(project_id=uuid4(), desired=Desired.ERASED, erase_at=now() + timedelta(hours=1)))
    text = (await board.admin.get("http://board.test/metrics")).text
    ended = "vibe_job_ended_timestamp_seconds"
    for job, result in (("went well", "ok"), ("went wrong", "failed")):
        assert f'vibe_job_running{{job="{job}"}} 0.0' in text
        [line] = [line for line in text.splitlines() if line.startswith(f'{ended}{{job="{job}"')]
        name, value = line.rsplit(" ", 1)
        assert name == f'{ended}{{job="{job}",result="{result}"}}'
        assert float(value) == moment.timestamp()
    assert "vibe_workspace_orphans 1.0" in text


async def test_metrics_tell_what_was_spent_by_model(board: Board, parts: Services) -> None:
    async with parts.database.transaction() as db:
        counts = {f"tokens_{kind}": number for number, kind in enumerate(DIRECTIONS, 1)}
        sums = {"requests": 3, "unpriced_requests": 1, "unpriced_tokens": 7, "cost_nano": 210_000_000}
        db.add(ModelTotal(provider="openai", model='a "model"', **counts, **sums))
    text = (await board.admin.get("http://board.test/metrics")).text
    labels = 'model="a \\"model\\"",provider="openai"'
    assert f"vibe_cost_dollars_total{{{labels}}} 0.21" in text
    assert f"vibe_model_requests_total{{{labels}}} 3.0" in text
    assert f"vibe_unpriced_requests_total{{{labels}}} 1.0" in text
    assert f"vibe_unpriced_tokens_total{{{labels}}} 7.0" in text
    for number, kind in enumerate(DIRECTIONS, 1):
        assert f'vibe_tokens_total{{direction="{kind}",{labels}}} {float(number)}' in text
