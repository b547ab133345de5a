"""Probes of the network."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import struct
import time
from contextlib import suppress
from pathlib import Path

from .table import DONE, Targets, first, found, probe, processes, read

METADATA = ("169.254.169.254", "fd00:ec2::254", "100.100.100.200")


def _ask(address: str, port: int) -> str:
    with socket.create_connection((address, port), timeout=2) as connection:
        return found(connection.recv(100))


def _listening(name: str) -> None:
    def run(targets: Targets) -> str:
        return _ask("127.0.0.1", targets.ports[name])

    run.__name__ = f"port_of_{name}"
    probe()(run)


for _name in ("the_board", "the_database", "another_sidecar", "the_file_browser", "the_session_proxy"):
    _listening(_name)
_listening("the_gateways_control")


@probe()
def loopback_by_version_6(targets: Targets) -> str:
    addresses = ("::1", "::ffff:127.0.0.1", "::")
    return first([lambda address=address: _ask(address, targets.everywhere) for address in addresses])


@probe()
def loopback_in_other_words(targets: Targets) -> str:
    addresses = ("127.1", "127.7.7.7", "0.0.0.0", "0", "0x7f000001", "2130706433")
    return first([lambda address=address: _ask(address, targets.everywhere) for address in addresses])


@probe(network=True)
def the_machines_own_address(targets: Targets) -> str:
    return _ask("10.251.7.1", targets.everywhere)


@probe(network=True)
def metadata(targets: Targets) -> str:
    return first([lambda address=address: _ask(address, targets.everywhere) for address in METADATA])


@probe()
def datagrams(targets: Targets) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sent:
        sent.settimeout(2)
        sent.sendto(b"x", ("127.0.0.1", targets.datagrams))
        return found(sent.recv(100))


@probe(network=True)
def dns(targets: Targets) -> str:
    """A question to a name server, as every program asks it."""
    question = b"\0\1\1\0\0\1\0\0\0\0\0\0\7example\3com\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sent:
        sent.settimeout(2)
        sent.sendto(question, ("10.251.7.1", targets.datagrams))
        return found(sent.recv(200))


@probe(network=True)
def interfaces(targets: Targets) -> str:
    """Which addresses the machine has, by netlink."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.settimeout(2)
        kernel.send(struct.pack("<IHHIIB3x", 20, 22, 0x301, 1, 0, socket.AF_INET))
        return DONE if bytes([10, 251, 7, 1]) in kernel.recv(65536) else ""


def _family(name: str, kind: int, number: int, protocol: int = 0, **needs: bool) -> None:
    def run(targets: Targets) -> str:
        socket.socket(number, kind, protocol).close()
        return DONE

    run.__name__ = f"{name}_sockets"
    probe(**needs)(run)


_family("raw", socket.SOCK_RAW, socket.AF_INET, 1, root=True)
_family("packet", socket.SOCK_RAW, 17, root=True)
_family("vsock", socket.SOCK_STREAM, 40)


@probe()
def abstract_socket(targets: Targets) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(2)
        connection.connect("\0" + targets.abstract)
        return found(connection.recv(100))


def _asked(targets: Targets, method: str, path: str, body: object = None) -> str:
    """What OpenCode answers without a password, or with any that can be found."""
    passwords = [""]
    for pid in processes(targets):
        with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
            variables = dict(pair.partition(b"=")[::2] for pair in file.read().split(b"\0"))
            passwords.append(variables.get(b"OPENCODE_SERVER_PASSWORD", b"").decode())
    for password in dict.fromkeys(passwords):
        token = base64.b64encode(f"opencode:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", targets.opencode_port, timeout=8)
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        if answer.status == 200:
            return answer.read().decode()
    return ""


@probe()
def opencode_api(targets: Targets) -> str:
    """Its configuration, with what is secret in it."""
    return DONE if _asked(targets, "GET", "/config") else ""


@probe()
def terminal_of_opencode(targets: Targets) -> str:
    """A shell that OpenCode opens itself: with its whole environment, and without the guard of commands."""
    told = Path(targets.home, "told")
    shell = {"command": "/bin/sh", "args": ["-c", f"env >{told}.tmp; mv {told}.tmp {told}; sleep 5"]}
    if not _asked(targets, "POST", "/pty", shell):
        return ""
    deadline = time.monotonic() + 8
    while time.monotonic() < deadline:
        if told.exists():
            return read(told)
        time.sleep(0.05)
    return ""
