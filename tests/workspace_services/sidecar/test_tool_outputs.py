"""The files of long outputs: read whole, without following what an agent put in their way."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from vibe_app.errors import NotFound
from vibe_app.workspace_services.sidecar import tool_outputs
from vibe_app.workspace_services.sidecar.tool_outputs import ToolOutputs

WAY = (".local", "share", "opencode", "tool-output")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path.joinpath(*WAY)
    made.mkdir(parents=True)
    return made


def part(path: str, status: str = "completed") -> dict[str, Any]:
    metadata = {"output": "end\n", "truncated": True, "outputPath": path}
    return {"tool": "bash", "state": {"status": status, "metadata": metadata}}


async def test_the_whole_text_is_put_into_a_part_that_only_has_its_end(tmp_path: Path, folder: Path) -> None:
    (folder / "tool_1a").write_bytes("é one\nend\n".encode() + b"\xff")
    wanted = part("/somewhere/else/tool_1a")
    await ToolOutputs(tmp_path).fill(wanted)
    metadata = wanted["state"]["metadata"]
    assert (metadata["whole"], metadata["cut"]) == ("é one\nend\n\ufffd", False)


async def test_of_a_very_long_one_the_beginning_is_read(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tool_outputs, "LARGEST", 10)
    (folder / "tool_1a").write_text("0123456789abc")
    wanted = part("tool_1a")
    await ToolOutputs(tmp_path).fill(wanted)
    metadata = wanted["state"]["metadata"]
    assert (metadata["whole"], metadata["cut"]) == ("0123456789", True)


@pytest.mark.parametrize("given", [part("tool_1a", "running"), part(""), part("tool_none"), {"tool": "read"}])
async def test_what_has_no_such_file_stays_as_it_is(
    tmp_path: Path, folder: Path, given: dict[str, Any]
) -> None:
    (folder / "tool_1a").write_text("x")
    await ToolOutputs(tmp_path).fill(given)
    assert "whole" not in str(given)


@pytest.mark.parametrize("name", ["tool_../x", "../tool_1a", "", ".", "tool_", "tool_1a\n", "opencode.db"])
def test_no_other_name_is_opened(tmp_path: Path, folder: Path, name: str) -> None:
    (folder / "tool_1a").write_text("x")
    with pytest.raises(NotFound):
        ToolOutputs(tmp_path).read(name)


def test_nothing_is_read_through_a_link_and_nothing_but_a_file(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (folder / "tool_link").symlink_to(tmp_path / "secret")
    (folder / "tool_hard").hardlink_to(tmp_path / "secret")
    os.mkfifo(folder / "tool_pipe")
    (folder / "tool_folder").mkdir()
    for name in ("tool_link", "tool_hard", "tool_pipe", "tool_folder"):
        with pytest.raises(NotFound):
            ToolOutputs(tmp_path).read(name)


@pytest.mark.parametrize("step", range(len(WAY)))
def test_a_folder_on_the_way_that_is_a_link_leads_nowhere(tmp_path: Path, folder: Path, step: int) -> None:
    (folder / "tool_1a").write_text("x")
    assert ToolOutputs(tmp_path).read("tool_1a") == b"x"
    real = tmp_path.joinpath(*WAY[: step + 1])
    moved = tmp_path / "moved"
    real.rename(moved)
    real.symlink_to(moved, target_is_directory=True)
    with pytest.raises(NotFound):
        ToolOutputs(tmp_path).read("tool_1a")


def test_where_the_home_is_out_of_sight_there_are_none() -> None:
    with pytest.raises(NotFound):
        ToolOutputs(None).read("tool_1a")
