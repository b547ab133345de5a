"""Names of processes: a machine knows which of its own are over, and says nothing of others."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vibe_app import processes
from vibe_app.processes import ended_here, process_name


def name_of_an_ended_process() -> str:
    """Let a process of this machine name itself and end."""
    names = "from vibe_app.processes import process_name; print(process_name())"
    return subprocess.check_output([sys.executable, "-c", names], text=True).strip()


def test_who_lives_is_not_over() -> None:
    assert not ended_here(process_name())
    assert process_name() != process_name()


def test_who_ended_here_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = name_of_an_ended_process()
    assert len(ended) <= 64
    assert ended_here(ended)
    monkeypatch.setattr(processes.socket, "gethostname", lambda: "another-machine")
    assert not ended_here(ended)


@pytest.mark.parametrize(
    "name", ["", "the dead", "a-b-c-d", "--", f"{process_name().rsplit('-', 2)[0]}-{'9' * 40}-0"]
)
def test_of_others_nothing_is_told(name: str) -> None:
    assert not ended_here(name)
