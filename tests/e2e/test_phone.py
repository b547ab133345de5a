"""The story on a phone: 390 px wide, by touch."""

from __future__ import annotations

import re

from playwright.async_api import Locator, Page, expect

from tests.e2e.browser import PHONE
from tests.e2e.conftest import Project, Visit

RUN = 60_000
"""Milliseconds for what an agent does, on a machine that others use too."""
TOUCH = 44
"""Pixels that a target measures at least, for a finger."""

# How large it is to a finger: with its label, and for a link that covers its card with what covers it.
EXTENT = """
(e) => {
  const {width, height} = (e.closest("label") ?? e).getBoundingClientRect();
  const over = getComputedStyle(e, "::after");
  const covers = over.content !== "none" && over.position === "absolute";
  const [across, down] = covers ? [parseFloat(over.width), parseFloat(over.height)] : [0, 0];
  return {width: Math.max(width, across), height: Math.max(height, down)};
}
"""


async def fits(page: Page) -> None:
    widths = await page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert widths[0] <= widths[1], f"{page.url} is {widths[0]} px wide"


async def large_enough(page: Page) -> None:
    """Check what is to be touched; links inside a text may be as small as the text."""
    targets = page.locator(
        "button:visible, a:visible, input:visible, [role=combobox]:visible, [role=tab]:visible"
    )
    found: list[str] = []
    for target in await targets.all():
        if await unreachable(target):
            continue
        box = await target.evaluate(EXTENT)
        if min(box["width"], box["height"]) < TOUCH - 0.5:
            name = await target.evaluate("(e) => e.ariaLabel || e.innerText || e.className || e.tagName")
            found.append(f"{name!r}: {box['width']:.0f} x {box['height']:.0f}")
    assert not found, "\n".join(found)


async def unreachable(target: Locator) -> bool:
    """Tell whether no finger gets there: off the screen, under something else, or text that is only read."""
    return await target.evaluate(
        """(e) => {
          const r = e.getBoundingClientRect();
          const top = document.elementFromPoint((r.left + r.right) / 2, (r.top + r.bottom) / 2);
          return !(e.contains(top) || top?.contains(e)) || r.width <= 1
            || e.closest('.xterm') !== null || getComputedStyle(e).display === 'inline';
        }"""
    )


async def test_the_story_on_a_phone(project: Project, visit: Visit) -> None:
    board = await visit("eve", project, viewport=PHONE, has_touch=True, is_mobile=True)
    page = board.page
    tabs = page.get_by_role("tablist", name="Columns")
    await expect(tabs.get_by_role("tab")).to_have_count(5)
    await expect(page.get_by_role("region", name=re.compile("^In progress, "))).to_be_hidden()
    await fits(page)
    await large_enough(page)

    await page.get_by_role("button", name="New task").tap()
    await fits(page)
    await board.dialog.get_by_label("Title").fill("Add a README file")
    await large_enough(page)
    await board.dialog.get_by_role("button", name="Add task").tap()
    card = board.card("Add a README file", "To do")
    await expect(card).to_be_visible()
    await large_enough(page)
    await card.get_by_role("button", name="Execute").tap()
    await expect(tabs.get_by_role("tab", name=re.compile("In progress"))).to_contain_text("1")
    await tabs.get_by_role("tab", name=re.compile("In progress")).tap()
    await expect(board.card("Add a README file", "In progress")).to_be_visible()
    await board.card("Add a README file").locator(".v-card-title").tap()
    await board.drawer.evaluate("(e) => Promise.all(e.getAnimations().map((each) => each.finished))")
    box = await board.drawer.bounding_box()
    assert box is not None
    assert (round(box["x"]), round(box["width"])) == (0, PHONE["width"])
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session completed", timeout=60_000)
    await fits(page)
    await large_enough(page)
    await board.drawer.get_by_role("link", name="History").tap()
    await board.drawer.locator(".v-session-head").tap()
    await expect(board.drawer.locator("pre").last).to_be_visible()
    await fits(page)
    await large_enough(page)
    await board.drawer.get_by_role("link", name="Overview").tap()
    await board.drawer.get_by_role("button", name="Edit").tap()
    await fits(page)
    await large_enough(page)
    await board.drawer.get_by_role("link", name="Close").tap()
    await tabs.get_by_role("tab", name=re.compile("AI review")).tap()
    done = board.card("Add a README file", "AI review")
    await done.get_by_role("button", name="Move to…").tap()
    await fits(page)
    await board.dialog.get_by_role("button", name="Done").tap()
    asked = page.get_by_role("alertdialog")
    await fits(page)
    await large_enough(page)
    await asked.get_by_role("button", name="Accept").tap()
    await expect(asked).to_have_count(0)
    await tabs.get_by_role("tab", name=re.compile("Done")).tap()
    await expect(board.card("Add a README file", "Done")).to_be_visible()


async def test_a_change_is_talked_about_and_accepted_by_touch(project: Project, visit: Visit) -> None:
    task = await project.task("Greet", "rehearse: run printf 'Hello\\nWorld\\n' > greeting.txt")
    board = await visit("eve", project, viewport=PHONE, has_touch=True, is_mobile=True)
    page, drawer = board.page, board.drawer
    tabs = page.get_by_role("tablist", name="Columns")
    await board.card("Greet").get_by_role("button", name="Execute").tap()
    await tabs.get_by_role("tab", name=re.compile("AI review")).tap()
    card = board.card("Greet", "AI review")
    await expect(card).to_be_visible(timeout=RUN)
    await card.locator(".v-card-title").tap()
    await expect(page).to_have_url(re.compile(f"/t/{task}$"))
    lines = drawer.locator("diffs-container [data-column-number]")
    await expect(lines.first).to_be_visible()
    await fits(page)
    await large_enough(page)
    await lines.nth(1).tap()
    await drawer.get_by_label("Comment on these lines").fill("Whom do you mean?")
    await fits(page)
    await large_enough(page)
    await drawer.get_by_role("button", name="Comment", exact=True).tap()
    await expect(drawer.locator(".v-comment")).to_contain_text("Whom do you mean?")
    await expect(drawer.get_by_label("Goes with the next message")).to_be_checked()
    await large_enough(page)
    await drawer.get_by_label("Tell the agent what to change").fill(
        "rehearse: run sed -i s/World/Ada/ greeting.txt"
    )
    await drawer.get_by_role("button", name="1 comment · Send to agent").tap()
    await expect(drawer.get_by_role("link", name="Output")).to_have_attribute("aria-current", "page")
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session completed", timeout=RUN)
    await expect(drawer.get_by_role("link", name="Review")).to_be_visible()
    await drawer.get_by_role("link", name="Changes").tap()
    await expect(drawer.locator("diffs-container [data-line]").filter(has_text="Ada")).to_be_visible()
    await drawer.get_by_role("button", name="Accept").tap()
    await expect(board.dialog).to_contain_text("Squash 2 runs into one commit")
    await fits(page)
    await large_enough(page)
    await board.dialog.get_by_role("button", name="Accept").tap()
    await drawer.get_by_role("link", name="Close").tap()
    await tabs.get_by_role("tab", name=re.compile("Done")).tap()
    await expect(board.card("Greet", "Done")).to_be_visible(timeout=RUN)
    await large_enough(page)


async def test_the_rail_is_a_sheet(project: Project, visit: Visit) -> None:
    board = await visit("vic", project, viewport=PHONE, has_touch=True, is_mobile=True)
    page = board.page
    await page.get_by_role("button", name=re.compile("ist of projects")).tap()
    sheet = page.locator("dialog.v-sheet")
    await expect(sheet).to_be_visible()
    await fits(page)
    await large_enough(page)
    await sheet.get_by_role("link", name="Settings").tap()
    await expect(page.get_by_role("heading", name="Settings", level=1)).to_be_visible()
    await expect(sheet).to_be_hidden()
    await fits(page)


async def test_a_long_title_does_not_push_anything_out(project: Project, visit: Visit) -> None:
    title = "W" * 200
    task = await project.task(title, "`" + "x" * 500 + "`", labels=["l" * 40])
    board = await visit("eve", project, viewport=PHONE, has_touch=True, is_mobile=True)
    await fits(board.page)
    await board.open("t", task, "overview")
    await expect(board.drawer.get_by_text("Created")).to_be_visible()
    await fits(board.page)


async def test_a_long_press_picks_a_card_up(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title)
    board = await visit("eve", project, viewport=PHONE, has_touch=True, is_mobile=True)
    page, titles = board.page, board.column("To do").locator(".v-card-title")
    await expect(titles).to_have_text(["One", "Two", "Three"])
    start, end = await board.card("One").bounding_box(), await board.card("Three").bounding_box()
    assert start is not None
    assert end is not None
    devtools = await page.context.new_cdp_session(page)

    async def touch(kind: str, *height: float) -> None:
        points = [{"x": start["x"] + 60, "y": each} for each in height]
        await devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    top, bottom = start["y"] + 20, end["y"] + end["height"] - 4
    await touch("touchStart", top)
    await expect(page.locator(".kb-lifted")).to_be_visible()  # as long the finger rests
    for step in range(1, 21):
        await touch("touchMove", top + (bottom - top) * step / 20)
        await page.wait_for_timeout(16)
    await touch("touchEnd")
    await expect(titles).to_have_text(["Two", "Three", "One"])
