"""Which system calls no process behind the wall may make, as a filter for the kernel. Pure.

Namespaces take away what a process could see; this takes away doors in the kernel that no tool of a
developer needs: mounting, new namespaces, keyrings, io_uring, other address families than those of
the network, typing into a terminal, large pieces of System V's shared memory, which belong to no process
that could be held to a limit. It is the second lock where bubblewrap is too old for its
`--disable-userns`.

The program is classic BPF as described in seccomp(2); numbers of calls are those of Linux's
`arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h`.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping
from dataclasses import dataclass

_EPERM, _EINVAL, _ENOSYS, _EAFNOSUPPORT = 1, 22, 38, 97
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
# Offsets in `struct seccomp_data`; of an argument the lower half, and of one the upper (both machines are
# little-endian).
_NUMBER, _MACHINE, _FIRST, _SECOND, _SECOND_ABOVE = 0, 4, 16, 24, 28
_LOAD, _EQUAL, _AT_LEAST, _ANY_OF, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06

# CLONE_NEWTIME is no flag of clone(2), but of unshare(2) and clone3(2).
_NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK. Left out: AF_VSOCK leads to a virtual machine's host.
_FAMILIES = (1, 2, 10, 16)
_X32 = 0x40000000
# Bytes that shmget(2) gives: what PostgreSQL asks for is 56. There can be 4,096 of them.
_SHARED = 64 << 10

# Since Linux 5.0 a new call has the same number everywhere: io_uring, the new mounts, pidfd_getfd.
_EVERYWHERE = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)


@dataclass(frozen=True)
class _Machine:
    mark: int
    clone: int
    ioctl: int
    socket: int
    shmget: int
    denied: tuple[int, ...]


_MACHINES: Mapping[str, _Machine] = {
    "x86_64": _Machine(
        0xC000003E,
        clone=56,
        ioctl=16,
        socket=41,
        shmget=29,
        denied=(
            *(165, 166, 155, 161, 272, 308),  # mount umount2 pivot_root chroot unshare setns
            *(248, 249, 250, 323, 321, 298),  # add_key request_key keyctl userfaultfd bpf perf_event_open
            *(246, 320, 175, 313, 176),  # kexec_load kexec_file_load init_module finit_module delete_module
            *(303, 304, 300),  # name_to_handle_at open_by_handle_at fanotify_init
            *(163, 167, 168, 169, 164, 227),  # acct swapon swapoff reboot settimeofday clock_settime
            *(103, 179, 172, 173, 153, 212),  # syslog quotactl iopl ioperm vhangup lookup_dcookie
        ),
    ),
    "aarch64": _Machine(
        0xC00000B7,
        clone=220,
        ioctl=29,
        socket=198,
        shmget=194,
        denied=(
            *(40, 39, 41, 51, 97, 268),
            *(217, 218, 219, 282, 280, 241),
            *(104, 294, 105, 273, 106),
            *(264, 265, 262),
            *(89, 224, 225, 142, 170, 112),
            *(116, 60, 58, 18),
        ),
    ),
}
_CLONE3 = 435


def program(machine: str = "") -> bytes:
    """Return the filter; empty for a machine that is not known here.

    Args:
        machine: What `uname -m` says; by default this one's.
    """
    known = _MACHINES.get(machine or platform.machine())
    if known is None:
        return b""
    lines = [_line(_LOAD, _MACHINE), _line(_EQUAL, known.mark, 1, 0), _line(_RETURN, _KILL)]
    lines.append(_line(_LOAD, _NUMBER))
    if known.clone == 56:
        lines += _where(_AT_LEAST, _X32, _ENOSYS)
    for number in sorted({*known.denied, *_EVERYWHERE}):
        lines += _where(_EQUAL, number, _EPERM)
    # Its flags lie in memory, where no filter can look: glibc then takes clone(2).
    lines += _where(_EQUAL, _CLONE3, _ENOSYS)
    lines += _call(known.clone, _FIRST, _where(_ANY_OF, _NEW_NAMESPACES, _EPERM))
    lines += _call(
        known.ioctl, _SECOND, [*_where(_EQUAL, _TIOCSTI, _EPERM), *_where(_EQUAL, _TIOCLINUX, _EPERM)]
    )
    allowed = [_line(_EQUAL, family, len(_FAMILIES) - place, 0) for place, family in enumerate(_FAMILIES)]
    lines += _call(known.socket, _FIRST, [*allowed, _line(_RETURN, _ERRNO | _EAFNOSUPPORT)])
    # As where it is more than the system's own limit (SHMMAX).
    lines += _call(known.shmget, _SECOND_ABOVE, _where(_AT_LEAST, 1, _EINVAL))
    lines += _call(known.shmget, _SECOND, _where(_AT_LEAST, _SHARED + 1, _EINVAL))
    return b"".join([*lines, _line(_RETURN, _ALLOW)])


def _where(test: int, value: int, errno: int) -> list[bytes]:
    """Refuse with `errno` where what was loaded passes the test."""
    return [_line(test, value, 0, 1), _line(_RETURN, _ERRNO | errno)]


def _call(number: int, argument: int, body: list[bytes]) -> list[bytes]:
    """Do `body` with an argument of one call loaded, and load the number again."""
    inner = [_line(_LOAD, argument), *body, _line(_LOAD, _NUMBER)]
    return [_line(_EQUAL, number, 0, len(inner)), *inner]


def _line(code: int, value: int, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, true, false, value)
