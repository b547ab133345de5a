"""A node that pretends: pods get an address of loopback on which a scripted sidecar answers.

What the cluster reports of them is what a kubelet would; what happens, and when, a test decides.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
from collections.abc import Iterable
from typing import Any, Self

from tests.scripted import Request, Script, ScriptedSidecar, send_json, send_proof
from tests.workspaces.runtimes.kubernetes.kube.api import Change, FakeApi
from vibe_app.wire import proof
from vibe_app.wire.gateway import GatewayState, Limits, Spending, Spent, UsagePage
from vibe_app.workspaces.runtimes.kubernetes import containers, names

Json = dict[str, Any]

# Every address of 127.0.0.0/8 is this machine's own; each pod gets another, also of test processes that run
# at once: all listen on one port.
_FIRST = os.getpid() % 12_000 * 1_000
_addresses = (f"127.{20 + n // 62_500}.{n // 250 % 250 + 1}.{n % 250 + 1}" for n in itertools.count(_FIRST))


class PodSidecar(ScriptedSidecar):
    """A scripted sidecar on a pod's address and port; it takes the token from the pod's Secret."""

    def __init__(self, host: str, token: str, script: Script | None) -> None:
        super().__init__(script, token=token)
        self.host = host
        self.port = containers.SIDECAR
        self.ready = True

    async def revive(self) -> None:
        self._server = await asyncio.start_server(self._accept, self.host, self.port)

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == "/ready" and not self.ready:
            self.calls["GET /ready"] += 1
            body = {"error": "OpenCode is not ready: it is starting.", "code": "opencode_not_ready"}
            return await send_json(writer, 503, body)
        await super().answer(request, writer)


class PodGateway(PodSidecar):
    """A gateway that takes what it is told and has counted nothing (`vibe_app.wire.gateway`)."""

    def __init__(self, host: str, token: str) -> None:
        super().__init__(host, token, None)
        self.port = containers.GATEWAY

    async def answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        if request.path == proof.PATH:
            return await send_proof(writer, request, self.token)
        if (request.headers.get("authorization") or "") not in {f"Bearer {token}" for token in self.tokens}:
            return await send_json(writer, 401, {"error": "The token is wrong.", "code": "unauthenticated"})
        kind, _, name = request.path.strip("/").partition("/")
        if kind == "usage":
            answer = UsagePage(journal="journal", entries=(), last=0)
        elif kind == "sessions" and request.method != "DELETE":
            answer = Spending(session_id=name, limits=Limits(), spent=Spent())
        else:
            answer = GatewayState(configured=True, journal="journal", last=0)
        await send_json(writer, 200, answer.model_dump(mode="json"))


class PretendNode:
    """The node.

    Attributes:
        auto: Whether each new pod gets ready by itself.
        ends: Whether each deleted pod ends.
        sidecars: What answers for each pod, by the pod's name.
        script: What each session of a new pod plays, if another than usual.
    """

    def __init__(self, api: FakeApi, *, auto: bool = True) -> None:
        self.api = api
        self.auto = auto
        self.ends = True
        self.script: Script | None = None
        self.sidecars: dict[str, PodSidecar] = {}
        self._gateways: dict[str, PodGateway] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.api.graceful = True
        self._task = asyncio.create_task(self._follow(), name="pretend node")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for name in list(self.sidecars):
            await self.crash(name)

    async def _follow(self) -> None:
        async for change in self.api.follow("pods"):
            await self._heard(change)

    async def _heard(self, change: Change) -> None:
        name, uid = change.object["metadata"]["name"], change.object["metadata"]["uid"]
        if change.type == "ADDED" and self.auto:
            # There is no repository in it, and so no card has a tree.
            self.api.objects["pods"][name]["metadata"]["annotations"].pop(names.TREES_MARK, None)
            await self.run(name)
            await self.become_ready(name)
        elif change.object["metadata"].get("deletionTimestamp") and self.ends:
            await self.crash(name)
            self.api.remove("pods", name, uid=uid)

    async def run(self, name: str, *, answers: bool = True) -> str:
        """Give the pod an address and let its containers run; return the address."""
        host = next(_addresses)
        if answers:
            secret = self.api.objects["secrets"][name.replace("opencode-", "opencode-secrets-", 1)]
            token = _decode(secret["data"]["token"])
            sidecar = self.sidecars[name] = PodSidecar(host, token, self.script)
            gateway = self._gateways[name] = PodGateway(host, token)
            for service in (sidecar, gateway):
                await service.revive()
        self.report(name, running(self.api.objects["pods"][name]), podIP=host, phase="Running", ready=False)
        return host

    async def become_ready(self, name: str) -> None:
        """Report what a kubelet's probes find."""
        self.report(name, running(self.api.objects["pods"][name]), ready=True)

    async def crash(self, name: str) -> None:
        """End what answers for the pod, without a word to the API."""
        for service in (self.sidecars.pop(name, None), self._gateways.pop(name, None)):
            if service is not None:
                await service.die()

    def report(self, name: str, containers: list[Json], *, ready: bool, **more: Any) -> None:
        """Write a status."""
        conditions = [
            {"type": "PodScheduled", "status": "True"},
            {"type": "Ready", "status": "True" if ready else "False"},
        ]
        status = {"containerStatuses": containers, "conditions": conditions, **more}
        self.api.set_status(name, status)


def running(pod: Json, *, without: Iterable[str] = ()) -> list[Json]:
    """The statuses of a pod's containers, each at work but those in `without`."""
    return [
        {"name": spec["name"], "restartCount": 0, "state": {"running": {}}, "lastState": {}}
        for spec in pod["spec"]["containers"]
        if spec["name"] not in without
    ]


def waiting(name: str, reason: str, message: str = "", *, last: Json | None = None) -> Json:
    """The status of a container that waits."""
    return {
        "name": name,
        "restartCount": 2 if last else 0,
        "state": {"waiting": {"reason": reason, "message": message}},
        "lastState": {"terminated": last} if last else {},
    }


def _decode(text: str) -> str:
    return base64.b64decode(text).decode()
