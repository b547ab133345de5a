"""The whole story by keyboard alone: nothing here points, clicks or sets the focus but by keys."""

from __future__ import annotations

import pytest
from playwright.async_api import Locator, Page, expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import PASSWORD

RUN = 60_000
"""Milliseconds for what an agent does, on a machine that others use too."""
TITLE = "Write the greeting"

# What shows the focus: a frame around what has it, or around what it is a part of.
SEEN = """
() => {
  const shows = (e) => {
    const {outlineStyle, outlineWidth, boxShadow} = getComputedStyle(e);
    return (outlineStyle !== "none" && parseFloat(outlineWidth) > 0) || boxShadow !== "none";
  };
  const at = document.activeElement;
  if (at === document.body || at.matches(".v-drawer, .v-main, [role=dialog], [role=alertdialog]")) return "";
  // The edge of a drawer shows it by its thumb, which has no style that a script could read.
  if (at.matches(".v-edge") || getComputedStyle(at, "::after").outlineStyle !== "none") return "";
  for (let e = at, up = 0; e && up < 4; e = e.parentElement, up++) if (shows(e)) return "";
  return at.outerHTML.slice(0, 160);
}
"""


class Keys:
    """Somebody who has a keyboard and nothing else; notes where the focus was and could not be seen."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.unseen: list[str] = []

    async def press(self, *keys: str) -> None:
        """Press some keys, one after the other."""
        for key in keys:
            await self.page.keyboard.press(key)

    async def type(self, text: str) -> None:
        """Type into what has the focus."""
        await self.page.keyboard.type(text)

    async def go(self, target: Locator, *, back: bool = False, most: int = 60) -> None:
        """Go to something with Tab, or with Shift and Tab; fails where that does not lead there."""
        await expect(target).to_be_visible()
        for _ in range(most):
            await self.press("Shift+Tab" if back else "Tab")
            if found := await self.page.evaluate(SEEN):
                self.unseen.append(found)
            if await target.evaluate("(e) => e === document.activeElement"):
                return
        raise AssertionError(f"no {most} steps lead to {target}")


async def executed(board: Board, keys: Keys, project: str) -> None:
    """Sign in, find a project by its name, write a card, execute it, and watch it to its end."""
    page = board.page
    await page.goto(f"{board.url}/login")
    await expect(page.get_by_label("E-mail")).to_be_focused()
    await keys.type("eve@example.org")
    await keys.press("Tab")
    await keys.type(PASSWORD)
    await keys.press("Enter")
    await expect(page).to_have_url(f"{board.url}/")
    await expect(page.get_by_role("heading", name=project)).to_be_visible()

    await keys.press("Control+k")
    await expect(page.get_by_role("combobox", name="Go to or do")).to_be_focused()
    await keys.type(project)
    await expect(page.get_by_role("option").first).to_contain_text(project)
    await keys.press("Enter")
    await board.ready()

    await keys.press("n")
    await expect(board.dialog.get_by_label("Title")).to_be_focused()
    await keys.type(TITLE)
    await keys.go(board.dialog.get_by_label("Description"))
    await keys.type("rehearse: run printf 'Hello\\nWorld\\n' > greeting.txt")
    await keys.press("Control+Enter")
    await expect(board.dialog).to_have_count(0)
    await expect(board.card(TITLE, "To do")).to_be_focused()

    await keys.press("e")
    await expect(board.card(TITLE, "In progress")).to_be_focused()
    await keys.press("Enter")
    await expect(board.drawer).to_be_focused()
    await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session completed", timeout=RUN)
    await expect(board.card(TITLE, "AI review")).to_be_visible()


@pytest.mark.timeout(240)
async def test_from_signing_in_to_an_accepted_change(project: Project, visit: Visit) -> None:
    board = await visit(None)
    board.project = project.id
    keys, drawer = Keys(board.page), board.drawer
    await executed(board, keys, project.name)

    # The focus goes into the output, where keys scroll, and out of it again.
    await keys.go(board.terminal.locator("textarea"))
    await keys.press("PageUp", "End", "Tab")
    await expect(board.terminal.locator("textarea")).not_to_be_focused()

    await keys.go(drawer.get_by_role("link", name="Changes"), back=True)
    await keys.press("Enter")
    await expect(drawer.locator("diffs-container [data-line]").first).to_be_visible()
    await keys.press("j", "j")
    await expect(drawer.locator(".v-unseen[role=status]")).to_have_text("greeting.txt, added line 2: World")
    await keys.press("c")
    await expect(drawer.get_by_label("Comment on these lines")).to_be_focused()
    await keys.type("Whom do you mean?")
    await keys.press("Control+Enter")
    await expect(drawer.locator(".v-comment")).to_contain_text("Goes with the next message")
    await keys.go(drawer.get_by_label("Tell the agent what to change"))
    await keys.type("rehearse: run sed -i s/World/Ada/ greeting.txt")
    await keys.press("Control+Enter")
    await expect(drawer.get_by_role("link", name="Output")).to_have_attribute("aria-current", "page")
    await expect(board.card(TITLE, "In progress")).to_be_visible()
    await expect(board.card(TITLE, "AI review")).to_be_visible(timeout=RUN)

    await keys.go(drawer.get_by_role("link", name="Changes"))
    await keys.press("Enter")
    await expect(drawer.locator("diffs-container [data-line]").filter(has_text="Ada")).to_be_visible()
    await keys.go(drawer.get_by_role("button", name="Accept"))
    await keys.press("Enter")
    await expect(board.dialog).to_contain_text("Squash 2 runs into one commit")
    await keys.go(board.dialog.get_by_role("button", name="Accept"), most=6)
    await keys.press("Enter")
    # The button that asked is gone with the question.
    await expect(board.dialog).to_have_count(0)
    await expect(drawer).to_be_focused()
    await expect(board.card(TITLE, "Done")).to_be_visible(timeout=RUN)
    await expect(drawer).to_be_focused()

    await keys.press("Escape")
    await expect(drawer).to_have_count(0)
    await expect(board.card(TITLE, "Done")).to_be_focused()
    await keys.press("a")
    await expect(board.card(TITLE)).to_have_count(0)
    await keys.press("z")
    await expect(board.card(TITLE, "Done")).to_be_visible()
    assert keys.unseen == []


async def test_the_focus_stays_with_a_card_or_goes_to_its_neighbour(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three", "Four"):
        await project.task(title)
    board = await visit("eve", project)
    keys = Keys(board.page)
    await keys.press("ArrowDown", "ArrowDown")
    await expect(board.card("Two")).to_be_focused()
    await keys.press("m")
    await keys.go(board.dialog.get_by_role("button", name="Human review"), most=6)
    await keys.press("Enter")
    await expect(board.card("Two", "Human review")).to_be_focused()
    await keys.press("ArrowLeft")
    await expect(board.card("One")).to_be_focused()
    await keys.press("Delete")
    await expect(board.card("One")).to_have_count(0)
    await expect(board.card("Three")).to_be_focused()
    # From the drawer of a card that goes as well.
    await keys.press("Enter")
    await expect(board.drawer).to_be_focused()
    await keys.go(board.drawer.get_by_role("button", name="Archive"))
    await keys.press("Enter")
    await expect(board.drawer).to_have_count(0)
    await expect(board.card("Three")).to_have_count(0)
    await expect(board.card("Four")).to_be_focused()
    await keys.press("?")
    await expect(board.dialog.get_by_role("heading", name="Keyboard")).to_be_visible()
    await keys.press("Escape")
    await expect(board.card("Four")).to_be_focused()
    # All that was done is taken back, the last first.
    for title in ("Three", "One"):
        await keys.press("z")
        await expect(board.card(title, "To do")).to_be_visible()
    await keys.press("z")
    await expect(board.card("Two", "To do")).to_be_visible()
    assert keys.unseen == []


async def test_keys_do_the_same_with_all_that_are_selected(project: Project, visit: Visit) -> None:
    for title in ("One", "Two", "Three"):
        await project.task(title)
    board = await visit("eve", project)
    keys, bar = Keys(board.page), board.page.get_by_role("toolbar", name="Selected cards")
    await keys.press("ArrowDown", "x", "ArrowDown", "x")
    await expect(bar).to_contain_text("2 selected")
    await keys.press("l")
    await expect(board.dialog.get_by_label("Labels")).to_be_focused()
    await keys.type("docs")
    await keys.press("Enter")
    for title in ("One", "Two"):
        await expect(board.card(title).get_by_text("docs")).to_be_visible()
    await expect(board.card("Two")).to_be_focused()
    await keys.press("x", "ArrowUp", "x", "m")
    await expect(board.dialog).to_contain_text("2 cards")
    await keys.go(board.dialog.get_by_role("button", name="Done"), most=6)
    await keys.press("Enter")
    await expect(board.column("Done").locator(".v-card-title")).to_have_text(["Two", "One"])
    await expect(bar).to_have_count(0)
    await keys.press("x")
    await expect(bar).to_be_visible()
    await keys.press("Escape")
    await expect(bar).to_have_count(0)
