"""The first page: what needs somebody, what runs, what has ended, over all projects, as it happens."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from tests.e2e.axe import Look
from tests.e2e.browser import DESKTOP, PHONE
from tests.e2e.conftest import Project, Visit

LONG = 60_000
"""Milliseconds for a run to begin or to end on a machine with much else to do."""


def part(page: Page, name: str) -> Locator:
    """A list of the page."""
    return page.get_by_role("region", name=name, exact=True)


async def test_what_needs_somebody_what_runs_and_what_has_ended(project: Project, visit: Visit) -> None:
    board = await visit("eve")
    page, look = board.page, Look(board.page)
    await page.goto(board.url)
    tile = part(page, "All projects").get_by_role("listitem").filter(has_text=project.name)
    await expect(tile).to_be_visible()

    failing = await project.task("Count the sheep", "rehearse: fail 401")
    await project.api("POST", f"{project.path}/tasks/{failing}/execute")
    row = part(page, "Needs you").get_by_role("listitem").filter(has_text="Count the sheep")
    await expect(row).to_contain_text("Failed", timeout=LONG)
    await expect(row).to_contain_text(project.name)
    await expect(page).to_have_title(re.compile(r"^\(\d+\) Home · Vibe$"))
    rail = page.locator(".v-rail").get_by_role("link", name=project.name)
    await expect(rail.get_by_role("img", name=re.compile("need"))).to_be_visible()

    busy = await project.task("Mow the lawn", "rehearse: run sleep 600")
    await project.api("POST", f"{project.path}/tasks/{busy}/execute")
    running = part(page, "Running now").get_by_role("listitem").filter(has_text="Mow the lawn")
    await expect(running.locator(".v-chip", has_text="Running")).to_be_visible(timeout=LONG)
    await expect(running).to_contain_text(re.compile(r"\d s"))
    await expect(rail.get_by_role("img", name="1 running")).to_be_visible()
    await look.at("home")
    await running.get_by_role("button", name="Stop “Mow the lawn”").click()
    ended = part(page, "Recently finished").get_by_role("listitem").filter(has_text="Mow the lawn")
    await expect(ended).to_contain_text("Cancelled", timeout=LONG)
    await expect(ended).to_contain_text("Ada")
    await expect(running).to_have_count(0)

    await row.get_by_role("link", name="Count the sheep").click()
    await expect(board.drawer).to_contain_text("Count the sheep")
    look.nothing_found()


async def test_it_is_never_empty_and_fits_a_phone(visit: Visit, project: Project) -> None:
    board = await visit("sam")
    page, look = board.page, Look(board.page)
    for size in (DESKTOP, PHONE):
        await page.set_viewport_size(size)
        await page.goto(board.url)
        await expect(page.get_by_role("heading", name="Start with a project")).to_be_visible()
        await expect(page.get_by_role("button", name="Try the sample project")).to_be_visible()
    await look.at("first steps")
    member = await visit("vic", viewport=PHONE)
    await member.page.goto(member.url)
    tile = part(member.page, "All projects").get_by_role("listitem").filter(has_text=project.name)
    await expect(tile).to_be_visible()
    assert await member.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    look.nothing_found()
