"""What a workspace is made of, held against the published schemas, the restricted profile, the contract."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import kubernetes_validate
import pytest

from tests.specs import keys_of, spec_of
from tests.workspaces.runtimes.kubernetes.kube.restricted import violations
from vibe_app.addresses import Credential
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.kubernetes import containers, manifests, names

PROJECT = UUID("0b8f7c5e-6c0f-4d0a-9b0e-7d3c2a1b4e5f")
MODEL_KEY = "sk-the-provider-s-key"
INSTALLATION = UUID("a5d0a2c4-6f55-4f0e-8b3a-2f1f7f0f9c11")
VERSIONS = ["1.29", "1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"]


def settings(**more: Any) -> Any:
    """Settings of an installation on a cluster."""
    given = {"opencode_server_image": "registry.example.org/vibe:1"} | more
    return load_settings(data=Path("/nonexistent"), runtime="kubernetes", **given)


def pod(repo_url: str | None = None, **more: Any) -> dict[str, Any]:
    return manifests.pod(spec_of(PROJECT, repo_url), settings(**more), INSTALLATION)


def claim(**more: Any) -> dict[str, Any]:
    return manifests.claim(PROJECT, settings(**more), INSTALLATION)


def secret(*repository: Any) -> dict[str, Any]:
    return manifests.secret(spec_of(PROJECT, *repository), INSTALLATION)


def everything() -> list[dict[str, Any]]:
    return [
        pod("https://example.org/team/repo.git"),
        pod(model="openai/gpt-5", model_base_url="https://models.example.org/v1"),
        claim(),
        claim(kubernetes_storage_class="fast", kubernetes_storage="500Mi"),
        secret(),
    ]


def container(name: str) -> dict[str, Any]:
    return next(each for each in pod()["spec"]["containers"] if each["name"] == name)


def env(name: str) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container(name)["env"] if "value" in entry}


def given_secrets(name: str) -> set[str]:
    return {
        entry["valueFrom"]["secretKeyRef"]["key"] for entry in container(name)["env"] if "valueFrom" in entry
    }


def test_the_versions_of_kubernetes_are_all_that_are_known_since_1_29():
    folder = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    known = {tuple(map(int, path.name.strip("v").split(".")[:2])) for path in folder.glob("v*")}
    assert [f"{major}.{minor}" for major, minor in sorted(known) if (major, minor) >= (1, 29)] == VERSIONS


@pytest.mark.parametrize("version", VERSIONS)
def test_everything_keeps_to_the_schema(version):
    for manifest in everything():
        kubernetes_validate.validate(manifest, version, strict=True)


def test_the_schema_notices_a_field_that_is_not_one():
    broken = pod()
    broken["spec"]["containers"][0]["comand"] = ["vibe"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(broken, VERSIONS[-1], strict=True)


def test_the_pod_keeps_to_the_restricted_profile():
    assert violations(pod()) == []


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("hostNetwork", True),
        ("shareProcessNamespace", True),
        ("securityContext", {"runAsUser": 0}),
        ("volumes", [{"name": "workspace", "hostPath": {"path": "/"}}]),
    ],
)
def test_the_check_of_the_profile_finds_what_breaks_it(place, value):
    broken = pod()
    broken["spec"][place] = value
    assert violations(broken)


def test_names_and_labels_are_those_of_the_contract():
    made = pod()
    assert made["metadata"]["name"] == f"opencode-{PROJECT}"
    assert (
        made["metadata"]["labels"].items() >= {"app": "opencode-server", "project-id": str(PROJECT)}.items()
    )
    assert made["spec"]["serviceAccountName"] == "opencode-pod-sa"
    assert [each["name"] for each in made["spec"]["containers"]] == [
        "opencode-server",
        "file-browser",
        "session-proxy",
        "opencode-server-sidecar",
    ]
    assert claim()["metadata"]["name"] == f"opencode-workspace-{PROJECT}"
    volume = next(each for each in made["spec"]["volumes"] if each["name"] == "workspace")
    assert volume["persistentVolumeClaim"]["claimName"] == claim()["metadata"]["name"]


def test_every_container_has_the_workspace_and_one_image():
    for each in pod()["spec"]["containers"]:
        whole = {"name": "workspace", "mountPath": "/workspace", "subPath": "workspace"}
        assert whole in [
            {key: value for key, value in mount.items() if key != "readOnly"}
            for mount in each["volumeMounts"]
        ]
        assert each["image"] == "registry.example.org/vibe:1"
        assert each["resources"].keys() == {"requests", "limits"}


def test_resources_and_probes_are_those_of_the_contract():
    assert container("opencode-server")["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "2", "memory": "2Gi"},
    }
    sidecar = container("opencode-server-sidecar")
    assert sidecar["resources"] == {
        "requests": {"cpu": "200m", "memory": "256Mi"},
        "limits": {"cpu": "500m", "memory": "512Mi"},
    }
    times = {"timeoutSeconds": 3, "failureThreshold": 3}
    assert sidecar["livenessProbe"] == {
        "httpGet": {"path": "/health", "port": 3003},
        "initialDelaySeconds": 15,
        "periodSeconds": 10,
        **times,
    }
    assert sidecar["readinessProbe"] == {
        "httpGet": {"path": "/ready", "port": 3003},
        "initialDelaySeconds": 10,
        "periodSeconds": 5,
        **times,
    }


def test_resources_of_opencode_can_be_set():
    made = pod(opencode_requests="cpu=1, memory=1Gi", opencode_limits="memory=4Gi")["spec"]["containers"][0]
    assert made["resources"] == {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "4Gi"}}


def test_ports_are_those_of_the_contract_and_opencode_s_own_is_not_among_them():
    ports = {
        each["name"]: [p["containerPort"] for p in each.get("ports", [])]
        for each in pod()["spec"]["containers"]
    }
    assert ports == {
        "opencode-server": [],
        "file-browser": [3001],
        "session-proxy": [3002],
        "opencode-server-sidecar": [3003, 3005],
    }
    assert env("opencode-server")["PORT"] == "3000"


def test_no_two_services_of_a_pod_want_the_same_port():
    """Its containers share an address."""
    names = (
        *("OPENCODE", "FILES", "PROXY", "SIDECAR", "MODEL", "GATEWAY", "NETWORK", "SWEEPER"),
        *("SERVER", "MODEL_DOOR"),
    )
    assert len({getattr(containers, name) for name in names}) == len(names)


def test_no_secret_is_in_the_pod_itself():
    written = json.dumps(pod(model_api_key=MODEL_KEY))
    mine = keys_of(PROJECT)
    for value in (mine.token, mine.password, mine.rehearsal_key, mine.model_token, MODEL_KEY):
        assert value not in written


def test_each_container_is_given_its_own_secrets_and_no_others():
    assert given_secrets("opencode-server") == {"password", "model-token"}
    assert given_secrets("file-browser") == {"token"}
    assert given_secrets("session-proxy") == {"token", "password"}
    assert given_secrets("opencode-server-sidecar") == {
        *("token", "password", "rehearsal-key"),
        "model-token",
    }
    data = secret()["data"]
    assert data.keys() == {"token", "password", "rehearsal-key", "model-token", "repository"}
    # The provider's key comes to the gateway by its control API.
    assert MODEL_KEY not in [base64.b64decode(value).decode() for value in data.values()]


def test_only_the_container_that_clones_is_given_the_repository_and_the_pod_does_not_name_it():
    repository = ("https://example.org/r.git", "next", Credential("me", "ghp_0123456789"))
    described = manifests.pod(spec_of(PROJECT, *repository), settings(), INSTALLATION)
    first = described["spec"]["initContainers"][0]
    given = [entry["valueFrom"]["secretKeyRef"]["key"] for entry in first["env"] if "valueFrom" in entry]
    assert given == ["repository"]
    assert "r.git" not in json.dumps(described)
    assert "ghp_" not in json.dumps(described)
    assert described == pod()
    held = json.loads(base64.b64decode(secret(*repository)["data"]["repository"]))
    assert held == {
        "url": "https://example.org/r.git",
        "branch": "next",
        "credential": ["me", "ghp_0123456789"],
    }


def test_the_gateway_s_journal_is_seen_by_its_own_container_alone():
    holders = [
        (each["name"], mount["mountPath"])
        for each in pod()["spec"]["containers"]
        for mount in each["volumeMounts"]
        if mount["name"] == "workspace" and mount["subPath"].split("/")[0] not in ("workspace", "opencode")
    ]
    assert holders == [("opencode-server-sidecar", "/gateway")]
    assert env("opencode-server-sidecar")["JOURNAL_DIR"] == "/gateway"


def test_containers_share_no_processes_and_no_temporary_files():
    spec = pod()["spec"]
    assert not spec.get("shareProcessNamespace")
    temporary = [
        mount["name"]
        for each in (*spec["containers"], *spec["initContainers"])
        for mount in each["volumeMounts"]
        if mount["mountPath"] == "/tmp"
    ]
    assert len(set(temporary)) == len(temporary) == 5


def test_everything_names_the_installation_that_it_is_of():
    for manifest in everything():
        assert manifest["metadata"]["labels"][names.INSTALLATION_LABEL] == str(INSTALLATION)


def marks(**more: Any) -> dict[str, str]:
    return pod(**more)["metadata"]["annotations"]


def test_a_pod_says_with_which_settings_and_in_which_epoch_it_was_started():
    assert marks() == marks()
    for change in (
        {"opencode_server_image": "another"},
        {"opencode_limits": "cpu=1"},
    ):
        assert marks(**change)[names.SETTINGS_MARK] != marks()[names.SETTINGS_MARK]
        assert marks(**change)[names.KEYS_MARK] == marks()[names.KEYS_MARK]
    later = manifests.pod(spec_of(PROJECT, epoch=2), settings(), INSTALLATION)["metadata"]["annotations"]
    assert later[names.EPOCH_MARK] == "2"
    assert later[names.KEYS_MARK] != marks()[names.KEYS_MARK]
    assert later[names.SETTINGS_MARK] == marks()[names.SETTINGS_MARK]


def test_the_app_s_start_on_this_machine_does_not_pay_for_the_cluster():
    code = (
        "import sys, vibe_app.wiring as w; from vibe_app.settings import load_settings;"
        " w.build(load_settings(secret_key='x' * 32));"
        " sys.exit(bool({'kubernetes', 'aiohttp'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


def test_each_container_can_write_what_it_is_for():
    written = {
        each["name"]: {
            mount["mountPath"]
            for mount in each["volumeMounts"]
            if mount["mountPath"].startswith("/workspace") and not mount.get("readOnly")
        }
        for each in pod()["spec"]["containers"]
    }
    assert written == {
        "opencode-server": {"/workspace/tasks"},
        "file-browser": {"/workspace"},
        "session-proxy": set(),
        "opencode-server-sidecar": {"/workspace/.opencode"},
    }


def test_where_git_works_it_has_room():
    assert container("file-browser")["resources"]["limits"] == {"cpu": "2", "memory": "1Gi"}


def test_where_the_agent_runs_what_it_is_handed_can_only_be_read():
    by_name = {each["name"]: each["volumeMounts"] for each in pod()["spec"]["containers"]}
    only_read = {mount["mountPath"] for mount in by_name["opencode-server"] if mount.get("readOnly")}
    assert only_read == {"/given", "/home/agent/.opencode", "/workspace"}
    assert {"name": "given", "mountPath": "/given"} in by_name["opencode-server-sidecar"]
    assert {"name": "given", "mountPath": "/given"} in pod()["spec"]["initContainers"][0]["volumeMounts"]
