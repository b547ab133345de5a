"""A greedy command behind the wall ends with a sentence, and nothing else does: OpenCode goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.wall import rig
from tests.wall.rig import Behind, behind

MEMORY, DISK = 1536, 256
# More than may be, and few enough for the machine should nobody end them: they end by themselves.
STORM = 700
COMMANDS = {
    "memory": (
        'python3 -c "\nimport time\nheld = []\nfor _ in range(60):\n'
        '    held.append(bytearray(64 << 20))\n    time.sleep(0.05)\ntime.sleep(60)"',
        f"it used more than the {MEMORY} MiB of memory that a workspace may have",
    ),
    "memory that no process has mapped": (
        'python3 -c "\nimport os, time\nheld = []\nfor _ in range(60):\n'
        "    held.append(os.memfd_create('held'))\n    os.write(held[-1], bytes(64 << 20))\n"
        '    time.sleep(0.05)\ntime.sleep(60)"',
        f"it used more than the {MEMORY} MiB of memory that a workspace may have",
    ),
    "memory that processes share": (
        'python3 -c "\nimport mmap, time\nheld = []\nfor _ in range(60):\n'
        "    held.append(mmap.mmap(-1, 64 << 20))\n    held[-1].write(bytes(64 << 20))\n"
        '    time.sleep(0.05)\ntime.sleep(60)"',
        f"it used more than the {MEMORY} MiB of memory that a workspace may have",
    ),
    "processes": (
        f"for i in $(seq {STORM}); do sleep 40 & done; wait",
        "it started more than the 400 processes that a workspace may have",
    ),
    "files": (
        "for i in $(seq 40); do head -c 16M /dev/zero >big$i; done; sleep 60",
        f"the workspace's files would take more than {DISK} MiB",
    ),
}


@pytest.fixture(scope="module")
def workspace() -> Iterator[Behind]:
    """One for all: what a greedy command leaves behind is the next one's business too."""
    assert not (missing := rig.needs()), missing
    with behind(memory=MEMORY, disk=DISK) as made:
        made.start()
        yield made


@pytest.mark.parametrize("what", COMMANDS)
def test_a_greedy_command_ends_with_a_sentence_and_nothing_else(workspace: Behind, what: str) -> None:
    command, sentence = COMMANDS[what]
    said = workspace.bash(command)
    assert f"[Vibe ended this command: {sentence}]" in said
    assert workspace.process
    assert workspace.process.poll() is None, workspace.log.read_text()
    assert "still here" in workspace.bash("rm -f big*; echo still here")


def test_one_file_is_no_larger_than_all_may_be(workspace: Behind) -> None:
    said = workspace.bash("head -c 400M /dev/zero >big; echo status $?; ls -s --block-size=1M big; rm big")
    assert "File size limit exceeded" in said or "File too large" in said
    assert f"{DISK} big" in said


def test_the_shared_memory_of_no_process_is_small(workspace: Behind) -> None:
    said = workspace.bash("ipcmk -M 65536 && echo small; ipcmk -M 65537 || echo refused")
    assert "small" in said
    assert "refused" in said


@pytest.mark.skipif(os.geteuid() != 0, reason="the tests' own user is the ordinary one already")
def test_an_ordinary_users_storm_is_refused_by_the_kernel() -> None:
    with behind(user=rig.USER) as workspace:
        workspace.start()
        said = workspace.bash(COMMANDS["processes"][0])
        assert "BlockingIOError" in said or "Vibe ended this command" in said
        assert "still here" in workspace.bash("echo still here")
