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
from tests.wall import outside
from tests.wall.inside.table import Targets
from tests.wall.rig import secret
from tests.wall.suite import wanted

ROOT = Path(__file__).parents[2]
WALL = ROOT / "tests" / "wall"
# Where an installation and a user's home are made for the probes; what the board itself has is the thief's.
PLANTED = Path("/data/planted")
# Left out is what gets nothing in this image even without a wall: what the container's own filter of system
# calls and its options refuse, OpenCode's environment, which the guard has written over, its memory, as its
# binary may not be read, what is not there.
NEVER = {
    *("clone3-with-a-user-namespace", "new-mount-calls", "keyring", "io-uring", "userfaultfd", "perf"),
    *("vsock-sockets", "setuid", "environ-of-opencode", "ptrace-opencode", "memory-of-opencode"),
    *("terminal-of-opencode", "terminal-of-the-keeper"),
    *("up-from-the-tree", "inherited-files", "write-journal"),
}
PROBES = sorted({each.name for each in wanted(root=False, network=False, own_proc=False)} - NEVER)

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
    return await over(api, f"{project}/tasks/{task['id']}", "execute", {})


async def over(api: Api, path: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """Have a session of a card begin, and return it when it is over."""
    session = f"{path}/sessions/{(await api('POST', f'{path}/{verb}', json=body))['session_id']}"

    async def ended() -> bool:
        return (await api("GET", session))["status"] in ("completed", "failed", "cancelled")

    await eventually(ended, seconds=180)
    return await api("GET", session)


def pack(files: dict[str, str]) -> str:
    """The thief, the probes and what there is to find, as a shell can unpack them."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in (WALL / "thief.py", WALL / "victims.py", *sorted((WALL / "inside").glob("*.py"))):
            archive.add(path, str(path.relative_to(WALL)))
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(text.encode()), 0o644
            archive.addfile(entry, io.BytesIO(text.encode()))
    return base64.b64encode(packed.getvalue()).decode()


def unpack(board: Board, folder: str | Path, files: dict[str, str]) -> None:
    """Put them into a folder of the container."""
    done = board.sh(f"mkdir -p {folder} && cd {folder} && echo {pack(files)} | base64 -d | tar xz")
    assert done.splitlines()[-1] == "0", done


def plant(board: Board) -> tuple[dict[str, Any], list[str]]:
    """Have a process of the board's user hold secrets; return where they are, and what they are."""
    kept = {name: secret() for name in (*outside.KEPT, "scratch", "shared", "environment", "argument")}
    plan = outside.plan(PLANTED / "data", PLANTED)
    files = outside.files(PLANTED / "data", PLANTED / "person", kept)
    named = {str(path.relative_to(PLANTED)): text for path, text in files.items()}
    unpack(board, PLANTED, named | {"plan.json": json.dumps(plan)})
    done = board.sh(
        f"cd {PLANTED} && echo {kept['scratch']} >/tmp/scratch && echo {kept['shared']} >/dev/shm/shared"
        f" && (sleep 600 | VIBE_SECRET_KEY={kept['environment']} python3 victims.py plan.json"
        f" {kept['argument']} >said.json) >/dev/null 2>victims.log &"
        f" cd {PLANTED}; for i in $(seq 500); do test -s said.json && exit; sleep 0.02; done; cat victims.log"
    )
    said = json.loads(read(board, f"{PLANTED}/said.json"))
    assert said, done
    said |= {name: plan[name] for name in ("segment", "abstract", "sockets")}
    return said, [*kept.values(), *plan["secrets"]]


async def attack(board: Board, api: Api, probes: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Have a card try everything; return the thief's loot, and what each probe got."""
    made = await api("POST", "/projects", json={"name": "P"})
    project = f"/projects/{made['id']}"
    greeted = await card(api, project, "rehearse: say hello")
    assert greeted["status"] == "completed", greeted
    workspace, record = f"/data/workspaces/{made['id']}", f"/data/run/{made['id']}.json"
    tree = f"{workspace}/tasks/1"
    told: dict[str, Any] = json.loads(read(board, record))
    ports = {name: port for name, port in told.items() if name.endswith("_port")}
    said, kept = plant(board)
    targets = Targets(
        data=str(PLANTED / "data"),
        workspace=workspace,
        tree=tree,
        home=f"/data/homes/{made['id']}",
        given=f"/data/given/{made['id']}",
        other=outside.OTHER,
        person=str(PLANTED / "person"),
        scratch="/tmp/scratch",
        shared="/dev/shm/shared",
        opencode=1,
        opencode_port=ports["opencode_port"],
        **said,
    )
    told_to_probes = json.dumps(asdict(targets) | {"probes": probes})
    unpack(board, tree, {"targets.json": told_to_probes, "ports.json": json.dumps(ports)})
    words = "rehearse: run python3 thief.py /data 8000\nrehearse: run python3 -m inside .\n"
    session = await over(api, f"{project}/tasks/{greeted['task_id']}", "follow-up", {"message": words})
    assert session["status"] == "completed", session
    loot, results = (json.loads(read(board, f"{tree}/{name}.json")) for name in ("loot", "results"))
    assert sorted(results) == sorted(probes)
    if "kill" in results:
        results["kill"] = (
            "DONE" if board.sh(f"test -e {PLANTED}/signalled").strip() == "0" else "-nothing came"
        )
    got = {name: what for name, what in results.items() if not what.startswith("-")}
    assert {what for what in got.values() if what != "DONE"} <= {*kept, told.get("password", "")}, got
    return loot, got


def read(board: Board, path: str) -> str:
    """A file in the container."""
    text = board.sh(f"cat {path}; echo").strip().rpartition("\n")[0]
    assert text.startswith("{"), text
    return text


async def test_an_agent_in_the_image_gets_at_nothing(podman: Podman, image: str) -> None:
    async with served(podman, image, "on") as (board, api):
        assert "There is no wall" not in board.log()
        loot, got = await attack(board, api, PROBES)
    assert loot == {"ports": ["model_port", "network_port", "opencode_port"]}
    assert got == {}


async def test_without_the_wall_it_gets_at_everything_in_the_image(podman: Podman, image: str) -> None:
    async with served(podman, image, "off") as (board, api):
        loot, got = await attack(board, api, PROBES)
    assert {"signing_key", "addresses_of_people", "forged_login", "ports"} <= set(loot)
    assert sorted(got) == PROBES
    assert len(PROBES) >= 40
