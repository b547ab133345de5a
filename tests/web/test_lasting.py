"""A page that is looked at ends with the right to look at it, and what it held is not sent again."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest

from tests.fakes import FakeRuntime, Script
from tests.waiting import eventually
from tests.web.conftest import PASSWORD, Open, Tab
from vibe_app.accounts import lasting
from vibe_app.accounts.proof import Proof
from vibe_app.accounts.service import Grant
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.bus import Bus
from vibe_app.wiring import Services

TITLE = "Only for members"


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime(Script.lines(4000, 20))


End = Callable[[Services, ProjectView, dict[str, str]], Awaitable[object]]


async def removed(parts: Services, project: ProjectView, tokens: dict[str, str]) -> None:
    editor = await parts.accounts.who(tokens["editor"])
    await parts.members.remove(await parts.accounts.who(tokens["owner"]), project.id, editor.user_id)


async def logged_out(parts: Services, project: ProjectView, tokens: dict[str, str]) -> None:
    await parts.accounts.logout(Proof(tokens["editor"]))


async def password_changed(parts: Services, project: ProjectView, tokens: dict[str, str]) -> None:
    editor = await parts.accounts.who(tokens["editor"])
    await parts.accounts.change_me(editor, password="another good one", current_password=PASSWORD)


@pytest.mark.parametrize("lost", [False, True], ids=["announced", "lost"])
@pytest.mark.parametrize("end", [removed, logged_out, password_changed])
async def test_a_page_ends_with_the_right_to_it(
    end: End,
    lost: bool,
    parts: Services,
    project: ProjectView,
    tokens: dict[str, str],
    logins: dict[str, Grant],
    tab: Open,
    processor: dict[str, Tab],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not lost:
        monkeypatch.setattr(lasting, "LOOK_AGAIN", 600.0)  # only what is announced can end it
    editor = await parts.accounts.who(tokens["editor"])
    task = await parts.tasks.create(editor, project.id, NewTask(title=TITLE))
    session = await parts.starts.execute(editor, project.id, task.id)
    board: Tab = await tab("editor", f"/p/{project.id}/t/{task.id}")
    await board.go(board.path)
    await board.send("OutputState.follow", session_id=str(session.id), last_seq=0)
    files: Tab = await tab("editor", f"/p/{project.id}/files")
    await files.go(files.path)
    await eventually(
        lambda: len(board.all_of("OutputState", "batch")) > 3 and board.var("BoardState", "loaded")
    )
    await eventually(lambda: files.var("FilesState", "name"))

    if lost:
        publish = Bus.publish
        about = f"project:{project.id}"

        def losing(bus: Bus, topics: set[str]) -> None:
            publish(bus, {each for each in topics if not each.startswith("rights:") and each != about})

        monkeypatch.setattr(Bus, "publish", losing)
    await end(parts, project, tokens)

    def told(one: Tab, state: str) -> bool:
        return "/login" in one.told or bool(one.var(state, "missing"))

    await eventually(lambda: told(board, "BoardState") and told(files, "FilesState"), 5.0)
    await eventually(lambda: not parts.rights._watches)
    batches = len(board.all_of("OutputState", "batch"))
    written = (await parts.event_log.read(session.id)).events
    assert written
    await eventually(lambda: parts.event_log.written > batches + 60)
    assert len(board.all_of("OutputState", "batch")) <= batches + 1

    await board.disconnect()
    again = Tab(logins["editor"], "/", token=board.token)
    processor[again.sid] = again
    await again.connect()
    await again.call("State.hydrate_and_load")
    assert again.deltas
    assert TITLE not in json.dumps(again.deltas)
