"""A card's change in the browser: its files and lines, comments between them, and what is decided.

The changes are rows without a run behind them, so what needs the workspace's repository is not tried here.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest_asyncio
from playwright.async_api import Locator, expect

from tests.e2e.axe import Look
from tests.e2e.browser import PHONE, PROBE, Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.installation import Installation
from tests.seeding import Texts, seed_change
from vibe_app.db import Database
from vibe_app.wire.git import ChangedFile, FileStatus

TEXTS: Texts = {
    "src/greet.py": ("def greet():\n    return 'Hello'\n", "def greet(name):\n    return f'Hello {name}'\n"),
    "docs/notes.md": (None, "# Notes\n\nGreet kindly.\n"),
}

Seed = Callable[..., Awaitable[str]]


@pytest_asyncio.fixture(loop_scope="session")
async def seeded(server: Installation, project: Project) -> Seed:
    """Makes a card in AI review with a change, before anybody looks; returns its id."""

    async def seed(title: str = "Greet by name", texts: Texts = TEXTS, **values: object) -> str:
        task = await project.task(title, "Greet people by their **name**.")
        database = Database(f"sqlite+aiosqlite:///{server.data / 'vibe.db'}")
        try:
            await seed_change(database, UUID(task), texts, **values)  # pyright: ignore
        finally:
            await database.close()
        return task

    return seed


def lines(board: Board) -> Locator:
    """The numbers of the lines that are shown."""
    return board.drawer.locator("diffs-container [data-column-number]")


async def begin_comment(board: Board, line: int = 0) -> Locator:
    """Press on a line's number and return the box for words."""
    await lines(board).nth(line).click()
    area = board.drawer.get_by_label("Comment on these lines")
    await expect(area).to_be_visible()
    return area


async def test_a_review_opens_on_files_and_lines(project: Project, visit: Visit, seeded: Seed) -> None:
    more = (ChangedFile(path="data.bin", status=FileStatus.ADDED, binary=True),)
    task = await seeded(more=more)
    board = await visit("vic", project)
    card = board.card("Greet by name", "AI review")
    await expect(card).to_contain_text("+5")
    await card.locator(".v-card-title").click()
    await expect(board.page).to_have_url(re.compile(f"/t/{task}$"))
    await expect(board.drawer.get_by_role("link", name="Changes")).to_have_attribute("aria-current", "page")
    await expect(board.drawer.locator(".v-file")).to_have_count(3)
    await expect(board.drawer.get_by_text("3 files")).to_be_visible()
    await expect(board.drawer.locator("diffs-container").filter(has_text="Greet kindly.")).to_be_visible()
    await expect(board.drawer.get_by_text("A binary file: it has no lines to show.")).to_be_visible()
    await board.drawer.get_by_role("button", name="src/greet.py").click()
    await expect(board.drawer.locator("diffs-container").filter(has_text="def greet(name)")).to_be_visible()
    for name in ("Accept", "Discard", "Send to agent"):
        await expect(board.drawer.get_by_role("button", name=name)).to_have_count(0)


async def test_a_comment_is_written_changed_and_resolved_in_place(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded()
    eve, vic = await visit("eve", project), await visit("vic", project)
    for board in (eve, vic):
        await board.open("t", task)
        await expect(lines(board).first).to_be_visible()
    area = await begin_comment(vic)
    await area.fill(f"Why **kindly**? <img src=x onerror='{PROBE}'>")
    await vic.page.keyboard.press("Control+Enter")
    for board in (vic, eve):
        comment = board.drawer.locator(".v-comment")
        await expect(comment).to_have_count(1)
        await expect(comment.locator("strong", has_text="kindly")).to_be_visible()
        await expect(comment.locator("img")).to_have_count(0)
    await expect(eve.drawer.get_by_role("button", name="Edit")).to_have_count(0)
    await vic.drawer.locator(".v-comment").get_by_role("button", name="Edit").click()
    await vic.drawer.get_by_label("Comment", exact=True).fill("How kindly?")
    await vic.drawer.get_by_role("button", name="Save").click()
    await expect(eve.drawer.get_by_text("How kindly?")).to_be_visible()
    await expect(eve.drawer.get_by_role("button", name="1 comment · Send to agent")).to_be_visible()
    await eve.drawer.locator(".v-comment").get_by_role("button", name="Resolve").click()
    await expect(vic.drawer.locator(".v-comment").get_by_text("Resolved")).to_be_visible()
    await expect(eve.drawer.get_by_role("button", name="Send to agent", exact=True)).to_be_visible()
    listed = await project.api("GET", f"{project.path}/tasks/{task}/change/comments")
    assert [(each["body"], each["state"]) for each in listed["comments"]] == [("How kindly?", "resolved")]


async def test_a_comment_that_is_edited_in_two_tabs_shows_both_texts(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded()
    new = {"revision": "1" * 40, "path": "docs/notes.md", "line": 1, "quote": "# Notes", "body": "Why?"}
    first, second = await visit("ada", project), await visit("ada", project)
    await project.api("POST", f"{project.path}/tasks/{task}/change/comments", json=new)
    for board, words in ((first, "How?"), (second, "When?")):
        await board.open("t", task)
        await board.drawer.locator(".v-comment").get_by_role("button", name="Edit").click()
        await board.drawer.get_by_label("Comment", exact=True).fill(words)
    await first.drawer.get_by_role("button", name="Save").click()
    await expect(first.drawer.locator(".v-comment .v-markdown")).to_have_text("How?")
    await second.drawer.get_by_role("button", name="Save").click()
    two = second.drawer.get_by_role("region", name="Two versions")
    await expect(two).to_contain_text("This comment was changed while you were writing")
    look = Look(second.page)
    await look.at("a comment that is edited in two tabs")
    look.nothing_found()
    await two.get_by_role("button", name="Decide later").click()
    await expect(two).to_be_hidden()
    await expect(second.drawer.get_by_label("Comment", exact=True)).to_have_value("When?")
    await second.drawer.get_by_role("button", name="Save").click()
    await two.get_by_role("button", name="Keep mine").click()
    await expect(first.drawer.locator(".v-comment .v-markdown")).to_have_text("When?")


async def test_whoever_writes_is_not_disturbed_by_others_comments(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded()
    board = await visit("eve", project)
    await board.open("t", task)
    area = await begin_comment(board, 2)
    await board.page.keyboard.type("Half a ")
    new = {"revision": "1" * 40, "path": "docs/notes.md", "line": 1, "quote": "# Notes", "body": "Above"}
    for body in ("Above", "Above again"):
        await project.api("POST", f"{project.path}/tasks/{task}/change/comments", json=new | {"body": body})
        await expect(board.drawer.locator(".v-comment").filter(has_text=body).first).to_be_visible()
    await expect(area).to_be_focused()
    await board.page.keyboard.type("sentence")
    await expect(area).to_have_value("Half a sentence")


async def test_what_is_typed_outlives_a_reload(project: Project, visit: Visit, seeded: Seed) -> None:
    task = await seeded()
    board = await visit("eve", project)
    await board.open("t", task, "changes")
    area = await begin_comment(board)
    await area.fill("Half a thought")
    talk = board.drawer.get_by_label("Tell the agent what to change")
    await talk.fill("Greet in French")
    await board.page.reload()
    await expect(talk).to_have_value("Greet in French")
    await expect(await begin_comment(board)).to_have_value("Half a thought")
    await board.drawer.get_by_role("link", name="Output").click()
    await expect(talk).to_have_value("Greet in French")


async def test_a_file_is_ticked_as_seen(project: Project, visit: Visit, seeded: Seed) -> None:
    task = await seeded()
    board = await visit("vic", project)
    await board.open("t", task)
    seen = board.drawer.get_by_label("Seen: docs/notes.md")
    await seen.click()
    await expect(seen).to_be_checked()
    await board.page.reload()
    await expect(seen).to_be_checked()
    await expect(board.drawer.get_by_label("Seen: src/greet.py")).not_to_be_checked()


async def test_keys_lead_through_the_changed_lines(project: Project, visit: Visit, seeded: Seed) -> None:
    task = await seeded()
    board = await visit("eve", project)
    await board.open("t", task)
    await expect(lines(board).first).to_be_visible()
    spoken = board.drawer.locator(".v-unseen[role=status]")
    await board.page.keyboard.press("j")
    await expect(spoken).to_have_text("docs/notes.md, added line 1: # Notes")
    await board.page.keyboard.press("j")
    await expect(spoken).to_have_text("docs/notes.md, added line 2:")
    await board.page.keyboard.press("k")
    await expect(spoken).to_have_text("docs/notes.md, added line 1: # Notes")
    await board.page.keyboard.press("c")
    await expect(board.drawer.get_by_label("Comment on these lines")).to_be_focused()


async def test_accept_says_what_it_does_and_asks(project: Project, visit: Visit, seeded: Seed) -> None:
    task = await seeded()
    board = await visit("eve", project)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Accept").click()
    await expect(board.dialog).to_contain_text("Make it one commit on “main”.")
    await board.dialog.get_by_text("Keep the history (merge)").click()
    await expect(board.dialog).to_contain_text("with a merge commit")
    await board.dialog.get_by_role("button", name="Cancel").click()
    await expect(board.dialog).to_have_count(0)
    await board.drawer.get_by_role("button", name="Discard").click()
    await expect(board.dialog).to_contain_text("can be restored for 30 days")
    await board.page.keyboard.press("Escape")
    await expect(board.dialog).to_have_count(0)
    # A question about one card's change is none about another's.
    await board.drawer.get_by_role("button", name="Accept").click()
    await expect(board.dialog).to_be_visible()
    await board.open("t", await project.task("Another"), "changes")
    await expect(board.drawer.get_by_text("No change yet")).to_be_visible()
    await expect(board.dialog).to_have_count(0)
    change = await project.api("GET", f"{project.path}/tasks/{task}/change")
    assert (change["state"], change["intent"]) == ("open", None)


async def test_a_card_with_a_change_is_not_done_unasked(project: Project, visit: Visit, seeded: Seed) -> None:
    await seeded()
    board = await visit("eve", project)
    card = board.card("Greet by name", "AI review")
    await board.drag(card, board.column("Done"))
    await expect(board.dialog).to_contain_text("What is to become of the change?")
    await board.dialog.get_by_role("button", name="Look at it").click()
    await expect(board.drawer.get_by_role("button", name="Accept")).to_be_visible()
    await expect(board.card("Greet by name", "AI review")).to_be_visible()


async def test_what_stands_in_the_way_is_said_with_its_button(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded(conflicts=["src/greet.py"], behind=3)
    board = await visit("eve", project)
    await board.open("t", task)
    await expect(board.drawer.get_by_text("It conflicts with “main” in src/greet.py.")).to_be_visible()
    await expect(board.drawer.get_by_role("button", name="Let the agent solve it")).to_be_visible()
    # A person may have solved it by hand: what is there now is kept and looked at when it is accepted.
    await board.drawer.get_by_role("button", name="Accept").click()
    await expect(board.dialog).to_contain_text("if it still does, nothing is changed")


async def test_a_change_of_many_files_and_a_long_one(project: Project, visit: Visit, seeded: Seed) -> None:
    many: Texts = {f"pkg/file{n:03}.py": ("a = 1\n", f"a = {n}\n") for n in range(2, 120)}
    long: Texts = {"a_long.txt": (None, "".join(f"line {n}\n" for n in range(1, 20_001)))}
    task = await seeded("Many", many | long)
    board = await visit("eve", project)
    await board.open("t", task)
    await expect(board.drawer.locator(".v-file")).to_have_count(119)
    await expect(board.drawer.get_by_text("Page 1 of 6")).to_be_visible()
    await board.drawer.get_by_role("button", name="pkg/file101.py").click()
    await expect(board.drawer.get_by_text("Page 6 of 6")).to_be_visible()
    await expect(board.drawer.locator("diffs-container").filter(has_text="a = 101")).to_be_visible()


async def test_on_a_phone_everything_is_in_reach(project: Project, visit: Visit, seeded: Seed) -> None:
    task = await seeded()
    board = await visit("eve", project, viewport=PHONE, has_touch=True, is_mobile=True)
    await board.open("t", task, "changes")
    await expect(lines(board).first).to_be_visible()
    assert await board.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    await lines(board).first.tap()
    await board.drawer.get_by_label("Comment on these lines").fill("On a phone")
    await board.drawer.get_by_role("button", name="Comment", exact=True).tap()
    await expect(board.drawer.locator(".v-comment")).to_contain_text("On a phone")


async def test_a_review_is_for_everybody(project: Project, visit: Visit, seeded: Seed) -> None:
    many = [f"row {number}\n" for number in range(60)]
    long = "".join(many), "".join([*many[:30], "another row\n", *many[31:]])
    task = await seeded(texts={**TEXTS, "docs/rows.txt": long}, conflicts=["src/greet.py"])
    board = await visit("eve", project)
    await board.open("t", task)
    await expect(board.drawer.get_by_text("unmodified lines").first).to_be_visible()
    area = await begin_comment(board)
    await area.fill("First")
    await board.page.keyboard.press("Control+Enter")
    await expect(board.drawer.locator(".v-comment")).to_have_count(1)
    await begin_comment(board, 1)
    look = Look(board.page)
    await look.at("a change")
    await board.drawer.get_by_role("link", name="Overview").click()
    await expect(board.drawer.get_by_role("heading", name="Last run")).to_be_visible()
    await look.at("overview")
    await board.drawer.get_by_role("link", name="History").click()
    await expect(board.drawer.locator(".v-session")).to_be_visible()
    await look.at("rounds")
    look.nothing_found()
