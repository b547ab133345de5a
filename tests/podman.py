"""Podman for the tests of the container image: found or brought, with settings and images of its own.

Nothing of the machine's own podman is used or changed. Settings come by two variables of the
environment; images are kept in `build/podman`, so that only what changed is built anew. The base
image comes from its registry, or, where that cannot be reached, from Debian's packages: then it is
Debian's own Python 3.11 under the other's name.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
BASE = "docker.io/library/python:3.11-slim-bookworm"
IMAGE = "localhost/vibe-under-test"
# runc, as Debian's crun cannot use what some machines have for control groups.
_PACKAGES = ("podman", "runc", "netavark", "aardvark-dns", "iptables", "mmdebstrap")
_PROGRAMS = ("podman", "runc")
_SETTINGS = """\
[containers]
default_ulimits = ["nofile={files}:{files}", "nproc={processes}:{processes}"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""
_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "{folder}/images"
runroot = "{folder}/run"
"""


class PodmanMissing(Exception):
    """Containers cannot be run on this machine; the message says why."""


def why_not() -> str | None:
    """Why the image cannot be tested on this machine; None if it can."""
    if os.geteuid() != 0:
        return "that needs root"
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if not missing:
        return None
    return f"there is no {' and no '.join(missing)} (`make test-cluster` brings Debian's)"


def bring() -> str:
    """Return where podman is, installing Debian's if there is none.

    Raises:
        PodmanMissing: It cannot be had.
    """
    if (
        os.geteuid() == 0
        and (why_not() or not shutil.which("mmdebstrap"))
        and (apt := shutil.which("apt-get"))
    ):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", *_PACKAGES]):
            subprocess.run([apt, "-q", *command], env=environment, capture_output=True, check=False)
    if reason := why_not():
        raise PodmanMissing(reason)
    return shutil.which("podman") or ""


class Podman:
    """Podman with settings and images of its own.

    Args:
        folder: Where both are kept.
    """

    def __init__(self, folder: Path = ROOT / "build" / "podman") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        settings, storage = folder / "containers.conf", folder / "storage.conf"
        # Podman asks for more than a machine may give; it cannot raise what it was given itself.
        _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
        most = int(Path("/proc/sys/kernel/pid_max").read_text())
        settings.write_text(_SETTINGS.format(files=min(files, 1 << 20), processes=most))
        storage.write_text(_STORAGE.format(folder=folder))
        self.env = {
            **os.environ,
            "CONTAINERS_CONF": str(settings),
            "CONTAINERS_STORAGE_CONF": str(storage),
        }

    def __call__(self, *arguments: str, timeout: float = 60) -> str:
        """Run podman and return what it prints.

        Raises:
            PodmanMissing: It fails; with its last words.
        """
        done = self.run(*arguments, timeout=timeout)
        if done.returncode:
            raise PodmanMissing(f"podman {' '.join(arguments)} failed: {done.stderr.strip()[-2000:]}")
        return done.stdout.strip()

    def run(self, *arguments: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run podman to its end, whatever that is."""
        return subprocess.run(
            ["podman", *arguments],
            env=self.env,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    def inspect(self, what: str) -> dict[str, Any]:
        """What podman says of a container or an image."""
        return json.loads(self("inspect", what))[0]

    @property
    def gateway(self) -> str:
        """This machine's end of the network that containers are in; it is there while one of them runs."""
        return json.loads(self("network", "inspect", "podman"))[0]["subnets"][0]["gateway"]

    def base(self) -> str:
        """Have the image that everything is built from, and return where it is from.

        Of several processes one brings it, and the others find it there.

        Raises:
            PodmanMissing: Neither its registry nor Debian's packages can be had.
        """
        with (self.folder / "base.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return self._base()

    def _base(self) -> str:
        if self.run("image", "exists", BASE).returncode == 0:
            return f"{BASE} is there"
        # A network that swallows what is sent to a registry is one without it.
        with suppress(subprocess.TimeoutExpired):
            if self.run("pull", "--quiet", BASE, timeout=300).returncode == 0:
                return f"{BASE}, from its registry"
        archive = self.folder / "base.tar"
        try:
            done = subprocess.run(_debootstrap(archive), capture_output=True, text=True, timeout=900)
            if done.returncode:
                raise PodmanMissing(
                    f"{BASE} cannot be had, and Debian's packages neither: {done.stderr.strip()[-1000:]}"
                )
            self("import", "--quiet", str(archive), BASE, timeout=300)
        except FileNotFoundError as error:
            raise PodmanMissing(f"{BASE} cannot be had, and there is no mmdebstrap to replace it.") from error
        except subprocess.TimeoutExpired as error:
            raise PodmanMissing(f"{BASE} cannot be had, and Debian's packages not within 15 min.") from error
        finally:
            archive.unlink(missing_ok=True)
        return f"a stand-in for {BASE}, of Debian's packages"

    def build(self) -> str:
        """Build the project's image as `make image` does, and return its name.

        Raises:
            PodmanMissing: There is no base image.
            AssertionError: It cannot be built.
        """
        self.base()
        began = datetime.now(UTC).isoformat()
        before = self.run("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout
        done = subprocess.run(
            [sys.executable, str(ROOT / "tools" / "image.py"), "--tag", IMAGE],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        if self.run("image", "inspect", "--format", "{{.Id}}", IMAGE).stdout != before:
            # What earlier builds left; the stages of this one are what the next begins from.
            self("image", "prune", "--force", "--filter", f"until={began}", timeout=300)
        return IMAGE


def _debootstrap(archive: Path) -> list[str]:
    """The command that makes the root of an image from Debian's packages, as an archive."""
    unused = ("doc", "man", "locale")
    return [
        *("mmdebstrap", "--quiet", "--variant=apt", "--include=python3,ca-certificates"),
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in unused),
        '--customize-hook=ln -s /usr/bin/python3 "$1/usr/local/bin/python"',
        *("bookworm", str(archive)),
    ]
