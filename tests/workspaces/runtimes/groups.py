"""A control group with little memory, as containers are limited."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 64 MB of memory, of version 1 or 2, as containers are limited."""
    for parent, limit in (
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ("/sys/fs/cgroup", "memory.max"),
    ):
        group = Path(parent) / f"vibe-test-{uuid4().hex}"
        if (Path(parent) / "cgroup.procs").exists():
            with suppress(OSError):
                group.mkdir()
                (group / limit).write_text(str(64 * 1024 * 1024))
                yield group
                return group.rmdir()
    pytest.skip("needs the right to make a control group (root of a machine, not of a container)")
