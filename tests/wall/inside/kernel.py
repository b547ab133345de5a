"""Probes of the kernel's own doors."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import socket
import struct
import termios
from collections.abc import Callable

from .table import DONE, Targets, call, first, in_child, probe, system

NEWNS, NEWUSER, NEWPID, NEWNET = 0x20000, 0x10000000, 0x20000000, 0x40000000


@probe()
def new_user_namespace(targets: Targets) -> str:
    return in_child(lambda: call("unshare", NEWUSER))


@probe()
def clone_with_a_user_namespace(targets: Targets) -> str:
    """clone(2) itself: what unshare(2) refuses may pass there."""
    child = system("clone", NEWUSER | 17, 0, 0, 0, 0)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return DONE


@probe()
def clone3_with_a_user_namespace(targets: Targets) -> str:
    """Its flags lie in memory, where no filter can look."""
    arguments = ctypes.create_string_buffer(struct.pack("<11Q", NEWUSER, 0, 0, 0, 17, 0, 0, 0, 0, 0, 0))
    child = system("clone3", arguments, 88)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return DONE


@probe(root=True)
def other_namespaces(targets: Targets) -> str:
    return in_child(lambda: call("unshare", NEWNS | NEWNET))


@probe()
def join_a_namespace(targets: Targets) -> str:
    """setns(2) to a network that one may join, which is one's own once one has a user namespace."""

    def join() -> None:
        call("unshare", NEWUSER | NEWNET)
        call("setns", os.open("/proc/self/ns/net", os.O_RDONLY), NEWNET)

    return in_child(join)


@probe(root=True)
def namespaces_of_processes(targets: Targets) -> str:
    """The network and the mounts of a process outside."""

    def join() -> None:
        call("setns", os.open(f"/proc/{targets.pid}/ns/mnt", os.O_RDONLY), NEWNS)

    return in_child(join)


def _as_owner(act: object) -> str:
    def go() -> None:
        call("unshare", NEWUSER | NEWNS)
        act()  # type: ignore[operator]

    return in_child(go)


@probe()
def mount(targets: Targets) -> str:
    return _as_owner(lambda: call("mount", b"none", b"/tmp", b"tmpfs", 0, None))


@probe()
def new_mount_calls(targets: Targets) -> str:
    """open_tree(2), by which what is mounted over can be looked under."""
    return _as_owner(lambda: system("open_tree", -100, b"/", 0x8001))


@probe()
def chroot(targets: Targets) -> str:
    return _as_owner(lambda: os.chroot(targets.home))


@probe()
def pivot_root(targets: Targets) -> str:
    def go() -> None:
        call("mount", b"none", b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
        call("mount", b"none", targets.home.encode(), b"tmpfs", 0, None)
        system("pivot_root", targets.home.encode(), targets.home.encode())

    return _as_owner(go)


@probe()
def unmount(targets: Targets) -> str:
    """Take away what lies over a folder, to see what is below."""

    def go() -> None:
        call("mount", b"none", targets.home.encode(), b"tmpfs", 0, None)
        call("umount2", targets.home.encode(), 2)

    return _as_owner(go)


@probe()
def keyring(targets: Targets) -> str:
    system("add_key", b"user", b"vibe-probe", b"x", 1, -2)
    return DONE


@probe()
def io_uring(targets: Targets) -> str:
    os.close(system("io_uring_setup", 1, ctypes.create_string_buffer(120)))
    return DONE


@probe()
def userfaultfd(targets: Targets) -> str:
    os.close(system("userfaultfd", 1))
    return DONE


@probe(root=True)
def bpf(targets: Targets) -> str:
    """BPF_MAP_CREATE of an array."""
    attributes = ctypes.create_string_buffer(struct.pack("<4I", 2, 4, 4, 1) + bytes(112))
    os.close(system("bpf", 0, attributes, 128))
    return DONE


@probe()
def perf(targets: Targets) -> str:
    """A counter of this process's own time, as everybody may have one."""
    head = struct.pack("<IIQQQQQ", 1, 112, 1, 0, 0, 0, (1 << 5) | (1 << 6))
    os.close(system("perf_event_open", ctypes.create_string_buffer(head + bytes(128)), 0, -1, -1, 0))
    return DONE


@probe()
def file_handles(targets: Targets) -> str:
    """name_to_handle_at(2): the first half of opening files by their numbers."""
    handle = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0) + bytes(128))
    for path in (targets.tree, "/usr", "/etc"):
        try:
            call("name_to_handle_at", -100, path.encode(), handle, ctypes.byref(ctypes.c_int()), 0)
        except OSError as error:
            if error.errno != 95:  # EOPNOTSUPP
                raise
        else:
            return DONE
    return ""


@probe(root=True)
def kernel_settings(targets: Targets) -> str:
    """Opened for writing and left as they are."""
    names = ("core_pattern", "hostname", "modprobe")
    return first([lambda name=name: _opened(f"/proc/sys/kernel/{name}") for name in names])


@probe(root=True)
def kernel_log(targets: Targets) -> str:
    call("klogctl", 3, ctypes.create_string_buffer(4096), 4096)
    return DONE


@probe(root=True)
def host_name(targets: Targets) -> str:
    socket.sethostname(socket.gethostname())
    return DONE


def _opened(path: str) -> str:
    os.close(os.open(path, os.O_WRONLY))
    return DONE


def _in_a_terminal(act: Callable[[], object]) -> str:
    """Do something whose standard input is a terminal of this probe's own."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            act()
        except OSError:
            os._exit(1)
        os._exit(0)
    try:
        return DONE if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0 else ""
    finally:
        os.close(terminal)


@probe()
def typing_into_a_terminal(targets: Targets) -> str:
    """TIOCSTI, as if somebody had typed."""
    return _in_a_terminal(lambda: fcntl.ioctl(0, termios.TIOCSTI, b"x"))


@probe()
def pasting_into_a_terminal(targets: Targets) -> str:
    """TIOCLINUX, by which what is selected is typed. One that is no console answers that."""

    def paste() -> None:
        try:
            fcntl.ioctl(0, 0x541C, b"\3")
        except OSError as error:
            if error.errno not in (errno.ENOTTY, errno.EINVAL):
                raise

    return _in_a_terminal(paste)


@probe()
def terminal_of_the_keeper(targets: Targets) -> None:
    """Write to where whoever started all this sits. It is seen there whether something came."""
    terminal = os.open(targets.terminal, os.O_WRONLY | os.O_NOCTTY)
    os.write(terminal, b"written by an agent")
