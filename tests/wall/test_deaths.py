"""Whatever of a sandbox is killed, all of it goes; the workspace comes back, and a run ends truthfully."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from tests.e2e.installation import Api, Installation, installed
from tests.waiting import eventually
from tests.wall import rig
from tests.wall.rig import Behind, behind
from tests.wall.test_member import people, run_card
from vibe_app.workspaces.runtimes.local.records import Record

# Leaves its group, its session and its parent, and holds nobody's output open.
_DAEMON = (
    "(setsid nohup bash -c 'trap \"\" TERM HUP; while :; do sleep 1; done' >/dev/null 2>&1 &); echo left"
)
on_one_server = pytest.mark.asyncio(loop_scope="module")


def family(keeper: int) -> list[psutil.Process]:
    """The keeper, and all below it."""
    first = psutil.Process(keeper)
    return [first, *first.children(recursive=True)]


def runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False


def _chain(keeper: int) -> dict[str, psutil.Process]:
    """Who can be killed, from outside to inside."""
    first = psutil.Process(keeper)
    monitor = next(child for child in first.children() if "bwrap" in child.name())
    inside = monitor.children()[0]
    return {"keeper": first, "bubblewrap": monitor, "first inside": inside, "OpenCode": inside.children()[0]}


KILLS: dict[str, Callable[[Behind], object]] = {
    "keeper": lambda workspace: _kill(workspace, "keeper"),
    "bubblewrap": lambda workspace: _kill(workspace, "bubblewrap"),
    "first inside": lambda workspace: _kill(workspace, "first inside"),
    "OpenCode": lambda workspace: _kill(workspace, "OpenCode"),
}


def _kill(workspace: Behind, who: str) -> None:
    assert workspace.process
    _chain(workspace.process.pid)[who].send_signal(signal.SIGKILL)


@pytest.mark.parametrize("who", KILLS)
def test_whoever_is_killed_nothing_is_left(who: str) -> None:
    assert not (missing := rig.needs()), missing
    # As an ordinary user, whom the kernel treats otherwise than root: what it gains in a namespace makes
    # it forget which signal a parent's death is to send.
    with behind(user=rig.USER if os.geteuid() == 0 else None) as workspace:
        workspace.start()
        assert "left" in workspace.bash(_DAEMON)
        assert workspace.process
        everybody = family(workspace.process.pid)
        assert len(everybody) >= 6
        KILLS[who](workspace)
        workspace.process.wait(10)
        asyncio.run(eventually(lambda: not [each for each in everybody if runs(each)]))


@dataclass
class Product:
    """A server with a project whose workspace runs behind the wall."""

    installation: Installation
    api: Api
    project: str
    id: str
    card: int = field(default=0, kw_only=True)
    """The number of the card that was executed last."""

    def keeper(self) -> int:
        """The process by which the server knows OpenCode."""
        path = self.installation.data / "run" / f"{self.id}.json"
        service = Record.model_validate_json(path.read_bytes()).opencode
        assert service
        return service.pid

    async def executed(self, description: str) -> str:
        """Begin a card, and return its session's path."""
        body = {"title": "A card", "description": description}
        made = await self.api("POST", f"{self.project}/tasks", json=body)
        card, self.card = f"{self.project}/tasks/{made['id']}", made["number"]
        return f"{card}/sessions/{(await self.api('POST', f'{card}/execute'))['session_id']}"

    @property
    def tree(self) -> Path:
        """The files of the card that was executed last."""
        return self.installation.workspace(self.id) / "tasks" / str(self.card)

    async def ended(self, session: str) -> dict[str, Any]:
        """Wait for its end."""

        async def over() -> bool:
            return (await self.api("GET", session))["status"] in ("completed", "failed", "cancelled")

        await eventually(over, seconds=90)
        return await self.api("GET", session)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def product(tmp_path_factory: pytest.TempPathFactory, migrated: Path) -> AsyncIterator[Product]:
    """One for all tests here."""
    assert not (missing := rig.needs()), missing
    async with (
        installed(tmp_path_factory.mktemp("product"), migrated) as installation,
        people(installation) as (ada, _),
    ):
        made = await ada("POST", "/projects", json={"name": "P"})
        found = Product(installation, ada, f"/projects/{made['id']}", made["id"])
        await run_card(ada, found.project, "rehearse: say hello")
        yield found


@on_one_server
@pytest.mark.parametrize("who", ["keeper", "first inside"])
async def test_after_a_killed_sandbox_the_workspace_comes_back_and_the_run_is_tried_again(
    product: Product, who: str
) -> None:
    first, before = product.keeper(), family(product.keeper())
    # The second attempt finds what the first one left, and says so.
    again = f"test -e {who[:2]} && echo once more || {{ touch {who[:2]}; echo begun; sleep 300; }}"
    session = await product.executed(f"rehearse: run {_DAEMON}\nrehearse: run {again}\n")
    await eventually(lambda: (product.tree / who[:2]).exists(), seconds=60)
    before = [*before, *family(first)]
    _chain(first)[who].send_signal(signal.SIGKILL)
    ended = await product.ended(session)
    assert (ended["status"], ended["attempt"]) == ("completed", 2)
    assert "once more" in ended["output"]
    assert product.keeper() != first
    assert not [each for each in before if runs(each)]


@on_one_server
async def test_an_agent_that_kills_its_opencode_ends_its_own_sandbox_alone(product: Product) -> None:
    first, before = product.keeper(), family(product.keeper())
    again = "test -e killed && echo once more || { touch killed; kill -9 $OPENCODE_PID; sleep 300; }"
    session = await product.executed(f"rehearse: run {again}\n")
    ended = await product.ended(session)
    assert (ended["status"], ended["attempt"]) == ("completed", 2)
    assert product.keeper() != first
    assert not [each for each in before if runs(each)]


@on_one_server
async def test_a_killed_server_leaves_the_sandbox_to_the_next_one(product: Product) -> None:
    keeper = product.keeper()
    session = await product.executed("rehearse: run touch begun; sleep 8; echo over\n")
    await eventually(lambda: (product.tree / "begun").exists(), seconds=60)
    product.installation.kill()
    assert runs(psutil.Process(keeper))
    await product.installation.start()
    ended = await product.ended(session)
    assert (ended["status"], ended["attempt"], product.keeper()) == ("completed", 1, keeper)
    assert "over" in ended["output"]
