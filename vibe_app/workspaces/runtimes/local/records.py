"""What the local runtime writes down about a running workspace, to find it again after its own death.

One file for each workspace. It says what was started, not what still runs.
"""

from __future__ import annotations

import json
import os
import socket
from enum import StrEnum
from pathlib import Path
from uuid import UUID

import psutil
from pydantic import BaseModel, Field, ValidationError

from vibe_app.workspaces.runtimes.local import processes


class Name(StrEnum):
    """The services of a workspace, each a process of its own."""

    OPENCODE = "opencode"
    FILES = "files"
    PROXY = "proxy"
    GATEWAY = "gateway"
    SIDECAR = "sidecar"

    @property
    def called(self) -> str:
        """What it is called at the beginning of a sentence."""
        return _CALLED[self]


_CALLED = {
    Name.OPENCODE: "OpenCode",
    Name.FILES: "The file browser",
    Name.PROXY: "The session proxy",
    Name.GATEWAY: "The gateway",
    Name.SIDECAR: "The sidecar",
}


class Service(BaseModel):
    """One process of a workspace.

    Args:
        pid: Its number.
        started: When it began, in seconds since the boot; with the number it names the process.
        build: What it was started from; another value now means that it is out of date.
    """

    pid: int
    started: float
    build: str

    @classmethod
    def of(cls, process: psutil.Process, build: str) -> Service:
        """Describe a process that was just started."""
        return cls(pid=process.pid, started=processes.began(process), build=build)

    def process(self, data: Path) -> psutil.Process | None:
        """The process, if it still runs; `data` is the installation's folder."""
        return processes.find(self.pid, self.started, data)


class Record(BaseModel):
    """A workspace's addresses and processes, and the epoch in which it was started.

    The gateway has three ports: `gateway_port` for the engine, `model_port` for OpenCode, and
    `network_port`, the agent's way out.
    """

    project_id: UUID
    opencode_port: int
    sidecar_port: int
    # Given where an earlier version, which did not have these services, wrote the record.
    files_port: int = Field(default_factory=lambda: _free_ports(1)[0])
    proxy_port: int = Field(default_factory=lambda: _free_ports(1)[0])
    gateway_port: int = Field(default_factory=lambda: _free_ports(1)[0])
    model_port: int = Field(default_factory=lambda: _free_ports(1)[0])
    network_port: int = Field(default_factory=lambda: _free_ports(1)[0])
    epoch: int = 0
    # Whether OpenCode works in cards' trees; one that an earlier version started does not.
    trees: bool = False
    # Of an OpenCode that a version started which drew them by lot. Nothing else is kept here of secrets.
    password: str = ""
    rehearsal_key: str = ""
    opencode: Service | None = None
    files: Service | None = None
    proxy: Service | None = None
    gateway: Service | None = None
    sidecar: Service | None = None

    @classmethod
    def new(cls, project_id: UUID, epoch: int) -> Record:
        """A record with ports that are free now."""
        names = tuple(name for name in cls.model_fields if name.endswith("_port"))
        ports = dict(zip(names, _free_ports(len(names)), strict=True))
        return cls.model_validate({"project_id": project_id, "epoch": epoch, **ports})

    def service(self, name: Name) -> Service | None:
        """What was started as this service."""
        return getattr(self, name.value)

    def port(self, name: Name) -> int:
        """Where it listens on loopback."""
        return getattr(self, f"{name.value}_port")

    def url(self, name: Name) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port(name)}"

    @property
    def model_url(self) -> str:
        """Where OpenCode asks its models."""
        return f"http://127.0.0.1:{self.model_port}"

    def note(self, name: Name, service: Service) -> None:
        """Write down what was started as this service."""
        setattr(self, name.value, service)


class Records:
    """The folder of the records."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, record: Record) -> None:
        """Keep `record`, whole or not at all.

        Raises:
            OSError: The folder cannot be written.
        """
        path = self._path(record.project_id)
        draft = path.with_suffix(".tmp")
        descriptor = os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(record.model_dump_json(indent=2))
        draft.replace(path)

    def read_all(self) -> list[Record]:
        """Return every record that can be read; what cannot is removed, as nothing can be done with it."""
        found: list[Record] = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                found.append(Record.model_validate(json.loads(path.read_bytes())))
            except (ValidationError, ValueError, RecursionError):
                path.unlink()
        return found

    def forget(self, project_id: UUID) -> None:
        """Remove a record, if there is one."""
        self._path(project_id).unlink(missing_ok=True)

    def _path(self, project_id: UUID) -> Path:
        return self._folder / f"{project_id}.json"


def port_is_free(port: int) -> bool:
    """Whether a service could listen on this port of loopback now."""
    with socket.socket() as candidate:
        candidate.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            candidate.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that are free now. Another program may take one before it is used."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for candidate in sockets:
            candidate.bind(("127.0.0.1", 0))
        return [candidate.getsockname()[1] for candidate in sockets]
    finally:
        for candidate in sockets:
            candidate.close()
