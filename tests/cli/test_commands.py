"""The commands that need no server: the database, people, the doctor."""

from __future__ import annotations

import asyncio
import stat

from tests.cli.conftest import EMAIL, PASSWORD, Installation
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from vibe_app.settings import OPENCODE_VERSION

ACCOUNT = ("--email", EMAIL, "--name", "Ada", "--password", PASSWORD)


def test_the_database_is_migrated_and_tells_its_revision(installation: Installation):
    before = installation.vibe("db", "current")
    assert before.returncode == 1
    assert "vibe db upgrade" in before.stdout
    assert installation.vibe("db", "upgrade").returncode == 0
    assert installation.vibe("db", "current").returncode == 0


def test_a_person_is_added_once(installation: Installation):
    early = installation.vibe("user", "add", *ACCOUNT)
    assert early.returncode == 1
    assert "vibe db upgrade" in early.stdout
    installation.vibe("db", "upgrade")
    added = installation.vibe("user", "add", *ACCOUNT, "--admin")
    assert added.returncode == 0
    assert "admin" in added.stdout
    again = installation.vibe("user", "add", *ACCOUNT)
    assert again.returncode == 1
    assert "already" in again.stdout


def test_the_doctor_finds_a_sound_installation_sound(installation: Installation):
    installation.vibe("db", "upgrade")
    report = installation.vibe("doctor", "--port", "0")
    assert report.returncode == 0, report.stdout
    assert f"OpenCode: {OPENCODE_VERSION}" in report.stdout
    assert "rehearsal model" in report.stdout


def test_the_doctor_names_faults_with_their_cures(installation: Installation):
    other = installation.data / "opencode"
    other.write_text("#!/bin/sh\necho 0.1\n")
    other.chmod(other.stat().st_mode | stat.S_IXUSR)
    installation.environment |= {"VIBE_OPENCODE": str(other), "VIBE_MODEL": "anthropic/some-model"}
    installation.environment.pop("ANTHROPIC_API_KEY", None)
    report = installation.vibe("doctor")
    assert report.returncode == 1
    assert f"is version 0.1\n    Vibe is made for {OPENCODE_VERSION}" in report.stdout
    assert "run `vibe db upgrade` first" in report.stdout
    assert "Set ANTHROPIC_API_KEY" in report.stdout


def test_a_setting_that_cannot_be_used_ends_every_command_with_a_sentence(installation: Installation):
    installation.environment["VIBE_PORT"] = "many"
    refused = installation.vibe("doctor")
    assert refused.returncode == 2
    assert "VIBE_PORT" in refused.stdout
    assert "Traceback" not in refused.stdout


def test_a_model_that_could_never_answer_ends_the_start(installation: Installation):
    installation.environment["VIBE_MODEL"] = "foo/bar"
    refused = installation.vibe("serve", "--port", "0")
    assert refused.returncode == 2
    assert "names a provider that is not known here, foo" in refused.stdout
    installation.environment["VIBE_MODEL"] = "openai/some-model"
    installation.environment.pop("OPENAI_API_KEY", None)
    refused = installation.vibe("serve", "--port", "0")
    assert refused.returncode == 2
    assert "openai/some-model cannot be asked without a key: set OPENAI_API_KEY" in refused.stdout


def test_the_doctor_asks_a_cluster_that_is_away(installation: Installation, tmp_path):
    installation.environment |= {
        "VIBE_RUNTIME": "kubernetes",
        "OPENCODE_SERVER_IMAGE": "registry.example.org/vibe:1",
        "VIBE_KUBERNETES_CONFIG": str(tmp_path / "kubeconfig"),
    }
    report = installation.vibe("doctor")
    assert report.returncode == 1
    assert "VIBE_KUBERNETES_CONFIG to a kubeconfig file" in " ".join(report.stdout.split())
    assert "OpenCode:" not in report.stdout


async def test_the_doctor_asks_a_cluster_that_answers(installation: Installation, tmp_path):
    async with FakeApi() as api:
        installation.environment |= {
            "VIBE_RUNTIME": "kubernetes",
            "OPENCODE_SERVER_IMAGE": "registry.example.org/vibe:1",
            "VIBE_KUBERNETES_CONFIG": str(api.kubeconfig(tmp_path)),
        }
        report = await asyncio.to_thread(installation.vibe, "doctor")
    assert "cluster: answers; 0 workspaces run in vibe-workspaces" in report.stdout
