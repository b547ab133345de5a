"""A node for tests: it starts the real processes of each pod and reports them as a kubelet does.

Each pod has a network namespace with an address of its own on a bridge of this machine. The
agent makes volumes, runs the container that comes first, then the others, probes them,
starts again what ends, and ends what is deleted. It enforces no network policy.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import random
import re
import shutil
import signal
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Self

from tests.workspaces.runtimes.kubernetes.kube.api import Change, FakeApi
from tests.workspaces.runtimes.kubernetes.kube.containers import Container, Mount, image_env

Json = dict[str, Any]

_MEGABYTES = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
# Seconds before a container that ended is started again; a kubelet waits 0, 10, 20, ...
_RESTARTS = (0.2, 1.0, 2.0, 4.0)
_numbers = itertools.count(random.randrange(1000))


class NodeAgent:
    """One node.

    Args:
        api: The cluster that it belongs to.
        folder: For volumes, logs and everything else; removed by its owner.
        opencode: The binary that the image would bring. It is copied so that it can be run, but not read.

    Attributes:
        pods: What runs, by the pod's name.
    """

    def __init__(self, api: FakeApi, folder: Path, opencode: Path) -> None:
        self.api = api
        self.folder = folder
        self.pods: dict[str, RunningPod] = {}
        self.opencode = folder / "image" / "opencode"
        self._original = opencode
        self.bridge = f"vk{os.getpid() % 100_000}b{next(_numbers) % 1000}"
        self.subnet = ""
        self._task: asyncio.Task[None] | None = None
        self._works: set[asyncio.Task[None]] = set()
        self._hosts = itertools.count(2)

    async def __aenter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.opencode.parent.mkdir(parents=True)
        await asyncio.to_thread(shutil.copyfile, self._original, self.opencode)
        self.opencode.chmod(0o711)
        await run("ip", "link", "add", self.bridge, "type", "bridge")
        for _ in range(20):
            self.subnet = f"10.{random.randrange(64, 128)}.{random.randrange(256)}"
            if self.subnet not in await run("ip", "-4", "addr"):
                break
        await run("ip", "addr", "add", f"{self.subnet}.1/24", "dev", self.bridge)
        await run("ip", "link", "set", self.bridge, "up")
        self.api.graceful = True
        self.api.log_of = lambda pod, container: self.pods[pod].containers[container].words()
        self._task = asyncio.create_task(self._follow(), name="node agent")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*(pod.end(0) for pod in self.pods.values()))
        for work in self._works:
            work.cancel()
        await asyncio.gather(*self._works, return_exceptions=True)
        await run("ip", "link", "del", self.bridge)

    def volume(self, claim: str) -> Path:
        """Where the files of a claim are."""
        return self.folder / "volumes" / claim

    async def _follow(self) -> None:
        async for change in self.api.follow("pods"):
            self._heard(change)

    def _heard(self, change: Change) -> None:
        meta = change.object["metadata"]
        name, uid = meta["name"], meta["uid"]
        if change.type == "ADDED":
            self.pods[name] = RunningPod(self, change.object, f"{self.subnet}.{next(self._hosts)}")
            self._work(self.pods[name].live())
        elif meta.get("deletionTimestamp") and (pod := self.pods.get(name)) and pod.uid == uid:
            del self.pods[name]
            self._work(self._bury(pod, float(meta.get("deletionGracePeriodSeconds", 0))))
        elif change.type == "DELETED" and (pod := self.pods.get(name)) and pod.uid == uid:
            del self.pods[name]
            self._work(pod.end(0))

    async def _bury(self, pod: RunningPod, grace: float) -> None:
        await pod.end(grace)
        self.api.remove("pods", pod.name, uid=pod.uid)

    def _work(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._works.add(task)
        task.add_done_callback(self._works.discard)


class RunningPod:
    """One pod on the node."""

    def __init__(self, node: NodeAgent, raw: Json, ip: str) -> None:
        self.node = node
        self.name, self.uid = raw["metadata"]["name"], raw["metadata"]["uid"]
        self.spec = raw["spec"]
        self.ip = ip
        self.folder = node.folder / "pods" / self.uid
        self.network = f"vk-{self.uid[:8]}"
        self.containers: dict[str, Container] = {}
        self.statuses: dict[str, Json] = {}
        self.prepared: Json | None = None
        self._keepers: list[asyncio.Task[None]] = []
        self._ending = False

    async def live(self) -> None:
        """Run the pod until it is told to end."""
        self._report(phase="Pending")
        await self._connect()
        for spec in self.spec.get("initContainers", []):
            await self._prepare(spec)
        if self._ending:
            return
        for spec in self.spec["containers"]:
            self._keepers.append(asyncio.create_task(self._keep(spec)))

    async def end(self, grace: float) -> None:
        """End every process, by force after so many seconds."""
        self._ending = True
        for container in self.containers.values():
            container.send(signal.SIGTERM)
        if self._keepers and grace:
            await asyncio.wait(self._keepers, timeout=grace)
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for container in self.containers.values():
            await container.forget()
        with suppress(OSError):
            await run("ip", "netns", "del", self.network)
        shutil.rmtree(self.folder, ignore_errors=True)

    async def _connect(self) -> None:
        outside = f"vk{self.uid[:8]}"
        await run("ip", "netns", "add", self.network)
        peer = ("peer", "name", "eth0", "netns", self.network)
        await run("ip", "link", "add", outside, "type", "veth", *peer)
        await run("ip", "link", "set", outside, "master", self.node.bridge, "up")
        inside = ("ip", "-n", self.network)
        await run(*inside, "addr", "add", f"{self.ip}/24", "dev", "eth0")
        await run(*inside, "link", "set", "eth0", "up")
        await run(*inside, "link", "set", "lo", "up")

    async def _prepare(self, spec: Json) -> None:
        """Run a container that comes first until it succeeds."""
        for pause in (*_RESTARTS, *[_RESTARTS[-1]] * 100):
            container = self._make(spec)
            await container.start()
            self.prepared = {"name": spec["name"], "restartCount": 0, "state": {"running": {}}}
            self._report()
            status = await container.wait()
            ending = {"terminated": _ending(container, status)}
            await container.forget()
            self.prepared = {"name": spec["name"], "restartCount": 0, "state": ending}
            self._report()
            if status == 0 or self._ending:
                return
            await asyncio.sleep(pause)

    async def _keep(self, spec: Json) -> None:
        """Run a container again and again."""
        last: Json = {}
        for restarts in itertools.count():
            container = self._make(spec)
            await container.start()
            probe = asyncio.create_task(self._probe(spec, container))
            self._note(spec, restarts, {"running": {}}, last)
            status = await container.wait()
            probe.cancel()
            last = {"terminated": _ending(container, status)}
            await container.forget()
            if self._ending:
                return
            self._note(spec, restarts, last, {})
            await asyncio.sleep(_RESTARTS[0])
            if restarts:
                waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
                self._note(spec, restarts, waiting, last)
                await asyncio.sleep(_RESTARTS[min(restarts, len(_RESTARTS) - 1)])

    async def _probe(self, spec: Json, container: Container) -> None:
        await asyncio.gather(
            self._ready(spec, spec.get("readinessProbe")),
            self._alive(spec.get("livenessProbe"), container),
        )

    async def _ready(self, spec: Json, probe: Json | None) -> None:
        if probe is None:
            self.statuses.get(spec["name"], {})["ready"] = True
            return self._report()
        await asyncio.sleep(probe["initialDelaySeconds"])
        while True:
            self.statuses[spec["name"]]["ready"] = await self._answers(probe)
            self._report()
            await asyncio.sleep(probe["periodSeconds"])

    async def _alive(self, probe: Json | None, container: Container) -> None:
        if probe is None:
            return
        await asyncio.sleep(probe["initialDelaySeconds"])
        failures = 0
        while failures < probe["failureThreshold"]:
            failures = 0 if await self._answers(probe) else failures + 1
            await asyncio.sleep(probe["periodSeconds"])
        container.kill()

    async def _answers(self, probe: Json) -> bool:
        wanted = probe["httpGet"]
        try:
            async with asyncio.timeout(probe["timeoutSeconds"]):
                reader, writer = await asyncio.open_connection(self.ip, wanted["port"])
                with closing(writer):
                    head = f"GET {wanted['path']} HTTP/1.1\r\nHost: pod\r\nConnection: close\r\n\r\n"
                    writer.write(head.encode())
                    line = await reader.readline()
        except (OSError, TimeoutError):
            return False
        return line.startswith(b"HTTP/1.1 200")

    def _make(self, spec: Json) -> Container:
        folder = self.folder / spec["name"]
        env = image_env() | {entry["name"]: self._value(entry) for entry in spec["env"]}
        limit = (spec.get("resources") or {}).get("limits", {}).get("memory", "0Mi")
        container = Container(
            # A control group remembers that its memory ran out: each start has one of its own.
            f"vk-{self.uid[:8]}-{spec['name']}-{next(_numbers)}",
            folder,
            self.network,
            spec["command"],
            env,
            [self._mount(mount) for mount in spec["volumeMounts"]],
            self.node.opencode,
            _bytes(limit),
        )
        self.containers[spec["name"]] = container
        return container

    def _value(self, entry: Json) -> str:
        if "value" in entry:
            return entry["value"]
        source = entry["valueFrom"]["secretKeyRef"]
        return base64.b64decode(
            self.node.api.objects["secrets"][source["name"]]["data"][source["key"]]
        ).decode()

    def _mount(self, mount: Json) -> Mount:
        volume = next(volume for volume in self.spec["volumes"] if volume["name"] == mount["name"])
        if "persistentVolumeClaim" in volume:
            folder = self.node.volume(volume["persistentVolumeClaim"]["claimName"])
        else:
            folder = self.folder / "empty" / volume["name"]
        folder /= mount.get("subPath", "")
        if not folder.exists():
            folder.mkdir(parents=True)
            os.chown(folder, 0, self.spec["securityContext"]["fsGroup"])
            folder.chmod(0o2775 if "persistentVolumeClaim" in volume else 0o2777)
        return Mount(folder, mount["mountPath"], bool(mount.get("readOnly")))

    def _note(self, spec: Json, restarts: int, state: Json, last: Json) -> None:
        self.statuses[spec["name"]] = {
            "name": spec["name"],
            "restartCount": restarts,
            "ready": False,
            "state": state,
            "lastState": last,
        }
        self._report()

    def _report(self, **more: Any) -> None:
        statuses = [
            self.statuses[spec["name"]] for spec in self.spec["containers"] if spec["name"] in self.statuses
        ]
        ready = len(statuses) == len(self.spec["containers"]) and all(status["ready"] for status in statuses)
        started = bool(self.statuses)
        status = {
            "phase": "Running" if started else "Pending",
            "podIP": self.ip if started else "",
            "conditions": [
                {"type": "PodScheduled", "status": "True"},
                {"type": "Ready", "status": "True" if ready else "False"},
            ],
            "containerStatuses": statuses,
            "initContainerStatuses": [self.prepared] if self.prepared else [],
        }
        found = self.node.api.objects["pods"].get(self.name)
        if found is None or found["metadata"]["uid"] != self.uid:
            return
        if any(found["status"].get(key) != value for key, value in (status | more).items()):
            self.node.api.set_status(self.name, status | more, uid=self.uid)


def _ending(container: Container, status: int) -> Json:
    reason = "OOMKilled" if container.out_of_memory else "Error" if status else "Completed"
    return {"exitCode": status, "reason": reason, "message": container.words() if status else ""}


def _bytes(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(Ki|Mi|Gi)", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(number) * _MEGABYTES[unit]


async def run(*command: str) -> str:
    """Run a command and return what it prints.

    Raises:
        OSError: It failed.
    """
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise OSError(f"{' '.join(command)}: {output.decode(errors='replace').strip()}")
    return output.decode()
