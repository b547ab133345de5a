"""What a person sees of rights: logins that are ended, rights that are taken, what of a clone is missing."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.conftest import PASSWORD, People, Project, Visit
from vibe_app.accounts.roles import MAY_NOT_CREATE, MAY_NOT_EXECUTE

pytestmark = pytest.mark.cold

SOON = 15_000


def row_of(page: Page, text: str) -> Locator:
    """The row of a list that holds a text and something to press."""
    return page.locator(".rt-Flex").filter(has_text=text, has=page.get_by_role("button")).last


def with_a_link_out(folder: Path) -> Path:
    """Make a repository with a link that leads out of it."""
    run = ["git", "-C", str(folder), "-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    (folder / "outside").symlink_to("/etc/hostname")
    subprocess.run([*run, "add", "."], check=True)
    subprocess.run([*run, "commit", "--quiet", "--message=A link that leads out"], check=True)
    return folder


async def test_a_login_that_is_ended_in_the_settings_closes_the_other_browser(
    project: Project, visit: Visit
) -> None:
    other = await visit("eve", None, refused=(401,), user_agent="Mozilla/5.0 (X11) Firefox/140.0")
    page = other.page
    await page.goto(f"{other.url}/login")
    await page.context.clear_cookies()
    await page.goto(f"{other.url}/login?next=/p/{project.id}")
    await page.get_by_label("E-mail").fill("eve@example.org")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign in").dblclick()
    other.project = project.id
    await other.ready()

    board = await visit("eve", None)
    await board.page.goto(f"{board.url}/settings/logins")
    # A double click on "Sign in" is one login.
    await expect(board.page.get_by_text("Firefox")).to_have_count(1)
    row = row_of(board.page, "Firefox")
    await expect(row).to_contain_text("127.0.0.1")
    await row.get_by_role("button", name="End", exact=True).click()
    await expect(board.toasts.filter(has_text="Login ended.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=SOON)
    await expect(board.page.get_by_text("(this one)")).to_be_visible()


async def test_who_may_not_execute_or_create_is_told_why(
    project: Project, visit: Visit, people: People
) -> None:
    await project.task("Not for everybody")
    admin = await visit("ada")
    await admin.page.goto(f"{admin.url}/settings/people")
    row = admin.page.get_by_role("listitem").filter(has_text="eve@example.org")
    eve = await visit("eve", project)
    execute = eve.card("Not for everybody").get_by_role("button", name="Execute")
    await expect(execute).to_have_css("opacity", "1")
    try:
        for right in ("Executes", "Creates projects"):
            await row.get_by_label(right).click()
            await expect(row.get_by_label(right)).not_to_be_checked()
        await expect(execute).to_have_css("opacity", "0.55", timeout=SOON)
        await execute.click()
        await expect(eve.toasts.filter(has_text=MAY_NOT_EXECUTE)).to_be_visible()
        await eve.card("Not for everybody").get_by_text("Not for everybody").click()
        await expect(eve.drawer.get_by_text(MAY_NOT_EXECUTE)).to_be_visible()
        await expect(eve.drawer.get_by_role("button", name="Execute")).to_have_count(0)
        await eve.page.goto(eve.url)
        await expect(eve.page.get_by_text(MAY_NOT_CREATE)).to_be_visible()
        await expect(eve.page.get_by_role("button", name="New project")).to_have_count(0)
    finally:
        rights = {"can_execute": True, "can_create_projects": True}
        await people.ada("PATCH", f"/users/{people.ids['eve']}", json=rights)


async def test_what_a_clone_leaves_out_is_told_on_the_board(
    project: Project, visit: Visit, tmp_path: Path
) -> None:
    repository = with_a_link_out(tmp_path / "source")
    await project.api("PATCH", project.path, json={"repo_url": repository.as_uri()})
    board = await visit("vic", project)
    chip = board.page.get_by_role("button", name="Files are missing")
    await expect(chip).to_be_visible(timeout=30_000)
    await chip.click()
    await expect(board.page.get_by_text(re.compile("outside"))).to_be_visible()
