"""The API of a cluster as a real HTTP server on loopback, which fails on purpose.

It keeps pods, claims, Secrets and events of one namespace in memory, with uids, versions,
selectors, deletion with grace and watches with history. It validates nothing (the schemas
do that elsewhere) and starts nothing: a node does, `PretendNode` or `NodeAgent`.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from aiohttp import web

Json = dict[str, Any]

NAMESPACE = "vibe-workspaces"
TOKEN = "a-token-for-tests"
_KINDS = {
    "pods": "Pod",
    "persistentvolumeclaims": "PersistentVolumeClaim",
    "secrets": "Secret",
    "events": "Event",
}


@dataclass
class Fault:
    """What goes wrong with the next requests that match.

    Args:
        method: `GET`, `POST`, ... or `WATCH`.
        kind: `pods`, ...
        status: The answer; 0 resets the connection.
        reason: Kubernetes' word.
        message: Its sentence.
        retry_after: Seconds in the Retry-After header.
        effect: Whether the request takes effect all the same.
        times: How many requests it befalls.
        text: The answer's body in place of what the API would say.
    """

    method: str
    kind: str
    status: int = 0
    reason: str = ""
    message: str = ""
    retry_after: int | None = None
    effect: bool = False
    times: int = 1
    text: str = ""


@dataclass(frozen=True)
class Change:
    """One event of the history."""

    version: int
    kind: str
    type: str
    object: Json


@dataclass(eq=False)
class _Watcher:
    request: web.Request
    kind: str
    response: web.StreamResponse
    expired: bool = False


class FakeApi:
    """The API server. See `Fault` for what can be made to go wrong.

    Attributes:
        objects: What there is, by kind and name.
        faults: What goes wrong next; each is used up.
        calls: How often each request came, for example `calls["GET pods/name"]`, `calls["WATCH pods"]`.
        graceful: Whether a deleted pod waits for a node to end it.
        protecting: Whether a deleted claim stays, marked, until it is removed, as while a pod lets go of it.
        log_of: Returns the log of a pod's container, by the names of both.
    """

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Json]] = {kind: {} for kind in _KINDS}
        self.faults: list[Fault] = []
        self.calls: Counter[str] = Counter()
        self.graceful = False
        self.protecting = False
        self.log_of: Callable[[str, str], str] = lambda pod, container: ""
        self.url = ""
        self._version = 100
        self._oldest = 0
        self._history: list[Change] = []
        self._news = asyncio.Event()
        self._watching: list[_Watcher] = []
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def __aenter__(self) -> Self:
        await self.rise()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.fall()

    async def rise(self) -> None:
        """Listen, on the port it had before if there was one."""
        app = web.Application()
        app.router.add_route("*", "/api/v1/namespaces/{namespace}/{kind}", self._serve)
        app.router.add_route("*", "/api/v1/namespaces/{namespace}/{kind}/{name}", self._serve)
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{name}/log", self._log)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def fall(self) -> None:
        """Go away; what it knows is kept."""
        self.break_watches()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads here."""
        path = folder / "kubeconfig"
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.url}}],
            "users": [{"name": "test", "user": {"token": TOKEN}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(json.dumps(config))
        return path

    def fail(self, method: str, kind: str, status: int = 0, **how: Any) -> None:
        """Let the next request of this kind fail; see `Fault`."""
        self.faults.append(Fault(method, kind, status, **how))

    def put(self, kind: str, made: Json) -> Json:
        """Add an object, as if somebody had created it."""
        made = copy.deepcopy(made)
        made["metadata"] |= {
            "namespace": NAMESPACE,
            "uid": str(uuid4()),
            "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        if kind == "pods":
            made["status"] = {"phase": "Pending"}
        self.objects[kind][made["metadata"]["name"]] = made
        self._changed(kind, "ADDED", made)
        return made

    def set_status(self, name: str, status: Json, *, uid: str = "") -> None:
        """Change parts of a pod's status, as its node does. Nothing happens if that pod is gone."""
        found = self.objects["pods"].get(name)
        if found is None or (uid and found["metadata"]["uid"] != uid):
            return
        found["status"] = found.get("status", {}) | copy.deepcopy(status)
        self._changed("pods", "MODIFIED", found)

    def remove(self, kind: str, name: str, *, uid: str = "") -> None:
        """Take an object away for good."""
        found = self.objects[kind].get(name)
        if found is None or (uid and found["metadata"]["uid"] != uid):
            return
        del self.objects[kind][name]
        self._changed(kind, "DELETED", found)

    def break_watches(self) -> None:
        """Reset the connection of every watch."""
        for watcher in self._watching:
            if watcher.request.transport is not None:
                watcher.request.transport.abort()

    def expire_watches(self) -> None:
        """Tell every watch that its version is too old (410)."""
        for watcher in self._watching:
            watcher.expired = True
        self._knock()

    async def babble(self, kind: str, line: str) -> None:
        """Say something of our own to everybody who watches."""
        for watcher in self._watching:
            if watcher.kind == kind:
                await watcher.response.write(line.encode() + b"\n")

    async def follow(self, kind: str) -> AsyncIterator[Change]:
        """Every change of a kind, from now on, for a node in the same process."""
        place = len(self._history)
        while True:
            while place < len(self._history):
                change = self._history[place]
                place += 1
                if change.kind == kind:
                    yield change
            await self._news.wait()

    async def until(self, condition: Callable[[], object]) -> None:
        """Return once `condition` holds; asked again after each change and each request."""
        while not condition():
            await self._news.wait()

    def _changed(self, kind: str, change: str, found: Json) -> None:
        self._version += 1
        found["metadata"]["resourceVersion"] = str(self._version)
        self._history.append(Change(self._version, kind, change, copy.deepcopy(found)))
        self._knock()

    def _knock(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _log(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        self.calls[f"GET pods/{name}/log"] += 1
        if name not in self.objects["pods"]:
            return _status(404, "NotFound", f'pods "{name}" not found')
        text = self.log_of(name, request.query["container"])
        lines = text.splitlines(keepends=True)[-int(request.query["tailLines"]) :]
        return web.Response(text="".join(lines))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        kind, name = request.match_info["kind"], request.match_info.get("name", "")
        watching = request.query.get("watch") == "true"
        method = "WATCH" if watching else request.method
        self.calls[f"{method} {kind}" + (f"/{name}" if name else "")] += 1
        self._knock()
        if request.headers.get("Authorization", "").lower() != f"bearer {TOKEN}":
            return _status(401, "Unauthorized", "Unauthorized")
        if request.match_info["namespace"] != NAMESPACE:
            missing = request.match_info["namespace"]
            return _status(404, "NotFound", f'namespaces "{missing}" not found')
        fault = next((f for f in self.faults if f.method == method and f.kind == kind), None)
        if fault is None:
            return await self._watch(request, kind) if watching else await self._answer(request, kind, name)
        fault.times -= 1
        if fault.times == 0:
            self.faults.remove(fault)
        if fault.effect:
            await self._answer(request, kind, name)
        if fault.text:
            return web.Response(text=fault.text, status=fault.status, content_type="application/json")
        if fault.status:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return _status(fault.status, fault.reason, fault.message, headers)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async def _answer(self, request: web.Request, kind: str, name: str) -> web.Response:
        objects = self.objects[kind]
        if request.method == "GET" and not name:
            found = [item for item in objects.values() if _matches(request, item)]
            listed = {
                "apiVersion": "v1",
                "kind": f"{_KINDS[kind]}List",
                "metadata": {"resourceVersion": str(self._version)},
                "items": found,
            }
            return web.json_response(listed)
        if request.method == "POST":
            made = await request.json()
            name = made["metadata"]["name"]
            if name in objects:
                return _status(409, "AlreadyExists", f'{kind} "{name}" already exists')
            return web.json_response(self.put(kind, made), status=201)
        if name not in objects:
            return _status(404, "NotFound", f'{kind} "{name}" not found')
        found = objects[name]
        if request.method == "PATCH":
            if request.content_type != "application/merge-patch+json":
                return _status(
                    415, "UnsupportedMediaType", f"the body of the request was in {request.content_type}"
                )
            _merge(found, await request.json())
            self._changed(kind, "MODIFIED", found)
        elif request.method == "DELETE":
            self._delete(kind, name, await request.json())
        return web.json_response(found)

    def _delete(self, kind: str, name: str, options: Json) -> None:
        found = self.objects[kind][name]
        grace = options.get(
            "gracePeriodSeconds", (found.get("spec") or {}).get("terminationGracePeriodSeconds", 0)
        )
        stays = grace != 0 and self.graceful if kind == "pods" else self.protecting and kind != "secrets"
        if not stays:
            return self.remove(kind, name)
        if "deletionTimestamp" not in found["metadata"]:
            found["metadata"]["deletionTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            found["metadata"]["deletionGracePeriodSeconds"] = grace
            self._changed(kind, "MODIFIED", found)

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        version = int(request.query.get("resourceVersion") or self._version)
        ends = asyncio.get_running_loop().time() + float(request.query.get("timeoutSeconds", "60"))
        watcher = _Watcher(request, kind, response)
        self._watching.append(watcher)
        try:
            while (left := ends - asyncio.get_running_loop().time()) > 0:
                news = self._news
                if watcher.expired or version < self._oldest:
                    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
                    await _send(response, "ERROR", gone)
                    break
                for change in self._history:
                    if change.version > version and change.kind == kind and _matches(request, change.object):
                        await _send(response, change.type, change.object)
                version = max(version, self._history[-1].version if self._history else 0)
                try:
                    await asyncio.wait_for(news.wait(), left)
                except TimeoutError:
                    break
        finally:
            self._watching.remove(watcher)
        return response


def _merge(found: Json, change: Json) -> None:
    """Apply a merge patch (RFC 7386)."""
    for key, value in change.items():
        if isinstance(value, dict):
            _merge(found.setdefault(key, {}), value)
        elif value is None:
            found.pop(key, None)
        else:
            found[key] = value


async def _send(response: web.StreamResponse, change: str, found: Json) -> None:
    await response.write(json.dumps({"type": change, "object": found}).encode() + b"\n")


def _status(code: int, reason: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }
    return web.json_response(body, status=code, headers=headers)


def _matches(request: web.Request, found: Json) -> bool:
    labels = found["metadata"].get("labels") or {}
    for term in filter(None, request.query.get("labelSelector", "").split(",")):
        key, _, value = term.partition("=")
        if (key[1:] in labels) if key.startswith("!") else (labels.get(key) != value):
            return False
    for term in filter(None, request.query.get("fieldSelector", "").split(",")):
        key, _, value = term.partition("=")
        place: Any = found
        for part in key.split("."):
            place = (place or {}).get(part)
        if place != value:
            return False
    return True
