"""Workspaces as pods: what the runtime does when the cluster, or its API, does not do as it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.specs import spec_of, tenancy
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.houses import PretendHouse, pretend_house
from tests.workspaces.runtimes.kubernetes.kube.pretend import running, waiting
from vibe_app.errors import InvalidRequest, Unavailable
from vibe_app.workspaces.runtimes.base import Endpoint
from vibe_app.workspaces.runtimes.kubernetes import events
from vibe_app.workspaces.runtimes.kubernetes.manifests import claim_name, secret_name


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[PretendHouse]:
    """A cluster whose node makes every pod ready by itself."""
    async with pretend_house(tmp_path) as house:
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.close()


@pytest.fixture
async def idle(tmp_path: Path) -> AsyncIterator[PretendHouse]:
    """A cluster whose node does only what the test says. A workspace must be ready within a second."""
    async with pretend_house(tmp_path, auto=False, start_timeout=1) as house:
        await house.runtime.open(tenancy())
        yield house
        await house.runtime.close()


def ensuring(house: PretendHouse) -> asyncio.Task[Endpoint]:
    """A start under way."""
    return asyncio.create_task(house.runtime.ensure(spec_of(house.project)))


async def made(house: PretendHouse) -> str:
    """Wait until the project's pod has been created; return its name."""
    await house.api.until(lambda: house.pod in house.api.objects["pods"])
    return house.pod


async def refusal(start: asyncio.Task[Endpoint]) -> str:
    """Why the start failed."""
    with pytest.raises(Unavailable) as raised:
        await start
    return raised.value.message


def last_told(house: PretendHouse) -> tuple[str, str | None]:
    """The workspace's status and reason as the board has them."""
    return house.told[-1][1:]


async def until_told(house: PretendHouse, status: str) -> str | None:
    """Wait for a status; return its reason."""
    await eventually(lambda: house.told and last_told(house)[0] == status)
    return house.told[-1][2]


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


RBAC = (
    'pods is forbidden: User "system:serviceaccount:vibe:vibe" cannot create resource "pods"'
    ' in API group "" in the namespace "vibe-workspaces"'
)
QUOTA = (
    'pods "opencode-x" is forbidden: exceeded quota: workspaces, requested: limits.memory=3Gi,'
    " used: limits.memory=30Gi, limited: limits.memory=32Gi"
)
PSA = 'pods "opencode-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (RBAC, "Vibe has no right to create the workspace's pod in the namespace vibe-workspaces"),
        (
            QUOTA,
            "The cluster's quota does not allow to create the workspace's pod: exceeded quota: workspaces",
        ),
        (PSA, "The cluster refused to create the workspace's pod (403): pods"),
    ],
)
async def test_403_says_what_is_not_allowed(house, message, sentence):
    house.api.fail("POST", "pods", 403, reason="Forbidden", message=message)
    assert sentence in await refusal(ensuring(house))
    assert last_told(house)[0] == "failed"
    assert await house.runtime.alive() == set()
    await house.runtime.ensure(spec_of(house.project))
    assert last_told(house) == ("ready", None)


async def test_404_of_the_namespace_names_the_setting(house):
    house.api.fail("POST", "persistentvolumeclaims", 404, message='namespaces "vibe-workspaces" not found')
    assert "has no namespace vibe-workspaces" in await refusal(ensuring(house))


async def test_404_of_a_pod_that_somebody_else_deletes_meanwhile_is_as_good(house):
    await house.runtime.ensure(spec_of(house.project))
    house.api.fail("DELETE", "pods", 404, reason="NotFound", message="not found", effect=True)
    await house.runtime.stop(house.project)
    assert house.pod not in house.api.objects["pods"]
    assert last_told(house) == ("stopped", None)


async def test_409_is_another_replica_s_pod_and_is_used(house):
    other = house.replica()
    await other.open(tenancy())
    endpoints = await asyncio.gather(
        *(runtime.ensure(spec_of(house.project)) for runtime in (house.runtime, other) for _ in range(3))
    )
    assert len(set(endpoints)) == 1
    assert len(house.api.objects["pods"]) == 1
    assert await other.alive() == await house.runtime.alive() == {house.project}
    await other.stop(house.project)
    await house.api.until(lambda: house.pod not in house.api.objects["pods"])
    await until_told(house, "stopped")
    await other.close()


async def test_409_for_a_clash_of_writers_is_tried_again(house):
    house.api.fail("POST", "pods", 409, reason="Conflict", message="Operation cannot be fulfilled")
    await house.runtime.ensure(spec_of(house.project))
    assert house.api.calls["POST pods"] == 2


async def test_429_is_heeded(house):
    house.api.fail("POST", "pods", 429, retry_after=1, message="slow down")
    clock = asyncio.get_running_loop().time
    began = clock()
    await house.runtime.ensure(spec_of(house.project))
    assert clock() - began >= 1
    assert house.api.calls["POST pods"] == 2


async def test_429_for_longer_than_anybody_waits_is_told(house):
    house.api.fail("POST", "pods", 429, retry_after=60, message="slow down")
    assert "overloaded" in await refusal(ensuring(house))


async def test_500_is_tried_again_and_told_where_it_stays(house):
    house.api.fail("POST", "pods", 500, message="etcdserver: request timed out", times=2)
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.stop(house.project)
    house.api.fail("POST", "pods", 500, message="etcdserver: request timed out", times=1_000)
    assert "failed (500): etcdserver: request timed out" in await refusal(ensuring(house))


@pytest.mark.parametrize("kind", ["persistentvolumeclaims", "secrets", "pods"])
async def test_a_reset_connection_is_tried_again(house, kind):
    house.api.fail("POST", kind)
    await house.runtime.ensure(spec_of(house.project))
    assert len(house.api.objects[kind]) == 1


@pytest.mark.parametrize("kind", ["persistentvolumeclaims", "secrets", "pods"])
async def test_a_create_that_took_effect_though_its_answer_was_lost_is_found(house, kind):
    house.api.fail("POST", kind, effect=True)
    await house.runtime.ensure(spec_of(house.project))
    assert house.api.calls[f"POST {kind}"] == 1
    assert len(house.api.objects[kind]) == 1


async def test_an_api_that_is_away_is_told_and_does_not_matter_to_what_runs(house):
    endpoint = await house.runtime.ensure(spec_of(house.project))
    await house.api.fall()
    assert await house.runtime.ensure(spec_of(house.project)) == endpoint
    with pytest.raises(Unavailable, match=r"The cluster's API at http://127\.0\.0\.1:\d+ does not answer"):
        await house.runtime.ensure(spec_of(uuid4()))
    await house.api.rise()
    await house.runtime.stop(house.project)
    assert await house.runtime.alive() == set()


async def test_an_api_that_is_away_at_the_start_is_told(tmp_path):
    async with pretend_house(tmp_path) as house:
        await house.api.fall()
        with pytest.raises(Unavailable, match="does not answer"):
            await house.runtime.open(tenancy())
        await house.runtime.close()


async def test_wrong_credentials_are_told(tmp_path):
    async with pretend_house(tmp_path) as house:
        config = tmp_path / "kubeconfig"
        config.write_text(config.read_text().replace("a-token-for-tests", "an-old-token"))
        with pytest.raises(Unavailable, match="does not accept Vibe's credentials"):
            await house.runtime.open(tenancy())
        await house.runtime.close()


async def test_a_kubeconfig_that_is_not_there_is_told(tmp_path):
    async with pretend_house(tmp_path) as house:
        (tmp_path / "kubeconfig").unlink()
        with pytest.raises(Unavailable, match="VIBE_KUBERNETES_CONFIG"):
            await house.runtime.open(tenancy())
        await house.runtime.close()


@pytest.mark.parametrize("how", ["broken", "expired"])
async def test_what_happens_while_a_watch_is_broken_or_too_old_is_not_missed(house, how):
    await house.runtime.ensure(spec_of(house.project))
    other = uuid4()
    await house.api.until(lambda: house.api.calls["WATCH pods"] == 1)
    house.api.fail("WATCH", "pods", 500, message="not now", times=2)
    house.api.break_watches() if how == "broken" else house.api.expire_watches()
    await house.api.until(lambda: house.api.calls["WATCH pods"] == 2)
    replica = house.replica()
    await replica.open(tenancy())
    await replica.ensure(spec_of(other))
    await replica.stop(house.project)
    await house.api.until(lambda: house.api.calls["WATCH pods"] >= 5)
    await until_told(house, "stopped")

    async def only_the_other() -> bool:
        return await house.runtime.alive() == {other}

    await eventually(only_the_other)
    await replica.close()


async def failing(house: PretendHouse, name: str, reason: str, message: str = "", **more: Any) -> str:
    """Start a workspace one of whose containers waits for a reason; return what is said about it."""
    start = ensuring(house)
    pod = await made(house)
    raw = house.api.objects["pods"][pod]
    statuses = [*running(raw, without=[name]), waiting(name, reason, message, **more)]
    house.node.report(pod, statuses, ready=False, podIP="127.0.0.9", phase="Running")
    said = await refusal(start)
    assert last_told(house) == ("failed", said)
    assert await house.runtime.alive() == set()
    return said


async def test_an_image_that_cannot_be_fetched(idle):
    said = await failing(idle, "opencode-server", "ImagePullBackOff", "not found")
    assert said.startswith(
        "The image registry.example.org/vibe:1 cannot be fetched (ImagePullBackOff): not found."
    )


async def test_a_service_that_crashes_again_and_again_says_its_last_words(idle):
    last = {"exitCode": 2, "reason": "Error", "message": "some line\nPORT must be a number.\n"}
    said = await failing(idle, "opencode-server-sidecar", "CrashLoopBackOff", last=last)
    assert (
        said == "The sidecar ended with status 2, saying: some line / PORT must be a number, again and again."
    )


async def test_a_service_that_runs_out_of_memory_again_and_again(idle):
    last = {"exitCode": 137, "reason": "OOMKilled"}
    said = await failing(idle, "opencode-server", "CrashLoopBackOff", last=last)
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
    assert await house.runtime.alive() == {house.project}
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


def event(idle: PretendHouse, name: str, about: dict[str, str], reason: str, message: str) -> None:
    """Have the cluster say something."""
    kind = "Normal" if reason in ("FailedBinding", "Pulling") else "Warning"
    said = {"message": message, "type": kind, "reason": reason, "lastTimestamp": "2030-01-01T00:00:00Z"}
    idle.api.put("events", said | {"metadata": {"name": name}, "involvedObject": about})


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


async def test_why_a_claim_is_not_bound_is_told(idle):
    start = ensuring(idle)
    pod = await made(idle)
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": UNBOUND}
    idle.api.set_status(pod, {"conditions": [condition]})
    claim = {"kind": "PersistentVolumeClaim", "name": claim_name(idle.project)}
    message = "no persistent volumes available for this claim and no storage class is set"
    event(idle, "e1", claim, "FailedBinding", message)
    event(idle, "e2", claim | {"name": "another"}, "ProvisioningFailed", "of somebody else")
    assert await refusal(start) == (
        f"The cluster found no place for the workspace within 1 s: {UNBOUND} The cluster says: {message}."
    )


async def test_a_pod_that_is_ready_and_cannot_be_reached_is_left_to_those_who_can_reach_it(idle):
    start = ensuring(idle)
    pod = await made(idle)
    await idle.node.run(pod, answers=False)
    await idle.node.become_ready(pod)
    assert "A NetworkPolicy must let Vibe's pods reach the ports 3001 to 3003" in await refusal(start)
    assert last_told(idle)[0] == "failed"
    assert await idle.runtime.alive() == {idle.project}
    assert not deleting(idle)


def deleting(house: PretendHouse) -> bool:
    """Whether the project's pod has been told to end."""
    return "deletionTimestamp" in house.api.objects["pods"][house.pod]["metadata"]


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
    replica = house.replica()
    await replica.open(tenancy())
    start = asyncio.create_task(replica.ensure(spec_of(house.project)))
    assert house.project not in await replica.alive()
    await house.node.crash(house.pod)
    house.api.remove("pods", house.pod, uid=old)
    await asyncio.gather(stop, start)
    assert house.api.objects["pods"][house.pod]["metadata"]["uid"] != old
    await replica.close()


EVICTED = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory. "}


async def test_an_evicted_pod_is_noticed_and_made_anew_on_the_same_volume(house):
    await house.runtime.ensure(spec_of(house.project))
    volume = house.api.objects["persistentvolumeclaims"][claim_name(house.project)]["metadata"]["uid"]
    await house.node.crash(house.pod)
    house.api.set_status(house.pod, EVICTED)
    assert await until_told(house, "failed") == (
        "The cluster ended the workspace's pod: The node was low on resource: memory."
    )
    assert await house.runtime.alive() == set()
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
    assert house.troubles == ["OpenCode used up its memory (its limit is 2Gi) and was ended."]
    house.node.report(house.pod, running(raw), ready=True)
    await until_told(house, "ready")


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
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._GRACE_MARGIN", -29.9)
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._LOOK_AT_API", 0.05)
    await house.runtime.ensure(spec_of(house.project))
    house.node.ends = False
    await house.runtime.stop(house.project)
    assert house.pod not in house.api.objects["pods"]


async def test_secrets_of_another_installation_s_key_are_replaced_with_the_pod(house):
    await house.runtime.ensure(spec_of(house.project))
    house.settings = house.settings.model_copy(update={"secret_key": "another key of thirty-two bytes"})
    renewed = house.replica()
    await renewed.open(tenancy())
    old = house.api.objects["secrets"][secret_name(house.project)]["data"]
    await renewed.ensure(spec_of(house.project))
    assert house.api.objects["secrets"][secret_name(house.project)]["data"] != old
    assert house.api.calls["POST pods"] == 2
    await renewed.close()


async def test_stop_keeps_the_files_and_erase_leaves_nothing(house):
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.stop(house.project)
    assert claim_name(house.project) in house.api.objects["persistentvolumeclaims"]
    await house.runtime.stop(house.project, erase=True)
    assert not any(house.api.objects.values())


async def test_a_replica_that_goes_leaves_the_workspaces_and_the_next_finds_them(house):
    endpoint = await house.runtime.ensure(spec_of(house.project))
    replica = house.replica()
    await replica.open(tenancy())
    await replica.close(keep=())
    assert await house.runtime.ensure(spec_of(house.project)) == endpoint
    assert house.api.calls["POST pods"] == 1


async def test_a_pod_that_a_dead_replica_left_half_started_is_ended(idle, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._TIDY", 0.05)
    replica = idle.replica()
    await replica.open(tenancy())
    start = asyncio.create_task(replica.ensure(spec_of(idle.project)))
    pod = await made(idle)
    await replica.close()
    with pytest.raises(Unavailable, match="stopped while it was starting"):
        await start
    assert pod in idle.api.objects["pods"]
    survivor = idle.replica()
    await survivor.open()
    assert await survivor.alive() == set()
    await idle.api.until(lambda: pod not in idle.api.objects["pods"])
    await survivor.close()


async def test_a_pod_in_use_or_making_its_files_is_not_given_up(house, monkeypatch):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._TIDY", 0.01)
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._LONGEST_START_OF_OTHERS", 0)
    await house.runtime.ensure(spec_of(house.project))
    house.node.auto = False
    other = house.replica()
    await other.open(tenancy())
    starts = [asyncio.create_task(other.ensure(spec_of(uuid4()))) for _ in range(2)]
    await house.api.until(lambda: len(house.api.objects["pods"]) == 3)
    preparing, forgotten = (name for name in house.api.objects["pods"] if name != house.pod)
    checkout = {"name": "checkout", "state": {"running": {}}}
    house.api.set_status(preparing, {"initContainerStatuses": [checkout]})
    await other.close()
    await asyncio.gather(*starts, return_exceptions=True)
    replica = house.replica()
    await replica.open(tenancy())
    await house.api.until(lambda: forgotten not in house.api.objects["pods"])
    assert house.api.objects["pods"].keys() == {house.pod, preparing}
    await replica.close()
