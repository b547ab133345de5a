"""A disk that really is full: a small one in memory, mounted for one test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

needs_mount = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root may mount the small disk that is filled"
)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Make `folder` a disk of this many MiB for as long as the block lasts."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m,mode=700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        # Also where a process of the test that is just ending still has a file open there.
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Use up all room; return the file that does."""
    path = folder / "filling"
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(1 << 20)):
                pass
        except OSError:
            return path
    raise AssertionError("the disk has no end")
