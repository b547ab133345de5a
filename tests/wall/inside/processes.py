"""Probes of what other processes hold."""

from __future__ import annotations

import ctypes
import os
import re
import resource
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from .table import DONE, Targets, call, first, found, libc, probe, processes, read, system


@probe()
def environ(targets: Targets) -> str:
    return first(lambda pid=pid: read(f"/proc/{pid}/environ") for pid in processes(targets))


@probe()
def environ_of_opencode(targets: Targets) -> str:
    """Whoever has OpenCode's password among what is visible: OpenCode, bubblewrap, the shell before it."""

    def password(pid: int) -> str:
        for pair in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            if pair.startswith(b"OPENCODE_SERVER_PASSWORD="):
                return found(pair)
        return ""

    return first(lambda pid=pid: password(pid) for pid in processes(targets))


@probe(own_proc=True)
def command_lines(targets: Targets) -> str:
    return first(lambda pid=pid: read(f"/proc/{pid}/cmdline") for pid in processes(targets))


@probe()
def memory(targets: Targets) -> str:
    """Through /proc/*/mem, whatever of it is readable and writable."""

    def search(pid: int) -> str:
        areas = Path(f"/proc/{pid}/maps").read_text().splitlines()
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
            for area in areas:
                start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", area).groups()
                if not rights.startswith("rw"):
                    continue
                with suppress(OSError):
                    file.seek(int(start, 16))
                    if got := found(file.read(min(int(end, 16) - int(start, 16), 16 << 20))):
                        return got
        return ""

    return first(lambda pid=pid: search(pid) for pid in processes(targets))


@probe()
def memory_of_opencode(targets: Targets) -> str:
    """As gcore would take it: all that OpenCode may write, its stack first."""
    pid = os.environ["OPENCODE_PID"]
    areas = [line.split() for line in Path(f"/proc/{pid}/maps").read_text().splitlines()]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as file:
        for area in sorted(areas, key=lambda area: area[-1] != "[stack]"):
            start, end = (int(number, 16) for number in area[0].split("-"))
            if area[1].startswith("rw"):
                with suppress(OSError):
                    file.seek(start)
                    if got := found(file.read(min(end - start, 16 << 20))):
                        return got
    return ""


@probe()
def process_vm_readv(targets: Targets) -> str:
    class Area(ctypes.Structure):
        _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))

    buffer = ctypes.create_string_buffer(64)
    here = Area(ctypes.cast(buffer, ctypes.c_void_p), 64)
    there = Area(targets.address, 64)
    call("process_vm_readv", targets.pid, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
    return found(buffer.raw)


@probe()
def ptrace(targets: Targets) -> str:
    """PTRACE_ATTACH to anybody, and let go again."""

    def attach(pid: int) -> str:
        call("ptrace", 16, pid, None, None)
        os.waitpid(pid, 0x40000000)
        call("ptrace", 17, pid, None, None)
        return DONE

    return first([lambda: attach(targets.pid)])


@probe()
def ptrace_opencode(targets: Targets) -> str:
    """The same with every process that can be seen, but those of the probes themselves."""

    def attach(pid: int) -> str:
        if b"python" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return ""
        if "opencode" not in os.readlink(f"/proc/{pid}/exe"):
            return ""
        call("ptrace", 0x4206, pid, None, None)  # PTRACE_SEIZE stops nobody
        return DONE

    return first(lambda pid=pid: attach(pid) for pid in processes(targets))


@probe()
def open_files(targets: Targets) -> str:
    def look(pid: int) -> str:
        fds = [f"/proc/{pid}/fd/{number}" for number in os.listdir(f"/proc/{pid}/fd")]
        regular = [fd for fd in fds if os.path.isfile(fd)]
        return first(lambda fd=fd: read(fd) for fd in regular)

    return first(lambda pid=pid: look(pid) for pid in processes(targets))


@probe()
def root_of_processes(targets: Targets) -> str:
    secret = f"root{targets.data}/secret.key"
    return first(lambda pid=pid: read(f"/proc/{pid}/{secret}") for pid in processes(targets))


@probe()
def cwd_of_processes(targets: Targets) -> str:
    return first(lambda pid=pid: read(f"/proc/{pid}/cwd/secret.key") for pid in processes(targets))


@probe()
def maps(targets: Targets) -> str:
    return first(lambda pid=pid: read(f"/proc/{pid}/maps") for pid in processes(targets))


@probe()
def pidfd_getfd(targets: Targets) -> str:
    other = system("pidfd_open", targets.pid, 0)
    taken = system("pidfd_getfd", other, targets.fd, 0)
    return found(os.pread(taken, 100, 0))


@probe()
def kill(targets: Targets) -> None:
    """It is seen outside whether the signal came: the process leaves a file."""
    os.kill(targets.pid, signal.SIGUSR1)


@probe()
def limits_of_processes(targets: Targets) -> str:
    """Take a process outside its limits: a core dump, for one."""
    if Path(f"/proc/{targets.pid}/comm").read_text() != Path("/proc/self/comm").read_text():
        return ""  # somebody else has its number here
    resource.prlimit(targets.pid, resource.RLIMIT_CORE, (0, 0))
    return DONE


@probe(user=True)
def setuid(targets: Targets) -> str:
    """A program that becomes root for whoever runs it."""
    with subprocess.Popen(["passwd"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as program:
        try:
            for _ in range(1000):
                status = Path(f"/proc/{program.pid}/status").read_text()
                if "Name:\tpasswd" in status:
                    break
            uids = next(line for line in status.splitlines() if line.startswith("Uid:")).split()[1:]
            return DONE if uids[1] == "0" else ""
        finally:
            with suppress(OSError):
                program.kill()


@probe(root=True)
def capabilities(targets: Targets) -> str:
    """What root alone may: give a file away."""
    path = Path(targets.home, "given-away")
    path.write_text("")
    os.chown(path, 12345, 12345)
    return DONE


@probe()
def shared_memory(targets: Targets) -> str:
    """A segment of System V."""
    segment = call("shmget", targets.segment, 64, 0)
    attach = libc().shmat
    attach.restype = ctypes.c_void_p
    if (address := attach(segment, None, 0o10000)) is None or ctypes.c_long(address).value == -1:
        return ""
    return found(ctypes.string_at(address, 64))
