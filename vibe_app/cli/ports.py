"""The port to listen on: taking it, saying who has it, finding the next."""

from __future__ import annotations

import errno
import socket

from vibe_app.cli.options import Fault

_TRIED = 50


class PortTaken(Exception):
    """Somebody else listens on the port."""


def bind(host: str, port: int) -> socket.socket:
    """Take a port, without listening yet; 0 takes any free one.

    Raises:
        PortTaken: Somebody else has it.
        Fault: The address is none of this machine's, or the port needs more rights.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise _no_such_address(host) from error
    taken = socket.socket(family, socket.SOCK_STREAM)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind(address)
    except OSError as error:
        taken.close()
        raise _bind_fault(error, host, port) from error
    return taken


def _bind_fault(error: OSError, host: str, port: int) -> Exception:
    if error.errno == errno.EADDRINUSE:
        return PortTaken(f"Port {port} is taken by {occupant(port)}.")
    if error.errno == errno.EADDRNOTAVAIL:
        return _no_such_address(host)
    if error.errno == errno.EACCES:
        return Fault(f"Port {port} is reserved for the system. Use one above 1023: --port 8000.", 2)
    return Fault(f"Port {port} of {host} cannot be listened on: {error.strerror}.", 2)


def _no_such_address(host: str) -> Fault:
    return Fault(f"{host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.", 2)


def bind_next(host: str, port: int) -> socket.socket:
    """Take the next free port above `port`.

    Raises:
        Fault: None of the next fifty is free.
    """
    for candidate in range(port + 1, min(port + _TRIED, 65535) + 1):
        try:
            return bind(host, candidate)
        except PortTaken:
            continue
    raise Fault(f"No port from {port} to {port + _TRIED} is free. Choose one with --port.", 2)


def next_free(host: str, port: int) -> int:
    """Return the next free port above `port`."""
    with bind_next(host, port) as found:
        return found.getsockname()[1]


def occupant(port: int) -> str:
    """Say which process listens on the port, as far as this user may see it."""
    import psutil

    try:
        listening = [
            connection.pid
            for connection in psutil.net_connections(kind="tcp")
            if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port
        ]
        pid = next(pid for pid in listening if pid)
        process = psutil.Process(pid)
        return f"{process.name()} (process {pid}: {' '.join(process.cmdline())[:80]})"
    except (psutil.Error, StopIteration):
        return "another user's program"
