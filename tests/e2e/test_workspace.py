"""A workspace as people see it: how it is, and starting it anew by hand."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.e2e.conftest import Project, Visit
from tests.waiting import eventually

pytestmark = pytest.mark.cold

START = 60_000


async def test_a_person_restarts_a_workspace(visit: Visit, project: Project) -> None:
    board = await visit("eve", project)
    page = board.page
    chip = page.get_by_role("button", name="Workspace ready")
    await expect(chip).to_be_visible(timeout=START)
    await chip.click()
    await expect(page.get_by_text("Unused, they are stopped")).to_be_visible()
    await page.get_by_role("button", name="Restart workspace").click()
    await expect(page.get_by_text("The workspace is started anew. Its files stay.")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(chip).to_be_visible(timeout=START)


async def test_who_only_looks_reads_how_it_is_and_restarts_nothing(visit: Visit, project: Project) -> None:
    board = await visit("vic", project)
    chip = board.page.get_by_role("button", name="Workspace ready")
    await expect(chip).to_be_visible(timeout=START)
    await chip.focus()
    await board.page.keyboard.press("Enter")
    await expect(board.page.get_by_text("Unused, they are stopped")).to_be_visible()
    await expect(board.page.get_by_role("button", name="Restart workspace")).to_have_count(0)


async def test_a_restart_under_a_run_must_be_meant(visit: Visit, project: Project) -> None:
    task = await project.task("Long", "rehearse: print 5000 lines at 20")
    await project.api("POST", f"{project.path}/tasks/{task}/execute")
    board = await visit("eve", project)
    page = board.page
    chip = page.get_by_role("button", name="Workspace ready")
    await expect(chip).to_be_visible(timeout=START)

    async def running() -> bool:
        return (await project.sessions(task))[0]["status"] == "running"

    await eventually(running, 60)
    await chip.click()
    await page.get_by_role("button", name="Restart workspace").click()
    await expect(page.get_by_role("alert")).to_contain_text("A session runs in this workspace")
    await page.get_by_role("button", name="Leave it").click()
    await expect(page.get_by_role("button", name="Restart workspace")).to_be_visible()
    await page.get_by_role("button", name="Restart workspace").click()
    await page.get_by_role("button", name="Restart nevertheless").click()

    async def begun_again() -> bool:
        [session] = await project.sessions(task)
        return session["attempt"] == 2 and session["status"] == "running"

    await eventually(begun_again, 60)
