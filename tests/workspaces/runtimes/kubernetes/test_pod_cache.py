"""What is known of the pods, also while the watch over them is broken or meets nonsense."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from tests.specs import spec_of
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.acts import last_told, until_told
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse
from vibe_app.aio import BROKEN
from vibe_app.workspaces.runtimes.kubernetes import pods
from vibe_app.workspaces.runtimes.kubernetes.pods import Pod


async def watched(house: PretendHouse) -> None:
    """Wait until the runtime watches."""
    await house.api.until(lambda: house.api.calls["WATCH pods"] == 1)


@pytest.mark.parametrize("how", ["broken", "expired"])
async def test_what_happens_while_a_watch_is_broken_or_too_old_is_not_missed(house, how):
    await house.runtime.ensure(spec_of(house.project))
    await watched(house)
    house.api.fail("WATCH", "pods", 500, message="not now", times=2)
    house.api.break_watches() if how == "broken" else house.api.expire_watches()
    await house.api.until(lambda: house.api.calls["WATCH pods"] == 2)
    other = await house.leave()
    await house.node.crash(house.pod)
    house.api.remove("pods", house.pod)
    await house.api.until(lambda: house.api.calls["WATCH pods"] >= 4)
    await eventually(lambda: (house.project, "stopped", None) in house.told)

    async def only_the_other() -> bool:
        return await house.runtime.alive() == {other: 1}

    await eventually(only_the_other)


HUGE = "9" * 5000
NONSENSE = {
    "no JSON": "<html>a proxy speaks</html>",
    "no object": "[]",
    "an endless number": f'{{"type": "ERROR", "object": {{"code": {HUGE}}}}}',
    "an endless code": json.dumps({"type": "ERROR", "object": {"code": HUGE}}),
}


ODD = {
    "an endless version": {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": HUGE}}},
    "no pod": {"type": "MODIFIED", "object": {"metadata": ["x"]}},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_the_watch_goes_on_after_what_is_odd(house, odd):
    await house.runtime.ensure(spec_of(house.project))
    await watched(house)
    broken = BROKEN["watch over pods"]
    await house.api.babble("pods", json.dumps(odd))
    house.api.remove("pods", house.pod)
    await until_told(house, "stopped")
    assert BROKEN["watch over pods"] == broken


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
async def test_the_watch_survives_what_it_does_not_understand(house, nonsense):
    await house.runtime.ensure(spec_of(house.project))
    await watched(house)
    broken = BROKEN["watch over pods"]
    await house.api.babble("pods", nonsense)
    await house.api.until(lambda: house.api.calls["WATCH pods"] == 2)
    # It is an answer like others that fail, or has nothing in it: the code itself stumbles over none.
    assert BROKEN["watch over pods"] == broken
    house.api.remove("pods", house.pod)
    await until_told(house, "stopped")
    assert await house.runtime.alive() == {}


async def test_a_list_of_an_endless_version_is_read_all_the_same(house):
    await house.runtime.ensure(spec_of(house.project))
    await watched(house)
    broken = BROKEN["watch over pods"]
    empty = {"metadata": {"resourceVersion": HUGE}, "items": []}
    house.api.fail("GET", "pods", 200, text=json.dumps(empty))
    house.api.expire_watches()
    await until_told(house, "stopped")
    assert BROKEN["watch over pods"] == broken


async def test_what_is_odd_of_a_pod_is_not_known_of_it(house):
    odd, other = await house.leave(), await house.leave()
    name = f"opencode-{odd}"
    house.api.set_status(name, {"containerStatuses": "none of yours", "conditions": [None, 7]})

    async def known() -> bool:
        return await house.runtime.alive() == {other: 1} and odd in await house.runtime.held()

    await eventually(known)


async def test_one_pod_that_is_not_understood_hides_no_other(house, monkeypatch, caplog):
    odd, other = await house.leave(), await house.leave()
    understood = pods.read

    def read(raw: dict[str, Any]) -> Pod | None:
        if pods.project_of(raw) == odd:
            raise RuntimeError("a fault of ours")
        return understood(raw)

    monkeypatch.setattr(pods, "read", read)
    house.api.break_watches()
    await house.api.until(lambda: house.api.calls["WATCH pods"] >= 2)
    house.api.set_status(f"opencode-{odd}", {"message": "a change"})
    house.api.remove("pods", f"opencode-{other}")

    async def gone() -> bool:
        return other not in await house.runtime.alive()

    await eventually(gone)
    assert "a pod is not understood" in caplog.text


async def test_a_listener_s_fault_is_logged_and_ends_no_watch(house, monkeypatch, caplog):
    befallen = house.runtime._befallen
    faults = [RuntimeError("a fault of ours")]

    async def listener(project_id: UUID, pod: Any) -> None:
        if faults:
            raise faults.pop()
        await befallen(project_id, pod)

    await house.runtime.ensure(spec_of(house.project))
    monkeypatch.setattr(house.runtime._pods, "_on_change", listener)
    await house.node.become_ready(house.pod)
    await eventually(lambda: not faults)
    house.api.remove("pods", house.pod)
    await until_told(house, "stopped")
    assert "a fault of ours" in caplog.text
    assert last_told(house) == ("stopped", None)
    assert house.api.calls["WATCH pods"] == 1


@pytest.mark.parametrize("text", [HUGE, "-1", "", "x", None, [1], 1.5])
async def test_numbers_of_the_cluster_may_be_nonsense(house, text):
    await house.runtime.ensure(spec_of(house.project))
    ending = {"terminated": {"exitCode": text, "reason": "Error"}}
    dead = {"name": "opencode-server", "restartCount": text, "state": ending, "lastState": {}}
    house.node.report(house.pod, [dead], ready=False)
    await eventually(lambda: house.troubles)
    assert house.troubles[0][0].startswith("OpenCode ended with status ")
