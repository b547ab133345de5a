"""A workspace as versions before left it, with the work of all cards in one folder, is taken over."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import Installation

TITLE = "Work found in the workspace"
START = 40_000


def left(folder: Path) -> None:
    """Lay a folder as it was: one repository with a commit, and beside it what nobody committed."""
    git = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    (folder / ".opencode").mkdir(parents=True)
    (folder / ".opencode" / "instructions.md").write_text("ours\n")
    (folder / "app.py").write_text("print('hello')\n")
    (folder / ".gitignore").write_text(".env\n")
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    (folder / ".git" / "info" / "exclude").write_text("/.opencode/\n")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=Say hello"], check=True)
    (folder / "app.py").write_text("print('hello')\nprint('goodbye')\n")
    (folder / ".env").write_text("NAME=value\n")


def history(hub: Path) -> list[str]:
    """Return who made what of the base branch, newest first."""
    asked = ["git", "-c", "safe.directory=*", f"--git-dir={hub}", "log", "--format=%an: %s", "main"]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.splitlines()


@pytest.mark.cold
async def test_work_of_before_becomes_a_card_that_is_accepted(
    project: Project, visit: Visit, server: Installation
) -> None:
    left(server.workspace(project.id))
    task = await project.task("Say more", "rehearse: run cat app.py")
    board = await visit("eve", project)
    await project.api("POST", f"{project.path}/tasks/{task}/execute")
    found = board.card(TITLE, "Human review")
    await expect(found.locator(".v-counts")).to_have_text("+1 −0", timeout=START)
    await found.locator(".v-card-title").click()
    added = board.drawer.locator("diffs-container [data-line][data-line-type=change-addition]")
    await expect(added).to_have_text(["print('goodbye')"])
    await board.drawer.get_by_role("button", name="Accept").click()
    await board.dialog.get_by_role("button", name="Accept").click()
    await expect(board.card(TITLE, "Done")).to_be_visible()
    base = server.base(project.id)
    assert (base / "app.py").read_text() == "print('hello')\nprint('goodbye')\n"
    assert (base / ".env").read_text() == "NAME=value\n"
    assert history(server.workspace(project.id) / "hub") == [f"Eve: {TITLE}", "Ada: Say hello"]
