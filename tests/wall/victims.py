"""A process outside the wall that holds secrets in every way that a probe tries: standard library only.

`python3 victims.py PLAN`, where the file PLAN says what is to be held; prints where it is, then waits.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import signal
import socket
import sys
import threading
from pathlib import Path

_PR_SET_PTRACER = 0x59616D61


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    secrets = iter(plan["secrets"])
    data = Path(plan["data"])
    os.chdir(data)
    signal.signal(signal.SIGUSR1, lambda *_: Path(plan["signalled"]).touch())
    libc = ctypes.CDLL(None, use_errno=True)
    # Where Yama restricts it, so that the twin does not fail for that.
    libc.prctl(_PR_SET_PTRACER, ctypes.c_ulong(-1), 0, 0, 0)
    held = ctypes.create_string_buffer(next(secrets).encode(), 64)
    gone = (data / "gone").open("w+")
    gone.write(next(secrets))
    gone.flush()
    os.unlink(data / "gone")
    named = (data / next(secrets)).open("w+b")
    named.write(bytes(4096))
    named.flush()
    mapped = mmap.mmap(named.fileno(), 4096)
    segment = libc.shmget(plan["segment"], 64, 0o1600)
    libc.shmat.restype = ctypes.c_void_p
    shared = ctypes.c_void_p(libc.shmat(segment, None, 0))
    ctypes.memmove(shared, next(secrets).encode() + b"\0", 24)
    secret = next(secrets).encode()
    ports = {name: tcp(secret, "127.0.0.1") for name in plan["ports"]}
    everywhere = tcp(secret, "::")
    sent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sent.bind(("0.0.0.0", 0))
    threading.Thread(target=echo, args=(sent, secret), daemon=True).start()
    for path in ["\0" + plan["abstract"], *plan["sockets"].values()]:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen()
        threading.Thread(target=answer, args=(listening, secret), daemon=True).start()
    said = {
        "pid": os.getpid(),
        "fd": gone.fileno(),
        "address": ctypes.addressof(held),
        "ports": ports,
        "everywhere": everywhere,
        "datagrams": sent.getsockname()[1],
    }
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()
    sys.stdin.read()
    libc.shmctl(segment, 0, None)  # IPC_RMID
    mapped.close()


def tcp(secret: bytes, address: str) -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    if family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listening.bind((address, 0))
    listening.listen()
    threading.Thread(target=answer, args=(listening, secret), daemon=True).start()
    return listening.getsockname()[1]


def answer(listening: socket.socket, secret: bytes) -> None:
    while True:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(secret)


def echo(sent: socket.socket, secret: bytes) -> None:
    while True:
        _, address = sent.recvfrom(1000)
        sent.sendto(secret, address)


main()
