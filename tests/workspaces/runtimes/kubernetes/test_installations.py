"""Whose pods are whose, and when a changed setting reaches one."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest

from tests.specs import INSTALLATION, spec_of, tenancy
from tests.workspaces.runtimes.kubernetes.kube.acts import heir
from vibe_app.errors import CannotStart
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.runtimes.base import Tenancy, WorkspaceSpec
from vibe_app.workspaces.runtimes.kubernetes.names import INSTALLATION_LABEL, PROOF_MARK, pod_name

ANOTHER = UUID(int=0xBAD)


def labels(house, project: UUID) -> set[str | None]:
    """Of which installation the project's objects say that they are."""
    return {
        each["metadata"]["labels"].get(INSTALLATION_LABEL)
        for kind in house.api.objects.values()
        for each in kind.values()
        if each["metadata"]["labels"]["project-id"] == str(project)
    }


async def test_everything_that_is_made_is_labelled_with_the_installation(house):
    await house.runtime.ensure(spec_of(house.project))
    assert [len(kind) for kind in house.api.objects.values()] == [1, 1, 1, 0]
    assert labels(house, house.project) == {str(INSTALLATION)}


async def test_two_installations_in_one_namespace_do_not_see_each_other(house):
    await house.runtime.ensure(spec_of(house.project))
    theirs = house.replica()
    await theirs.open(tenancy(installation=ANOTHER))
    other = uuid4()
    await theirs.ensure(spec_of(other))
    for runtime, project in ((house.runtime, house.project), (theirs, other)):
        assert await runtime.alive() == await runtime.held() == {project: 1}
        assert await runtime.found() == {project}
    await theirs.close()
    # Listed anew, too.
    async with heir(house) as runtime:
        assert await runtime.alive() == {house.project: 1}
        assert await runtime.found() == {house.project}


async def test_another_installation_s_workspace_is_neither_used_nor_ended(house):
    theirs = await house.leave(installation=ANOTHER)
    objects = {kind: dict(found) for kind, found in house.api.objects.items()}
    with pytest.raises(CannotStart, match="belongs to another installation"):
        await house.runtime.ensure(spec_of(theirs))
    with pytest.raises(CannotStart, match="VIBE_KUBERNETES_NAMESPACE"):
        await house.runtime.stop(theirs, erase=True)
    house.api.remove("pods", pod_name(theirs))
    del objects["pods"][pod_name(theirs)]
    with pytest.raises(CannotStart, match="belongs to another installation"):
        await house.runtime.stop(theirs, erase=True)
    assert house.api.objects == objects


async def test_what_an_earlier_version_made_is_labelled_once_where_the_project_is_ours(house):
    await house.runtime.close()
    ours, foreign = await house.leave(labelled=False), await house.leave(labelled=False)
    before = house.api.calls.copy()
    for patches in (3, 0):
        runtime = house.replica()
        await runtime.open(tenancy(ours))
        assert await runtime.alive() == {ours: 0}
        assert await runtime.found() == {ours}
        assert labels(house, ours) == {str(INSTALLATION)}
        assert labels(house, foreign) == {None}
        done = house.api.calls - before
        assert sum(count for call, count in done.items() if call.startswith("PATCH ")) == patches
        before = house.api.calls.copy()
        await runtime.close()


async def test_a_pod_that_an_earlier_version_started_goes_on_until_its_next_start(house):
    await house.runtime.close()
    project = await house.leave(labelled=False)
    runtime = house.replica()
    await runtime.open(tenancy(project))
    found = await runtime.ensure(spec_of(project, epoch=0))
    assert found.url == f"http://{house.api.objects['pods'][pod_name(project)]['status']['podIP']}:3003"
    assert await runtime.outdated() == {project}
    assert house.api.calls["POST pods"] == 0
    await runtime.close()


async def test_a_pod_that_a_process_of_an_earlier_version_makes_meanwhile_is_replaced(house):
    """In a rolling deployment; it takes other secrets than those of the epoch that is asked for."""
    project = await house.leave(labelled=False)
    assert await house.runtime.alive() == {}
    old = house.api.objects["pods"][pod_name(project)]["metadata"]["uid"]
    await house.runtime.ensure(spec_of(project))
    assert house.api.objects["pods"][pod_name(project)]["metadata"]["uid"] != old
    assert await house.runtime.alive() == {project: 1}
    assert labels(house, project) == {str(INSTALLATION)}


CHANGES = {
    "opencode_server_image": "registry.example.org/vibe:2",
    "model": "anthropic/claude-sonnet-4-5",
    "opencode_limits": "cpu=1,memory=1Gi",
}


@pytest.mark.parametrize("setting", CHANGES)
async def test_a_changed_setting_is_seen_and_reaches_a_pod_only_with_its_next_start(house, setting):
    endpoint = await house.runtime.ensure(spec_of(house.project))
    assert await house.runtime.outdated() == set()
    await house.runtime.close()
    before = dict(house.api.objects["secrets"])
    async with heir(house, **{setting: CHANGES[setting]}) as runtime:
        assert await runtime.outdated() == {house.project}
        assert await runtime.ensure(spec_of(house.project)) == endpoint
        assert house.api.calls["POST pods"] == 1
        assert house.api.objects["secrets"] == before
        await runtime.stop(house.project)
        await runtime.ensure(spec_of(house.project, epoch=2))
        assert await runtime.outdated() == set()


async def test_another_key_of_the_provider_needs_no_other_pod(house):
    """The engine hands it to the gateway."""
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.close()
    async with heir(house, model_api_key="another-key") as runtime:
        assert await runtime.outdated() == set()


async def test_a_pod_of_another_secret_key_is_outdated_and_replaced_once_it_is_asked_for(house):
    await house.runtime.ensure(spec_of(house.project))
    await house.runtime.close()
    runtime = house.replica()

    def keys(project: UUID, epoch: int) -> ServiceKeys:
        return ServiceKeys.of("another key for tests", project, epoch)

    await runtime.open(Tenancy(INSTALLATION, keys, {house.project}))
    assert await runtime.outdated() == {house.project}
    endpoint = await runtime.ensure(WorkspaceSpec(house.project, epoch=1, keys=keys(house.project, 1)))
    assert endpoint.token == house.node.sidecars[house.pod].token
    assert await runtime.outdated() == set()
    assert house.api.calls["POST pods"] == 2
    await runtime.close()


async def test_two_processes_with_other_settings_do_not_fight_over_a_pod(house):
    """As in a rolling deployment, whichever of them looks after the workspaces."""
    endpoint = await house.runtime.ensure(spec_of(house.project))
    async with heir(house, opencode_server_image="registry.example.org/vibe:2") as runtime:
        for _ in range(3):
            for each in (house.runtime, runtime):
                assert await each.ensure(spec_of(house.project)) == endpoint
        assert await house.runtime.outdated() == set()
        assert await runtime.outdated() == {house.project}
    assert house.api.calls["POST pods"] == 1
    assert house.api.calls[f"DELETE pods/{house.pod}"] == 0


async def test_a_pod_of_a_version_that_proved_nothing_is_asked_as_then_until_it_can_be_replaced(house):
    """Only the cluster's own word on the pod says so: nothing that answers in it can."""
    assert (await house.runtime.ensure(spec_of(house.project))).proves
    await house.runtime.close()
    del house.api.objects["pods"][house.pod]["metadata"]["annotations"][PROOF_MARK]
    async with heir(house) as runtime:
        assert not (await runtime.ensure(spec_of(house.project))).proves
        assert await runtime.outdated() == {house.project}
        await runtime.stop(house.project)
        assert (await runtime.ensure(spec_of(house.project, epoch=2))).proves
        assert await runtime.outdated() == set()
