"""The services of a local workspace: what they are started from, and whether they answer.

Everything about them that can be said without watching them: folders, commands,
environments. The local runtime decides when to start and to end them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import chain
from pathlib import Path
from uuid import UUID, uuid4

import psutil

import vibe_app
from vibe_app.errors import Unavailable
from vibe_app.settings import Settings
from vibe_app.workspace_services.git import checkout, takeover
from vibe_app.workspace_services.git.program import authorities
from vibe_app.workspaces.keys import ServiceKeys
from vibe_app.workspaces.protection import notice
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.base import KeysOf
from vibe_app.workspaces.runtimes.layout import Layout
from vibe_app.workspaces.runtimes.local import keeper, processes
from vibe_app.workspaces.runtimes.local.records import Name, Record
from vibe_app.workspaces.runtimes.local.wall import NoWall, Wall, arguments, data, seccomp_filter

_PACKAGE = Path(vibe_app.__path__[0])
_UUID_CHARS = 36
_SHARED = (
    *("errors.py", "inside.py", "disk.py", "log.py", "shapes.py", "networks.py", "catalogue.py"),
    "models.json",
)


class Services:
    """Starts and asks the services of this installation's workspaces.

    Args:
        settings: The installation's settings.
        pace: Factor on the rehearsal model's pauses: 1 for people, 0 for tests.

    Attributes:
        keys_of: Says the secrets of a workspace in an epoch; set before anything is started.
        wall: What is put up around what agents do; None where it is not wanted. Set before as well.
    """

    def __init__(self, settings: Settings, pace: float) -> None:
        self.keys_of: KeysOf = lambda project_id, epoch: ServiceKeys("", "", "")
        self.wall: Wall | NoWall | None = None
        self._settings = settings
        self._pace = pace
        self._sidecar_build = _sidecar_build()

    def keys(self, record: Record) -> ServiceKeys:
        """The secrets of a workspace's services."""
        keys = self.keys_of(record.project_id, record.epoch)
        if record.password:
            keys = replace(keys, password=record.password, rehearsal_key=record.rehearsal_key)
        return keys

    def workspace(self, project_id: UUID) -> Path:
        """The folder in which the agent works."""
        return self._settings.workspaces / str(project_id)

    def home(self, project_id: UUID) -> Path:
        """OpenCode's private home."""
        return self._settings.data / "homes" / str(project_id)

    def layout(self, project_id: UUID) -> Layout:
        """Where OpenCode works and what it is handed."""
        given = self._settings.data / "given" / str(project_id)
        return Layout(self.workspace(project_id), self.home(project_id), given)

    def journal(self, project_id: UUID) -> Path:
        """Where the gateway journals, out of the agent's reach."""
        return self._settings.data / "gateways" / str(project_id)

    def log(self, project_id: UUID, name: Name) -> Path:
        """Where a service's output is kept."""
        return self._settings.data / "logs" / f"{project_id}-{name.value}.log"

    def build(self, name: Name, record: Record) -> str:
        """What a service that is started now would be started from, as a fingerprint."""
        if name is Name.OPENCODE:
            return self._opencode_build(record)
        if name is Name.FILES:
            return _fingerprint(json.dumps([self._sidecar_build, self._files_env()]).encode())
        if name is Name.GATEWAY:
            return _fingerprint(json.dumps([self._sidecar_build, authorities()]).encode())
        return self._sidecar_build

    async def start(self, name: Name, record: Record) -> psutil.Process:
        """Start a service.

        Raises:
            Unavailable: It is OpenCode, which is not installed.
            OSError: It cannot be started.
        """
        if name is Name.OPENCODE:
            return await self._start_opencode(record)
        return self.start_ours(name, record)

    def start_ours(self, name: Name, record: Record) -> psutil.Process:
        """Start a service that is not OpenCode.

        Raises:
            OSError: It cannot be started.
        """
        module, more = {
            Name.SIDECAR: ("vibe_app.workspace_services.sidecar", self._sidecar_env(record)),
            Name.FILES: ("vibe_app.workspace_services.file_browser", self._files_env()),
            Name.PROXY: ("vibe_app.workspace_services.session_proxy", self._upstream(record)),
            Name.GATEWAY: ("vibe_app.workspace_services.gateway", self._gateway_env(record)),
        }[name]
        env = {
            "PATH": self._path(),
            "HOME": str(self.home(record.project_id)),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(_PACKAGE.parent),
            "PYTHONUNBUFFERED": "1",
            "WORKSPACE_DIR": str(self.workspace(record.project_id)),
            "PROJECT_ID": str(record.project_id),
            "SIDECAR_TOKEN": self.keys(record).token,
            "HOST": "127.0.0.1",
            "PORT": str(record.port(name)),
            "LOG_LEVEL": self._settings.log_level,
        }
        # With -P and a folder of ours, no file of the workspace can pass for a Python module.
        return processes.spawn(
            [sys.executable, "-P", "-m", module],
            env=env | more | self._mark(record),
            cwd=self._settings.data,
            log=self.log(record.project_id, name),
        )

    def _opencode_build(self, record: Record) -> str:
        binary = self._settings.opencode_binary
        written = binary.stat().st_mtime_ns if binary.exists() else 0
        settings = self._settings
        wall = [self._wall_mark(), settings.sandbox_read, settings.sandbox_cache]
        bounds = [settings.workspace_memory_mib, settings.workspace_disk_mib]
        parts = [self._config(record), str(binary), written, wall, bounds]
        return _fingerprint(json.dumps(parts).encode())

    def _wall_mark(self) -> list[object]:
        """What of the wall a start rests on, the same in every process."""
        if isinstance(self.wall, Wall):
            return [self.wall.bubblewrap, self.wall.own_proc]
        return [type(self.wall).__name__]

    async def _start_opencode(self, record: Record) -> psutil.Process:
        binary = self._settings.opencode_binary
        if not (binary.is_file() and os.access(binary, os.X_OK)):
            raise Unavailable(
                f"OpenCode is not installed at {binary}:"
                " run `make up`, or `vibe doctor` to see what is missing.",
                "opencode_missing",
            )
        layout, keys = self.layout(record.project_id), self.keys(record)
        await asyncio.to_thread(self._hand_over, record, layout)
        env = hermetic.opencode_env(
            project_id=str(record.project_id),
            layout=layout,
            password=keys.password,
            path=self._path(),
            model_token=keys.model_token,
            proxy=f"http://127.0.0.1:{record.network_port}" if isinstance(self.wall, Wall) else "",
        )
        command = ["serve", "--hostname", "127.0.0.1", "--port", str(record.opencode_port)]
        env |= self._mark(record)
        log = self.log(record.project_id, Name.OPENCODE)
        if isinstance(self.wall, Wall):
            sealed = await asyncio.to_thread(self._sealed, binary)
            return processes.spawn(
                [sys.executable, "-P", "-S", "-m", keeper.__name__],
                env={"PATH": os.defpath, "PYTHONPATH": str(_PACKAGE.parent)} | self._mark(record),
                cwd=self._settings.data,
                log=log,
                told=self._plan(self.wall, record, layout, [str(sealed), *command], env).to_json(),
            )
        return processes.spawn([binary, *command], env=env, cwd=layout.given, log=log)

    def _plan(
        self, wall: Wall, record: Record, layout: Layout, command: list[str], env: dict[str, str]
    ) -> keeper.Plan:
        """What the keeper is told of a workspace."""
        secrets = {name: env.pop(name) for name in hermetic.SECRET_VARIABLES if name in env}
        rg = self._settings.tools / "rg"
        programs = [Path(command[0]), *([rg] if rg.is_file() else [])]
        reads = [path for path in self._settings.sandbox_reads if path.exists()]
        caches = self._caches(record.project_id)
        for _, lies in caches:
            lies.mkdir(parents=True, exist_ok=True)
        first, last = arguments(wall, layout, programs, reads, caches)
        variables = [word for name, value in env.items() for word in ("--setenv", name, value)]
        return keeper.Plan(
            bubblewrap=wall.bubblewrap,
            arguments=[*first, "--clearenv", *variables],
            data=data(layout),
            last=last,
            filter=seccomp_filter(),
            before=hermetic.before_opencode(layout, Path(command[0])),
            command=command,
            secrets=secrets,
            port=record.opencode_port,
            outward=[record.model_port, record.network_port],
            memory=self._settings.workspace_memory_mib,
            disk=self._settings.workspace_disk_mib,
            folders=[str(layout.tasks), str(layout.home)],
            notices=str(layout.bounds),
        )

    def _caches(self, project_id: UUID) -> list[tuple[Path, Path]]:
        """Where each of the project's own caches is seen, and where it lies."""
        own = self._settings.data / "caches" / str(project_id)
        named = self._settings.sandbox_caches
        return [(path, own / hashlib.sha256(bytes(path)).hexdigest()[:16]) for path in named]

    def _sealed(self, binary: Path) -> Path:
        """OpenCode's binary, or a copy of it, that may be run and not read.

        Linux shows nobody of the same user the environment and memory of a program that its user may
        not read. A script must be read to be run, and is left as it is.

        Raises:
            OSError: It cannot be copied.
        """
        found = binary.stat()
        if not found.st_mode & 0o444 or not os.access(binary, os.R_OK):
            return binary
        with binary.open("rb") as file:
            if file.read(4) != b"\x7fELF":
                return binary
        named = f"{binary.resolve()} {found.st_mtime_ns} {found.st_size}"
        copy = self._settings.data / "sealed" / hashlib.sha256(named.encode()).hexdigest()[:16] / "opencode"
        if not copy.exists():
            copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft = copy.with_name(f"{os.getpid()}.tmp")
            shutil.copyfile(binary, draft)
            draft.chmod(0o111)
            draft.replace(copy)
        return copy

    def _sidecar_env(self, record: Record) -> dict[str, str]:
        return self._upstream(record) | {
            "OPENCODE_HOME": str(self.home(record.project_id)),
            "RUN_NOTICE": notice(self.wall),
            "GATEWAY_URL": record.url(Name.GATEWAY),
            "GUIDANCE_FILE": str(self.layout(record.project_id).guidance),
            "REHEARSAL_KEY": self.keys(record).rehearsal_key,
            "REHEARSAL_PACE": f"{self._pace:g}",
        }

    def _gateway_env(self, record: Record) -> dict[str, str]:
        return {
            "JOURNAL_DIR": str(self.journal(record.project_id)),
            "GATEWAY_TOKEN": self.keys(record).model_token,
            "CONTROL_TOKEN": self.keys(record).token,
            "CONTROL_PORT": str(record.gateway_port),
            "PORT": str(record.model_port),
            "PROXY_PORT": str(record.network_port),
            # A provider may have an authority of its own.
            **authorities(),
        }

    def _upstream(self, record: Record) -> dict[str, str]:
        return {
            "OPENCODE_URL": record.url(Name.OPENCODE),
            "OPENCODE_SERVER_PASSWORD": self.keys(record).password,
        }

    @property
    def bubblewrap(self) -> str:
        """What hides the machine from a git that reads agents' trees; empty where there is none."""
        return self.wall.bubblewrap if isinstance(self.wall, Wall) else ""

    def _files_env(self) -> dict[str, str]:
        return {
            "BUBBLEWRAP": self.bubblewrap,
            "FILES_UPLOAD_MIB": str(self._settings.upload_mib),
            "FILES_ARCHIVE_MIB": str(self._settings.archive_mib),
            **authorities(),
        }

    def found(self) -> set[UUID]:
        """Return the projects of which any file is here."""
        return {project for name in self._names() if (project := _project(name))}

    def _names(self) -> Iterator[str]:
        data = self._settings.data
        for folder in (
            self._settings.workspaces,
            *(data / name for name in ("homes", "given", "gateways", "logs")),
        ):
            with suppress(FileNotFoundError):
                yield from os.listdir(folder)

    def erase(self, project_id: UUID) -> None:
        """Remove the workspace, its home and its logs. They are moved away first, so nothing is half there.

        Raises:
            OSError: They cannot be moved.
        """
        trash = self.trash
        trash.mkdir(parents=True, exist_ok=True)
        layout = self.layout(project_id)
        caches = self._settings.data / "caches" / str(project_id)
        for folder in (layout.workspace, layout.home, layout.given, caches, self.journal(project_id)):
            if os.path.lexists(folder):
                folder.rename(trash / uuid4().hex)
        checkout.forget_notices(layout.workspace)
        takeover.state_file(layout.workspace).unlink(missing_ok=True)
        for log in (self._settings.data / "logs").glob(f"{project_id}-*"):
            log.unlink()
        self.empty_trash()

    @property
    def trash(self) -> Path:
        """Where erased folders wait for their removal."""
        return self._settings.data / "trash"

    def empty_trash(self) -> None:
        """Remove what was erased, also where an agent's tools left read-only folders."""
        for folder, _, _ in os.walk(self.trash):
            os.chmod(folder, 0o700)
        shutil.rmtree(self.trash, ignore_errors=True)

    def _hand_over(self, record: Record, layout: Layout) -> None:
        layout.home.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        provider = "" if self._settings.model_base_url else self._settings.model.partition("/")[0]
        hermetic.prepare(layout, provider=provider)
        hermetic.write_config(layout.workspace, self._config(record))

    def _config(self, record: Record) -> dict[str, object]:
        return hermetic.opencode_config(
            layout=self.layout(record.project_id),
            gateway_url=record.model_url,
            model=self._settings.model,
            compatible=bool(self._settings.model_base_url),
        )

    def _mark(self, record: Record) -> dict[str, str]:
        return processes.marker(self._settings.data, record.project_id)

    def _path(self) -> str:
        return os.pathsep.join([str(self._settings.tools), os.environ.get("PATH", os.defpath)])


def _project(name: str) -> UUID | None:
    """Return whose a file or folder is, by its name; None where it is nobody's."""
    try:
        return UUID(name[:_UUID_CHARS])
    except ValueError:
        return None


def _sidecar_build() -> str:
    """A fingerprint of the services' own sources: after an upgrade the old ones must not be kept."""
    shared = (_PACKAGE / name for name in _SHARED)
    rooms = ((_PACKAGE / name).rglob("*.py") for name in ("workspace_services", "wire"))
    sources = [*sorted(chain(*rooms)), *shared]
    return _fingerprint(b"".join(source.read_bytes() for source in sources))


def _fingerprint(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
