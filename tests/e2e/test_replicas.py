"""Two servers of one installation, on one PostgreSQL and one data folder: it does not matter which one."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests import postgres
from tests.e2e.installation import Installation, serving
from tests.e2e.team import Team, assembled
from tests.e2e.test_workers import SOON, counting, printed
from vibe_app.workspaces.runtimes.local.records import Name


@pytest_asyncio.fixture(loop_scope="session")
async def servers(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: postgres.Server, migrated_template: str
) -> AsyncIterator[list[Installation]]:
    """The two; the first one runs the workspaces. The last one to end leaves nothing running."""
    data = tmp_path_factory.mktemp("replicas")
    with postgres_server.database(migrated_template) as database:
        settings = {"VIBE_DATABASE_URL": database, "VIBE_LEASE": "4", "VIBE_HEARTBEAT": "1"}
        first, second = (Installation(data, settings, name) for name in ("first", "second"))
        await first.start()
        try:
            async with serving(second):
                yield [first, second]
                await first.end()
        finally:
            await first.end()


@pytest_asyncio.fixture(loop_scope="session")
async def team(servers: list[Installation], browser: Browser) -> AsyncIterator[Team]:
    """Somebody with a project on them."""
    async with assembled(browser, servers[1]) as team:
        yield team


async def test_what_one_does_the_other_shows(servers: list[Installation], team: Team) -> None:
    here, there = [await team.visit(server.url) for server in servers]
    await here.write("Written here")
    await expect(there.card("Written here", "To do")).to_be_visible(timeout=SOON)
    await there.drag(there.card("Written here"), there.column("Human review"))
    await expect(here.card("Written here", "Human review")).to_be_visible(timeout=SOON)
    await here.card("Written here").locator(".v-card-title").click()
    await here.drawer.get_by_label("Title").fill("Renamed here")
    await here.page.keyboard.press("Enter")
    await expect(there.card("Renamed here", "Human review")).to_be_visible(timeout=SOON)

    # Executed here, stopped there; both panels stream it, though one of the two does not run it.
    asked, _ = counting(2000)
    task = await team.task("Count and be stopped", asked)
    for each in (here, there):
        await each.open("t", task)
    await here.drawer.get_by_role("button", name="Execute").click()
    await expect(there.card("Count and be stopped", "In progress")).to_be_visible(timeout=SOON)
    for each in (here, there):
        await expect(each.terminal.locator(".xterm-rows")).to_contain_text("rehearsal line", timeout=60_000)
        await expect(each.card("Count and be stopped", "In progress")).to_be_visible()
    await there.drawer.get_by_role("button", name="Stop").click()
    for each in (there, here):
        # How soon a run ends is another test's question, which has the machine for itself.
        await expect(each.card("Count and be stopped", "To do")).to_be_visible()
        await expect(each.terminal.locator(".xterm-rows")).to_contain_text("Session cancelled")


@pytest.mark.parametrize("way", ["stopped", "killed"])
async def test_the_server_of_the_workspaces_goes_in_mid_run(
    servers: list[Installation], team: Team, way: str
) -> None:
    first, second = servers
    asked, lines = counting(400)
    task = await team.task("Count", asked)
    board = await team.visit(second.url)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    rows = board.terminal.locator(".xterm-rows")
    await expect(rows).to_contain_text("rehearsal line", timeout=60_000)
    before = second.services(team.project)
    assert len(before) == len(Name)
    if way == "stopped":
        await first.end()
    else:
        first.kill()
    await expect(rows).to_contain_text("Session completed", timeout=60_000)
    assert printed(await board.output()) == lines
    await expect(board.card("Count", "AI review")).to_be_visible()
    assert before == second.services(team.project)
    (session,) = await team.sessions(task)
    assert (session["status"], session["attempt"]) == ("completed", 1)
    assert printed(session["output"].splitlines()) == lines
    again = await team.task("And once more", "rehearse: say hello")
    await team.api("POST", f"{team.path}/tasks/{again}/execute")
    await expect(board.card("And once more", "AI review")).to_be_visible(timeout=30_000)
