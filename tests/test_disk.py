"""Whether a disk is full, on disks that really are."""

from __future__ import annotations

import pytest

from tests.disks import fill, needs_mount, small_disk
from vibe_app.disk import is_full, means_full
from vibe_app.errors import DiskFull, Unavailable


@needs_mount
def test_a_disk_is_full_once_nothing_can_be_written(tmp_path):
    with small_disk(tmp_path / "disk", 4) as disk:
        assert not is_full(disk)
        filling = fill(disk)
        assert is_full(tmp_path, disk)
        with pytest.raises(OSError, match="No space") as refused:
            (disk / "more").write_bytes(bytes(1 << 20))
        assert means_full(refused.value)
        filling.unlink()
        assert not is_full(disk)


def test_what_is_not_there_is_not_full(tmp_path):
    assert not is_full(tmp_path / "nowhere")
    with pytest.raises(OSError, match="No such file") as refused:
        (tmp_path / "nowhere" / "file").write_text("")
    assert not means_full(refused.value)
    assert issubclass(DiskFull, Unavailable)
