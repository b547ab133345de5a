"""What runs is written down; what cannot be read of it is nobody's."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from vibe_app.workspaces.runtimes.local.records import Record, Records


@pytest.mark.parametrize("planted", ["", "[]", "{}", "[" * 100_000, "\0"])
def test_what_cannot_be_read_is_removed_and_the_rest_is_read(tmp_path: Path, planted: str) -> None:
    records = Records(tmp_path)
    record = Record.new(uuid4(), 1)
    records.write(record)
    (path,) = tmp_path.rglob(f"{record.project_id}.json")
    (path.parent / f"{uuid4()}.json").write_text(planted)
    assert [found.project_id for found in records.read_all()] == [record.project_id]
    assert [found.name for found in path.parent.glob("*.json")] == [path.name]
