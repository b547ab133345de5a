"""A workspace's pod, run by podman from the image as the manifest describes it.

Podman's own `kube play` knows neither parts of volumes nor volumes of one pod alone, so each
container is started by itself. Probes are not run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.image.boards import STRICT
from tests.podman import Podman

Json = dict[str, Any]


class Pod:
    """One pod.

    Args:
        podman: What runs it.
        manifest: What it is.
        secrets: The values of the Secret that it refers to.
        folder: Holds its volumes.
    """

    def __init__(self, podman: Podman, manifest: Json, secrets: Mapping[str, str], folder: Path) -> None:
        self._podman = podman
        self._spec: Json = manifest["spec"]
        self._secrets = secrets
        self._folder = folder
        self.name: str = manifest["metadata"]["name"]

    def start(self) -> None:
        """Run what comes first to its end, and start the others."""
        self._podman("pod", "create", "--name", self.name, "--infra-image", self._image)
        for spec in self._spec["initContainers"]:
            self._run(spec, "--rm")
        for spec in self._spec["containers"]:
            self._run(spec, "--detach")

    @property
    def _image(self) -> str:
        return self._spec["containers"][0]["image"]

    @property
    def ip(self) -> str:
        """Where it is reached from this machine."""
        infra = self._podman.inspect(self.name)["InfraContainerID"]
        networks: dict[str, Json] = self._podman.inspect(infra)["NetworkSettings"]["Networks"]
        return next(iter(networks.values()))["IPAddress"]

    def container(self, name: str) -> str:
        """What podman calls one of its containers."""
        return f"{self.name}-{name}"

    def state(self, name: str) -> Json:
        """What podman says of the state of one of its containers."""
        return self._podman.inspect(self.container(name))["State"]

    def remove(self) -> None:
        """End and remove all of it."""
        self._podman("pod", "rm", "--force", "--time", "0", "--ignore", self.name)

    def _run(self, spec: Json, how: str) -> None:
        program, *arguments = spec["command"]
        user = self._spec["securityContext"]
        words = [
            *("run", how, "--pod", self.name, "--name", self.container(spec["name"])),
            *(word for word in STRICT if word not in ("--tmpfs", "/tmp:mode=1777")),
            *("--user", f"{user['runAsUser']}:{user['runAsGroup']}"),
            *("--memory", spec["resources"]["limits"]["memory"].replace("i", "").lower()),
            *(word for entry in spec["env"] for word in ("--env", f"{entry['name']}={self._value(entry)}")),
            *(word for mount in spec["volumeMounts"] for word in ("--volume", self._mount(mount))),
            *("--entrypoint", program, spec["image"], *arguments),
        ]
        self._podman(*words, timeout=120)

    def _value(self, entry: Json) -> str:
        if "value" in entry:
            return entry["value"]
        return self._secrets[entry["valueFrom"]["secretKeyRef"]["key"]]

    def _mount(self, mount: Json) -> str:
        folder = self._folder / mount["name"] / mount.get("subPath", "")
        if not folder.exists():
            folder.mkdir(parents=True)
            # A kubelet does so for the pod's fsGroup.
            os.chown(folder, 0, self._spec["securityContext"]["fsGroup"])
            folder.chmod(0o2775)
        return f"{folder}:{mount['mountPath']}"
