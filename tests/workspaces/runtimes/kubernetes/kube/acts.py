"""Short words for what tests of the runtime of pods do and see, on a cluster that pretends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.specs import spec_of, tenancy
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse
from tests.workspaces.runtimes.kubernetes.kube.pretend import running, waiting
from vibe_app.errors import CannotStart, Unavailable
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes.runtime import KubernetesRuntime


def ensuring(house: PretendHouse) -> asyncio.Task[Endpoint]:
    """A start under way."""
    return asyncio.create_task(house.runtime.ensure(spec_of(house.project)))


@asynccontextmanager
async def heir(house: PretendHouse, **more: Any) -> AsyncIterator[KubernetesRuntime]:
    """The runtime of the process that comes after, open.

    Args:
        house: The cluster.
        more: Settings that are others than before.
    """
    house.settings = house.settings.model_copy(update=more)
    runtime = house.replica()
    await runtime.open(tenancy(house.project))
    try:
        yield runtime
    finally:
        await runtime.close()


async def made(house: PretendHouse) -> str:
    """Wait until the project's pod has been created; return its name."""
    await house.api.until(lambda: house.pod in house.api.objects["pods"])
    return house.pod


async def refusal(start: asyncio.Task[Endpoint], kind: type[Unavailable] = Unavailable) -> str:
    """Why the start failed; `CannotStart` for a reason for which it is not tried again."""
    with pytest.raises(Unavailable) as raised:
        await start
    assert isinstance(raised.value, CannotStart) == (kind is CannotStart)
    return raised.value.message


def last_told(house: PretendHouse) -> tuple[str, str | None]:
    """The workspace's status and reason as the board has them."""
    return house.told[-1][1:]


async def until_told(house: PretendHouse, status: str, reason: str | None = None) -> str | None:
    """Wait for a status, or for that status with a reason; return its reason."""
    await eventually(
        lambda: house.told and last_told(house) == (status, reason or last_told(house)[1]),
    )
    return house.told[-1][2]


def deleting(house: PretendHouse) -> bool:
    """Whether the project's pod has been told to end."""
    return "deletionTimestamp" in house.api.objects["pods"][house.pod]["metadata"]


async def failing(
    house: PretendHouse,
    name: str,
    reason: str,
    message: str = "",
    kind: type[Unavailable] = Unavailable,
    **more: Any,
) -> str:
    """Start a workspace one of whose containers waits for a reason; return what is said about it."""
    start = ensuring(house)
    pod = await made(house)
    raw = house.api.objects["pods"][pod]
    statuses = [*running(raw, without=[name]), waiting(name, reason, message, **more)]
    house.node.report(pod, statuses, ready=False, podIP="127.0.0.9", phase="Running")
    said = await refusal(start, kind)
    assert last_told(house) == ("failed", said)
    assert await house.runtime.alive() == {}
    return said


def event(house: PretendHouse, name: str, about: dict[str, str], reason: str, message: str) -> None:
    """Have the cluster say something."""
    kind = "Normal" if reason in ("FailedBinding", "Pulling") else "Warning"
    said = {"message": message, "type": kind, "reason": reason, "lastTimestamp": "2030-01-01T00:00:00Z"}
    house.api.put("events", said | {"metadata": {"name": name}, "involvedObject": about})
