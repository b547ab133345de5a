"""How many processes were ended for want of memory, in a control group that really is small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.workspaces.runtimes.groups import small_group as small_group

SCRIPT = """
import subprocess, sys
from vibe_app.workspaces.runtimes.endings import memory_kills
before = memory_kills()
status = subprocess.run([sys.executable, "-c", "len(bytearray(500_000_000))"]).returncode
print(before, status, memory_kills())
"""


def test_a_process_over_the_memory_limit_is_counted(small_group: Path) -> None:
    enter = ["sh", "-c", f'echo $$ >{small_group}/cgroup.procs; exec "$@"', "sh"]
    said = subprocess.run([*enter, sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["0", "-9", "1"]
