"""What people do with a change whose agent can be talked to: rounds, two at once, accept and discard."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.async_api import Locator, expect

from tests.e2e.browser import Board
from tests.e2e.conftest import Project, Visit
from tests.e2e.test_changes import Seed, seeded
from tests.e2e.test_together import tell
from tests.waiting import eventually
from vibe_app.board.changes.service import MOVED_ON

__all__ = ["seeded"]

DECIDE = "changes___decide____decide_state"
RUN = 40_000
"""Milliseconds for a round of the agent, and for the start of a workspace before it."""


async def executed(project: Project, title: str, description: str) -> str:
    """Make a card, have it executed, and return its id when it is in review."""
    task = await project.task(title, description)
    await project.api("POST", f"{project.path}/tasks/{task}/execute")
    await round_over(project, task, 1)
    return task


async def round_over(project: Project, task: str, number: int) -> None:
    """Wait until a card is in review after so many rounds."""

    async def over() -> bool:
        card = await project.api("GET", f"{project.path}/tasks/{task}")
        runs = (await project.api("GET", f"{project.path}/tasks/{task}/sessions"))["sessions"]
        return card["status"] == "AI_REVIEW" and len(runs) == number

    await eventually(over, seconds=RUN / 1000)


def talk(board: Board) -> Locator:
    """The box in which the agent is told what to change."""
    return board.drawer.get_by_label("Tell the agent what to change")


def files(board: Board) -> Locator:
    """The names of the files that are listed."""
    return board.drawer.locator(".v-file-name")


async def focused(board: Board, name: str, inside: Locator) -> None:
    """Go with Tab to a button."""
    button = inside.get_by_role("button", name=name, exact=True)
    for _ in range(80):
        if await button.evaluate("button => button === document.activeElement"):
            return
        await board.page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {name}")


async def test_rounds_with_somebody_else_on_the_same_change(project: Project, visit: Visit) -> None:
    write = "rehearse: run printf 'one\\ntwo\\n' > words.txt && echo kept > other.txt"
    task = await executed(project, "Count", write)
    ada, vic = await visit("ada", project), await visit("vic", project)
    for board in (ada, vic):
        await board.open("t", task, "changes")
        await expect(files(board)).to_have_text(["other.txt", "words.txt"])
    for name in ("other.txt", "words.txt"):
        await vic.drawer.get_by_label(f"Seen: {name}").click()
        await expect(vic.drawer.get_by_label(f"Seen: {name}")).to_be_checked()
    await vic.drawer.locator("diffs-container [data-column-number]").nth(1).click()
    await vic.drawer.get_by_label("Comment on these lines").fill("In Spanish")
    await vic.page.keyboard.press("Control+Enter")
    await expect(vic.drawer.locator(".v-comment").get_by_text("line 1")).to_be_visible()
    await talk(ada).fill("Say it in German")

    eve = await visit("eve", project)
    await eve.open("t", task, "output")
    await talk(eve).fill("In Spanish, please.\nrehearse: run printf 'uno\\ntwo\\n' > words.txt")
    await eve.drawer.get_by_role("button", name="1 comment · Send to agent").click()
    await expect(talk(eve)).to_have_count(0)
    await round_over(project, task, 2)
    await expect(talk(eve)).to_have_value("", timeout=RUN)

    # Who looked before loses nothing, and is told.
    await ada.drawer.get_by_role("button", name="Send to agent").click()
    await expect(ada.toasts.filter(has_text=MOVED_ON)).to_be_visible()
    await expect(talk(ada)).to_have_value("Say it in German")
    await ada.drawer.get_by_role("button", name="Show what is new").click()
    added = ada.drawer.locator("diffs-container [data-line][data-line-type=change-addition]")
    await expect(added).to_have_text(["kept", "uno", "two"])
    await expect(talk(ada)).to_have_value("Say it in German")

    # What has changed is to be seen again; what was said of a line that is gone stands there with it.
    await vic.drawer.get_by_role("button", name="Show what is new").click()
    await expect(vic.drawer.get_by_label("Seen: words.txt")).not_to_be_checked()
    await expect(vic.drawer.get_by_label("Seen: other.txt")).to_be_checked()
    apart = vic.drawer.locator(".v-apart")
    await expect(apart).to_contain_text("Comments on lines that are not in the change: 1")
    await expect(apart.locator("pre")).to_have_text("one")
    await expect(apart.locator(".v-comment")).to_contain_text("The agent has it")

    await eve.drawer.get_by_role("link", name="Changes").click()
    await eve.drawer.get_by_label("Since the last round").click()
    await expect(files(eve)).to_have_text(["words.txt"])
    await expect(
        eve.drawer.locator("diffs-container [data-line-type=change-deletion][data-line]")
    ).to_have_text(["one"])
    await eve.drawer.get_by_label("Since the last round").click()
    await expect(files(eve)).to_have_text(["other.txt", "words.txt"])
    await talk(eve).fill("rehearse: run rm other.txt")
    await eve.page.keyboard.press("Control+Enter")
    await expect(eve.drawer.get_by_role("link", name="Output")).to_have_attribute("aria-current", "page")
    await round_over(project, task, 3)
    await eve.drawer.get_by_role("link", name="History").click()
    await expect(eve.drawer.locator(".v-session")).to_have_count(3)


async def test_what_would_be_lost_is_named_and_asked_about_once(project: Project, visit: Visit) -> None:
    large = "rehearse: run truncate -s 51M model.bin; echo done > notes.txt"
    task = await executed(project, "Train", large)
    board = await visit("eve", project)
    drawer = board.drawer
    await board.open("t", task, "changes")
    await expect(drawer.get_by_text("model.bin is not in it: it is larger than 50 MiB.")).to_be_visible()
    await drawer.get_by_role("button", name="Discard", exact=True).click()
    await board.dialog.get_by_role("button", name="Discard").click()
    lost = drawer.get_by_text("This is in no checkpoint and would be lost: model.bin")
    await expect(lost).to_be_visible()
    await drawer.get_by_role("button", name="Discard anyway").click()
    await expect(drawer.get_by_text("Discarded by Eve")).to_be_visible()
    await expect(board.card("Train", "To do")).to_be_visible()
    await drawer.get_by_role("button", name="Restore").click()
    await expect(talk(board)).to_be_visible()
    await expect(files(board)).to_have_text(["notes.txt"])

    await talk(board).fill(large)
    await drawer.get_by_role("button", name="Send to agent").click()
    await round_over(project, task, 2)
    await drawer.get_by_role("link", name="Changes").click()
    # The rest by keyboard alone.
    await expect(files(board)).to_have_text(["notes.txt"])
    await focused(board, "Accept", drawer)
    await board.page.keyboard.press("Enter")
    await expect(board.dialog).to_contain_text("one commit on “main”.")
    await focused(board, "Accept", board.dialog)
    await board.page.keyboard.press("Enter")
    await expect(lost).to_be_visible()
    await focused(board, "Accept anyway", drawer)
    await board.page.keyboard.press("Enter")
    await expect(board.card("Train", "Done")).to_be_visible()
    await expect(drawer.get_by_text("Accepted by Eve")).to_be_visible()
    content = await project.api("GET", f"{project.path}/files/content", params={"path": "notes.txt"})
    assert content["content"] == "done\n"


async def test_a_set_up_that_fails_says_why(project: Project, visit: Visit) -> None:
    await project.api("PATCH", project.path, json={"setup": "echo 'the mirror is away' >&2; exit 7"})
    try:
        task = await project.task("Prepared")
        board = await visit("eve", project)
        await board.open("t", task)
        await board.drawer.get_by_role("button", name="Execute").click()
        await expect(board.terminal.locator(".xterm-rows")).to_contain_text("the mirror is away", timeout=RUN)
        await expect(board.card("Prepared", "To do")).to_contain_text(
            re.compile(r"Failed\s*The set-up command ended with status 7")
        )
        why = "The set-up command ended with status 7, and the agent was not asked."
        why += " Its last lines are in the output."
        # Beside the card's face, only the output says it: as its error, and with its end.
        await expect(board.terminal.locator(".xterm-rows")).to_contain_text("Session failed: The set-up")
        said = [line for line in await board.output() if "The set-up command" in line]
        assert said == [why, f"Session failed: {why}"]
        await expect(board.drawer.locator(".v-error")).to_have_count(0)
    finally:
        await project.api("PATCH", project.path, json={"setup": ""})


@pytest.mark.parametrize("person", ["vic", "sam"])
async def test_a_decision_by_somebody_who_may_not_is_none(
    project: Project, visit: Visit, seeded: Seed, person: str
) -> None:
    task = await seeded(conflicts=["src/greet.py"])
    board = await visit(person)
    await board.page.goto(board.url)
    sent: dict[str, dict[str, Any]] = {
        "accept": {},
        "discard": {},
        "solve": {},
        "send": {"form": {"message": "Do it"}},
        "drop": {"task_id": task},
    }
    for handler, payload in sent.items():
        answer = await tell(board.page, handler, project, f"/t/{task}/changes", DECIDE, **payload)
        if (person, handler) != ("vic", "drop"):
            assert "toast" in answer, f"{handler}: nothing was said: {answer}"
        assert "went wrong" not in answer, f"{handler}: {answer}"
    change = await project.api("GET", f"{project.path}/tasks/{task}/change")
    assert (change["state"], change["intent"]) == ("open", None)
    assert len(await project.sessions(task)) == 1
