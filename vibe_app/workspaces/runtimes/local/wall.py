"""The wall around a local workspace: what is seen behind it, and whether it can be had here. Starts nothing.

It is the whole wall or none. Behind it are the project's own files, a home, a read-only system
and a loopback of its own; no data folder, no other project, no other process, no secret. The
keeper (`keeper.py`) puts it up with bubblewrap. Facts about bubblewrap are those of bwrap(1) and were
tried with 0.8.0; options that an older one does not know are left out where the filter of system calls
(`seccomp.py`) holds the same door.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from vibe_app.settings import Settings
from vibe_app.workspaces.runtimes.layout import Layout
from vibe_app.workspaces.runtimes.local import seccomp

_TRIAL = 20.0
_SUID_DUMPABLE = Path("/proc/sys/fs/suid_dumpable")
_SMALL, _LARGE = 64 << 20, 1 << 30
# Older ones cannot be told the modes and sizes of what they make.
_NEEDED = ("--args", "--info-fd", "--block-fd", "--ro-bind-data", "--perms", "--size", "--seccomp")
# Folders that are empty and writable behind the wall: what is bound below them needs a floor of its own.
_SCRATCH = (Path("/tmp"), Path("/var/tmp"), Path("/run"), Path("/dev/shm"))
# Programs and their libraries: seen whole, and the same for all.
_SYSTEM = (Path("/usr"), *(Path("/", name) for name in ("bin", "sbin", "lib", "lib64", "lib32")))
# Of /etc what programs need, and nothing that may hold a key or a password.
_ETC = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "crypto-policies", "debian_version"),
    *("fonts", "gai.conf", "host.conf", "inputrc", "java-*", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "magic", "maven", "mime.types", "nsswitch.conf", "os-release", "perl", "protocols"),
    *("pki/ca-trust", "pki/tls/certs", "python3*", "services", "ssl/cert.pem", "ssl/certs"),
    *("ssl/openssl.cnf", "terminfo", "timezone"),
)


@dataclass(frozen=True)
class Wall:
    """A wall that can be put up on this machine.

    Args:
        bubblewrap: Path of the program.
        options: What it knows.
        own_proc: Whether it may show only what runs behind the wall. Where a container forbids that,
            the container's `/proc` is shown read-only: command lines are seen there, and nothing else.
    """

    bubblewrap: str
    options: frozenset[str]
    own_proc: bool


@dataclass(frozen=True)
class NoWall:
    """Why none can be had here, and what mends that: a sentence each."""

    reason: str
    cure: str


def find(settings: Settings) -> Wall | NoWall:
    """Try to put a wall up, around nothing. It takes some 50 ms and blocks, the first time in a process."""
    data = settings.data.resolve()
    if shown := next((path for path in _SYSTEM if data.is_relative_to(path)), None):
        return NoWall(
            f"the data folder {data} lies in {shown}, which agents see.", "Move it elsewhere (VIBE_DATA)."
        )
    return _find(os.environ.get("PATH", os.defpath), settings.tools)


@cache
def _find(path: str, tools: Path) -> Wall | NoWall:
    if not os.path.isdir("/proc/self/ns"):
        return NoWall("only Linux has what it is made of.", "Run the server on Linux, or in its container.")
    if _tells_all():
        return NoWall(
            "fs.suid_dumpable is 1: the memory of programs that nobody may read can be read, OpenCode's too.",
            "Set it to 0: sudo sysctl fs.suid_dumpable=0.",
        )
    program = shutil.which("bwrap", path=path) or shutil.which("bwrap", path=str(tools))
    if program is None:
        return NoWall(
            "bubblewrap is not installed.",
            "Install it (Debian, Ubuntu: sudo apt install bubblewrap; Fedora: sudo dnf install bubblewrap).",
        )
    told = _run([program, "--help"])
    options = frozenset(re.findall(r"--[a-z-]+", told.stdout + told.stderr))
    if missing := [option for option in _NEEDED if option not in options]:
        return NoWall(
            f"{program} is too old: it does not know {', '.join(missing)}.",
            "Install bubblewrap 0.6 or newer.",
        )
    words = ""
    for own_proc in (True, False):
        wall = Wall(program, options, own_proc)
        if not (_forbids_namespaces(wall) or seccomp.program()):
            continue
        tried = _run(
            [program, *_namespaces(wall), *_system(wall), "--remount-ro", "/", "--", "/bin/bash", "-c", ":"]
        )
        if tried.returncode == 0:
            return wall
        words = words or " ".join(tried.stderr.split())[-300:].rstrip(".")
    return NoWall(f"bubblewrap is refused: {words or 'it says nothing'}.", _cure(words))


def _tells_all() -> bool:
    """Whether Linux leaves the memory of a program that may be run and not read to its user (proc(5))."""
    try:
        return _SUID_DUMPABLE.read_text().strip() == "1"
    except OSError:
        return False


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TRIAL,
            env={"PATH": os.defpath},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 1, "", str(error))


def _cure(words: str) -> str:
    """What most likely mends a refusal."""
    if "uid map" in words or "RTM_NEWADDR" in words:
        # Ubuntu 24.04 and later: https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces
        return (
            "Give bubblewrap an AppArmor profile that allows user namespaces (docs/deployment.md),"
            " or set kernel.apparmor_restrict_unprivileged_userns=0."
        )
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return (
            "Start the container with the options of deploy/compose.yaml"
            " (the seccomp profile deploy/seccomp.json, and no AppArmor profile)."
        )
    return "Allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone)."


def arguments(
    wall: Wall,
    layout: Layout,
    programs: Sequence[Path],
    reads: Sequence[Path],
    caches: Sequence[tuple[Path, Path]],
) -> tuple[list[str], list[str]]:
    """Return bubblewrap's arguments before and after the files that exist behind the wall alone.

    Args:
        wall: How it is put up.
        layout: Where OpenCode works and what it is handed; every folder of it is there.
        programs: Files outside of the system that are to be run or read.
        reads: Further folders and files that are seen as they are, read-only.
        caches: Folders that the project has for itself: where it is seen, and where it lies.
    """
    read = [*programs, *reads, layout.given, layout.workspace]
    written = [layout.tasks, layout.home]
    shown = [*read, *written, *(seen for seen, _ in caches)]
    floors = sorted({floor for path in shown if (floor := _floor(path))})
    words = [*_namespaces(wall), *_system(wall)]
    for floor in floors:
        words += ["--size", str(_SMALL), "--tmpfs", str(floor)]
    for path in read:
        words += ["--ro-bind", str(path), str(path)]
    for path in written:
        words += ["--bind", str(path), str(path)]
    for seen, lies in caches:
        words += ["--bind", str(lies), str(seen)]
    for seen, lies in layout.covered.items():
        words += ["--ro-bind", str(lies), str(seen)]
    last = [word for floor in floors for word in ("--remount-ro", str(floor))]
    return words, [*last, "--remount-ro", "/", "--chdir", str(layout.given)]


def data(layout: Layout) -> dict[str, str]:
    """The files that exist behind the wall alone: who is there, and which hosts."""
    user, group = os.getuid(), os.getgid()
    return {
        "/etc/passwd": f"agent:x:{user}:{group}::{layout.home}:/bin/bash\n",
        "/etc/group": f"agent:x:{group}:\n",
        "/etc/hosts": "127.0.0.1 localhost vibe\n",
    }


def seccomp_filter() -> str:
    """The filter of system calls in hexadecimal; empty for a machine that has none."""
    return seccomp.program().hex()


def _namespaces(wall: Wall) -> list[str]:
    words = ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    words += [
        "--unshare-net",
        "--hostname",
        "vibe",
        "--new-session",
        "--die-with-parent",
        "--cap-drop",
        "ALL",
    ]
    return words + (["--disable-userns"] if _forbids_namespaces(wall) else [])


def _forbids_namespaces(wall: Wall) -> bool:
    """Whether bubblewrap refuses new user namespaces itself, for which it needs a `/proc/sys` of its own."""
    return wall.own_proc and "--disable-userns" in wall.options


def _system(wall: Wall) -> list[str]:
    """What of the machine is seen: its programs, read-only, and empty scratch folders."""
    words = ["--ro-bind", "/usr", "/usr"]
    for path in _SYSTEM[1:]:
        if path.is_symlink():
            words += ["--symlink", os.readlink(path), str(path)]
        elif path.is_dir():
            words += ["--ro-bind", str(path), str(path)]
    for path in _etc():
        words += ["--ro-bind", str(path), str(path)]
    if wall.own_proc:
        # The kernel's own settings could be written by their owner, where the board runs as root.
        settings = (f"/proc/{name}" for name in ("sys", "sysrq-trigger", "irq", "bus", "fs", "acpi", "scsi"))
        words += ["--proc", "/proc"]
        words += [word for path in settings for word in ("--ro-bind-try", path, path)]
    else:
        words += ["--ro-bind", "/proc", "/proc"]
    words += ["--dev", "/dev", "--size", str(_LARGE), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    for size, folder in ((_LARGE, "/tmp"), (_LARGE, "/var/tmp"), (_SMALL, "/run")):
        words += ["--size", str(size), "--tmpfs", folder]
    return words


def _etc() -> Iterator[Path]:
    for name in _ETC:
        yield from sorted(Path("/etc").glob(name))


def _floor(path: Path) -> Path | None:
    """The first folder of a path below a scratch folder. One that could be renamed could be exchanged."""
    for scratch in _SCRATCH:
        if path.is_relative_to(scratch):
            below = path.relative_to(scratch).parts
            return scratch / below[0] if len(below) > 1 else None
    return None
