"""The supervisor of a command, with real shells, started as OpenCode starts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.workspaces.runtimes.groups import small_group as small_group
from vibe_app.wire import MEMORY_NOTICE
from vibe_app.workspaces.runtimes import supervision


class Shell:
    """Starts commands as OpenCode does."""

    def __init__(self, folder: Path) -> None:
        script, env = folder / "command.sh", folder / "bash_env"
        self.bounds = folder / "bounds"
        self.bounds.touch()
        script.write_text(supervision.SCRIPT)
        env.write_text(supervision.bash_env(script, self.bounds, folder / "tasks", ["SECRET"]))
        self.group: Path | None = None
        """The control group to start commands in."""
        self.env = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "BASH_ENV": str(env),
            "SECRET": "s",
            "OPENCODE_PID": str(os.getpid()),
        }

    def start(self, command: str) -> subprocess.Popen[str]:
        # The supervisor is in the group as well, as OpenCode is in its container's.
        enter = ["sh", "-c", f'echo $$ >{self.group}/cgroup.procs; exec "$@"', "sh"] if self.group else []
        return subprocess.Popen(
            [*enter, "/bin/bash", "-c", command],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        process = self.start(command)
        # Whoever holds the output open would hold this up.
        output = process.communicate(timeout=30)[0]
        return process.returncode, output


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


@pytest.mark.parametrize(
    ("command", "status", "output"),
    [
        ("echo hi", 0, "hi\n"),
        ("echo hi >&2; exit 3", 3, "hi\n"),
        ("false; echo $?; exit", 0, "1\n"),
        ("echo 'it''s \"quoted\" $((1+1))' \\\n  two", 0, 'its "quoted" $((1+1)) two\n'),
        ("sleep 0.2 & wait; echo waited", 0, "waited\n"),
        ("cat; echo no input", 0, "no input\n"),
        ("echo ${SECRET-none} ${BASH_ENV-none} ${VIBE_TEXT-none}", 0, "none none none\n"),
        ("bash -c 'echo inner; exit 4'", 4, "inner\n"),
        ("for i in 1 2 3; do echo out; echo err >&2; done", 0, "out\nerr\n" * 3),
        ("echo a >/dev/stderr; echo b >/dev/stdout; echo c | tee /dev/stderr", 0, "a\nb\nc\nc\n"),
        ("seq 200000 | tail -n 1; seq 100000 | wc -l", 0, "200000\n100000\n"),
        ("seq 30000", 0, "".join(f"{number}\n" for number in range(1, 30001))),
    ],
)
def test_a_command_runs_as_it_would_without(shell: Shell, command: str, status: int, output: str) -> None:
    assert shell.run(command) == (status, output)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("kill -9 $$", 137),
        ("kill -9 0", 137),
        ("kill 0; sleep 9", 143),
        ("kill -SEGV $$", 139),
        ("setsid sleep 900 & kill -9 $$", 137),
        ("sleep 900 & kill -9 $$", 137),
        ("pkill -9 -f a-name-that-is-in-this-text; sleep 9", 137),
        ("pkill -9 -g 0; sleep 9", 137),
    ],
)
def test_a_command_that_a_signal_ends_is_over_at_once_with_a_number(
    shell: Shell, command: str, status: int
) -> None:
    assert shell.run(command) == (status, "")


def test_the_signal_at_the_limit_reaches_the_command(shell: Shell) -> None:
    process = shell.start("trap 'echo told; exit 7' TERM; echo ready; sleep 60 & wait")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "told\n"
    assert process.returncode == 7


def test_a_command_that_does_not_listen_is_killed_a_little_later(shell: Shell) -> None:
    process = shell.start("trap '' TERM; echo ready; while :; do sleep 1; done")
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 137


@pytest.mark.parametrize("away", ["", "setsid", "env -i setsid"])
def test_what_a_command_left_open_is_let_go_of_at_the_limit(shell: Shell, away: str) -> None:
    # Several, since the signal reaches each at another moment of its command's end.
    processes = [shell.start(f"{away} sleep 60 & echo started $!") for _ in range(12)]
    left: list[int] = []
    for process in processes:
        assert process.stdout
        left.append(int(process.stdout.readline().removeprefix("started ")))
        assert process.poll() is None
        os.killpg(process.pid, signal.SIGTERM)
    for process, pid in zip(processes, left, strict=True):
        # Ends by itself when nobody holds the output open any more.
        process.communicate(timeout=15)
        with suppress(psutil.NoSuchProcess):
            process_left = psutil.Process(pid)
            if process_left.status() != psutil.STATUS_ZOMBIE:
                process_left.kill()
                assert "env" in away, "only what emptied its environment cannot be found"


def test_what_cannot_be_found_but_stayed_in_the_group_ends_at_the_limit(shell: Shell) -> None:
    deaf = 'trap "" TERM; echo $$; exec >/dev/null 2>&1; while :; do sleep 1; done'
    process = shell.start(f"env -i PATH=$PATH bash -c '{deaf}' & wait")
    assert process.stdout
    left = psutil.Process(int(process.stdout.readline()))
    os.killpg(process.pid, signal.SIGTERM)
    process.communicate(timeout=15)
    try:
        left.wait(timeout=5)
    finally:
        with suppress(psutil.NoSuchProcess):
            left.kill()


def test_all_of_a_command_carries_its_mark(shell: Shell) -> None:
    command = "setsid bash -c 'echo $VIBE_COMMAND' | tee /dev/stderr; echo é"
    status, output = shell.run(command)
    assert status == 0
    one, two, _ = output.splitlines()
    assert one == two
    began, pid, length = one.split(":")
    assert float(began) > 1_700_000_000
    assert pid.isdigit()
    assert int(length) == len(command)


def test_a_command_over_the_memory_limit_says_so(shell: Shell, small_group: Path) -> None:
    shell.group = small_group
    status, output = shell.run("echo greedy")
    assert (status, output) == (0, "greedy\n")
    status, output = shell.run(f"exec {sys.executable} -c 'len(bytearray(500_000_000))'")
    assert status == 137
    assert output == f"{MEMORY_NOTICE}\n"
