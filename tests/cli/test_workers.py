"""`vibe serve` with several workers: what it says, what it starts again, how it ends, and what it needs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from uuid import uuid4

import httpx
import psutil
import pytest

from tests import postgres, redis_server
from tests.cli.conftest import Installation
from tests.waiting import eventually
from vibe_app.cli import workers
from vibe_app.cli.server import Running


@pytest.fixture
def shared(
    installation: Installation,
    postgres_server: postgres.Server,
    migrated_template: str,
    redis: redis_server.Server,
) -> Iterator[Installation]:
    """A data folder with what two workers need, and nothing of theirs afterwards."""
    with postgres_server.database(migrated_template) as database:
        installation.environment |= {
            "VIBE_DATABASE_URL": database,
            "VIBE_REDIS_URL": redis.url(),
            "VIBE_WORKERS": "2",
        }
        yield installation


class Served:
    """A server whose words are kept."""

    def __init__(self, installation: Installation) -> None:
        self.log = installation.data / f"said-{uuid4()}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [Path(sys.executable).parent / "vibe", "serve", "--port", "0"],
                env=installation.environment,
                cwd=installation.data,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Tests that a shell runs in the background inherit from it that Ctrl-C is ignored.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
            )

    def said(self, words: str = "answers") -> int:
        """Return how often it has said something."""
        return self.log.read_text().count(words)

    def workers(self, role: str = "web") -> list[psutil.Process]:
        """Return the processes that serve, or their engine."""
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if child.environ().get("VIBE_ROLE") == role]

    async def until_ended(self) -> str:
        """Return all that it said, once it has ended."""
        await eventually(lambda: self.process.poll() is not None, 30)
        return self.log.read_text()


@pytest.fixture
def started() -> Iterator[list[Served]]:
    """The servers that a test starts: killed at the end where they still run."""
    servers: list[Served] = []
    yield servers
    for server in servers:
        server.process.kill()
        server.process.wait()
        sys.stdout.write(server.log.read_text())  # shown with a failure


async def serve(installation: Installation, started: list[Served], answering: int = 3) -> Served:
    server = Served(installation)
    started.append(server)
    await eventually(lambda: server.said() == answering or server.process.poll() is not None, 60)
    assert server.said() == answering
    return server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_says_once_where_it_is_and_ends_with_all_its_workers(
    shared: Installation, started: list[Served], number: signal.Signals
) -> None:
    server = await serve(shared, started)
    workers = server.workers()
    [engine] = server.workers("engine")
    assert len(workers) == 2
    running = Running.on(shared.data)
    assert running
    assert running.pid == server.process.pid
    async with httpx.AsyncClient(base_url=running.url) as browser:
        await eventually(partial(ready, browser))
        assert (await browser.get("/")).status_code == 200
    server.process.send_signal(number)
    said = await server.until_ended()
    assert server.process.returncode == 0
    assert said.count("The board is at") == said.count("No account exists yet") == 1
    assert said.count("Stopping.") == 1
    assert "Traceback" not in said
    assert "ERROR" not in said
    assert Running.on(shared.data) is None
    assert not any(worker.is_running() for worker in (*workers, engine))


async def ready(browser: httpx.AsyncClient) -> bool:
    return (await browser.get("/api/ready")).status_code == 200


async def test_without_its_engine_it_says_so_until_there_is_another(
    shared: Installation, started: list[Served]
) -> None:
    shared.environment |= {"VIBE_LEASE": "2", "VIBE_HEARTBEAT": "0.5"}
    server = await serve(shared, started)
    running = Running.on(shared.data)
    assert running
    async with httpx.AsyncClient(base_url=running.url) as browser:
        await eventually(partial(ready, browser))
        [engine] = server.workers("engine")
        engine.suspend()

        async def told() -> bool:
            answer = await browser.get("/api/ready")
            return answer.status_code == 503 and "Nobody starts workspaces" in answer.json()["error"]

        await eventually(told, 20)
        engine.kill()
        await eventually(partial(ready, browser), 60)
        assert server.workers("engine") != [engine]


async def test_an_engine_alone_answers_how_it_does_and_nothing_else(
    shared: Installation, started: list[Served]
) -> None:
    shared.environment |= {"VIBE_ROLE": "engine", "VIBE_WORKERS": "1"}
    server = Served(shared)
    started.append(server)
    await eventually(lambda: server.said("How it does: ") == 1 or server.process.poll() is not None, 60)
    url = server.log.read_text().split("How it does: ")[1].split("/api/ready")[0]
    assert Running.on(shared.data) is None, "no board is there"
    async with httpx.AsyncClient(base_url=url) as asking:
        await eventually(partial(ready, asking))
        assert (await asking.get("/api/health")).status_code == 200
        assert "vibe_runs_held" in (await asking.get("/metrics")).text
        for path in ("/", "/api/projects", "/api/docs"):
            assert (await asking.get(path)).status_code == 404
    server.process.terminate()
    assert "Traceback" not in await server.until_ended()
    assert server.process.returncode == 0


@pytest.mark.parametrize("role", ["web", "engine"])
def test_a_part_of_a_board_needs_postgresql(installation: Installation, role: str) -> None:
    refused = installation.vibe("serve", "--port", "0", "--role", role)
    assert refused.returncode == 2
    assert f"VIBE_DATABASE_URL must name a PostgreSQL where VIBE_ROLE is {role}" in refused.stdout


async def test_a_worker_that_dies_is_started_again(shared: Installation, started: list[Served]) -> None:
    server = await serve(shared, started)
    running = Running.on(shared.data)
    assert running
    first, second = server.workers()
    first.kill()
    async with httpx.AsyncClient(base_url=running.url) as browser:
        assert (await browser.get("/api/health")).status_code == 200
        await eventually(lambda: server.said() == 4, 60)
        second.terminate()
        await eventually(lambda: server.said() == 5, 60)
        assert (await browser.get("/api/health")).status_code == 200
    assert server.said("The board is at") == 1
    assert not {first, second} & set(server.workers())


async def test_the_workers_end_when_their_parent_is_killed(
    shared: Installation, started: list[Served]
) -> None:
    server = await serve(shared, started)
    workers = server.workers() + server.workers("engine")
    server.process.kill()
    server.process.wait()
    await eventually(lambda: not any(worker.is_running() for worker in workers), 30)
    assert Running.on(shared.data) is None


async def test_workers_that_cannot_start_end_the_server(shared: Installation, started: list[Served]) -> None:
    (shared.data / "secret.key").mkdir(parents=True)  # in the way of a file that each of them needs
    server = Served(shared)
    started.append(server)
    said = await server.until_ended()
    assert server.process.returncode
    assert "a worker could not start" in said
    assert "The board is at" not in said


def test_a_redis_that_does_not_answer_is_told_before_anything_starts(shared: Installation) -> None:
    shared.environment["VIBE_REDIS_URL"] = "redis://:secret@127.0.0.1:1/0"
    refused = shared.vibe("serve", "--port", "0")
    assert refused.returncode == 1
    assert "Redis cannot be used at redis://127.0.0.1:1/0" in refused.stdout
    assert "check VIBE_REDIS_URL" in refused.stdout
    assert "secret" not in refused.stdout
    examined = shared.vibe("doctor")
    assert examined.returncode == 1
    assert "Redis cannot be used at redis://127.0.0.1:1/0" in examined.stdout


def test_several_workers_on_a_database_in_a_file_are_refused(installation: Installation) -> None:
    installation.environment["VIBE_WORKERS"] = "2"
    refused = installation.vibe("serve", "--port", "0")
    assert refused.returncode == 2
    assert "VIBE_DATABASE_URL must name a PostgreSQL where VIBE_WORKERS is 2" in refused.stdout
    assert "VIBE_REDIS_URL must name a Redis where VIBE_WORKERS is 2" in refused.stdout


def test_doctor_names_the_redis_that_answers(shared: Installation) -> None:
    assert "Redis: Redis " in shared.vibe("doctor").stdout


async def test_a_second_server_on_postgresql_joins_the_first(
    shared: Installation, started: list[Served]
) -> None:
    shared.environment["VIBE_WORKERS"] = "1"
    first, second = await serve_one(shared, started), await serve_one(shared, started)
    assert {server.pid for server in Running.all(shared.data)} == {first.process.pid, second.process.pid}
    os.kill(first.process.pid, signal.SIGTERM)
    await first.until_ended()
    assert [server.pid for server in Running.all(shared.data)] == [second.process.pid]


async def serve_one(installation: Installation, started: list[Served]) -> Served:
    server = Served(installation)
    started.append(server)
    await eventually(
        lambda: any(each.pid == server.process.pid for each in Running.all(installation.data)), 60
    )
    return server


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (3, "ended with status 3"),
        (-signal.SIGKILL, "was ended by SIGKILL"),
        (-50, "was ended by signal 50"),  # one of those that have no name
    ],
)
def test_how_a_worker_ended_is_said_whatever_it_was(status: int, words: str) -> None:
    assert workers._ending(status) == words
