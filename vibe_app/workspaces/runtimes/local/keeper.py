"""Keeps one sandbox: starts bubblewrap, joins its network to ours at named ports, ends with it.

`python -P -S -m vibe_app.workspaces.runtimes.local.keeper`, with a plan (`Plan`, as JSON) on its
standard input. It outlives the app, and is the process by which the local runtime knows OpenCode:
who kills it ends all that is behind the wall, and it ends as that ended. Standard library only,
as one of it runs beside each workspace.

bubblewrap alone makes namespaces, which is what systems allow to it that allow it to nobody else.
A fork of the keeper joins the network namespace, opens the ports there through which the outside
is reached, hands them back, and from then on passes on what comes for OpenCode from outside.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import json
import os
import platform
import re
import resource
import shlex
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from vibe_app.workspaces.runtimes.local import groups
from vibe_app.workspaces.runtimes.local.bounds import (
    MOST_PROCESSES,
    Bounds,
    Limits,
    crowd,
    eldest,
    population,
)
from vibe_app.workspaces.runtimes.relay import listen, lives, serve

# Seconds between two glances, and glances between two looks; so many new processes are a reason to look.
_GLANCE, _GLANCES, _STORM = 0.05, 20, 100
# Above so many no single one can be caught any more.
_OUT_OF_HAND = 1000
# Above what `bounds` ends with a sentence: for what is faster than its looks. OpenCode may have more
# than its commands: it falls over where it can start no thread.
_MOST_FORKS, _MOST_OF_COMMANDS = 512, 440
# ioctl_ns(2), setns(2), prctl(2)
_NS_GET_USERNS = 0xB701
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
# Of -1000 to 1000: where memory is short, the kernel ends this before it ends the board.
_EXPENDABLE = "500"


@dataclass(frozen=True)
class Plan:
    """What is to be kept.

    Args:
        bubblewrap: Its path.
        arguments: Its arguments up to the command.
        data: Files that exist behind the wall alone: path and text.
        last: Further arguments, after those for the files.
        filter: The seccomp filter in hexadecimal; empty for none.
        before: What is run behind the wall before the command, without its secrets.
        command: What is run behind the wall.
        secrets: Variables for it that stand in nobody's start environment.
        port: Where OpenCode listens behind the wall, and is reached outside, on loopback.
        outward: Ports of our loopback that are reached behind the wall at the same number.
        memory: MiB that all behind the wall may have; 0 is not bounded.
        disk: MiB that `folders` may have; 0 is not bounded.
        folders: Where the agent writes.
        notices: Where a line is added for each command that was ended for its greed.
    """

    bubblewrap: str
    arguments: list[str]
    data: dict[str, str]
    last: list[str]
    filter: str
    before: list[str]
    command: list[str]
    secrets: dict[str, str]
    port: int
    outward: list[int]
    memory: int
    disk: int
    folders: list[str]
    notices: str

    def to_json(self) -> bytes:
        """The plan as the keeper reads it."""
        return json.dumps(asdict(self)).encode()


def main() -> int:
    """Keep the sandbox until it ends; return what it ended with."""
    plan = Plan(**json.loads(sys.stdin.buffer.read()))
    _leave_no_core()
    _libc("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
    try:
        listener = listen(plan.port)
    except OSError as error:
        sys.stderr.write(f"port {plan.port}: {error.strerror}\n")
        return 1
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE)
    bubblewrap, inside, go = _start(plan)
    if inside is None:
        return bubblewrap.wait() or 1
    # Of what the looks allow and somewhat more, as they end what is greedy with a sentence.
    group = groups.make(plan.memory + plan.memory // 8, _MOST_FORKS)
    if group:
        group.take(bubblewrap.pid, inside)
    ours, theirs = socket.socketpair()
    relay = os.fork()
    if relay == 0:
        os.close(go)
        ours.close()
        _be_relay(plan, inside, listener, theirs)
    theirs.close()
    listener.close()
    doors = [socket.socket(fileno=number) for number in _received(ours, len(plan.outward))]
    if len(doors) < len(plan.outward):
        sys.stderr.write("the sandbox's network could not be joined\n")
        bubblewrap.kill()
        return 1
    os.write(go, b"1")
    os.close(go)
    with suppress(OSError):
        # Where we may: to come to our turn when there is a storm.
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    status = asyncio.run(_keep(plan, bubblewrap, relay, inside, doors))
    if group:
        group.remove()
    if status > 128:
        # As it ended, so do we: whoever watches asks for the signal.
        with suppress(ValueError, OSError):
            signal.signal(status - 128, signal.SIG_DFL)
        os.kill(os.getpid(), status - 128)
    return status


def _leave_no_core() -> None:
    """Have nothing that crashes here leave its memory behind, in a file or to a program of the machine's.

    A limit of one byte is the one that Linux keeps to for programs as well (fs/coredump.c).
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    least = min(most, 1) if most != resource.RLIM_INFINITY else 1
    resource.setrlimit(resource.RLIMIT_CORE, (least, least))


def _start(plan: Plan) -> tuple[subprocess.Popen[bytes], int | None, int]:
    """Start bubblewrap, held before its command; return it, the first process inside, and what lets it go."""
    info, told = os.pipe()
    held, go = os.pipe()
    kept = [told, held]

    def content(text: bytes) -> str:
        number = os.memfd_create("vibe", 0)
        os.write(number, text)
        os.lseek(number, 0, os.SEEK_SET)
        kept.append(number)
        return str(number)

    # Not in the environment: bubblewrap's own would stay readable behind the wall. bash reads it.
    secrets, written = os.pipe()
    os.write(written, "".join(f"{name}={value}\n" for name, value in plan.secrets.items()).encode())
    os.close(written)
    kept.append(secrets)
    words = [*plan.arguments, "--info-fd", str(told), "--block-fd", str(held)]
    for path, text in plan.data.items():
        words += ["--perms", "0444", "--ro-bind-data", content(text.encode()), path]
    if plan.filter:
        words += ["--seccomp", content(bytes.fromhex(plan.filter))]
    words += plan.last
    # A file, so that no path of the machine stands in a command line behind the wall.
    arguments = content(b"".join(word.encode() + b"\0" for word in words))
    # bash and no plain one, which would read BASH_ENV and forget the secrets again.
    read = f'while IFS= read -r line; do export "$line"; done <&{secrets}; exec {secrets}<&-'
    before = f"{shlex.join(plan.before)} {secrets}<&-; " if plan.before else ""
    script = f'{before}{read}; {_bounded(plan)}exec "$@"'
    command = ["--", "/bin/bash", "-pc", script, "opencode", *plan.command]
    child = subprocess.Popen(
        [plan.bubblewrap, "--args", arguments, *command], stdin=subprocess.DEVNULL, pass_fds=kept
    )
    for number in kept:
        os.close(number)
    with os.fdopen(info, "rb") as file:
        said = file.read()
    try:
        return child, int(json.loads(said)["child-pid"]), go
    except (ValueError, KeyError):
        return child, None, go


def _bounded(plan: Plan) -> str:
    """What the kernel itself refuses: one file larger than all files may be, and a storm of processes."""
    words = f"ulimit -f {plan.disk << 10}; " if plan.disk else ""
    # Older kernels count all processes of the user, on the whole machine.
    release = tuple(map(int, re.findall(r"[0-9]+", platform.release())[:2]))
    forks = f"ulimit -u {_MOST_FORKS}; export VIBE_PROCESSES={_MOST_OF_COMMANDS}; "
    return words + forks if release >= (5, 14) else words


async def _keep(
    plan: Plan, bubblewrap: subprocess.Popen[bytes], relay: int, inside: int, doors: list[socket.socket]
) -> int:
    """Serve the doors and look after the limits until the sandbox ends; return its status."""
    loop = asyncio.get_running_loop()
    over: asyncio.Future[int] = loop.create_future()

    def ended(pid: int) -> None:
        _, raw = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(raw)
        if not over.done():
            over.set_result(code if code >= 0 else 128 - code)

    for pid in (bubblewrap.pid, relay):
        watched = os.pidfd_open(pid)
        loop.add_reader(watched, lambda pid=pid, fd=watched: (loop.remove_reader(fd), ended(pid)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda n=number: over.done() or over.set_result(128 + n))
    limits = Limits(plan.memory, plan.disk, folders=tuple(map(Path, plan.folders)))
    bounds = Bounds(limits, Path(plan.notices))
    watchers = [
        *(asyncio.create_task(serve(door, port)) for door, port in zip(doors, plan.outward, strict=True)),
        asyncio.create_task(_watch(bounds, bubblewrap.pid)),
        asyncio.create_task(_look_out(bubblewrap, inside)),
    ]
    try:
        return await over
    finally:
        for watcher in watchers:
            watcher.cancel()
        for pid in (bubblewrap.pid, relay):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


async def _watch(bounds: Bounds, sandbox: int) -> None:
    while True:
        seen = crowd()
        for _ in range(_GLANCES):
            await asyncio.sleep(_GLANCE)
            if crowd() > seen + _STORM:
                break
        await asyncio.to_thread(bounds.check, sandbox)


async def _look_out(bubblewrap: subprocess.Popen[bytes], inside: int) -> None:
    """End everything behind the wall at one stroke where processes multiply faster than they can be ended."""
    while True:
        await asyncio.sleep(_GLANCE)
        if crowd() > _OUT_OF_HAND and population(inside) > _OUT_OF_HAND:
            sys.stderr.write(
                f"More than {_OUT_OF_HAND} processes ran in the workspace ({MOST_PROCESSES} may):"
                " everything in it was ended.\n"
            )
            bubblewrap.kill()
            return


def _be_relay(plan: Plan, inside: int, listener: socket.socket, theirs: socket.socket) -> NoReturn:
    """Join the sandbox's network, hand its doors over, and pass on what comes for OpenCode from outside."""
    _libc("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    network = os.open(f"/proc/{inside}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    # The sandbox's owner has all rights in there, once it is there.
    _libc("setns", owner, _CLONE_NEWUSER)
    _libc("setns", network, _CLONE_NEWNET)
    os.close(owner)
    os.close(network)
    doors = [listen(port) for port in plan.outward]
    socket.send_fds(theirs, [b"x"], [door.fileno() for door in doors])
    for door in doors:
        door.close()
    theirs.close()

    opencode = 0

    async def to_opencode(_: socket.socket) -> bool:
        """Whether OpenCode, the first that ran, still does: else who took its port would get its password."""
        nonlocal opencode
        found = eldest(inside)
        # Nothing else listens before it does.
        opencode = opencode or found
        return found == opencode and lives(found)

    async def pass_on() -> None:
        await serve(listener, plan.port, to_opencode)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    asyncio.run(pass_on())
    os._exit(0)


def _received(ours: socket.socket, count: int) -> list[int]:
    try:
        _, numbers, _, _ = socket.recv_fds(ours, 1, max(1, count))
    except OSError:
        return []
    finally:
        ours.close()
    return numbers


def _libc(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    sys.exit(main())
