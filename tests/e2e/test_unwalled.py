"""An installation that can have no wall says so wherever somebody should know, and who executes there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.e2e.browser import DESKTOP, Board, Watch
from tests.e2e.installation import PASSWORD, VIBE, Installation, installed
from tests.e2e.team import Team, assembled, signed_in
from vibe_app.workspaces import protection
from vibe_app.workspaces.protection import ADMINS_ONLY
from vibe_app.workspaces.runtimes.local import wall

pytestmark = pytest.mark.cold

# What bubblewrap says where a system or a container allows it no namespaces.
WORDS = "bwrap: No permissions to create new namespace"
CURE = wall._cure(WORDS)


@pytest.fixture
def refused(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine on which bubblewrap is there and refused."""
    known = "--args --info-fd --block-fd --ro-bind-data --perms --size --seccomp"
    program = tmp_path / "bin" / "bwrap"
    program.parent.mkdir()
    program.write_text(
        f"#!/bin/sh\n[ \"$1\" != --help ] || exec echo '{known}'\necho '{WORDS}' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}:{os.environ['PATH']}"}


@asynccontextmanager
async def member(browser: Browser, server: Installation, team: Team) -> AsyncIterator[Board]:
    """A tab of somebody who may edit the project and administers nothing."""
    account = {"email": "eve@example.org", "name": "Eve", "password": PASSWORD}
    await team.api("POST", "/users", json=account)
    await team.api("POST", f"{team.path}/members", json={"email": account["email"], "role": "editor"})
    context = await browser.new_context()
    login = {name: account[name] for name in ("email", "password")}
    answer = await context.request.post(f"{server.url}/api/auth/login", data=login)
    assert answer.ok, await answer.text()
    cookies = await signed_in(context, server.url, answer)
    await context.close()
    context = await browser.new_context(storage_state=cookies, viewport=DESKTOP)
    watch = Watch(server.url)
    watch.follow(context)
    board = Board(await context.new_page(), server.url, team.project)
    await board.open()
    yield board
    assert await watch.end() == []


async def says(board: Board, sentence: str) -> None:
    """Have the board say that there is no wall, in a sentence to whoever points at it or hears it."""
    chip = board.page.get_by_role("note", name="No wall around agents")
    await expect(chip).to_have_text("No wall around agents")
    await expect(chip).to_have_attribute("title", sentence)
    await expect(chip).to_have_attribute("aria-label", f"No wall around agents. {sentence}")


async def executes(board: Board, title: str, notice: str) -> None:
    """Execute a card to its end; its output begins with a notice."""
    await board.card(title).get_by_role("button", name="Execute").click()
    await expect(board.card(title, "AI review")).to_be_visible(timeout=60_000)
    await board.card(title).get_by_text(title).click()
    await expect(board.terminal).to_contain_text(notice)


def examined(data: Path, environment: dict[str, str]) -> str:
    """What `vibe doctor` says."""
    done = subprocess.run(
        [VIBE, "doctor", "--data", str(data)],
        env={**os.environ, **environment, "VIBE_SANDBOX": "on", "COLUMNS": "200"},
        cwd=data,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout


async def test_where_no_wall_can_be_had_admins_execute_and_members_are_told_why(
    browser: Browser, tmp_path: Path, migrated: Path, refused: dict[str, str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with (
        installed(data, migrated, refused | {"VIBE_SANDBOX": "on"}) as server,
        assembled(browser, server) as team,
    ):
        assert f"There is no wall around agents: bubblewrap is refused: {WORDS}." in server.log()
        assert CURE in server.log()
        doctor = examined(data, refused)
        assert (
            f"! wall around agents: There is no wall around agents: bubblewrap is refused: {WORDS}" in doctor
        )
        assert CURE in doctor

        await team.task("Say hello", "rehearse: say hello")
        async with member(browser, server, team) as eve:
            await says(eve, ADMINS_ONLY)
            await eve.card("Say hello").get_by_role("button", name="Execute").click()
            await expect(eve.toasts.filter(has_text=ADMINS_ONLY)).to_be_visible()
            await eve.card("Say hello").get_by_text("Say hello").click()
            await expect(eve.drawer.get_by_text(ADMINS_ONLY)).to_be_visible()
            await expect(eve.drawer.get_by_role("button", name="Execute")).to_have_count(0)
            await expect(eve.card("Say hello", "To do")).to_be_visible()

        ada = await team.visit()
        await says(ada, protection._LACKING)
        await executes(ada, "Say hello", protection._LACKING)


async def test_where_no_wall_is_meant_members_execute_too(
    browser: Browser, tmp_path: Path, migrated: Path, refused: dict[str, str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    async with (
        installed(data, migrated, refused | {"VIBE_SANDBOX": "off"}) as server,
        assembled(browser, server) as team,
    ):
        assert protection._MEANT in server.log()
        await team.task("Say hello", "rehearse: say hello")
        async with member(browser, server, team) as eve:
            await says(eve, protection._MEANT)
            await executes(eve, "Say hello", protection._MEANT)
