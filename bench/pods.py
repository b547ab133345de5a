"""Workspaces as pods: what a pod's start costs beyond OpenCode's own, what an address and a watch cost.

Starts are those of real processes, in network namespaces of this machine; no image is
pulled and no volume attached, as only a cluster can. Many pods are pretended ones.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import sysconfig
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import vibe_app
from bench.cluster import PlayedCluster, played_cluster
from bench.figures import Figure, percentile, spread
from bench.server import NotReady, environment
from tests.specs import spec_of, tenancy
from tests.workspace_services.sidecar.stack import free_port
from tests.workspaces.runtimes.kubernetes.kube.containers import image_env, why_not
from tests.workspaces.runtimes.kubernetes.kube.houses import KEY, pod_house
from vibe_app.errors import VibeError
from vibe_app.settings import load_settings
from vibe_app.workspace_services.git.making import make_workspace
from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeError
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime
from vibe_app.workspaces.runtimes.layout import Layout

MORE_S, ASKED, IDLE_PERCENT = 3, 0, 1
ENSURES, PODS = 200, 50
PASSWORD = "a password for benches only"


@dataclass(frozen=True)
class ByHand:
    """OpenCode without a pod, on files and data of its own that it has used before.

    Args:
        binary: What is started.
        folder: For everything.
    """

    binary: Path
    folder: Path

    async def prepare(self) -> None:
        """Make the folders that a pod finds on its volume."""

        async def progress(_sentence: str) -> None:
            return

        await make_workspace(self.folder / "workspace", source=None, mark={}, progress=progress)
        (self.folder / "kept").mkdir()

    async def start(self) -> tuple[float, float]:
        """Start it, and end it; return the seconds until it answered, and until its events could be read.

        The second is what a sidecar waits for before it calls itself ready.
        """
        port, env = free_port(), self._environment()
        workspace = self.folder / "workspace"
        client = OpenCode(f"http://127.0.0.1:{port}", workspace, PASSWORD)
        command = [self.binary, "serve", "--hostname", "127.0.0.1", "--port", str(port)]
        quiet = subprocess.DEVNULL
        began = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=workspace, stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            await self._answers(client, process)
            answered = time.perf_counter() - began
            async with client.events():
                return answered, time.perf_counter() - began
        finally:
            await client.close()
            if process.returncode is None:
                process.terminate()
            await process.wait()

    async def _answers(self, client: OpenCode, process: asyncio.subprocess.Process) -> None:
        """Return once it answers at `/global/health`."""
        async with asyncio.timeout(60):
            while process.returncode is None:
                try:
                    # What comes just as the port is opened is never answered, and must not count as slowness.
                    async with asyncio.timeout(0.25):
                        return await client.knock()
                except (OpenCodeError, TimeoutError):
                    await asyncio.sleep(0.01)
        raise NotReady(f"OpenCode ended at its start (status {process.returncode}).")

    def _environment(self) -> dict[str, str]:
        """Make a home as new as a new pod's, with the data that is kept; return OpenCode's environment."""
        home, workspace = self.folder / "homes" / uuid4().hex, self.folder / "workspace"
        (home / ".local").mkdir(parents=True)
        (home / ".local" / "share").symlink_to(self.folder / "kept", target_is_directory=True)
        hermetic.prepare_home(home)
        layout = Layout(workspace, home, self.folder / "given" / home.name)
        hermetic.prepare_given(layout)
        config = hermetic.opencode_config(layout=layout, gateway_url=f"http://127.0.0.1:{free_port()}")
        hermetic.write_config(workspace, config)
        return hermetic.opencode_env(
            project_id=str(uuid4()),
            layout=layout,
            password=PASSWORD,
            path=image_env()["PATH"],
            model_token=PASSWORD,
        )


def compiled() -> None:
    """Have the modules compiled that stand in for the image, whose own are."""
    places = [*vibe_app.__path__, sysconfig.get_path("purelib")]
    subprocess.run([sys.executable, "-m", "compileall", "-qq", "-j", "0", *places], check=False)


async def starts(count: int) -> Figure:
    """Start a stopped workspace and OpenCode alone by turns."""
    opencode = Path(environment()["VIBE_OPENCODE"])
    pods: list[float] = []
    alone: list[tuple[float, float]] = []
    await asyncio.to_thread(compiled)
    with tempfile.TemporaryDirectory(prefix="vibe-bench-", ignore_cleanup_errors=True) as name:
        by_hand = ByHand(opencode, Path(name) / "alone")
        await by_hand.prepare()
        async with pod_house(Path(name), opencode) as house:
            spec = spec_of(house.project)
            await house.runtime.open(tenancy())
            try:
                # The first of both make the volume and OpenCode's database, and are not counted.
                for _ in range(count + 1):
                    began = time.perf_counter()
                    await house.runtime.ensure(spec)
                    pods.append(time.perf_counter() - began)
                    await house.runtime.stop(house.project)
                    alone.append(await by_hand.start())
            finally:
                await house.runtime.close()
    counted = list(zip(pods, alone, strict=True))[1:]
    answered, subscribed = ([times[place] for _, times in counted] for place in (0, 1))
    return Figure(
        "A stopped workspace's pod, more than OpenCode's start, slowest",
        max(pod - until for pod, (until, _) in counted),
        "s",
        MORE_S,
        f"pod {spread([pod for pod, _ in counted], 's')}; OpenCode {spread(answered, 's')},"
        f" its events p50 {percentile(subscribed, 50):.2f} s",
    )


async def many(cluster: PlayedCluster, folder: Path, seconds: float, lacking: str) -> list[Figure]:
    """Ask for running workspaces again and again, then leave all of them alone."""
    settings = load_settings(
        data=folder,
        runtime="kubernetes",
        secret_key=KEY,
        opencode_server_image="registry.example.org/vibe:1",
        kubernetes_config=str(cluster.kubeconfig),
    )
    runtime = KubernetesRuntime(settings)
    await runtime.open(tenancy())
    try:
        specs = [spec_of(uuid4()) for _ in range(PODS)]
        await asyncio.gather(*(runtime.ensure(spec) for spec in specs))
        before, _ = await cluster.asked()
        taken = []
        for number in range(ENSURES):
            began = time.perf_counter()
            await runtime.ensure(specs[number % PODS])
            taken.append((time.perf_counter() - began) * 1000)
        after, watches = await cluster.asked()
        await asyncio.sleep(2)  # what belongs to the starts is over
        spent, began = time.process_time(), time.monotonic()
        await asyncio.sleep(seconds)
        share = 100 * (time.process_time() - spent) / (time.monotonic() - began)
        end, renewed = await cluster.asked()
        if len(await runtime.alive()) != PODS:
            raise NotReady(f"Of {PODS} pretended pods only {len(await runtime.alive())} are left.")
    finally:
        await runtime.close()
    return [
        Figure(
            f"Requests to the API of the cluster during {ENSURES} `ensure` of running pods",
            after - before,
            limit=ASKED,
            note=lacking,
        ),
        Figure("  one of them, p95", percentile(taken), "ms", note=spread(taken)),
        Figure(
            f"The runtime's share of a core while it watches {PODS} pods",
            share,
            "%",
            IDLE_PERCENT,
            f"{seconds:g} s, in which it sent {end - after} requests and renewed its watch"
            f" {renewed - watches} times",
        ),
    ]


async def run(quick: bool) -> list[Figure]:
    """Measure all of it; without root or `ip`, all but the starts."""
    reason = why_not()
    lacking = f"no pod was really started here: {reason}" if reason else ""
    try:
        figures = [] if reason else [await starts(2 if quick else 5)]
        with tempfile.TemporaryDirectory(prefix="vibe-bench-") as name, played_cluster(Path(name)) as cluster:
            return figures + await many(cluster, Path(name), 20 if quick else 70, lacking)
    except VibeError as error:
        raise NotReady(f"A pod could not be started: {error}") from error
