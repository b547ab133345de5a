"""What the runtime of pods does when the cluster's API refuses, fails or is away."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from tests.specs import spec_of, tenancy
from tests.workspaces.runtimes.kubernetes.kube.acts import (
    ensuring,
    last_told,
    refusal,
)
from tests.workspaces.runtimes.kubernetes.kube.houses import pretend_house
from vibe_app.errors import CannotStart, Unavailable
from vibe_app.workspaces.runtimes.kubernetes import knocking

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
async def test_403_says_what_is_not_allowed_and_is_final(house, message, sentence):
    house.api.fail("POST", "pods", 403, reason="Forbidden", message=message)
    assert sentence in await refusal(ensuring(house), CannotStart)
    assert last_told(house)[0] == "failed"
    assert await house.runtime.alive() == {}
    await house.runtime.ensure(spec_of(house.project))
    assert last_told(house) == ("ready", None)


async def test_404_of_the_namespace_names_the_setting(house):
    house.api.fail("POST", "persistentvolumeclaims", 404, message='namespaces "vibe-workspaces" not found')
    assert "has no namespace vibe-workspaces" in await refusal(ensuring(house), CannotStart)


async def test_a_quota_that_is_not_counted_yet_is_no_final_refusal(house):
    message = "pods is forbidden: status unknown for quota: workspaces, resources: limits.cpu"
    house.api.fail("POST", "pods", 403, reason="Forbidden", message=message)
    assert "status unknown for quota" in await refusal(ensuring(house))


async def test_404_of_a_pod_that_somebody_else_deletes_meanwhile_is_as_good(house):
    await house.runtime.ensure(spec_of(house.project))
    house.api.fail("DELETE", "pods", 404, reason="NotFound", message="not found", effect=True)
    await house.runtime.stop(house.project)
    assert house.pod not in house.api.objects["pods"]
    assert last_told(house) == ("stopped", None)


@pytest.mark.parametrize("kind", ["persistentvolumeclaims", "secrets", "pods"])
async def test_409_is_of_what_the_process_before_has_just_made_and_is_used(house, kind):
    house.api.fail("POST", kind, 409, reason="AlreadyExists", message="already exists", effect=True)
    await house.runtime.ensure(spec_of(house.project))
    assert house.api.calls[f"POST {kind}"] == 1
    assert await house.runtime.alive() == {house.project: 1}


async def test_starts_at_the_same_time_are_one(house):
    endpoints = await asyncio.gather(*(house.runtime.ensure(spec_of(house.project)) for _ in range(3)))
    assert len(set(endpoints)) == 1
    assert house.api.calls["POST pods"] == 1


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


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    "text", ["<html>a proxy speaks</html>", "9" * 5000, "[" * 100_000], ids=["html", "long", "deep"]
)
async def test_an_answer_that_cannot_be_read_is_as_none(house, status, text):
    house.api.fail("POST", "pods", status, text=text)
    await house.runtime.ensure(spec_of(house.project))
    assert len(house.api.objects["pods"]) == 1


@pytest.mark.parametrize("body", ["9" * 5000, "[" * 100_000, "[]", ""], ids=["long", "deep", "other", "none"])
async def test_a_sidecar_whose_answer_cannot_be_read_is_not_ready(monkeypatch, body):
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + body.encode())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        monkeypatch.setattr(knocking, "SIDECAR", server.sockets[0].getsockname()[1])
        ready, said = await knocking.answers("127.0.0.1")
    assert not ready
    assert said in ("something other than a sidecar answers", "")


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
    assert await house.runtime.alive() == {}


async def test_an_api_that_is_away_at_the_start_is_told(tmp_path):
    async with pretend_house(tmp_path) as house:
        await house.api.fall()
        with pytest.raises(Unavailable, match="does not answer"):
            await house.runtime.open(tenancy())
        await house.runtime.close()
        await house.api.rise()
        await house.runtime.open(tenancy())
        await house.runtime.ensure(spec_of(house.project))
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
