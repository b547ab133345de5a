"""The image as every container of a workspace's pod, started as the manifest says, on a read-only root."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from tests.image.pods import Pod
from tests.podman import Podman, why_not
from tests.rehearsing import let_rehearse
from tests.specs import INSTALLATION, keys_of, spec_of
from tests.waiting import eventually
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes import containers, manifests

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=f"THE CONTAINER IMAGE IS NOT TESTED: {why_not()}"),
    pytest.mark.timeout(1500),
]


@pytest.fixture
def project() -> UUID:
    return uuid4()


@pytest.fixture
def pod(podman: Podman, image: str, project: UUID, tmp_path: Path) -> Iterator[Pod]:
    """A running pod of a workspace."""
    settings = load_settings(runtime="kubernetes", opencode_server_image=image)
    spec = spec_of(project, None)
    data: dict[str, str] = manifests.secret(spec, INSTALLATION)["data"]
    values = {name: base64.b64decode(value).decode() for name, value in data.items()}
    manifest = manifests.pod(spec, settings, INSTALLATION, pace=0)
    pod = Pod(podman, manifest, values, tmp_path)
    try:
        pod.start()
        yield pod
    finally:
        pod.remove()


def last_words(podman: Podman, pod: Pod) -> str:
    """What its containers have said."""
    names = ("opencode-server", "file-browser", "session-proxy", "opencode-server-sidecar")
    said = {name: podman.run("logs", "--tail", "20", pod.container(name)) for name in names}
    return "\n".join(f"{name}: {done.stdout}{done.stderr}" for name, done in said.items())


async def test_all_services_work_and_no_command_of_the_agent_reads_a_secret(
    podman: Podman, pod: Pod, project: UUID
):
    secrets = keys_of(project)
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {secrets.token}"}, timeout=30) as client:
        host = f"http://{pod.ip}"

        async def answers(port: int, path: str) -> bool:
            try:
                return (await client.get(f"{host}:{port}{path}")).status_code == 200
            except httpx.HTTPError:
                return False

        try:
            await eventually(lambda: answers(containers.SIDECAR, "/ready"), seconds=90)
            await eventually(lambda: answers(containers.FILES, "/ready"), seconds=30)
            await eventually(lambda: answers(containers.PROXY, "/ready"), seconds=30)
        except TimeoutError:
            pytest.fail(last_words(podman, pod))

        address = Endpoint(
            f"{host}:{containers.SIDECAR}",
            secrets.token,
            gateway_url=f"{host}:{containers.GATEWAY}",
            rehearsal_key=secrets.rehearsal_key,
        )
        await let_rehearse(address, f"http://127.0.0.1:{containers.SIDECAR}")
        tree = await client.put(f"{host}:{containers.FILES}/git/trees/1", json={})
        assert tree.json()["made"], tree.text
        assert await answers(containers.PROXY, "/session?task=1")
        session = {"session_id": str(uuid4()), "prompt": "Add a README file", "tree": 1}
        sidecar = f"{host}:{containers.SIDECAR}"
        assert (await client.post(f"{sidecar}/sessions", json=session)).status_code == 200

        async def over() -> bool:
            found = (await client.get(f"{sidecar}/sessions/{session['session_id']}")).json()
            assert found["status"] in ("running", "completed"), found
            return found["status"] == "completed"

        await eventually(over, seconds=90)
        listed = (await client.get(f"{host}:{containers.FILES}/files", params={"task": "1"})).text
        assert "README.md" in listed

    # The first process and OpenCode hold the secrets; a command of the agent runs as the same user.
    script = "cat /proc/1/environ; cat /proc/$(pidof opencode | cut -d' ' -f1)/environ"
    done = podman.run("exec", "--env", "X=", pod.container("opencode-server"), "sh", "-c", script)
    assert secrets.password not in done.stdout
    assert secrets.model_token not in done.stdout
    assert done.stderr.count("Permission denied") == 2
    assert not [
        name for name in ("opencode-server", "opencode-server-sidecar") if not pod.state(name)["Running"]
    ]
