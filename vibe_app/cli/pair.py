"""`vibe sidecar-and-gateway`: two services in one container of a workspace's pod, each a process of its own.

Neither is of use without the other: whichever ends, the other is ended too, and the container with them, to
be started again by the cluster. Each is given its own part of the environment; the providers' keys come to
the gateway by its control API and stand in no environment at all.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping

import click

_GRACE = 5.0
_ROOM = "vibe_app.workspace_services"
_GATEWAYS = ("GATEWAY_TOKEN", "JOURNAL_DIR", "MODEL_PORT", "CONTROL_PORT", "PROXY_PORT")
_SIDECARS = ("OPENCODE_SERVER_PASSWORD", "REHEARSAL_KEY", "SIDECAR_TOKEN")


def environments(env: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return what each of the two is started with, by its module.

    Raises:
        ValueError: A variable is missing.
    """
    if missing := [name for name in (*_GATEWAYS, "SIDECAR_TOKEN") if not env.get(name)]:
        raise ValueError(f"{', '.join(missing)} must be set")
    gateway = {name: value for name, value in env.items() if name not in _SIDECARS}
    gateway |= {"PORT": gateway.pop("MODEL_PORT"), "CONTROL_TOKEN": env["SIDECAR_TOKEN"]}
    sidecar = {name: value for name, value in env.items() if name not in _GATEWAYS}
    return {f"{_ROOM}.gateway": gateway, f"{_ROOM}.sidecar": sidecar}


@click.command("sidecar-and-gateway", hidden=True)
def sidecar_and_gateway() -> None:
    """Run the sidecar and the gateway of a workspace's pod, until either ends."""
    try:
        wanted = environments(os.environ)
    except ValueError as error:
        sys.stderr.write(f"{error}.\n")
        raise SystemExit(2) from None
    asked: list[int] = []
    children: list[subprocess.Popen[bytes]] = []

    def end(number: int, _: object) -> None:
        asked.append(number)
        for child in children:
            _send(child.pid)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    for module, env in wanted.items():
        children.append(subprocess.Popen([sys.executable, "-P", "-m", module], env=env))
    if asked:
        end(asked[0], None)
    status = _first_to_end(children)
    for child in children:
        _send(child.pid)
    for child in children:
        try:
            child.wait(_GRACE)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    raise SystemExit(0 if asked else status or 1)


def _first_to_end(children: list[subprocess.Popen[bytes]]) -> int:
    """Wait until one of them has ended; return its status, as a shell says it."""
    while True:
        # As the first process of a container it also collects what nobody else does.
        found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert found is not None
        child = next((each for each in children if each.pid == found.si_pid), None)
        if child is None:
            os.waitpid(found.si_pid, 0)
            continue
        status = child.wait()
        return status if status >= 0 else 128 - status


def _send(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
