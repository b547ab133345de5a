"""Repositories that the image reaches by ssh with a deploy key, as its own user and as one without a name."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.e2e.installation import PASSWORD, Api
from tests.image.boards import STRICT, USER, Board
from tests.image.pods import Pod
from tests.keyed import team_server, theirs, there, told
from tests.podman import Podman, why_not
from tests.setting_up import token_in
from tests.specs import INSTALLATION, keys_of, spec_of
from tests.sshd import Sshd
from tests.waiting import eventually
from vibe_app.addresses import Credential
from vibe_app.clients.git import GitClient
from vibe_app.clients.services import WorkspaceClient
from vibe_app.configuration import deploy_keys
from vibe_app.settings import load_settings
from vibe_app.wire.git import Push, Remote
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes import containers, manifests

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"THE CONTAINER IMAGE IS NOT TESTED: {why_not()}"),
    pytest.mark.timeout(1500),
]


@pytest.fixture(scope="module")
def board(podman: Podman, image: str, volume: str) -> Iterator[Board]:
    """A board whose workspaces may reach this machine's end of the containers' network."""
    options = (*STRICT, "--env", f"VIBE_REPOSITORY_NETWORKS={podman.gateway}/32")
    with ExitStack() as stack:
        board = Board(podman, image, volume, options)
        stack.callback(board.remove)
        board.start()
        yield board


@pytest.fixture
def server(podman: Podman, board: Board, tmp_path: Path) -> Iterator[Sshd]:
    """A repository at that end, which is there while the board is."""
    with team_server(tmp_path / "team", host=podman.gateway) as server:
        yield server


async def test_a_user_without_a_name_clones_fetches_and_pushes(board: Board, server: Sshd):
    url = await board.ready()
    assert board.sh("id -un").startswith(f"id: cannot find name for user ID {USER}")
    anybody = Api(url)
    account = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD}
    token = token_in(board.log())
    login = await anybody("POST", "/auth/setup", json=account | {"setup_token": token})
    await anybody.close()
    api = Api(url, login["access_token"])
    project = await told(api, server)
    await api("DELETE", f"/projects/{project}", params={"confirm": "Keyed"})
    await api.close()


@pytest.mark.parametrize("user", [10001, 1_000_650_000])
async def test_a_workspace_s_pod_clones_fetches_and_pushes(
    podman: Podman, image: str, server: Sshd, tmp_path: Path, user: int
):
    """As the manifest says, and under a number that a cluster might give in its place."""
    project, key = uuid4(), deploy_keys.make()
    server.let_in(deploy_keys.public_half(key))
    credential = Credential("", key, tuple(server.host_keys()))
    networks = f"{server.host}/32"
    settings = load_settings(runtime="kubernetes", opencode_server_image=image, repository_networks=networks)
    spec = spec_of(project, server.url("team.git"), "main", credential)
    kept: dict[str, str] = manifests.secret(spec, INSTALLATION)["data"]
    secrets = {name: base64.b64decode(value).decode() for name, value in kept.items()}
    manifest = manifests.pod(spec, settings, INSTALLATION, pace=0)
    manifest["spec"]["securityContext"] |= dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), user)
    pod = Pod(podman, manifest, secrets, tmp_path / "pod")
    remote = Remote(
        url=server.url("team.git"), branch="main", token=key, host_keys=server.host_keys(), networks=networks
    )
    try:
        pod.start()
        base = tmp_path / "pod" / "workspace" / "workspace" / "base"
        assert (base / "a.txt").read_text() == "one\n"
        newer = theirs(server, a__txt="two\n")
        host = f"http://{pod.ip}"
        await _answers(f"{host}:{containers.FILES}/ready", keys_of(project).token)
        endpoint = Endpoint("", keys_of(project).token, files_url=f"{host}:{containers.FILES}")
        async with WorkspaceClient() as client:
            fetched = await GitClient(client).fetch(endpoint, remote)
            assert (fetched.outcome, fetched.head) == ("forwarded", newer)
            await GitClient(client).push(endpoint, Push(remote=remote, commit=newer, branch="copied"))
        assert there(server, "rev-parse", "copied") == newer
    finally:
        pod.remove()


async def _answers(url: str, token: str) -> None:
    async def answered() -> bool:
        try:
            async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
                return (await client.get(url)).status_code == 200
        except httpx.HTTPError:
            return False

    await eventually(answered, seconds=90)
