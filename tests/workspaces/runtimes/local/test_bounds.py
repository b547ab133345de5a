"""How the keeper reads who belongs to whom behind the wall."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from vibe_app.workspaces.runtimes.local import bounds

_LAST = Path("/proc/sys/kernel/ns_last_pid")


@pytest.mark.skipif(not os.access(_LAST, os.W_OK), reason="only root may say where process ids go on")
def test_the_oldest_child_comes_first_though_process_ids_began_anew() -> None:
    """The first is OpenCode: taken for a command, it would be ended for what a command takes."""
    _LAST.write_text("30000")
    children = [subprocess.Popen(["sleep", "60"])]
    try:
        # Others may start processes at the same moment, but not for ever.
        while len(children) < 20 and children[-1].pid >= children[0].pid:
            _LAST.write_text("300")
            children.append(subprocess.Popen(["sleep", "60"]))
        assert children[-1].pid < children[0].pid
        found = bounds.tree(os.getpid())
        assert found is not None
        pids = [child.pid for child in found.children]
        assert pids.index(children[0].pid) < pids.index(children[-1].pid)
    finally:
        for child in children:
            child.kill()
            child.wait()


def test_what_several_share_is_counted_once() -> None:
    held = os.memfd_create("held")
    seen: set[int] = set()
    try:
        os.write(held, bytes(1 << 20))
        assert bounds._held_open(os.getpid(), seen) >= 1 << 20
        assert bounds._held_open(os.getpid(), seen) == 0
    finally:
        os.close(held)
