"""The client of a cluster: creates, reads, deletes and watches the objects of one namespace.

It speaks JSON, knows nothing of workspaces, and turns every failure into an `ApiError` whose
message a person can act on.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Literal

import aiohttp

from vibe_app.errors import Unavailable
from vibe_app.shapes import shaped
from vibe_app.workspaces.runtimes.kubernetes.cluster_json import Change, Listing, Raw, Refusal
from vibe_app.workspaces.runtimes.kubernetes.transport import FAILURES, Transport

Json = dict[str, Any]
Kind = Literal["pods", "persistentvolumeclaims", "secrets", "events"]

_WORDS: Mapping[Kind, str] = {
    "pods": "the workspace's pod",
    "persistentvolumeclaims": "the workspace's volume",
    "secrets": "the workspace's secrets",
    "events": "what happened in the cluster",
}
# Seconds.
_CONNECT = 3.0
_ANSWER = 10.0
_TIMEOUT = 15.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LONGEST_LINE = 1000
# A watch that the server ends by itself after a while shows soon that a connection has died without a word.
_WATCH = 60
_WATCH_SILENCE = 90.0


class ApiError(Unavailable):
    """The cluster's API refused or did not answer.

    Args:
        message: The sentence for people.
        status: The HTTP status; 0 where there was no answer.
        reason: Kubernetes' own word, for example `AlreadyExists`.
        final: Whether the same request is refused until somebody changes something in the cluster.
    """

    def __init__(self, message: str, status: int = 0, reason: str = "", *, final: bool = False) -> None:
        super().__init__(message, "cluster_unavailable")
        self.status = status
        self.reason = reason
        self.final = final
        # Seconds after which the server wants to be asked again.
        self.retry_after = 0.0

    @property
    def passing(self) -> bool:
        """Whether the same request may succeed in a moment."""
        return self.status in (0, 429) or self.status >= 500 or self.reason == "Conflict"


class Gone(Exception):
    """A watch cannot go on from where it was: list anew."""


class Cluster:
    """One namespace of a cluster.

    Args:
        namespace: Where everything is.
        kubeconfig: A kubeconfig file, or None for the service account of the app's own pod.
        timeout: Seconds for which a request is repeated while the API does not answer.
    """

    def __init__(self, namespace: str, kubeconfig: Path | None, *, timeout: float = _TIMEOUT) -> None:
        self._namespace = namespace
        self._timeout = timeout
        self._transport = Transport(kubeconfig)

    async def open(self) -> None:
        """Read the address and the credentials.

        Raises:
            Unavailable: There are none that can be used.
        """
        await self._transport.open()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def create(self, kind: Kind, manifest: Json) -> tuple[Raw, bool]:
        """Create an object, once; return it as it is in the cluster, and whether it was made now.

        An object of the same name that is there already is returned as it is: whether it was
        made by an attempt whose answer was lost, or by another replica, comes to the same.

        Raises:
            ApiError: It cannot be created.
        """
        name = manifest["metadata"]["name"]
        deadline = _clock() + self._timeout
        for attempt in range(1_000):
            try:
                return await self._call("POST", kind, "", body=manifest, done="create"), True
            except ApiError as error:
                if error.reason == "AlreadyExists" or error.status == 0:
                    # Without an answer nobody knows whether it took effect.
                    found = await self._patient(
                        "GET", kind, name, deadline=deadline, done="read", missing=True
                    )
                    if found is not None:
                        return found, False
                elif not error.passing:
                    raise
                await self._pause(error, attempt, deadline)
        raise AssertionError("unreachable: the deadline comes first")

    async def patch(self, kind: Kind, name: str, change: Json) -> Raw | None:
        """Merge `change` into an object; return it as it is then, or None if there is none.

        Raises:
            ApiError: It cannot be changed.
        """
        return await self._patient("PATCH", kind, name, body=change, done="change", missing=True)

    async def read(self, kind: Kind, name: str) -> Raw | None:
        """Return an object, or None if there is none.

        Raises:
            ApiError: Nobody can tell.
        """
        return await self._patient("GET", kind, name, done="read", missing=True)

    async def delete(self, kind: Kind, name: str, *, grace: int | None = None) -> bool:
        """Ask for the end of an object; False if there is none.

        Args:
            kind: What it is.
            name: Its name.
            grace: Seconds in place of the pod's own; 0 does not wait for its node.

        Raises:
            ApiError: It cannot be deleted.
        """
        options: Json = {"propagationPolicy": "Background"}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        return (
            await self._patient("DELETE", kind, name, body=options, done="delete", missing=True) is not None
        )

    async def list(self, kind: Kind, *, labels: str = "", fields: str = "") -> tuple[list[Raw], str]:
        """Return the objects that match and the version from which a watch can go on.

        Raises:
            ApiError: They cannot be listed.
        """
        query = {"labelSelector": labels, "fieldSelector": fields}
        answer = shaped(Listing, await self._patient("GET", kind, "", query=query, done="list"))
        return answer.get("items") or [], (answer.get("metadata") or {}).get("resourceVersion", "")

    async def last_line(self, pod: str, container: str) -> str:
        """Return the last line of a container's log; empty where there is none, or none that may be read."""
        limits = aiohttp.ClientTimeout(total=_ANSWER, sock_connect=_CONNECT)
        query = {"container": container, "tailLines": "1", "limitBytes": str(_LONGEST_LINE)}
        try:
            response = await self._send("GET", "pods", f"{pod}/log", query, None, limits, "read the log of")
        except ApiError:
            return ""
        try:
            return (await response.text(errors="replace")).strip()
        except (aiohttp.ClientError, TimeoutError, OSError):
            return ""
        finally:
            response.release()

    async def watch(self, kind: Kind, *, labels: str, version: str) -> AsyncIterator[tuple[str, Raw]]:
        """Yield `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK` with the object, until the server ends it.

        Args:
            kind: What to watch.
            labels: Which of them.
            version: What `list` or the last event said.

        Raises:
            Gone: The version is too old.
            ApiError: The connection broke or was refused.
        """
        query = {
            "watch": "true",
            "labelSelector": labels,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_WATCH_SILENCE)
        response = await self._send("GET", kind, "", query, None, timeout, "watch")
        try:
            while line := await response.content.readline():
                event = shaped(Change, json.loads(line))
                change, found = event.get("type"), event.get("object")
                if change is None or found is None:
                    raise ValueError("it sent something else than a change")
                if change == "ERROR":
                    said = shaped(Refusal, found)
                    raise self._error(said.get("code") or 500, said, kind, "watch")
                yield change, found
        except ApiError as error:
            if error.status == 410:
                raise Gone from error
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise self._silent(error) from error
        finally:
            response.close()

    async def _patient(
        self,
        method: str,
        kind: Kind,
        name: str,
        *,
        done: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        deadline: float | None = None,
        missing: bool = False,
    ) -> Raw | None:
        """Send a request that may be repeated until it is answered; None for 404 where that is an answer."""
        deadline = deadline or _clock() + self._timeout
        for attempt in range(1_000):
            try:
                return await self._call(method, kind, name, query=query, body=body, done=done)
            except ApiError as error:
                if missing and error.status == 404:
                    return None
                if not error.passing:
                    raise
                await self._pause(error, attempt, deadline)
        raise AssertionError("unreachable: the deadline comes first")

    async def _pause(self, error: ApiError, attempt: int, deadline: float) -> None:
        """Wait before the next attempt, or give up with `error` where the time is over."""
        longest = min(_FIRST_PAUSE * 2 ** min(attempt, 10), _LONGEST_PAUSE)
        pause = error.retry_after or longest * random.uniform(0.5, 1.0)
        if _clock() + pause > deadline:
            raise error
        await asyncio.sleep(pause)

    async def _call(
        self,
        method: str,
        kind: Kind,
        name: str,
        *,
        done: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
    ) -> Raw:
        timeout = aiohttp.ClientTimeout(total=_ANSWER, sock_connect=_CONNECT)
        response = await self._send(method, kind, name, query, body, timeout, done)
        try:
            return shaped(Raw, json.loads(await response.read()))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, RecursionError) as error:
            raise self._silent(error) from error
        finally:
            response.release()

    async def _send(
        self,
        method: str,
        kind: Kind,
        name: str,
        query: Mapping[str, str] | None,
        body: Json | None,
        limits: aiohttp.ClientTimeout,
        done: str,
    ) -> aiohttp.ClientResponse:
        """Send a request and return its answer, unread.

        Raises:
            ApiError: The answer is an error, or there is none.
        """
        path = f"/api/v1/namespaces/{self._namespace}/{kind}" + (f"/{name}" if name else "")
        parameters = [(key, value) for key, value in (query or {}).items() if value]
        headers = {"Accept": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        try:
            response = await self._transport.send(method, path, parameters, headers, body, limits)
            if response.status < 400:
                return response
            said = await response.read()
        except FAILURES as error:
            raise self._silent(error) from error
        try:
            refusal = shaped(Refusal, json.loads(said))
        except (ValueError, RecursionError):
            refusal = Refusal()
        error = self._error(response.status, refusal, kind, done)
        error.retry_after = _seconds(response.headers.get("Retry-After", ""))
        raise error

    def _error(self, status: int, said: Refusal, kind: Kind, done: str) -> ApiError:
        """What an error answer means, in words for people."""
        message = said.get("message", "").strip().rstrip(".")
        reason = said.get("reason", "")
        what = f"{done} {_WORDS[kind]}"
        # Right after a quota was made the cluster refuses everything for a moment.
        final = status in (400, 403, 422) and "status unknown for quota" not in message
        if status == 401:
            sentence = "The cluster does not accept Vibe's credentials: renew its kubeconfig or account"
        elif status == 403 and "exceeded quota" in message:
            sentence = (
                f"The cluster's quota does not allow to {what}: {message.partition(': ')[2] or message}"
            )
        elif status == 403 and 'User "' in message:
            sentence = (
                f"Vibe has no right to {what} in the namespace {self._namespace}:"
                f" grant its service account that right. The cluster says: {message}"
            )
        elif status == 404 and "namespaces" in message:
            final = True
            sentence = (
                f"The cluster has no namespace {self._namespace}:"
                " create it, or set VIBE_KUBERNETES_NAMESPACE to another one"
            )
        elif status == 429:
            sentence = "The cluster's API is overloaded and asks to be left alone for a while"
        elif status >= 500:
            sentence = f"The cluster's API failed ({status}): {message or 'it gives no reason'}"
        else:
            sentence = f"The cluster refused to {what} ({status}): {message or 'it gives no reason'}"
        return ApiError(f"{sentence}.", status, reason, final=final)

    def _silent(self, error: Exception) -> ApiError:
        """What a request without an answer means, in words for people."""
        why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        return ApiError(f"The cluster's API at {self._transport.host} does not answer: {why.rstrip('.')}.")


def _clock() -> float:
    return asyncio.get_running_loop().time()


def _seconds(text: str) -> float:
    """Read a Retry-After in seconds; a date, which Kubernetes never sends, counts for nothing."""
    try:
        return max(0.0, float(text))
    except ValueError:
        return 0.0
