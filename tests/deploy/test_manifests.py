"""`deploy/` against the published schemas, the restricted profile, and what the code does and needs."""

from __future__ import annotations

import asyncio
import ipaddress
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import kubernetes_validate
import pytest
import yaml

from tests.deploy.manifests import DEPLOY, KUBECTL, built, pods, resources, the
from tests.specs import INSTALLATION, spec_of, tenancy
from tests.waiting import eventually
from tests.workspaces.runtimes.kubernetes.kube.houses import pretend_house
from tests.workspaces.runtimes.kubernetes.kube.restricted import violations
from tests.workspaces.runtimes.kubernetes.test_manifests import VERSIONS
from vibe_app.errors import Unavailable
from vibe_app.settings import Settings, load_settings, variable
from vibe_app.workspaces.runtimes.kubernetes import containers, manifests, names

DOCS = DEPLOY.parent / "docs" / "deployment.md"
BASE = list(resources(DEPLOY / "base"))
KIND = list(resources(DEPLOY / "kind"))
OVERLAYS = ("cluster", "kind")
# Names that are not the app's settings, but read by what serves it.
NOT_INSTALLATION = {"FORWARDED_ALLOW_IPS"}

with_kubectl = pytest.mark.skipif(KUBECTL is None, reason="NO KUBECTL: OVERLAYS ARE NOT BUILT BY KUSTOMIZE")


def board(objects: list[dict[str, Any]] = BASE) -> dict[str, Any]:
    return the(objects, "Deployment", "vibe")["spec"]["template"]


def container(objects: list[dict[str, Any]] = BASE) -> dict[str, Any]:
    return board(objects)["spec"]["containers"][0]


def _containers(template: dict[str, Any]) -> list[dict[str, Any]]:
    return [*template["spec"]["containers"], *template["spec"].get("initContainers", [])]


def workspace() -> dict[str, Any]:
    settings = load_settings(runtime="kubernetes", opencode_server_image="vibe")
    return manifests.pod(spec_of(UUID(int=1), None), settings, INSTALLATION)


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_keeps_to_the_schema(version: str):
    for manifest in KIND:
        kubernetes_validate.validate(manifest, version, strict=True)


@with_kubectl
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_kustomize_makes_of_an_overlay_keeps_to_the_schema_and_uses_one_image(overlay: str):
    objects = built(DEPLOY / overlay)
    for version in VERSIONS:
        for manifest in objects:
            kubernetes_validate.validate(manifest, version, strict=True)
    image = container(objects)["image"]
    assert ":" in image
    named = {entry["name"]: entry.get("value") for entry in container(objects)["env"]}
    assert named["OPENCODE_SERVER_IMAGE"] == image
    for name, template in pods(objects):
        if "vibe" in name:
            assert {each["image"] for each in _containers(template)} == {image}


@with_kubectl
def test_our_own_reading_of_the_base_is_that_of_kustomize():
    def named(objects: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
        return sorted((each["kind"], each["metadata"]["name"], str(each)) for each in objects)

    ours, theirs = named(BASE), named(built(DEPLOY / "base"))
    assert [each[:2] for each in ours] == [each[:2] for each in theirs]


def test_each_file_is_listed():
    for folder in ("base", *OVERLAYS):
        listed = yaml.safe_load((DEPLOY / folder / "kustomization.yaml").read_text())["resources"]
        files = {path.name for path in (DEPLOY / folder).iterdir()} - {"kustomization.yaml"}
        assert files == {name for name in listed if name.endswith(".yaml")}


def test_everything_that_runs_is_restricted_and_the_board_alone_has_a_token():
    for name, template in pods(KIND):
        expected = ["the service account's token is mounted"] if name == "Deployment vibe" else []
        assert violations(template) == expected, name
    namespaces = [each for each in BASE if each["kind"] == "Namespace"]
    assert len(namespaces) == 2
    assert all(
        each["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
        for each in namespaces
    )


def test_the_names_are_those_that_the_app_uses():
    namespace = Settings.model_fields["kubernetes_namespace"].default
    assert the(BASE, "Role", "vibe")["metadata"]["namespace"] == namespace
    assert the(BASE, "ServiceAccount", names.SERVICE_ACCOUNT)["metadata"]["namespace"] == namespace
    known = {variable(name) for name in Settings.model_fields} | NOT_INSTALLATION
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    ours = [each for _, template in pods(BASE) for each in template["spec"]["containers"]]
    named = {entry["name"] for each in ours for entry in each["env"]}
    assert named | compose["services"]["board"]["environment"].keys() <= known


def test_the_secrets_of_the_docs_are_those_that_are_referred_to():
    references = [
        entry["valueFrom"]["secretKeyRef"]
        for _, template in pods(BASE)
        for each in _containers(template)
        for entry in each["env"]
        if "valueFrom" in entry
    ]
    assert {reference["name"] for reference in references} == {"vibe"}
    wanted = {reference["key"] for reference in references} - {"secret-key-before"}
    assert wanted == set(re.findall(r"--from-literal=([a-z-]+)=", DOCS.read_text()))
    # Only while a key is replaced.
    assert "`secret-key-before` of the Secret `vibe`" in DOCS.read_text()
    optional = {reference["key"] for reference in references if reference.get("optional")}
    assert optional == {"model-api-key", "secret-key-before"}
    trial = the(KIND, "Secret", "vibe")["stringData"].keys()
    assert wanted - trial == {"model-api-key"}


async def test_the_rights_are_what_the_runtime_uses_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vibe_app.workspaces.runtimes.kubernetes.runtime._LOOK_AT_LOG", 0.01)
    async with pretend_house(tmp_path, auto=False, start_timeout=0.5) as house:
        # What an earlier version has left is labelled, and its Secret changed.
        house.api.put(
            "persistentvolumeclaims", earlier(manifests.claim(house.project, house.settings, INSTALLATION))
        )
        spec = spec_of(house.project, epoch=0)
        house.api.put("secrets", earlier(manifests.secret(spec, INSTALLATION)))
        house.api.put("pods", earlier(manifests.pod(spec, house.settings, INSTALLATION)))
        await house.runtime.open(tenancy(house.project))
        await house.runtime.stop(house.project)
        # A clone is watched, a pod without a node explained, a volume found.
        house.api.log_of = lambda pod, container: "Cloning the repository: 1 %.\n"
        start = asyncio.create_task(house.runtime.ensure(spec_of(house.project)))
        await house.api.until(lambda: house.pod in house.api.objects["pods"])
        checkout = {"name": "checkout", "state": {"running": {}}}
        house.api.set_status(house.pod, {"initContainerStatuses": [checkout]})
        await eventually(lambda: house.api.calls[f"GET pods/{house.pod}/log"])
        house.api.set_status(house.pod, {"initContainerStatuses": []})
        with pytest.raises(Unavailable):
            await start
        await house.runtime.stop(house.project, erase=True)
        await house.runtime.close()
        used = {_verb(call) for call in house.api.calls}
    granted = {
        (resource, verb)
        for rule in the(BASE, "Role", "vibe")["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert used == granted


def earlier(manifest: dict[str, Any]) -> dict[str, Any]:
    """What a version made that did not say whose it is."""
    del manifest["metadata"]["labels"][names.INSTALLATION_LABEL]
    return manifest


def _verb(call: str) -> tuple[str, str]:
    method, _, path = call.partition(" ")
    kind, *rest = path.split("/")
    if rest[1:]:
        return f"{kind}/{rest[1]}", "get"
    verbs = {"POST": "create", "PATCH": "patch", "DELETE": "delete", "WATCH": "watch"}
    return kind, verbs.get(method) or ("get" if rest else "list")


def _reaches(rules: list[dict[str, Any]], address: str, port: int) -> bool:
    """Whether some rule of a policy lets out to an address outside of the cluster's own pods."""
    ip = ipaddress.ip_address(address)
    for rule in rules:
        if port not in [each["port"] for each in rule["ports"]]:
            continue
        for block in (peer["ipBlock"] for peer in rule["to"] if "ipBlock" in peer):
            inside = ip in ipaddress.ip_network(block["cidr"])
            if inside and not any(ip in ipaddress.ip_network(part) for part in block.get("except", [])):
                return True
    return False


def test_workspaces_reach_https_and_ssh_outside_and_no_private_range():
    rules = the(BASE, "NetworkPolicy", "workspaces")["spec"]["egress"]
    assert all(rule.get("to") and rule.get("ports") for rule in rules)
    for address in ("1.1.1.1", "140.82.121.4", "2606:4700::1111"):
        assert _reaches(rules, address, 443)
        assert _reaches(rules, address, 22)
        assert not _reaches(rules, address, 80)
    private = ["10.0.0.1", "172.16.0.1", "172.31.255.254", "192.168.1.1", "100.64.0.1", "169.254.169.254"]
    for address in (*private, "127.0.0.1", "fd00::1", "fe80::1", "::1", "::ffff:10.0.0.1", "224.0.0.1"):
        assert not _reaches(rules, address, 443), address
        assert not _reaches(rules, address, 22), address
    assert _reaches(rules, "169.254.20.10", 53)


def test_the_board_alone_reaches_the_services_of_workspaces():
    policy = the(BASE, "NetworkPolicy", "workspaces")
    assert policy["metadata"]["namespace"] == the(BASE, "Role", "vibe")["metadata"]["namespace"]
    assert policy["spec"]["podSelector"] == {}
    (rule,) = policy["spec"]["ingress"]
    services = {containers.FILES, containers.PROXY, containers.SIDECAR, containers.GATEWAY}
    assert {each["port"] for each in rule["ports"]} == services
    (peer,) = rule["from"]
    assert peer["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "vibe"}
    assert peer["podSelector"]["matchLabels"].items() <= board()["metadata"]["labels"].items()
    migrate = the(BASE, "Job", "vibe-migrate")["spec"]["template"]["metadata"]["labels"]
    assert not peer["podSelector"]["matchLabels"].items() <= migrate.items()


def test_service_budget_and_policies_find_the_board():
    labels = board()["metadata"]["labels"].items()
    assert the(BASE, "Service", "vibe")["spec"]["selector"].items() <= labels
    for kind, name in (("PodDisruptionBudget", "vibe"), ("NetworkPolicy", "board"), ("Deployment", "vibe")):
        spec = the(BASE, kind, name)["spec"]
        chosen = spec.get("selector") or spec["podSelector"]
        assert chosen["matchLabels"].items() <= labels
    assert the(BASE, "Deployment", "vibe")["spec"]["replicas"] == 2
    assert container()["livenessProbe"]["httpGet"]["path"] == "/api/health"
    assert container()["readinessProbe"]["httpGet"]["path"] == "/api/ready"


UNITS = {"": 1.0, "m": 1e-3, "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30}


def amount(quantity: str) -> float:
    """Read a quantity of Kubernetes."""
    number, unit = re.fullmatch(r"(\d+)(\w*)", quantity).groups()  # pyright: ignore[reportOptionalMemberAccess]
    return int(number) * UNITS[unit]


def test_twenty_workspaces_fit_into_the_quota_and_each_keeps_to_the_limits():
    quota = the(BASE, "ResourceQuota", "workspaces")["spec"]["hard"]
    limits = {each["type"]: each for each in the(BASE, "LimitRange", "workspaces")["spec"]["limits"]}
    containers = workspace()["spec"]["containers"]
    for key in ("requests", "limits"):
        for what in ("cpu", "memory"):
            one = sum(amount(each["resources"][key][what]) for each in containers)
            assert 20 * one <= amount(quota[f"{key}.{what}"]) < 21 * one
    for each in containers:
        for what, most in limits["Container"]["max"].items():
            assert amount(each["resources"]["limits"][what]) <= amount(most)
    volume = amount(Settings.model_fields["kubernetes_storage"].default)
    assert 100 * volume <= amount(quota["requests.storage"])
    assert volume <= amount(limits["PersistentVolumeClaim"]["max"]["storage"])
    assert int(quota["count/secrets"]) >= int(quota["persistentvolumeclaims"]) >= 100


def test_compose_keeps_the_board_on_a_read_only_root_and_its_data_on_a_volume():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    served = compose["services"]["board"]
    assert served["read_only"] is True
    assert served["cap_drop"] == ["ALL"]
    volumes = [volume for service in compose["services"].values() for volume in service.get("volumes", [])]
    mounted = [volume.split(":") for volume in volumes]
    assert {name for name, _ in mounted} == compose["volumes"].keys()
    assert ["data", "/data"] in mounted
    assert served["depends_on"].keys() == compose["services"].keys() - {"board"}
