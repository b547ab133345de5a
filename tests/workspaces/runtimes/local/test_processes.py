"""Processes that are started, recognised and ended: real ones, among them those that resist."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from uuid import UUID, uuid4

import psutil
import pytest

from tests.waiting import eventually
from vibe_app.workspaces.runtimes.local import processes

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(600)
"""
# A shell that leaves a process in a session of its own behind and ends.
STRAY = "setsid sleep 600 >/dev/null 2>&1 & echo up"


@pytest.fixture
async def data(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path
    await end_all(tmp_path)


async def end_all(data: Path) -> None:
    await processes.end(lambda: chain.from_iterable(processes.of_workspace(data).values()))


async def run(data: Path, project_id: UUID, *command: str) -> psutil.Process:
    """Start a process of a workspace and wait for its first word."""
    log = data / "logs" / f"{uuid4()}.log"
    env = {"PATH": os.environ["PATH"], **processes.marker(data, project_id)}
    process = processes.spawn(command, env=env, cwd=data, log=log)
    await eventually(lambda: "up" in processes.last_words(log))
    return process


def pids(data: Path, project_id: UUID | None = None) -> set[int]:
    return {
        process.pid for members in processes.of_workspace(data, project_id).values() for process in members
    }


async def test_a_process_is_found_again_by_its_number_and_its_start(data: Path) -> None:
    process = await run(data, uuid4(), sys.executable, "-c", STUBBORN)
    assert processes.find(process.pid, processes.began(process), data) == process
    assert processes.find(process.pid, processes.began(process) + 60, data) is None
    assert processes.find(process.pid, processes.began(process), data / "another") is None
    assert processes.find(os.getpid(), processes.began(psutil.Process()), data) is None


@pytest.mark.skipif(not psutil.LINUX, reason="only Linux tells times from its boot, which follows the clock")
async def test_it_is_found_again_after_the_clock_jumped_by_an_hour(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await run(data, uuid4(), sys.executable, "-c", STUBBORN)
    began, created = processes.began(process), process.create_time()
    boot = psutil.boot_time()
    monkeypatch.setattr("psutil._pslinux.boot_time", lambda: boot + 3600)
    assert psutil.Process(process.pid).create_time() == pytest.approx(created + 3600)
    assert processes.find(process.pid, began, data) == process


async def test_it_gets_a_session_of_its_own_and_nothing_of_our_environment(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIBE_SECRET_KEY", "secret")
    process = await run(data, uuid4(), sys.executable, "-c", STUBBORN)
    assert os.getsid(process.pid) == process.pid
    assert "VIBE_SECRET_KEY" not in process.environ()


async def test_what_it_makes_has_ordinary_modes_however_private_the_server_is(data: Path) -> None:
    before = os.umask(0o077)
    try:
        await run(data, uuid4(), "sh", "-c", "touch made; echo up; sleep 600")
    finally:
        os.umask(before)
    assert (data / "made").stat().st_mode & 0o777 == 0o644


async def test_one_whose_environment_nobody_may_read_is_known_all_the_same(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = uuid4()
    server = await run(data, project, "sh", "-c", "env -i sleep 600 & echo up; sleep 600")
    began = processes.began(server)

    def denied(process: psutil.Process) -> dict[str, str]:
        raise psutil.AccessDenied(process.pid)

    with monkeypatch.context() as patch:
        patch.setattr(psutil.Process, "environ", denied)
        assert processes.find(server.pid, began, data) == server
        assert processes.find(server.pid, began + 60, data) is None
        assert pids(data, project) == set()
        found = processes.of_workspace(data, project, [server])[project]
        assert {process.name() for process in found} == {"sh", "sleep"}


async def test_all_of_a_project_is_ended_and_nothing_of_another(data: Path) -> None:
    mine, other = uuid4(), uuid4()
    stubborn = await run(data, mine, sys.executable, "-c", STUBBORN)
    await run(data, mine, "sh", "-c", STRAY)
    spared = await run(data, other, sys.executable, "-c", STUBBORN)
    assert len(pids(data, mine)) == 2
    await processes.end(lambda: processes.of_workspace(data, mine).get(mine, []), grace=0.2)
    assert pids(data) == {spared.pid}
    assert processes.ending(stubborn) == "was ended by SIGKILL"


async def test_one_that_the_kernel_ended_for_want_of_memory_is_told_as_that(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure is read from files of the control group, which another test makes grow for real."""
    kills = iter([3, 4])
    monkeypatch.setattr(processes, "memory_kills", lambda: next(kills))
    starved = await run(data, uuid4(), "sh", "-c", "echo up; sleep 600")
    starved.kill()
    await eventually(lambda: not processes.runs(starved))
    assert processes.ending(starved) == "was ended by SIGKILL for want of memory"


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (50, "signal 50")])
async def test_one_that_a_signal_ended_is_told_as_that(data: Path, number: int, name: str) -> None:
    process = await run(data, uuid4(), "sh", "-c", "echo up; sleep 600")
    process.send_signal(number)
    await eventually(lambda: not processes.runs(process))
    assert processes.ending(process) == f"was ended by {name}"


async def test_a_descendant_that_hides_its_environment_is_ended_with_its_parent(data: Path) -> None:
    project = uuid4()
    await run(data, project, "sh", "-c", "env -i sleep 600 & echo up; wait")
    assert len(pids(data, project)) == 2
    await end_all(data)
    assert pids(data) == set()


async def test_the_same_project_id_of_another_installation_is_not_ours(data: Path) -> None:
    project = uuid4()
    env = {"PATH": os.environ["PATH"], **processes.marker(data / "elsewhere", project)}
    child = await asyncio.create_subprocess_exec("sleep", "600", env=env)
    try:
        await processes.end(lambda: processes.of_workspace(data, project).get(project, []))
        assert psutil.pid_exists(child.pid)
        assert child.returncode is None
    finally:
        child.kill()
        await child.wait()


def test_one_that_has_ended_does_not_run_even_before_it_is_collected() -> None:
    pid = os.posix_spawn("/bin/true", ["true"], {})
    process = psutil.Process(pid)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert psutil.pid_exists(pid)
    assert not processes.runs(process)
    os.waitpid(pid, 0)
    assert not processes.runs(process)


async def test_how_it_ended_and_its_last_words(data: Path) -> None:
    log = data / "logs" / "short.log"
    script = r"printf 'one\n\033[31mtwo\033[0m\n'; exit 3"
    process = processes.spawn(["sh", "-c", script], env={"PATH": os.environ["PATH"]}, cwd=data, log=log)
    await eventually(lambda: not processes.runs(process))
    assert processes.ending(process) == "ended with status 3"
    assert processes.last_words(log) == "one / two"
    processes.collect()


async def test_a_new_start_keeps_the_log_of_the_one_before(data: Path) -> None:
    await run(data, uuid4(), "sh", "-c", "echo up")
    (log,) = (data / "logs").iterdir()
    processes.spawn(["true"], env={"PATH": os.environ["PATH"]}, cwd=data, log=log)
    assert processes.last_words(log.with_name(f"{log.name}.previous")) == "up"
    assert processes.last_words(log) == ""


async def test_a_log_is_cut_while_its_writer_goes_on(data: Path) -> None:
    log = data / "long.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"x" * 5_000_000 + b"the end\n")
        processes.trim_log(log)
        assert log.stat().st_size == 256 * 1024
        writer.write(b"afterwards\n")
    assert processes.last_words(log).endswith("the end / afterwards")
    size = log.stat().st_size
    processes.trim_log(log)
    assert log.stat().st_size == size
    processes.trim_log(data / "missing.log")
