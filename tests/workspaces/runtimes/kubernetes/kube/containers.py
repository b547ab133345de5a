"""Containers for tests: real processes, each in namespaces of its own, without any image.

The machine's own system and this checkout stand in for the image. What the manifest says of
user, capabilities, read-only root, volumes, memory limit and environment is kept by the kernel.
It needs root, and the tools `ip`, `unshare`, `setpriv` and `chroot`.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[5]
USER = 10001
OPENCODE = Path("/opt/opencode-for-tests/opencode")
_CGROUP = Path("/sys/fs/cgroup/memory")
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "usr", "etc")
_TOOLS = ("ip", "unshare", "setpriv", "chroot", "mount")
_WORDS = 2048


def why_not() -> str | None:
    """Why containers cannot be run on this machine; None if they can."""
    if os.geteuid() != 0:
        return "they need root"
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        return f"they need {', '.join(missing)} (Debian: iproute2, util-linux)"
    return None


@dataclass(frozen=True)
class Mount:
    """A folder or file of the machine, inside a container."""

    source: Path
    target: str
    read_only: bool = False


class Container:
    """One running container.

    Args:
        name: For folders and control groups; unique on this machine.
        folder: For its root, its log and its last words.
        network: The network namespace that it joins.
        command: What it runs.
        env: Its environment.
        mounts: Its volumes.
        opencode: What it finds as OpenCode.
        memory: Bytes that it may use; 0 for no limit.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        network: str,
        command: Sequence[str],
        env: Mapping[str, str],
        mounts: Sequence[Mount],
        opencode: Path,
        memory: int = 0,
    ) -> None:
        self._folder = folder
        self._network = network
        self._command = list(command)
        self._env = dict(env)
        self._mounts = list(mounts)
        self._opencode = opencode
        self._group = _CGROUP / name if memory and _CGROUP.is_dir() else None
        self._memory = memory
        self._process: asyncio.subprocess.Process | None = None
        self.log = folder / "log"

    async def start(self) -> None:
        """Start its first process."""
        self._folder.mkdir(parents=True, exist_ok=True)
        words = self._folder / "termination-log"
        words.write_text("")
        words.chmod(0o666)
        script = self._folder / "start"
        script.write_text(self._script())
        namespaces = ("--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child=SIGKILL")
        isolated = ("ip", "netns", "exec", self._network, "unshare", *namespaces, "/bin/sh", str(script))
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *("/bin/sh", "-ec", f"{self._limit()} exec {shlex.join(isolated)}"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def wait(self) -> int:
        """Return its exit status once it has ended, however that came."""
        assert self._process is not None
        killer = asyncio.create_task(self._kill_when_out_of_memory())
        try:
            status = await self._process.wait()
        finally:
            killer.cancel()
        return status if status >= 0 else 128 - status

    @property
    def out_of_memory(self) -> bool:
        """Whether the kernel had to end a process of it."""
        if self._group is None or not (control := self._group / "memory.oom_control").exists():
            return False
        return "oom_kill 0" not in control.read_text().splitlines()

    def words(self) -> str:
        """Its termination message, or else the end of its log."""
        told = (self._folder / "termination-log").read_text()
        return told or self.log.read_bytes()[-_WORDS:].decode("utf-8", "replace")

    @property
    def unlimited(self) -> bool:
        """Whether this machine cannot keep its memory limit."""
        return self._group is None

    def runs(self, argument: str) -> bool:
        """Whether some process of it was started with this argument."""
        for pid in self.pids():
            with suppress(psutil.Error):
                if argument in psutil.Process(pid).cmdline():
                    return True
        return False

    def pids(self) -> list[int]:
        """Its processes, as this machine numbers them; the first is its first."""
        if self._process is None:
            return []
        try:
            return [child.pid for child in psutil.Process(self._process.pid).children(recursive=True)]
        except psutil.Error:
            return []

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its first process."""
        for pid in self.pids()[:1]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                return

    def kill(self) -> None:
        """End all of it at once."""
        if self._process is not None and self._process.returncode is None:
            self.send(signal.SIGKILL)
            # asyncio's own `kill` would first collect a process that has ended, behind its back.
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)

    async def forget(self) -> None:
        """Kill what is left of it, and remove its control group once nothing is."""
        self.kill()
        if self._process is not None:
            await self._process.wait()
        for _ in range(200):
            if self._group is None or not self._group.is_dir():
                return
            try:
                return self._group.rmdir()
            except OSError:  # the kernel has not buried all of its processes yet
                await asyncio.sleep(0.01)

    async def _kill_when_out_of_memory(self) -> None:
        """Do as the kernel does where a container's control group ends as a whole (version 2)."""
        while self._group is not None:
            if self.out_of_memory:
                return self.kill()
            await asyncio.sleep(0.05)

    def _limit(self) -> str:
        if self._group is None:
            return ""
        group = shlex.quote(str(self._group))
        size, tasks = f"{group}/memory.limit_in_bytes", f"{group}/cgroup.procs"
        return f"mkdir -p {group}; echo {self._memory} > {size}; echo $$ > {tasks};"

    def _script(self) -> str:
        root = self._folder / "root"
        root.mkdir(exist_ok=True)
        lines = ["set -e", "umask 022"]
        lines += ["mount --make-rprivate /", f"mount -t tmpfs -o mode=755 tmpfs {root}", f"cd {root}"]
        for name in _SYSTEM:
            place = Path("/") / name
            if place.is_symlink():
                lines.append(f"ln -s {os.readlink(place)} {name}")
            elif place.is_dir():
                lines += _bind(place, f"/{name}", read_only=True)
        lines += [
            "mkdir -p proc dev/shm",
            "mount -t proc proc proc",
            "mount -t tmpfs -o mode=1777 tmpfs dev/shm",
        ]
        for device in ("null", "zero", "full", "random", "urandom"):
            lines += [f"touch dev/{device}", f"mount --bind /dev/{device} dev/{device}"]
        lines.append("ln -s /proc/self/fd dev/fd")
        image = [Mount(path, str(path), read_only=True) for path in _image()]
        image.append(Mount(self._opencode, str(OPENCODE), read_only=True))
        words = Mount(self._folder / "termination-log", "/dev/termination-log")
        # A checkout may lie below a volume's place, such as /tmp: what stands in for the image comes last.
        for mount in (*sorted(self._mounts, key=lambda mount: mount.target), *image, words):
            lines += _bind(mount.source, mount.target, read_only=mount.read_only)
        lines.append("mount -o remount,ro .")
        variables = [f"{name}={value}" for name, value in self._env.items()]
        user = f"--reuid {USER} --regid {USER} --groups {USER}"
        drop = "--no-new-privs --inh-caps=-all --bounding-set=-all"
        command = shlex.join([*variables, *self._command])
        lines.append(f"exec chroot . /usr/bin/setpriv {user} {drop} /usr/bin/env -i {command}")
        return "\n".join(lines) + "\n"


def _bind(source: Path, target: str, *, read_only: bool) -> list[str]:
    place = shlex.quote(target.lstrip("/"))
    make = f"mkdir -p {place}" if source.is_dir() else f"mkdir -p $(dirname {place}); touch {place}"
    lines = [make, f"mount --rbind {shlex.quote(str(source))} {place}"]
    if read_only:
        lines.append(f"mount -o remount,bind,ro {place}")
    return lines


def _image() -> list[Path]:
    """What stands in for the image beside the system: Python, its packages, the project."""
    parts = [Path(sys.base_prefix), Path(sys.prefix), ROOT / "vibe_app"]
    return [part for part in parts if not part.is_relative_to("/usr")]


def image_env(opencode: Path = OPENCODE) -> dict[str, str]:
    """The environment that the image would bring."""
    path = f"{Path(sys.prefix) / 'bin'}:/usr/local/bin:/usr/bin:/bin"
    return {
        "PATH": path,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(ROOT),
        "VIBE_OPENCODE": str(opencode),
    }
