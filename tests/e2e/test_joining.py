"""A repository with a deploy key: from the settings to a branch that parted and is brought together again.

The server is a real OpenSSH, and the real OpenCode merges, with the rehearsal model.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.e2e.axe import Look
from tests.e2e.browser import DESKTOP, Board, Watch
from tests.e2e.installation import installed
from tests.e2e.test_story import Newcomer
from tests.e2e.two_cards import LONG, TwoCards
from tests.keyed import pushed, team_server, theirs, there
from tests.sshd import Sshd
from vibe_app.configuration import deploy_keys

TITLE = "Bring main together with its remote"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    """A repository with one file."""
    with team_server(tmp_path / "team") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="session")
async def newcomer(browser: Browser, tmp_path: Path, migrated: Path) -> AsyncIterator[Newcomer]:
    """A server that may reach repositories of this machine, and a browser on it."""
    (tmp_path / "data").mkdir()
    async with installed(tmp_path / "data", migrated, {"VIBE_REPOSITORY_NETWORKS": "127.0.0.0/8"}) as running:
        context = await browser.new_context(viewport=DESKTOP)
        context.set_default_timeout(15_000)
        watch = Watch(running.url)
        watch.follow(context)
        yield Newcomer(running, await context.new_page(), watch)
        faults = await watch.end()
    assert faults == []


@pytest.mark.timeout(300)
async def test_a_deploy_key_is_made_and_what_has_parted_is_brought_together(
    newcomer: Newcomer, server: Sshd
) -> None:
    await newcomer.set_up()
    board = await newcomer.begin_project("Keyed", server.url("team.git"))
    api = await newcomer.api()
    path = f"/projects/{board.project}"
    await api("PATCH", path, json={"delivery": "push"})
    look = Look(board.page)
    await a_key_is_made_and_a_server_confirmed(board, server, look)

    where = {"path": "a.txt", "overwrite": True}
    await api("PUT", f"{path}/files/content", params=where, content=b"one\nours\n")
    ours = (await api("GET", path))["remote"]
    assert ours["outcome"] == "same"
    remote = theirs(server, a__txt="one\ntheirs\n")
    part = board.page.locator(".v-settings-part")
    await part.get_by_role("button", name="Fetch now").click()
    parted = "main and its repository have diverged: 1 commit here, 1 commit there."
    await expect(part.get_by_role("status").filter(has_text=parted)).to_be_visible()
    await board.page.get_by_role("link", name="Board", exact=True).click()
    story = TwoCards(board, newcomer.installation, api, newcomer.installation.workspace(board.project))
    await what_has_parted_is_brought_together(story, look)
    await pushed(api, f"{path}/tasks/{story.ids[TITLE]}")

    parents = there(server, "log", "-1", "--format=%P", "main").split()
    assert remote in parents
    assert there(server, "log", "-1", "--format=%an: %s", "main") == f"Ada: {TITLE}"
    assert there(server, "show", "main:a.txt") == "one\nours\ntheirs"
    assert (await api("POST", f"{path}/remote/fetch"))["remote"]["outcome"] == "same"
    await api.close()
    look.nothing_found()


async def a_key_is_made_and_a_server_confirmed(board: Board, server: Sshd, look: Look) -> None:
    """Make a key in the settings, confirm the server's, and ask it for what is new."""
    part = await board.settings("Repository")
    await part.get_by_role("button", name="Make a deploy key").click()
    shown = part.locator("code").filter(has_text="ssh-ed25519 ")
    await expect(shown).to_have_count(1)
    server.let_in(await shown.inner_text())
    await expect(part.get_by_text("Nothing is confirmed yet")).to_be_visible()
    await part.get_by_role("button", name="Look up the server's keys").click()
    [key] = server.host_keys()
    await expect(part.get_by_text(deploy_keys.fingerprint(key))).to_be_visible()
    await look.at("host keys that were looked up")
    await part.get_by_role("button", name="It is the same: confirm").click()
    await expect(part.get_by_text("Nothing is confirmed yet")).to_have_count(0)
    await part.get_by_role("button", name="Fetch now").click()
    await expect(
        part.get_by_role("status").filter(has_text="main is as its repository has it.")
    ).to_be_visible(timeout=LONG)


async def what_has_parted_is_brought_together(story: TwoCards, look: Look) -> None:
    """Press the one button above the board, have the agent merge, and accept what comes of it."""
    board = story.board
    line = board.page.locator(".v-remote")
    await expect(line).to_contain_text("main and its repository have diverged")
    # A toast is pale while it goes.
    await expect(board.toasts).to_have_count(0, timeout=20_000)
    await look.at("a branch that has parted")
    await line.get_by_role("button", name="Bring together").click()
    await expect(board.drawer).to_contain_text(TITLE)
    [card] = (await story.api("GET", f"{story.path}/tasks"))["tasks"]
    story.ids[TITLE] = card["id"]
    await story.reviewed(TITLE, runs=1)
    await expect(line.get_by_role("link", name="Open the card")).to_be_visible()
    await story.open(TITLE, "changes")
    await expect(story.lines("addition")).to_have_text(["theirs"])
    await expect(board.drawer.get_by_text("It also brings in 1 commit of the repository")).to_be_visible()
    await look.at("what brings both together")
    await story.accept("Make it one commit on “main”.")
    await expect(board.card(TITLE, "Done")).to_be_visible(timeout=LONG)
    await expect(line).to_have_count(0)
