"""Starts of pods: what is waited for, what is told meanwhile, and why one fails."""

from __future__ import annotations

import asyncio

import pytest

from tests.specs import spec_of, tenancy
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.acts import (
    deleting,
    ensuring,
    event,
    failing,
    heir,
    last_told,
    made,
    refusal,
    until_told,
)
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse, pretend_house
from tests.workspaces.runtimes.kubernetes.kube.pretend import running, waiting
from vibe_app.aio import cancel
from vibe_app.errors import CannotStart, InvalidRequest
from vibe_app.workspaces.runtimes.kubernetes import events
from vibe_app.workspaces.runtimes.kubernetes.names import claim_name


async def test_no_request_asks_the_api_for_an_address(house):
    first = await house.runtime.ensure(spec_of(house.project))
    before = house.api.calls.copy()
    for _ in range(20):
        assert await house.runtime.ensure(spec_of(house.project)) == first
    assert house.api.calls == before


async def test_an_address_before_the_pod_is_ready_is_not_used(idle):
    start = ensuring(idle)
    pod = await made(idle)
    host = await idle.node.run(pod)
    idle.node.sidecars[pod].ready = False
    await eventually(lambda: idle.node.sidecars[pod].calls["GET /ready"])
    assert not start.done()
    idle.node.sidecars[pod].ready = True
    assert (await start).url == f"http://{host}:3003"


async def test_one_container_that_does_not_run_yet_is_waited_for(idle):
    start = ensuring(idle)
    pod = await made(idle)
    await idle.node.run(pod)
    raw = idle.api.objects["pods"][pod]
    without = [*running(raw, without=["file-browser"]), waiting("file-browser", "ContainerCreating")]
    idle.node.report(pod, without, ready=False)
    assert "did not start within 1 s" in await refusal(start)


async def test_a_pod_that_comes_back_with_another_address_is_found_there(house):
    before = await house.runtime.ensure(spec_of(house.project))
    await house.node.crash(house.pod)
    await house.node.run(house.pod)
    await house.node.become_ready(house.pod)
    after = await house.runtime.ensure(spec_of(house.project))
    assert after.url != before.url
    assert house.api.calls["POST pods"] == 1


async def test_a_repository_that_cannot_be_cloned_is_refused_before_anything_is_made(house):
    with pytest.raises(InvalidRequest):
        await house.runtime.ensure(spec_of(house.project, "ext::sh -c id"))
    assert not house.api.objects["pods"]


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "vibe:1": rpc error: code = NotFound desc = not found'),
        ("ImagePullBackOff", "pull access denied, repository does not exist"),
        ("InvalidImageName", 'Failed to apply default image tag "Vibe:1": invalid reference format'),
        ("ErrImageNeverPull", "Container image is not present with pull policy of Never"),
    ],
)
async def test_an_image_that_is_not_to_be_had_is_final(idle, reason, message):
    said = await failing(idle, "opencode-server", reason, message, CannotStart)
    assert said.startswith(f"The image registry.example.org/vibe:1 cannot be fetched ({reason}): {message}.")


async def test_a_registry_that_is_away_may_be_back(idle):
    said = await failing(idle, "opencode-server", "ImagePullBackOff", "dial tcp: i/o timeout")
    assert "cannot be fetched (ImagePullBackOff): dial tcp: i/o timeout." in said


async def test_a_service_that_crashes_again_and_again_says_its_last_words(idle):
    last = {"exitCode": 2, "reason": "Error", "message": "some line\nPORT must be a number.\n"}
    said = await failing(idle, "opencode-server-sidecar", "CrashLoopBackOff", last=last)
    assert (
        said == "The sidecar ended with status 2, saying: some line / PORT must be a number, again and again."
    )


async def test_a_service_that_runs_out_of_memory_again_and_again_is_final(idle):
    last = {"exitCode": 137, "reason": "OOMKilled"}
    said = await failing(idle, "opencode-server", "CrashLoopBackOff", kind=CannotStart, last=last)
    assert said == "OpenCode used up its memory (its limit is 2Gi) and was ended, again and again."


async def test_a_container_that_cannot_be_configured(idle):
    said = await failing(idle, "opencode-server", "CreateContainerConfigError", 'secret "x" not found')
    assert said == 'The cluster cannot start OpenCode (CreateContainerConfigError): secret "x" not found.'


async def test_sessions_go_on_without_the_file_browser(house):
    endpoint = await house.runtime.ensure(spec_of(house.project))
    await house.node.become_ready(house.pod)
    raw = house.api.objects["pods"][house.pod]
    crashing = waiting("file-browser", "CrashLoopBackOff", last={"exitCode": 1, "reason": "Error"})
    house.node.report(house.pod, [*running(raw, without=["file-browser"]), crashing], ready=False)
    await eventually(lambda: last_told(house)[1])
    assert last_told(house) == ("ready", "The file browser ended with status 1: starting it again")
    assert house.troubles == []
    assert await house.runtime.ensure(spec_of(house.project)) == endpoint
    assert await house.runtime.alive() == {house.project: 1}
    assert house.api.calls["POST pods"] == 1


async def test_a_clone_says_how_far_it_is_and_may_take_longer_than_a_start(idle, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._LOOK_AT_LOG", 0.01)
    percent = 0

    def log_of(pod: str, container: str) -> str:
        nonlocal percent
        percent += 1
        return f"Cloning the repository.\nCloning the repository: {percent} %.\n"

    idle.api.log_of = log_of
    clock = asyncio.get_running_loop().time
    began = clock()
    start = ensuring(idle)
    pod = await made(idle)
    checkout = {"name": "checkout", "state": {"running": {}}}
    idle.api.set_status(pod, {"initContainerStatuses": [checkout]})
    await eventually(lambda: clock() - began > 1.2)
    assert not start.done()
    idle.api.set_status(pod, {"initContainerStatuses": []})
    await idle.node.run(pod)
    await start
    reasons = [reason for _, _, reason in idle.told]
    assert "Cloning the repository: 1 %" in reasons
    assert "Cloning the repository: 2 %" in reasons


async def test_a_repository_that_could_not_be_cloned(idle):
    start = ensuring(idle)
    pod = await made(idle)
    sentence = "The repository could not be cloned: not found. Check its address."
    ending = {"terminated": {"exitCode": 3, "reason": "Error", "message": sentence}}
    idle.api.set_status(pod, {"initContainerStatuses": [{"name": "checkout", "state": ending}]})
    assert await refusal(start) == sentence


UNBOUND = "0/3 nodes are available: pod has unbound immediate PersistentVolumeClaims."


FULL = "0/3 nodes are available: 3 Insufficient memory."


@pytest.mark.parametrize("why", [FULL, UNBOUND])
async def test_a_pod_without_a_place_says_why(idle, why):
    said: list[str] = []

    async def progress(sentence: str) -> None:
        said.append(sentence)

    start = asyncio.create_task(idle.runtime.ensure(spec_of(idle.project), progress))
    pod = await made(idle)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why}
    idle.api.set_status(pod, {"conditions": [condition]})
    message = "no persistent volumes available and no storage class is set"
    event = {"message": message, "type": "Warning", "lastTimestamp": "2030-01-01T00:00:00Z"}
    uid = idle.api.objects["pods"][pod]["metadata"]["uid"]
    idle.api.put("events", event | {"metadata": {"name": "e1"}, "involvedObject": {"uid": uid}})
    reason = await refusal(start)
    assert reason == (
        f"The cluster found no place for the workspace within 1 s: {why} The cluster says: {message}."
    )
    assert f"Waiting for a place in the cluster: {why.rstrip('.')}" in said


async def test_what_the_cluster_says_of_a_wait_is_told_while_it_lasts(idle, monkeypatch):
    """The limit of a run may end the wait before the runtime's own does: its error is what was told last."""
    monkeypatch.setattr(events, "FIRST_LOOK", 0.0)
    said: list[str] = []

    async def progress(sentence: str) -> None:
        said.append(sentence)

    start = asyncio.create_task(idle.runtime.ensure(spec_of(idle.project), progress))
    pod = await made(idle)
    uid = idle.api.objects["pods"][pod]["metadata"]["uid"]
    attach = "AttachVolume.Attach failed for volume: it is attached to another node."
    event(idle, "e1", {"uid": uid}, "FailedAttachVolume", attach)
    event(idle, "e2", {"uid": uid}, "Pulling", "Pulling the image")
    reason = await refusal(start)
    waiting_for = "attaching the workspace's volume and fetching its image"
    sentence = f"{waiting_for}. The cluster says: {attach.rstrip('.')}"
    assert reason == f"The workspace's pod did not start within 1 s: {sentence}."
    assert f"{sentence[0].upper()}{sentence[1:]}" in said


async def unplaced(house: PretendHouse) -> dict[str, str]:
    """Wait for a pod and report that it waits for its claim; return what events of that claim are about."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNBOUND}
    house.api.set_status(await made(house), {"conditions": [condition]})
    return {"kind": "PersistentVolumeClaim", "name": claim_name(house.project)}


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
        ("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
    ],
)
async def test_a_claim_that_cannot_be_bound_is_final_at_once(tmp_path, monkeypatch, reason, message):
    monkeypatch.setattr(events, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(events, "_BETWEEN_LOOKS", 0.01)
    async with pretend_house(tmp_path, auto=False, start_timeout=600) as house:
        await house.runtime.open(tenancy())
        start = ensuring(house)
        claim = await unplaced(house)
        event(house, "e1", claim | {"name": "another"}, "ProvisioningFailed", "of somebody else")
        event(house, "e2", claim, reason, message)
        assert await refusal(start, CannotStart) == (
            f"The cluster has no volume for the workspace: {message}."
            " Check VIBE_KUBERNETES_STORAGE_CLASS, VIBE_KUBERNETES_STORAGE and the cluster's storage classes."
        )
        assert claim["name"] in house.api.objects["persistentvolumeclaims"]
        await house.runtime.close()


async def test_a_provisioner_that_fails_has_half_of_the_start_s_time(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "FIRST_LOOK", 0.0)
    monkeypatch.setattr(events, "_BETWEEN_LOOKS", 0.01)
    async with pretend_house(tmp_path, auto=False, start_timeout=2) as house:
        await house.runtime.open(tenancy())
        start = ensuring(house)
        failure = "failed to provision volume: rpc error: code = ResourceExhausted desc = the pool is full"
        event(house, "e1", await unplaced(house), "ProvisioningFailed", failure)
        told = f"Waiting for a place in the cluster: {UNBOUND.rstrip('.')}. The cluster says: {failure}"
        assert await until_told(house, "starting", told)
        assert (await refusal(start, CannotStart)).startswith(
            f"The cluster has no volume for the workspace: {failure}."
        )
        await house.runtime.close()


async def test_what_was_said_of_a_claim_before_it_was_bound_is_past(idle):
    start = ensuring(idle)
    claim = await unplaced(idle)
    event(idle, "e1", claim, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found')
    idle.api.objects["persistentvolumeclaims"][claim["name"]]["status"] = {"phase": "Bound"}
    assert await refusal(start) == f"The cluster found no place for the workspace within 1 s: {UNBOUND}"


async def test_a_pod_that_is_ready_and_cannot_be_reached_is_left_to_those_who_can_reach_it(idle):
    start = ensuring(idle)
    pod = await made(idle)
    await idle.node.run(pod, answers=False)
    await idle.node.become_ready(pod)
    assert "A NetworkPolicy must let Vibe's pods reach the ports 3001 to 3003 and 3005" in await refusal(
        start
    )
    assert last_told(idle)[0] == "failed"
    assert await idle.runtime.alive() == {idle.project: 1}
    assert not deleting(idle)


async def test_a_stop_breaks_a_start_off(idle):
    start = ensuring(idle)
    pod = await made(idle)
    idle.node.ends = False
    stop = asyncio.create_task(idle.runtime.stop(idle.project))
    await idle.api.until(lambda: deleting(idle))
    assert not stop.done()
    idle.api.remove("pods", pod)
    await stop
    assert "stopped while it was starting" in await refusal(start)
    assert last_told(idle) == ("stopped", None)


async def test_a_start_waits_for_the_end_of_the_pod_before(house):
    await house.runtime.ensure(spec_of(house.project))
    house.node.ends = False
    stop = asyncio.create_task(house.runtime.stop(house.project))
    await house.api.until(lambda: deleting(house))
    old = house.api.objects["pods"][house.pod]["metadata"]["uid"]
    await cancel(stop)
    await house.runtime.close()
    async with heir(house) as runtime:
        assert await runtime.alive() == await runtime.held() == {}
        start = asyncio.create_task(runtime.ensure(spec_of(house.project, epoch=2)))
        await until_told(house, "starting", "Waiting for the earlier pod to end")
        await house.node.crash(house.pod)
        house.api.remove("pods", house.pod, uid=old)
        await start
    assert house.api.objects["pods"][house.pod]["metadata"]["uid"] != old
