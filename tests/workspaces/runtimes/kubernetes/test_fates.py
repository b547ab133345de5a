"""What becomes of pods after their start: stops, evictions, crashes, lost nodes, another process."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

import pytest

from tests.specs import INSTALLATION, keys_of, spec_of
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.acts import (
    ensuring,
    heir,
    last_told,
    made,
    refusal,
    until_told,
)
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse
from tests.workspaces.runtimes.kubernetes.kube.pretend import running, waiting
from vibe_app.errors import Unavailable
from vibe_app.workspaces.runtimes.base import FILES_GONE
from vibe_app.workspaces.runtimes.kubernetes import manifests
from vibe_app.workspaces.runtimes.kubernetes.ending import Ending
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name, pod_name, secret_name

EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}


async def test_an_evicted_pod_is_noticed_and_made_anew_on_the_same_volume(house):
    await house.runtime.ensure(spec_of(house.project))
    volume = house.api.objects["persistentvolumeclaims"][claim_name(house.project)]["metadata"]["uid"]
    await house.node.crash(house.pod)
    house.api.set_status(house.pod, EVICTED)
    assert await until_told(house, "failed") == (
        "The cluster ended the workspace's pod: The node was low on resource: memory."
    )
    assert await house.runtime.alive() == {}
    await house.runtime.ensure(spec_of(house.project))
    assert last_told(house) == ("ready", None)
    assert house.api.objects["persistentvolumeclaims"][claim_name(house.project)]["metadata"]["uid"] == volume
    assert house.api.calls["POST pods"] == 2


async def test_a_pod_that_somebody_deletes_is_noticed_and_made_anew(house):
    await house.runtime.ensure(spec_of(house.project))
    await house.node.crash(house.pod)
    house.api.remove("pods", house.pod)
    await until_told(house, "stopped")
    await house.runtime.ensure(spec_of(house.project))
    assert last_told(house) == ("ready", None)


async def test_the_death_of_one_container_in_a_living_pod_is_noticed(house):
    await house.runtime.ensure(spec_of(house.project))
    await house.node.become_ready(house.pod)
    raw = house.api.objects["pods"][house.pod]
    dead = {
        "name": "opencode-server",
        "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
        "restartCount": 0,
    }
    house.node.report(house.pod, [*running(raw, without=["opencode-server"]), dead], ready=False)
    assert await until_told(house, "starting") == (
        "OpenCode used up its memory (its limit is 2Gi) and was ended: starting it again"
    )
    assert house.troubles == [("OpenCode used up its memory (its limit is 2Gi) and was ended.", False)]
    house.node.report(house.pod, running(raw), ready=True)
    await until_told(house, "ready")


OUT_OF_MEMORY = {"exitCode": 137, "reason": "OOMKilled"}


@pytest.mark.parametrize(
    "dead",
    [
        waiting("opencode-server", "CrashLoopBackOff", last=OUT_OF_MEMORY),
        {"name": "opencode-server", "state": {"terminated": OUT_OF_MEMORY}, "restartCount": 1},
    ],
)
async def test_memory_that_is_used_up_for_the_second_time_is_final_trouble(house, dead):
    await house.runtime.ensure(spec_of(house.project))
    raw = house.api.objects["pods"][house.pod]
    house.node.report(house.pod, [*running(raw, without=["opencode-server"]), dead], ready=False)
    await eventually(lambda: house.troubles)
    sentence, final = house.troubles[0]
    assert sentence.startswith("OpenCode used up its memory (its limit is 2Gi) and was ended")
    assert final


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ('Usage of EmptyDir volume "home" exceeds the limit "2Gi". ', True),
        ("Pod ephemeral local storage usage exceeds the total limit of containers 4Gi. ", True),
        ("The node was low on resource: ephemeral-storage. ", False),
    ],
)
async def test_an_eviction_for_a_pod_s_own_size_is_final_and_one_for_its_node_s_is_not(
    house, message, expected
):
    await house.runtime.ensure(spec_of(house.project))
    house.api.set_status(house.pod, EVICTED | {"message": message})
    await eventually(lambda: house.troubles)
    assert house.troubles[0] == (f"The cluster ended the workspace's pod: {message.strip()}", expected)


async def test_a_pod_that_crashes_again_and_again_is_made_anew_when_it_is_wanted(house):
    await house.runtime.ensure(spec_of(house.project))
    raw = house.api.objects["pods"][house.pod]
    last = {"exitCode": 1, "reason": "Error", "message": "out of disk"}
    crashing = waiting("opencode-server", "CrashLoopBackOff", last=last)
    house.node.report(house.pod, [*running(raw, without=["opencode-server"]), crashing], ready=False)
    assert (
        await until_told(house, "failed")
        == "OpenCode ended with status 1, saying: out of disk, again and again."
    )
    await house.runtime.ensure(spec_of(house.project))
    assert last_told(house) == ("ready", None)
    assert house.api.calls["POST pods"] == 2


async def test_a_pod_on_a_lost_node_is_removed_by_force(house, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.ending._GRACE_MARGIN", -29.9)
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.ending._LOOK_AT_API", 0.05)
    await house.runtime.ensure(spec_of(house.project))
    house.node.ends = False
    await house.runtime.stop(house.project)
    assert house.pod not in house.api.objects["pods"]


async def test_an_epoch_has_secrets_and_a_pod_of_its_own(house):
    before = await house.runtime.ensure(spec_of(house.project))
    assert await house.runtime.alive() == await house.runtime.held() == {house.project: 1}
    old = dict(house.api.objects["secrets"][secret_name(house.project)]["data"])
    after = await house.runtime.ensure(spec_of(house.project, epoch=2))
    assert after.token == keys_of(house.project, 2).token != before.token
    assert house.api.objects["secrets"][secret_name(house.project)]["data"] != old
    assert await house.runtime.alive() == {house.project: 2}
    assert house.api.calls["POST pods"] == 2


async def test_stop_keeps_the_files_and_erase_leaves_nothing(house):
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.stop(house.project)
    assert claim_name(house.project) in house.api.objects["persistentvolumeclaims"]
    await house.runtime.stop(house.project, erase=True)
    assert not any(house.api.objects.values())


async def test_an_erasure_that_broke_off_is_seen_and_can_be_taken_up(house):
    await house.runtime.ensure(spec_of(house.project))
    refused = "persistentvolumeclaims is forbidden: not now"
    house.api.fail("DELETE", "persistentvolumeclaims", 403, reason="Forbidden", message=refused)
    with pytest.raises(Unavailable, match="not now"):
        await house.runtime.stop(house.project, erase=True)
    assert await house.runtime.alive() == {}
    assert await house.runtime.found() == {house.project}
    await house.runtime.stop(house.project, erase=True)
    assert await house.runtime.found() == set()


async def test_an_erasure_waits_for_a_volume_that_goes_later(house):
    house.api.protecting = True
    await house.runtime.ensure(spec_of(house.project))
    claims, name = house.api.objects["persistentvolumeclaims"], claim_name(house.project)
    erasure = asyncio.create_task(house.runtime.stop(house.project, erase=True))
    await house.api.until(lambda: "deletionTimestamp" in claims[name]["metadata"])
    reads = house.api.calls[f"GET persistentvolumeclaims/{name}"]
    await house.api.until(lambda: house.api.calls[f"GET persistentvolumeclaims/{name}"] > reads + 1)
    assert not erasure.done()
    house.api.remove("persistentvolumeclaims", name)
    await erasure
    assert await house.runtime.found() == set()


async def test_a_volume_that_was_deleted_between_two_starts_is_made_anew_and_that_is_told(house):
    first = await house.runtime.ensure(spec_of(house.project))
    await house.runtime.stop(house.project)
    same = await house.runtime.ensure(spec_of(house.project, epoch=2, remade=True))
    assert first.notices == same.notices == ()
    await house.runtime.stop(house.project)
    house.api.remove("persistentvolumeclaims", claim_name(house.project))
    anew = await house.runtime.ensure(spec_of(house.project, epoch=3, remade=True))
    assert anew.notices == (FILES_GONE,)
    assert house.endpoints[house.project] == anew


async def test_a_process_that_goes_leaves_the_workspaces_and_the_next_finds_them(house):
    endpoint = await house.runtime.ensure(spec_of(house.project))
    await house.node.become_ready(house.pod)
    await house.runtime.close(keep=())
    house.endpoints.clear()
    async with heir(house) as runtime:
        assert await runtime.alive() == {house.project: 1}
        assert house.endpoints == {house.project: endpoint}
        assert await runtime.ensure(spec_of(house.project)) == endpoint
        assert house.api.calls["POST pods"] == 1


async def abandoned(house: PretendHouse) -> str:
    """Have the process go in the middle of a start; return the name of the pod that it had made."""
    start = ensuring(house)
    pod = await made(house)
    await house.runtime.close()
    assert "stopped while it was starting" in await refusal(start)
    return pod


async def test_a_start_that_a_dead_process_began_is_carried_on(idle):
    pod = await abandoned(idle)
    async with heir(idle) as runtime:
        assert await runtime.alive() == {}
        assert await runtime.held() == {idle.project: 1}
        start = asyncio.create_task(runtime.ensure(spec_of(idle.project)))
        host = await idle.node.run(pod)
        assert (await start).url == f"http://{host}:3003"
        assert idle.api.calls["POST pods"] == 1


async def test_a_pod_that_a_dead_process_left_half_started_is_ended_where_nobody_wants_it(idle, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.tidying._TIDY", 0.05)
    pod = await abandoned(idle)
    async with heir(idle):
        await idle.api.until(lambda: pod not in idle.api.objects["pods"])


async def test_the_care_for_abandoned_pods_survives_whatever_befalls_it(idle, monkeypatch, caplog):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.tidying._TIDY", 0.05)
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.tidying._GIVEN_UP", 0)
    faults = iter([RuntimeError("a fault of ours"), Unavailable("the cluster is away")])
    whole = Ending.end

    async def end(self: Ending, project_id: UUID) -> None:
        if (fault := next(faults, None)) is not None:
            raise fault
        await whole(self, project_id)

    pod = await abandoned(idle)
    monkeypatch.setattr(Ending, "end", end)
    async with heir(idle):
        await idle.api.until(lambda: pod not in idle.api.objects["pods"])
    assert "a fault of ours" in caplog.text
    assert "the cluster is away" in caplog.text


async def test_a_pod_in_use_or_making_its_files_is_not_given_up(house, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.tidying._TIDY", 0.01)
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.tidying._GIVEN_UP", 0)
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.close()
    house.node.auto = False
    for project in (first := uuid4(), second := uuid4()):
        house.api.put("pods", manifests.pod(spec_of(project), house.settings, INSTALLATION))
    preparing, forgotten = pod_name(first), pod_name(second)
    checkout = {"name": "checkout", "state": {"running": {}}}
    house.api.set_status(preparing, {"initContainerStatuses": [checkout]})
    async with heir(house):
        await house.api.until(lambda: forgotten not in house.api.objects["pods"])
        assert house.api.objects["pods"].keys() == {house.pod, preparing}
