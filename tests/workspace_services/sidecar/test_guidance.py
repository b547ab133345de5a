"""A repository's guidance for agents: which file is read, and that no link is followed for it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vibe_app.workspace_services.sidecar.guidance import refresh


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


def read(workspace: Path) -> tuple[str, list[str]]:
    """What OpenCode would be given, and what is said."""
    copy = workspace.parent / "guidance" / "guidance.md"
    said = refresh(workspace, copy)
    return copy.read_text() if copy.exists() else "", said


def test_agents_md_is_read_else_claude_md_and_what_is_gone_is_forgotten(workspace: Path) -> None:
    assert read(workspace) == ("", [])
    (workspace / "CLAUDE.md").write_text("Use tabs.")
    assert read(workspace) == ("From CLAUDE.md of this repository:\n\nUse tabs.", [])
    (workspace / "AGENTS.md").write_text("Use {env:HOME} and spaces.")
    assert read(workspace) == ("From AGENTS.md of this repository:\n\nUse {env:HOME} and spaces.", [])
    (workspace / "AGENTS.md").unlink()
    (workspace / "CLAUDE.md").unlink()
    assert read(workspace) == ("", [])


def test_one_that_is_a_link_to_the_other_needs_no_word(workspace: Path) -> None:
    (workspace / "CLAUDE.md").write_text("Use tabs.")
    (workspace / "AGENTS.md").symlink_to("CLAUDE.md")
    assert read(workspace) == ("From CLAUDE.md of this repository:\n\nUse tabs.", [])


@pytest.mark.parametrize("target", ["/proc/self/environ", "../secret", "docs/AGENTS.md"])
def test_a_link_is_not_followed_and_that_is_said(workspace: Path, target: str) -> None:
    (workspace.parent / "secret").write_text("key=1")
    (workspace / "docs").mkdir()
    (workspace / "docs" / "AGENTS.md").write_text("Inside.")
    (workspace / "AGENTS.md").symlink_to(target)
    assert read(workspace) == ("", ["AGENTS.md is a link and is not read: put the text itself there."])


def test_what_is_no_text_is_not_read_and_does_not_hold_anything_up(workspace: Path) -> None:
    os.mkfifo(workspace / "AGENTS.md")
    (workspace / "CLAUDE.md").write_bytes(b"\x7fELF\0")
    assert read(workspace) == (
        "",
        ["AGENTS.md is no file and is not read.", "CLAUDE.md is not text and is not read."],
    )


def test_a_long_one_is_cut_at_a_line_and_that_is_said(workspace: Path) -> None:
    (workspace / "AGENTS.md").write_text("A line of guidance.\n" * 10_000)
    text, said = read(workspace)
    assert said == ["Only the first 64 KiB of AGENTS.md are read."]
    assert len(text) < 70_000
    assert text.endswith("A line of guidance.\n")


def test_forms_that_are_not_read_are_named(workspace: Path) -> None:
    (workspace / ".cursorrules").write_text("x")
    assert read(workspace)[1] == [".cursorrules is not read: guidance for the agent belongs into AGENTS.md."]
