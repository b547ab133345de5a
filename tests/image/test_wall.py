"""The wall in the image, with the very options of deploy/compose.yaml; and the same attack without it."""

from __future__ import annotations

import base64
import io
import json
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from tests.e2e.installation import PASSWORD, Api
from tests.image.boards import Board
from tests.podman import Podman, why_not
from tests.setting_up import token_in
from tests.waiting import eventually
from tests.wall.inside.table import Targets

ROOT = Path(__file__).parents[2]
WALL = ROOT / "tests" / "wall"
# What the image's filter of system calls leaves to whoever has no wall: all that walls are made of.
KERNEL = (
    *(
        "new-user-namespace",
        "clone-with-a-user-namespace",
        "join-a-namespace",
        "mount",
        "chroot",
        "pivot-root",
    ),
    *("unmount", "file-handles", "typing-into-a-terminal", "data-folder"),
    *(
        "replace-opencode-folder",
        "replace-given",
        "replace-folder-above",
        "write-configuration",
        "write-guard",
    ),
    *("write-outside", "copy-of-everything"),
)

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"THE CONTAINER IMAGE IS NOT TESTED: {why_not()}"),
    # The first one waits for the build.
    pytest.mark.timeout(1500),
]


def composed() -> list[str]:
    """The options of the board's container in deploy/compose.yaml, as podman takes them."""
    service: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"][
        "board"
    ]
    words = ["--passwd=false"]
    words += ["--read-only", "--read-only-tmpfs=false"] if service["read_only"] else []
    words += [word for each in service["tmpfs"] for word in ("--tmpfs", each)]
    words += [word for each in service["cap_drop"] for word in ("--cap-drop", each.lower())]
    for option in service["security_opt"]:
        name, _, value = option.replace(":", "=", 1).partition("=")
        if name == "seccomp":
            value = str(ROOT / "deploy" / value)
        # Where the machine has no AppArmor, podman refuses to be told of it.
        if name != "apparmor" or Path("/sys/module/apparmor").exists():
            words += ["--security-opt", name if value == "true" else f"{name}={value}"]
    return words


@asynccontextmanager
async def served(podman: Podman, image: str, sandbox: str) -> AsyncIterator[tuple[Board, Api]]:
    """A board on a volume of its own, and its admin."""
    volume = f"vibe-{uuid4().hex[:8]}"
    podman("volume", "create", volume)
    board = Board(podman, image, volume, [*composed(), "--env", f"VIBE_SANDBOX={sandbox}"])
    try:
        board.start()
        url = await board.ready()
        account = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
        anyone = Api(url)
        made = await anyone("POST", "/auth/setup", json=account | {"setup_token": token_in(board.log())})
        await anyone.close()
        api = Api(url, made["access_token"])
        yield board, api
        await api.close()
    finally:
        board.remove()
        podman("volume", "rm", "--force", volume)


async def card(api: Api, project: str, description: str) -> dict[str, Any]:
    """Execute a card to its end."""
    task = await api("POST", f"{project}/tasks", json={"title": "A card", "description": description})
    path = f"{project}/tasks/{task['id']}"
    session = f"{path}/sessions/{(await api('POST', f'{path}/execute'))['session_id']}"

    async def over() -> bool:
        return (await api("GET", session))["status"] in ("completed", "failed", "cancelled")

    await eventually(over, seconds=180)
    return await api("GET", session)


def pack(told: dict[str, Any]) -> str:
    """The thief, the probes and what these are told, as a shell can unpack them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(WALL / "thief.py", "thief.py")
        for path in sorted((WALL / "inside").glob("*.py")):
            archive.add(path, f"inside/{path.name}")
        content = json.dumps(told).encode()
        entry = tarfile.TarInfo("targets.json")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    return base64.b64encode(packed.getvalue()).decode()


async def attack(board: Board, api: Api) -> tuple[dict[str, Any], dict[str, str]]:
    """Have a card try everything; return the thief's loot, and what each probe said."""
    made = await api("POST", "/projects", json={"name": "P"})
    project = f"/projects/{made['id']}"
    greeted = await card(api, project, "rehearse: say hello")
    assert greeted["status"] == "completed", greeted
    tree, record = f"/data/workspaces/{made['id']}", f"/data/run/{made['id']}.json"
    told: dict[str, Any] = json.loads(read(board, record))
    ports = {name: port for name, port in told.items() if name.endswith("_port")}
    targets = Targets(
        data="/data",
        tree=tree,
        home=f"/data/homes/{made['id']}",
        given=f"/data/given/{made['id']}",
        other="",
        person="",
        scratch="",
        shared="",
        pid=1,
        opencode=1,
        fd=0,
        address=0,
        ports={},
        everywhere=0,
        datagrams=0,
        segment=0,
        abstract="",
        sockets={},
        opencode_port=ports["opencode_port"],
    )
    packed = pack(asdict(targets) | {"probes": list(KERNEL)})
    done = board.sh(
        f"cd {tree} && echo {packed} | base64 -d | tar xz && echo '{json.dumps(ports)}' >ports.json"
    )
    assert done.splitlines()[-1] == "0", done
    session = await card(
        api,
        project,
        "rehearse: run python3 thief.py /data 8000\nrehearse: run python3 -m inside .\n",
    )
    assert session["status"] == "completed", session
    loot, results = (json.loads(read(board, f"{tree}/{name}.json")) for name in ("loot", "results"))
    return loot, results


def read(board: Board, path: str) -> str:
    """A file in the container."""
    text = board.sh(f"cat {path}; echo").strip().rpartition("\n")[0]
    assert text.startswith("{"), text
    return text


def got(results: dict[str, str]) -> list[str]:
    """The probes that got something."""
    return sorted(name for name, said in results.items() if not said.startswith("-"))


async def test_an_agent_in_the_image_gets_at_nothing(podman: Podman, image: str) -> None:
    async with served(podman, image, "on") as (board, api):
        assert "There is no wall" not in board.log()
        loot, results = await attack(board, api)
    assert loot == {"ports": ["model_port", "network_port", "opencode_port"]}
    assert sorted(results) == sorted(KERNEL)
    assert got(results) == []


async def test_without_the_wall_it_gets_at_everything_in_the_image(podman: Podman, image: str) -> None:
    async with served(podman, image, "off") as (board, api):
        loot, results = await attack(board, api)
    assert {"signing_key", "addresses_of_people", "forged_login", "ports"} <= set(loot)
    assert got(results) == sorted(KERNEL)
