"""`vibe run` against a real server with the real OpenCode and the rehearsal model."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.cli.conftest import Installation, Served, installed, serving
from vibe_app.cli.client import Client, local_token
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.local.records import Record

on_one_server = pytest.mark.asyncio(loop_scope="module")


def client_of(served: Served) -> Client:
    """The same client that the command uses."""
    settings = load_settings(data=served.installation.data)
    return Client(served.url, lambda fresh: local_token(settings, fresh))


def clear(served: Served) -> None:
    """Delete every project, and with it its workspace's processes."""
    client = client_of(served)
    for project in list(client.everything("/api/projects", "projects")):
        client.ask("DELETE", f"/api/projects/{project['id']}", confirm=project["name"])
    client.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AsyncIterator[Served]:
    """One server for all of them, since it and its workspace take long to start."""
    async with serving(installed(tmp_path_factory.mktemp("served")), migrated) as found:
        try:
            yield found
        finally:
            await asyncio.to_thread(clear, found)


@on_one_server
async def test_run_executes_a_card_and_stops_one(served: Served):
    done = await asyncio.to_thread(served.installation.vibe, "run", "Add a README file")
    assert done.returncode == 0, done.stdout
    assert "Created README.md" in done.stdout
    *_, end, spent = done.stdout.rstrip().splitlines()
    assert end == "Session completed"
    assert re.fullmatch(r"Spent: [\d.]+k? tokens", spent)

    going = served.installation.start("run", "--project", "First project", "Write notes.md")
    assert going.stdout
    async with asyncio.timeout(60):
        while "looking around" not in await asyncio.to_thread(going.stdout.readline):
            assert going.poll() is None
    going.send_signal(signal.SIGINT)
    rest, _ = await asyncio.to_thread(going.communicate)
    assert "Session cancelled" in rest.splitlines()
    assert going.returncode == 3


@on_one_server
async def test_a_workspace_is_restarted_and_the_doctor_tells_who_looks_after_it(served: Served):
    done = await asyncio.to_thread(served.installation.vibe, "run", "Add a README file")
    assert done.returncode == 0, done.stdout

    def epoch() -> int:
        [record] = (served.installation.data / "run").glob("*-*-*-*-*.json")
        return Record.model_validate_json(record.read_bytes()).epoch

    before = epoch()
    restarted = await asyncio.to_thread(served.installation.vibe, "workspace", "restart")
    assert restarted.returncode == 0, restarted.stdout
    assert "The workspace runs." in restarted.stdout
    assert epoch() == before + 1, "it is another one"
    wrong = await asyncio.to_thread(served.installation.vibe, "workspace", "restart", "--project", "Nobody's")
    assert wrong.returncode == 2
    assert "There is no project" in wrong.stdout
    report = await asyncio.to_thread(served.installation.vibe, "doctor")
    assert "job 'reconcile workspaces': is run by" in report.stdout


@on_one_server
async def test_run_follows_to_the_end_from_wherever_it_was(served: Served):
    project = await asyncio.to_thread(served.installation.vibe, "run", "Add a README file")
    assert project.returncode == 0, project.stdout
    client = client_of(served)
    project_id = next(client.everything("/api/projects", "projects"))["id"]
    task = next(client.everything(f"/api/projects/{project_id}/tasks", "tasks"))
    path = f"/api/projects/{project_id}/tasks/{task['id']}"
    session = next(client.everything(f"{path}/sessions", "sessions"))
    whole = list(client.follow(f"{path}/output", session["id"], str))
    rest = list(client.follow(f"{path}/output", session["id"], str, after=5))
    assert [event.seq for event in whole] == list(range(1, len(whole) + 1))
    assert whole[-1].type == "done"
    assert rest == whole[5:]
    client.close()


@on_one_server
async def test_a_change_is_shown_followed_up_and_accepted(served: Served):
    vibe = served.installation.vibe

    async def said(*words: str, status: int = 0) -> str:
        done = await asyncio.to_thread(vibe, *words)
        assert done.returncode == status, done.stdout
        return done.stdout

    await said("run", "rehearse: run echo one > told.txt")
    client = client_of(served)
    project_id = next(client.everything("/api/projects", "projects"))["id"]
    path = f"/api/projects/{project_id}/tasks"
    number = max(task["number"] for task in client.everything(path, "tasks"))
    shown = await said("diff", f"#{number}")
    assert shown.splitlines()[0] == "added told.txt"
    assert "+one" in shown.splitlines()
    await said("follow-up", str(number), "rehearse: run echo two > told.txt")
    assert "+two" in (await said("diff", str(number))).splitlines()
    accepted = await said("accept", str(number), "--message", "Tell it")
    assert re.search(r"Accepted: [0-9a-f]{12} on main", accepted)
    content = client.ask("GET", f"/api/projects/{project_id}/files/content", path="told.txt")["content"]
    assert content == "two\n"
    assert "Accepted: " in await said("run", "--accept", "rehearse: run echo three > more.txt")
    assert "There is no card 999" in await said("diff", "999", status=1)
    assert "is no number of a card" in await said("accept", "Nope", status=2)
    client.close()


@on_one_server
async def test_run_names_the_projects_it_could_mean(served: Served):
    wrong = await asyncio.to_thread(served.installation.vibe, "run", "--project", "Nope", "Do it")
    assert wrong.returncode == 2
    assert "There is no project 'Nope'" in wrong.stdout


def test_run_without_a_server_says_how_to_start_one(installation: Installation):
    alone = installation.vibe("run", "Add a README file")
    assert alone.returncode == 2
    assert "vibe up" in alone.stdout


def test_run_on_another_machine_asks_for_a_token(installation: Installation):
    asked = installation.vibe("run", "--server", "http://127.0.0.1:9", "Add a README file")
    assert asked.returncode == 2
    assert "VIBE_TOKEN" in asked.stdout
