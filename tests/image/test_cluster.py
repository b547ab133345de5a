"""The board in the image against a cluster's API: what was left out of the client's library is not missed."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.e2e.installation import PASSWORD, Api
from tests.image.boards import STRICT, USER
from tests.podman import Podman, why_not
from tests.setting_up import token_of
from tests.waiting import eventually
from tests.workspace_services.sidecar.stack import free_port
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi

KEY = "signs the logins of one test and nothing else"
pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"THE CONTAINER IMAGE IS NOT TESTED: {why_not()}"),
    pytest.mark.timeout(1500),
]


async def test_it_watches_the_cluster_and_makes_what_a_workspace_needs(
    podman: Podman, image: str, tmp_path: Path
):
    name, port = f"vibe-{uuid4().hex[:8]}", free_port()
    variables = {
        "VIBE_PORT": str(port),
        "VIBE_HOST": "127.0.0.1",
        "VIBE_RUNTIME": "kubernetes",
        "OPENCODE_SERVER_IMAGE": "registry.example.org/vibe:1",
        "VIBE_KUBERNETES_CONFIG": "/kubeconfig",
        "VIBE_SECRET_KEY": KEY,
    }
    async with FakeApi() as cluster:
        kubeconfig = cluster.kubeconfig(tmp_path)
        kubeconfig.chmod(0o644)
        podman(
            *("run", "--detach", "--name", name, "--network", "host", *STRICT, "--user", f"{USER}:{USER}"),
            *("--tmpfs", "/data:mode=1777", "--volume", f"{kubeconfig}:/kubeconfig:ro"),
            *(word for variable in variables.items() for word in ("--env", "=".join(variable))),
            image,
        )
        try:
            await _use(f"http://127.0.0.1:{port}", cluster)
        finally:
            said = podman.run("logs", name)
            print(said.stdout + said.stderr)  # noqa: T201  # shown with a failure
            podman("rm", "--force", "--time", "10", name)


async def _use(url: str, cluster: FakeApi) -> None:
    async def ready() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                return (await client.get(f"{url}/api/ready")).status_code == 200
        except httpx.HTTPError:
            return False

    await eventually(ready, seconds=60)
    await eventually(lambda: cluster.calls["WATCH pods"])
    anybody = Api(url)
    account = {"email": "ada@example.org", "name": "Ada", "password": PASSWORD, "setup_token": token_of(KEY)}
    login = await anybody("POST", "/auth/setup", json=account)
    await anybody.close()
    api = Api(url, login["access_token"])
    try:
        project = (await api("POST", "/projects", json={"name": "First", "description": ""}))["id"]
        task = await api("POST", f"/projects/{project}/tasks", json={"title": "Add a README file"})
        await api("POST", f"/projects/{project}/tasks/{task['id']}/execute")
        for kind in ("persistentvolumeclaims", "secrets", "pods"):
            await eventually(lambda kind=kind: cluster.objects[kind], seconds=20)
        assert list(cluster.objects["pods"]) == [f"opencode-{project}"]
        await api("POST", f"/projects/{project}/tasks/{task['id']}/stop")
    finally:
        await api.close()
