"""Left-over processes are found by what they inherited; everybody else is spared."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import psutil
import pytest

from vibe_app.workspace_services.sidecar.sweep import Meant, end_command, open_commands, sweep
from vibe_app.workspace_services.sidecar.sweeper import (
    commands_beside,
    end_beside,
    serve_sweeps,
    sweep_beside,
)

Sweep = Callable[[str, Callable[[], Meant]], Awaitable[list[str]]]

PROJECT = f"project-of-{os.getpid()}"
AGENT = {"VIBE_PROJECT_ID": PROJECT, "OPENCODE_PID": "1"}
SLEEP = [sys.executable, "-c", "import sys, time; print(flush=True); time.sleep(600)"]


class Processes:
    """Starts processes with an environment and ends them with the test."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []

    def __call__(self, env: dict[str, str], command: list[str] = SLEEP) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, start_new_session=True)
        self.started.append(process)
        assert process.stdout
        process.stdout.readline()  # it runs, with its own environment, from here on
        return process


@pytest.fixture
def start() -> Iterator[Processes]:
    processes = Processes()
    yield processes
    for process in processes.started:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


@pytest.fixture(params=["here", "beside"])
def sweep_of(request: pytest.FixtureRequest) -> Iterator[Sweep]:
    """The sweep by this process, and by one that is asked over HTTP, as in a pod."""
    if request.param == "here":
        yield sweep
        return
    server = serve_sweeps(PROJECT, 0)

    async def beside(project_id: str, meant: Callable[[], Meant]) -> list[str]:
        return await sweep_beside(f"http://127.0.0.1:{server.server_port}", meant)

    yield beside
    server.shutdown()
    server.server_close()


async def test_only_what_an_agent_of_this_project_started_is_ended(start: Processes, sweep_of: Sweep) -> None:
    agents = start(AGENT)
    server = start({"VIBE_PROJECT_ID": PROJECT})
    another = start(AGENT | {"VIBE_PROJECT_ID": "another"})
    assert len(await sweep_of(PROJECT, Meant)) == 1
    assert not psutil.pid_exists(agents.pid)
    assert server.poll() is None
    assert another.poll() is None


async def test_a_child_that_emptied_its_environment_goes_with_its_parent(
    start: Processes, sweep_of: Sweep
) -> None:
    inner = f"import subprocess; subprocess.run({SLEEP!r}, env={{}})"
    parent = start(AGENT, [sys.executable, "-c", inner])
    assert len(await sweep_of(PROJECT, Meant)) == 2
    assert not psutil.pid_exists(parent.pid)


async def test_what_may_belong_to_another_run_is_spared(start: Processes, sweep_of: Sweep) -> None:
    older = start(AGENT)
    time.sleep(0.2)  # noqa: ASYNC251  # ages are told apart by more than a clock tick
    began = time.time()
    younger = start(AGENT)
    assert len(await sweep_of(PROJECT, lambda: Meant(time.time() - began))) == 1
    assert not psutil.pid_exists(older.pid)
    assert younger.poll() is None


async def test_whoever_takes_long_to_say_the_age_spares_no_less(start: Processes, sweep_of: Sweep) -> None:
    began = time.time()
    younger = start(AGENT)

    def slowly() -> Meant:
        age = time.time() - began
        time.sleep(0.5)  # longer than a process takes to start
        return Meant(age)

    assert await sweep_of(PROJECT, slowly) == []
    assert younger.poll() is None


async def test_what_bears_a_card_s_number_is_told_apart_whatever_its_age(
    start: Processes, sweep_of: Sweep
) -> None:
    began = time.time()
    own, other, gone, none = (
        start(AGENT | marks) for marks in ({"VIBE_TREE": "7"}, {"VIBE_TREE": "8"}, {"VIBE_TREE": "9"}, {})
    )
    assert len(await sweep_of(PROJECT, lambda: Meant(time.time() - began, "7", {"8"}))) == 1
    assert not psutil.pid_exists(own.pid)
    assert all(process.poll() is None for process in (other, gone, none))
    assert len(await sweep_of(PROJECT, lambda: Meant(None, "7", {"8"}))) == 2
    assert other.poll() is None
    assert not any(psutil.pid_exists(process.pid) for process in (gone, none))


@pytest.mark.parametrize("beside", [False, True])
async def test_the_processes_of_one_command_are_found_and_ended_and_no_others(
    start: Processes, beside: bool
) -> None:
    one = [start(AGENT | {"VIBE_COMMAND": "1.5:1:1"}), start(AGENT | {"VIBE_COMMAND": "1.5:1:1"})]
    other = start(AGENT | {"VIBE_COMMAND": "2.5:2:2"})
    elsewhere = start(AGENT | {"VIBE_PROJECT_ID": "another", "VIBE_COMMAND": "1.5:1:1"})
    server = serve_sweeps(PROJECT, 0)
    url = f"http://127.0.0.1:{server.server_port}"
    assert (await commands_beside(url) if beside else open_commands(PROJECT)) == ["1.5:1:1", "2.5:2:2"]
    names = await end_beside(url, "1.5:1:1") if beside else end_command(PROJECT, "1.5:1:1")
    server.shutdown()
    server.server_close()
    assert len(names) == 2
    assert not any(psutil.pid_exists(process.pid) for process in one)
    assert other.poll() is None
    assert elsewhere.poll() is None


async def test_a_supervisor_is_ended_and_not_named(start: Processes, sweep_of: Sweep) -> None:
    supervisor = start(AGENT, ["bash", "-c", "echo; exec -a vibe-command sleep 600"])
    while psutil.Process(supervisor.pid).cmdline()[0] != "vibe-command":
        time.sleep(0.01)  # noqa: ASYNC251  # it is between two programs
    assert await sweep_of(PROJECT, Meant) == []
    assert not psutil.pid_exists(supervisor.pid)


async def test_commands_beside_somebody_who_is_gone_are_none() -> None:
    server = serve_sweeps(PROJECT, 0)
    server.shutdown()
    server.server_close()
    url = f"http://127.0.0.1:{server.server_port}"
    assert await commands_beside(url) == []
    assert await end_beside(url, "1.5:1:1") == []


@pytest.mark.parametrize("body", [b"", b"[]", b'{"names": 3, "found": "x"}', b"[" * 100_000, b"\xff"])
async def test_somebody_else_at_the_port_is_as_nobody(body: bytes) -> None:
    class Liar(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing on stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Liar) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            assert await commands_beside(url) == []
            assert await end_beside(url, "1.5:1:1") == []
            assert await sweep_beside(url, Meant) == []
        finally:
            server.shutdown()
            thread.join()


async def test_nothing_left_is_nothing_done() -> None:
    assert await sweep("a project without processes", Meant) == []


async def test_a_sweep_by_somebody_who_is_gone_ends_nothing() -> None:
    server = serve_sweeps(PROJECT, 0)
    server.shutdown()
    server.server_close()
    assert await sweep_beside(f"http://127.0.0.1:{server.server_port}", Meant) == []


DEEP = b"[" * 1000
HUGE = b'{"before": 1' + b"0" * 400 + b"}"


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"before": "now"}', b"\xff", DEEP, HUGE])
def test_a_request_that_is_none_is_refused_and_ends_nothing(start: Processes, body: bytes) -> None:
    left = start(AGENT)
    server = serve_sweeps(PROJECT, 0)
    answer = httpx.post(f"http://127.0.0.1:{server.server_port}/sweep", content=body)
    assert answer.status_code == 400
    assert left.poll() is None
    server.shutdown()
    server.server_close()
