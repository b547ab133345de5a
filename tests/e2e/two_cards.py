"""Two cards that change the same line: side by side, to a history that a person could have written.

It is told once, for whatever workspaces are: a folder of this machine, or a pod. Nothing here waits for a
time: what an agent runs waits until it is let go, and the hub can be held, so that what is to happen in the
middle does.
"""

from __future__ import annotations

import fcntl
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, expect

from tests.e2e.browser import Board
from tests.e2e.installation import Api, Installation
from tests.waiting import eventually

FRENCH, SPANISH = "Greet in French", "Greet in Spanish"
FILE = "greeting.txt"
LONG = 90_000
"""Milliseconds for what an agent does, on a machine that others use too."""
# In the tree's own `.git`, which is no part of a change.
_GATE = ".git/go-on"


def waits(command: str) -> str:
    """Direct the rehearsal model to run a command once it is let go."""
    return f"rehearse: run until [ -e {_GATE} ]; do sleep 0.05; done; {command}"


@dataclass
class TwoCards:
    """A board with two cards, seen by Ada, and where their files are on this machine.

    Args:
        board: Her tab.
        server: What serves it.
        api: She, as a program.
        workspace: The folder that holds the hub and the trees.
    """

    board: Board
    server: Installation
    api: Api
    workspace: Path
    numbers: dict[str, int] = field(default_factory=dict[str, int])
    ids: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def path(self) -> str:
        """The project's, in the API."""
        return f"/projects/{self.board.project}"

    async def begin(self) -> None:
        """Put a file on the base branch, write both cards, and execute them from the board."""
        await self.api("PUT", f"{self.path}/files/content", params={"path": FILE}, content=b"Hello\n")
        for title, word in ((FRENCH, "Bonjour"), (SPANISH, "Hola")):
            await self.board.write(title, waits(f"sed -i s/Hello/{word}/ {FILE}"))
        for task in (await self.api("GET", f"{self.path}/tasks"))["tasks"]:
            self.numbers[task["title"]], self.ids[task["title"]] = task["number"], task["id"]
        for title in (FRENCH, SPANISH):
            await self.board.execute(title)
        await self.side_by_side()

    async def side_by_side(self) -> None:
        """See both run at once."""
        for title in (FRENCH, SPANISH):
            card = self.board.card(title, "In progress")
            await expect(card.locator(".v-run")).to_contain_text("Running", timeout=LONG)

    async def power_cut(self) -> None:
        """Kill the server and start it again; the page that is open finds it."""
        self.server.kill()
        await self.server.start()

    def let_go(self, *titles: str) -> None:
        """Let the agents of cards go on."""
        for title in titles:
            (self.tree(title) / _GATE).touch()

    def tree(self, title: str) -> Path:
        """The folder of a card's files."""
        return self.workspace / "tasks" / str(self.numbers[title])

    async def open(self, title: str, tab: str) -> None:
        """Show a card's tab."""
        await self.board.open("t", self.ids[title], tab)

    async def reviewed(self, title: str, runs: int) -> None:
        """Wait until a card is in review after so many runs."""

        async def over() -> bool:
            path = f"{self.path}/tasks/{self.ids[title]}"
            listed = (await self.api("GET", f"{path}/sessions"))["sessions"]
            ended = [each for each in listed if each["status"] == "completed"]
            return len(ended) == runs and (await self.api("GET", path))["status"] == "AI_REVIEW"

        await eventually(over, seconds=LONG / 1000)
        await expect(self.board.card(title, "AI review")).to_be_visible()

    def lines(self, kind: str) -> Locator:
        """The lines of one kind in the diff: `addition` or `deletion`."""
        return self.board.drawer.locator(f"diffs-container [data-line][data-line-type=change-{kind}]")

    async def shows(self, before: str, after: str) -> None:
        """See the change of the one line."""
        await expect(self.lines("deletion")).to_have_text([before])
        await expect(self.lines("addition")).to_have_text([after])

    async def comment(self, words: str) -> None:
        """Comment on the line that was added."""
        await self.board.drawer.locator(
            "diffs-container [data-column-number][data-line-type=change-addition]"
        ).click()
        await self.board.drawer.get_by_label("Comment on these lines").fill(words)
        await self.board.page.keyboard.press("Control+Enter")
        await expect(self.board.drawer.locator(".v-comment")).to_contain_text(words)

    async def follow_up(self, words: str) -> None:
        """Tell the agent what to change, with the comments."""
        await self.board.drawer.get_by_label("Tell the agent what to change").fill(words)
        await self.board.drawer.get_by_role("button", name="1 comment · Send to agent").click()
        await expect(self.board.drawer.get_by_role("link", name="Output")).to_have_attribute(
            "aria-current", "page"
        )

    async def history(self, title: str) -> list[dict[str, Any]]:
        """Return the runs of a card, newest first."""
        return (await self.api("GET", f"{self.path}/tasks/{self.ids[title]}/sessions"))["sessions"]

    async def accept(self, says: str) -> None:
        """Accept the change that is shown."""
        await self.board.drawer.get_by_role("button", name="Accept").click()
        await expect(self.board.dialog).to_contain_text(says)
        await self.board.dialog.get_by_role("button", name="Accept").click()

    async def refused(self, title: str) -> None:
        """Wait until it is known that the change of a card conflicts, and was not accepted."""

        async def is_refused() -> bool:
            change = await self.api("GET", f"{self.path}/tasks/{self.ids[title]}/change")
            problem = change["problem"] or {}
            return (change["state"], change["intent"], problem.get("code")) == ("open", None, "conflicts")

        await eventually(is_refused, seconds=LONG / 1000)

    @contextmanager
    def hub_held(self) -> Iterator[None]:
        """Keep everybody off the hub: a decision begins, and goes no further."""
        with (self.workspace / "hub" / "vibe.lock").open("a") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield

    def git(self, *words: str) -> str:
        """Ask the hub."""
        asked = ["git", "-c", "safe.directory=*", f"--git-dir={self.workspace / 'hub'}", *words]
        return subprocess.run(asked, check=True, capture_output=True, text=True).stdout


async def told(story: TwoCards) -> None:
    """The whole story."""
    board = story.board
    await story.begin()
    await board.page.reload()
    await story.side_by_side()
    await story.power_cut()
    await story.side_by_side()
    story.let_go(FRENCH, SPANISH)
    for title in (FRENCH, SPANISH):
        await story.reviewed(title, runs=1)
        await expect(board.card(title).locator(".v-counts")).to_have_text("+1 −1")
    await story.open(SPANISH, "changes")
    await story.shows("Hello", "Hola")
    await story.open(FRENCH, "changes")
    await story.shows("Hello", "Bonjour")

    await story.comment("Whom do you greet?")
    await story.follow_up(f"Say whom.\nrehearse: run sed -i 's/Bonjour/Bonjour le monde/' {FILE}")
    await story.reviewed(FRENCH, runs=2)
    await story.open(FRENCH, "changes")
    await story.shows("Hello", "Bonjour le monde")
    await expect(board.drawer.locator(".v-comment")).to_contain_text("The agent has it")
    await one_conversation(story)

    await story.open(FRENCH, "changes")
    with story.hub_held():
        await story.accept("Squash 2 runs into one commit on “main”.")
        await expect(board.drawer.get_by_text("It is being accepted.")).to_be_visible()
        await board.page.reload()
        await expect(board.drawer.get_by_text("It is being accepted.")).to_be_visible()
        await story.power_cut()
        await expect(board.card(FRENCH, "AI review")).to_be_visible()
    await expect(board.card(FRENCH, "Done")).to_be_visible(timeout=LONG)
    await expect(board.drawer.get_by_text(re.compile("Accepted by Ada"))).to_be_visible()

    await second_is_solved(story)
    await story.accept("Squash 2 runs into one commit on “main”.")
    await expect(board.card(SPANISH, "Done")).to_be_visible(timeout=LONG)
    await well_written(story)


async def one_conversation(story: TwoCards) -> None:
    """See the rounds of the first card as one conversation."""
    drawer = story.board.drawer
    await drawer.get_by_role("link", name="History").click()
    second, first = drawer.locator(".v-session").first, drawer.locator(".v-session").last
    await expect(drawer.locator(".v-session")).to_have_count(2)
    await expect(first).to_contain_text("Executed by Ada")
    await expect(second).to_contain_text("Follow-up by Ada")
    await expect(second.locator(".v-said")).to_contain_text("Say whom.")
    await expect(second.locator(".v-said")).to_contain_text("with 1 comment")
    for entry in (first, second):
        await expect(entry.locator(".v-round")).to_contain_text("+1 −1 in 1 file")
        await expect(entry).to_contain_text(re.compile(r"\d+ tokens in, \d+ out"))
    newest, oldest = await story.history(FRENCH)
    assert newest["conversation_id"] == oldest["conversation_id"] is not None
    assert newest["revision_before"] == oldest["revision_after"]
    whole = f"{story.path}/tasks/{story.ids[FRENCH]}/sessions/{newest['id']}"
    assert "Whom do you greet?" in (await story.api("GET", whole))["prompt"]


async def second_is_solved(story: TwoCards) -> None:
    """See that the second card does not fit any more, and have the agent mend it."""
    drawer = story.board.drawer
    await story.open(SPANISH, "changes")
    # It is known before anybody presses Accept, and whoever presses it all the same is refused.
    await expect(drawer.get_by_text(f"It conflicts with “main” in {FILE}.")).to_be_visible(timeout=LONG)
    await story.accept("It conflicted when that was last looked at.")
    await story.refused(SPANISH)
    await expect(drawer.get_by_text(f"It conflicts with “main” in {FILE}.")).to_be_visible()
    await drawer.get_by_role("button", name="Let the agent solve it").click()
    await story.reviewed(SPANISH, runs=2)
    await story.open(SPANISH, "changes")
    # What the first card made of the line is the base's now, and stays.
    await expect(story.lines("addition")).to_have_text(["Hola"])
    await expect(story.lines("deletion")).to_have_count(0)
    await expect(drawer.get_by_text("It conflicts")).to_have_count(0)


async def well_written(story: TwoCards) -> None:
    """Read the base branch as a person does."""
    by = "Ada <ada@example.org>"
    trailers = "Co-authored-by: OpenCode <opencode@localhost>"
    numbers = story.numbers
    said = story.git("log", "--format=%an <%ae>%n%B%x00", "main").split("\0")
    assert [each.strip() for each in said] == [
        f"{by}\n{SPANISH}\n\nVibe-Task: {numbers[SPANISH]}\n{trailers}",
        f"{by}\n{FRENCH}\n\nVibe-Task: {numbers[FRENCH]}\n{trailers}",
        f"{by}\nAdd {FILE}",
        "Vibe <vibe@localhost>\nStart of the workspace",
        "",
    ]
    assert story.git("log", "--merges", "--format=%s", "main") == ""
    both = {"Bonjour le monde", "Hola"}
    assert set(story.git("show", f"main:{FILE}").split("\n")) == both | {""}
    assert set((story.workspace / "base" / FILE).read_text().split("\n")) == both | {""}
    story.git("fsck", "--strict")
    await eventually(lambda: not list((story.workspace / "tasks").iterdir()), seconds=30)
