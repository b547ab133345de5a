"""The image as the whole product: one container with one volume and one port, as nobody in particular."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.e2e.installation import PASSWORD, Api
from tests.image.boards import USER, Board
from tests.podman import Podman, why_not
from tests.setting_up import token_in
from tests.waiting import eventually

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"THE CONTAINER IMAGE IS NOT TESTED: {why_not()}"),
    # The first one waits for the build.
    pytest.mark.timeout(1500),
]
LARGEST = 600_000_000
NOT_IN_IT = ("gcc", "cc", "g++", "make", "node", "npm", "npx", "bun", "uv")
CACHES = (".npm", "_cacache", ".cache", "uv", "pip-cache", "archives", ".bun", ".web", "node_modules")
EMAIL = "ada@example.org"


def test_what_the_image_is(podman: Podman, image: str):
    said = podman.inspect(image)
    assert said["Size"] < LARGEST, f"{said['Size'] / 1e6:.0f} MB"
    assert said["Config"]["User"] == "10001:10001"
    assert said["Config"]["Cmd"][:2] == ["vibe", "serve"]


def test_nothing_that_only_the_build_needs_is_in_it(podman: Podman, image: str):
    def say(script: str) -> list[str]:
        """What a script says that looks at all of the image, its root's folders too."""
        return podman("run", "--rm", "--user", "0:0", image, "sh", "-c", f"{script}; true").split()

    assert say(f"command -v {' '.join(NOT_IN_IT)}") == []
    names = " -o ".join(f"-name {name}" for name in CACHES)
    assert say(f"find / -xdev -type d \\( {names} \\) -not -empty -not -path '/app/.venv/lib/*'") == []
    assert say("find /var/lib/apt/lists /var/cache/apt -type f") == []


def test_git_reaches_repositories_by_ssh_as_the_image_s_own_user(podman: Podman, image: str):
    said = podman("run", "--rm", image, "ssh", "-G", "-F", "/dev/null", "git.example.org")
    assert "hostname git.example.org" in said


async def test_it_runs_as_anybody_on_a_read_only_root(board: Board):
    await board.ready()
    assert board.sh("id -u; id -un").startswith(f"{USER}\nid: cannot find name")
    assert "Read-only file system" in board.sh("touch /app/x")
    assert board.sh("touch $HOME/x && rm $HOME/x").splitlines() == ["0"]
    said = board.sh("vibe doctor").splitlines()
    assert said[-1] == "0"
    assert not [line for line in said if "✗" in line]
    assert "/usr/local/bin/opencode" in "\n".join(said)
    # Nothing was brought: what there is of tools in the data folder is Reflex's own.
    assert board.sh("ls /data/tools 2>/dev/null | grep -v reflex").splitlines() == ["1"]


@pytest.fixture
async def api(board: Board) -> AsyncIterator[Api]:
    """The REST API as the one account of the board, which is made where it is missing."""
    anybody = Api(await board.ready())
    try:
        login = await anybody("POST", "/auth/login", json={"email": EMAIL, "password": PASSWORD})
    except AssertionError:
        token = token_in(board.log())
        account = {"email": EMAIL, "name": "Ada", "password": PASSWORD, "setup_token": token}
        login = await anybody("POST", "/auth/setup", json=account)
    await anybody.close()
    mine = Api(board.url, login["access_token"])
    yield mine
    await mine.close()


async def execute(api: Api, project: str, title: str) -> tuple[str, str]:
    """Make a card and execute it; return its path and the session's id."""
    task = await api("POST", f"/projects/{project}/tasks", json={"title": title})
    path = f"/projects/{project}/tasks/{task['id']}"
    return path, (await api("POST", f"{path}/execute"))["session_id"]


async def last(api: Api, path: str) -> dict[str, Any]:
    """The newest session of a card."""
    return (await api("GET", f"{path}/sessions"))["sessions"][0]


async def reaches(api: Api, path: str, status: str, seconds: float = 120) -> None:
    """Return once the newest session of a card has this status."""

    async def reached() -> bool:
        session = await last(api, path)
        assert session["status"] in (status, "pending", "running"), session
        return session["status"] == status

    await eventually(reached, seconds=seconds)


async def test_the_agent_does_a_card_and_leaves_nothing_behind(board: Board, api: Api):
    project = (await api("POST", "/projects", json={"name": "First", "description": ""}))["id"]
    path, _ = await execute(api, project, "Add a README file")
    await reaches(api, path, "completed")
    assert (await api("GET", path))["status"] == "AI_REVIEW"
    where = {"path": "README.md", "task": 1}
    written = await api("GET", f"/projects/{project}/files/content", params=where)
    assert written["content"].strip()
    change = await api("GET", f"{path}/change")
    assert [file["path"] for file in change["files"]] == ["README.md"]
    accepted = await api("POST", f"{path}/change/accept", json={"revision": change["revision"]})
    assert accepted["state"] == "accepted"

    assert board.processes("opencode")
    secret = board.sh("cat /proc/$(pidof opencode | cut -d' ' -f1)/environ")
    assert "Permission denied" in secret
    assert not [line for line in board.processes() if line.startswith("Z")]
    await api("DELETE", f"/projects/{project}", params={"confirm": "First"})
    # A killed process is a zombie until the board has collected it, once a second.
    await eventually(lambda: board.processes("opencode") == [])


async def test_a_stop_in_mid_run_is_clean_and_the_next_start_goes_on(board: Board, api: Api):
    project = (await api("POST", "/projects", json={"name": "Second", "description": ""}))["id"]
    path, session = await execute(api, project, "Add a README file")
    await reaches(api, path, "running")
    assert board.stop() == 0, board.log()
    assert "Stopping." in board.log()
    assert "Traceback" not in board.log()

    board.remove()
    board.start()
    again = Api(await board.ready())
    login = await again("POST", "/auth/login", json={"email": EMAIL, "password": PASSWORD})
    await again.close()
    mine = Api(board.url, login["access_token"])
    try:
        await reaches(mine, path, "completed")
        assert (await last(mine, path))["id"] == session
    finally:
        await mine.close()
