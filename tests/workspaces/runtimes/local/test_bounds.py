"""How the keeper reads who belongs to whom behind the wall."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from vibe_app.workspaces.runtimes.local import bounds

# In a namespace of process ids of its own, whose numbers are made to begin anew: says whether the child that
# was started first comes first.
ANEW = """
import os, subprocess
from vibe_app.workspaces.runtimes.local.bounds import tree

def go_on_from(number):
    with open("/proc/sys/kernel/ns_last_pid", "w") as file:
        file.write(str(number))

go_on_from(1000)
first = subprocess.Popen(["sleep", "60"])
while True:
    go_on_from(300)
    later = subprocess.Popen(["sleep", "60"])
    if tree(later.pid).started > tree(first.pid).started:
        break
    later.kill()
    later.wait()
assert later.pid < first.pid
print([each.pid for each in tree(os.getpid()).children] == [first.pid, later.pid])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may say where process ids go on")
def test_the_oldest_child_comes_first_though_process_ids_began_anew() -> None:
    """The first is OpenCode: taken for a command, it would be ended for what a command takes."""
    apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = subprocess.run(
        [*apart, sys.executable, "-c", ANEW], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True\n", done.stderr


def test_what_several_share_is_counted_once() -> None:
    held = os.memfd_create("held")
    seen: set[int] = set()
    try:
        os.write(held, bytes(1 << 20))
        assert bounds._held_open(os.getpid(), seen) >= 1 << 20
        assert bounds._held_open(os.getpid(), seen) == 0
    finally:
        os.close(held)
