"""The probes: each a function that tries one way out and returns what it got there.

What is planted for them looks like `SECRET-` and sixteen hexadecimal digits; no probe knows the digits, so
whoever returns them has read them. A probe that gets at no text returns `DONE`. One that is refused
raises an OSError or returns nothing.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DONE = "DONE"
SECRET = re.compile(rb"SECRET-[0-9a-f]{16}")
TABLE: dict[str, Probe] = {}


@dataclass(frozen=True)
class Targets:
    """What there is outside, as a probe is told.

    Args:
        data: The data folder.
        workspace: All that the project has: its repository, the base's files, the trees, what is ours.
        tree: The card's own tree.
        home: OpenCode's home.
        given: What OpenCode is handed.
        other: Id of another project.
        person: Home of the user who runs the server.
        scratch: A file in the machine's `/tmp`.
        shared: A file in the machine's `/dev/shm`.
        pid: A process outside.
        opencode: OpenCode's process, as it is numbered outside.
        fd: A file that it has open.
        address: Of a buffer with a secret in its memory.
        ports: Of our loopback, by what listens there.
        everywhere: A port of every address of the machine.
        datagrams: A port of loopback that answers datagrams.
        segment: Key of a segment of shared memory.
        abstract: Name of an abstract socket.
        sockets: Unix sockets by path.
        opencode_port: Where OpenCode answers.
        terminal: The one in which the whole was started.
    """

    data: str
    workspace: str
    tree: str
    home: str
    given: str
    other: str
    person: str
    scratch: str
    shared: str
    pid: int
    opencode: int
    fd: int
    address: int
    ports: dict[str, int]
    everywhere: int
    datagrams: int
    segment: int
    abstract: str
    sockets: dict[str, str]
    opencode_port: int
    terminal: str = ""


@dataclass(frozen=True)
class Probe:
    """One way out.

    Args:
        name: How it is called, also in docs/security.md.
        run: Tries it.
        root: Whether it needs root to succeed anywhere.
        user: Whether it needs another user than root.
        network: Whether it needs addresses that are given to a network namespace of the test's own.
        own_proc: Whether the wall must have a `/proc` of its own for it to be refused.
    """

    name: str
    run: Callable[[Targets], object]
    root: bool = False
    user: bool = False
    network: bool = False
    own_proc: bool = False


def probe(**needs: bool) -> Callable[[Callable[[Targets], object]], Callable[[Targets], object]]:
    """Put a function into the table, under its name."""

    def add(run: Callable[[Targets], object]) -> Callable[[Targets], object]:
        name = run.__name__.removesuffix("_").replace("_", "-")
        TABLE[name] = Probe(name, run, **needs)
        return run

    return add


def found(content: bytes | str) -> str:
    """The secret in what was read; empty where there is none."""
    match = SECRET.search(content.encode() if isinstance(content, str) else content)
    return match[0].decode() if match else ""


def read(path: str | os.PathLike[str]) -> str:
    """The secret in a file.

    Raises:
        OSError: It cannot be read.
    """
    return found(Path(path).read_bytes())


def processes(targets: Targets) -> Iterator[int]:
    """All processes but this one, those that are worth most first."""
    seen = {os.getpid()}
    others = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())
    for pid in (targets.pid, targets.opencode, *others):
        if pid not in seen:
            seen.add(pid)
            yield pid


def first(tries: Iterator[Callable[[], str]] | list[Callable[[], str]]) -> str:
    """What the first try that gets something gets."""
    for each in tries:
        try:
            if got := each():
                return got
        except OSError:
            continue
    return ""


def libc() -> Any:
    """The C library."""
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library.

    Raises:
        OSError: It says that it failed.
    """
    function = getattr(libc(), name)
    function.restype = ctypes.c_long
    result = function(*arguments)
    if result & 0xFFFFFFFF == 0xFFFFFFFF:  # some return an int, of which the upper half says nothing
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {errno.errorcode.get(number, number)}")
    return result


# Numbers of system calls that the C library has no function for, by what `uname -m` says.
_NUMBERS = {
    "x86_64": {
        "add_key": 248,
        "perf_event_open": 298,
        "bpf": 321,
        "userfaultfd": 323,
        "clone": 56,
        "pivot_root": 155,
    },
    "aarch64": {
        "add_key": 217,
        "perf_event_open": 241,
        "bpf": 280,
        "userfaultfd": 282,
        "clone": 220,
        "pivot_root": 41,
    },
}
_EVERYWHERE = {
    "io_uring_setup": 425,
    "open_tree": 428,
    "fsopen": 430,
    "clone3": 435,
    "pidfd_open": 434,
    "pidfd_getfd": 438,
}


def system(name: str, *arguments: Any) -> int:
    """Make a system call.

    Raises:
        OSError: It is refused.
    """
    numbers = _EVERYWHERE | _NUMBERS[os.uname().machine]
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    return call("syscall", ctypes.c_long(numbers[name]), *words)


def in_child(act: Callable[[], object]) -> str:
    """Do something in a child, which it may spoil; return DONE where it raised nothing.

    Raises:
        OSError: It was refused.
    """
    child = os.fork()
    if child == 0:
        code = 255
        try:
            act()
            code = 0
        except OSError as error:
            code = error.errno or 255
        finally:
            os._exit(min(code, 255))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code:
        raise OSError(abs(code), os.strerror(abs(code)))
    return DONE
