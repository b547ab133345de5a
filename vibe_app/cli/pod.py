"""`vibe checkout` and `vibe opencode-server`: what a workspace's pod runs beside its services.

The first makes the folders of the volume, once, before anything else starts. The second
is the first process of OpenCode's container: it writes OpenCode's files, starts it, and
ends with it. It holds the ports to which secrets are sent, which the agent's commands could
otherwise take: OpenCode's password comes to one, its token for the gateway goes through
another (`doors`). The local runtime does the same, with the same parts.
"""

from __future__ import annotations

import asyncio
import base64
import ctypes
import http.client
import json
import logging
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from uuid import UUID

import click

from vibe_app.addresses import Credential
from vibe_app.cli.doors import Doors
from vibe_app.errors import VibeError
from vibe_app.log import set_up
from vibe_app.settings import Settings, SettingsError, load_settings
from vibe_app.workspace_services.git.cloning import Source
from vibe_app.workspaces.runtimes import hermetic
from vibe_app.workspaces.runtimes.base import WorkspaceSpec
from vibe_app.workspaces.runtimes.layout import Layout

logger = logging.getLogger(__name__)

TOLD = 3
"""Exit status of a failure whose reason is a whole sentence, in the container's termination message."""
_TERMINATION_LOG = Path("/dev/termination-log")
_MOST_WORDS = 3900
_PR_SET_DUMPABLE = 4
_KNOCK = 1.0
_LONGEST_START = 60
_NEEDED = (
    "PROJECT_ID",
    "OPENCODE_DATA_DIR",
    "PORT",
    "SERVER_PORT",
    "MODEL_PORT",
    "MODEL_DOOR_PORT",
    "SWEEPER_PORT",
    "OPENCODE_SERVER_PASSWORD",
    hermetic.TOKEN_VARIABLE,
)


@click.command(hidden=True)
def checkout() -> None:
    """Make the folders of a workspace's volume (set by VOLUME_DIR and REPOSITORY)."""
    # Before git runs here: this process's environment holds a secret.
    _hide()
    from vibe_app.workspace_services.git.checkout import remove_drafts
    from vibe_app.workspace_services.git.making import is_made, make_workspace

    volume = Path(os.environ.get("VOLUME_DIR") or "/volume")

    async def progress(sentence: str) -> None:
        click.echo(f"{sentence}.")

    try:
        remove_drafts(volume)
        folder = volume / "workspace"
        (volume / "opencode").mkdir(mode=0o770, exist_ok=True)
        (volume / "gateway").mkdir(mode=0o770, exist_ok=True)
        work = make_workspace(
            folder, source=None if is_made(folder) else _source(), mark={}, progress=progress
        )
        words = asyncio.run(work)
        _hand_over(folder)
        _leave_words(json.dumps(_shortened(words)))
    except VibeError as error:
        _tell(error.message)
    except (SettingsError, KeyError, ValueError) as error:
        _tell(f"The pod's environment cannot be used: {error}.")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _tell(f"The workspace's volume cannot be used: {error.strerror or error}{where}.")


def _hand_over(workspace: Path) -> None:
    """Write what OpenCode is handed, from where its own container can only read it."""
    settings, layout = load_settings(), Layout.from_env(os.environ)
    compatible = bool(settings.model_base_url)
    hermetic.prepare_given(layout, "" if compatible else settings.model.partition("/")[0])
    config = hermetic.opencode_config(
        layout=layout,
        gateway_url=os.environ["MODEL_URL"],
        model=settings.model,
        compatible=compatible,
    )
    hermetic.write_config(workspace, config)


def _source() -> Source | None:
    """Read what to clone from REPOSITORY, which the manifest fills from the workspace's Secret.

    Raises:
        InvalidRequest: Its address cannot be used.
    """
    asked = json.loads(os.environ.pop("REPOSITORY", "") or "{}")
    credential = Credential.unpacked(asked["credential"]) if asked.get("credential") else None
    spec = WorkspaceSpec(UUID(int=0), asked.get("url"), asked.get("branch"), credential)
    return spec.source(os.environ.get("VIBE_REPOSITORY_NETWORKS", ""))


def _shortened(sentences: list[str]) -> list[str]:
    """As many of the sentences as the cluster keeps, which is 4096 bytes of a container's last words."""
    kept: list[str] = []
    for sentence in sentences:
        if len(json.dumps([*kept, sentence])) > _MOST_WORDS:
            return [*kept, f"{len(sentences) - len(kept)} more things did not come along."]
        kept.append(sentence)
    return kept


def _tell(sentence: str) -> None:
    """End with a sentence, which the cluster keeps as the container's last words.

    Raises:
        SystemExit: Always.
    """
    sys.stderr.write(f"{sentence}\n")
    _leave_words(sentence)
    raise SystemExit(TOLD)


def _leave_words(words: str) -> None:
    """Leave this container's last words to the cluster, where there is one."""
    if os.access(_TERMINATION_LOG, os.W_OK):
        _TERMINATION_LOG.write_text(words)


@dataclass(frozen=True)
class Place:
    """Where OpenCode runs in the pod, and with which secrets.

    Args:
        project_id: The project.
        layout: The files it works on, its private home, which ends with the pod, and what it is handed.
        kept: Where its data outlives the pod.
        port: Where it is asked, on loopback.
        server_port: Where it listens itself.
        model_port: Where the gateway answers.
        model_door_port: Where OpenCode asks the gateway.
        sweeper_port: Where left-over commands are ended on request, on loopback.
        password: Of its HTTP interface.
        model_token: What the gateway wants in the place of a provider's key.
    """

    project_id: str
    layout: Layout
    kept: Path
    port: int
    server_port: int
    model_port: int
    model_door_port: int
    sweeper_port: int
    password: str
    model_token: str

    @classmethod
    def from_env(cls, env: dict[str, str]) -> Place:
        """Read the variables that the pod's manifest sets.

        Raises:
            ValueError: One is missing, or a port is no number.
        """
        missing = [name for name in _NEEDED if name not in env]
        if missing:
            raise ValueError(f"{', '.join(missing)} must be set")
        return cls(
            project_id=env["PROJECT_ID"],
            layout=Layout.from_env(env),
            kept=Path(env["OPENCODE_DATA_DIR"]),
            port=int(env["PORT"]),
            server_port=int(env["SERVER_PORT"]),
            model_port=int(env["MODEL_PORT"]),
            model_door_port=int(env["MODEL_DOOR_PORT"]),
            sweeper_port=int(env["SWEEPER_PORT"]),
            password=env["OPENCODE_SERVER_PASSWORD"],
            model_token=env[hermetic.TOKEN_VARIABLE],
        )


@click.command(hidden=True)
def opencode_server() -> None:
    """Run OpenCode in a workspace's pod, as the first process of its container."""
    # Before anything can run here that is not Vibe's: this process's environment holds secrets.
    _hide()
    set_up("info")
    ending = _Ending()
    try:
        settings, place = load_settings(), Place.from_env(dict(os.environ))
        # Before anything of the agent's can run.
        doors = Doors(place.port, place.server_port, place.model_door_port, place.model_port)
        child = _start(settings, place)
        doors.open(child.pid, place.model_token)
        ending.reaches(child.pid)
    except (SettingsError, ValueError) as error:
        _tell(f"The pod's environment cannot be used: {error}.")
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _tell(f"OpenCode could not be started: {error.strerror or error}{where}.")
    else:
        raise SystemExit(_until_end(child, place))


class _Ending:
    """Passes a request to end on to OpenCode, also one that came before OpenCode was started."""

    def __init__(self) -> None:
        self._asked = False
        self._pid = 0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def reaches(self, pid: int) -> None:
        """From now on this process is asked to end."""
        self._pid = pid
        if self._asked:
            self._send()

    def _ask(self, *_: object) -> None:
        self._asked = True
        if self._pid:
            self._send()

    def _send(self) -> None:
        # Not Popen's own way, which would collect a process that has ended and hide that from `os.wait`.
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGTERM)


def _hide() -> None:
    """Keep this process's memory and environment from others of the same user (Linux, prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _start(settings: Settings, place: Place) -> subprocess.Popen[bytes]:
    """Make OpenCode's home and start it."""
    hermetic.prepare_home(place.layout.home, place.kept, covered=True)
    env = hermetic.opencode_env(
        project_id=place.project_id,
        layout=place.layout,
        password=place.password,
        path=os.environ.get("PATH", os.defpath),
        model_token=place.model_token,
    )
    binary = settings.opencode_binary
    if os.access(binary, os.R_OK):
        logger.warning("%s can be read: its process can be looked into by what the agent runs", binary)
    before = hermetic.before_opencode(place.layout, binary)
    subprocess.run(before, cwd=place.layout.given, stdin=subprocess.DEVNULL, check=False)
    return subprocess.Popen(
        [binary, "serve", "--hostname", "127.0.0.1", "--port", str(place.server_port)],
        env=env,
        cwd=place.layout.given,
        stdin=subprocess.DEVNULL,
    )


def _wake(place: Place) -> None:
    """Have OpenCode take its secrets out of what its commands inherit, as soon as it answers.

    A request that comes in the moment in which OpenCode opens its port is never answered (measured),
    so it is first knocked at, each time only shortly.
    """
    deadline = time.monotonic() + _LONGEST_START
    while time.monotonic() < deadline:
        if _asked(place, "/global/health", _KNOCK) and _asked(place, hermetic.WAKING_PATH, _LONGEST_START):
            return
        time.sleep(0.1)
    logger.warning("OpenCode did not answer within %d s", _LONGEST_START)


def _asked(place: Place, path: str, seconds: float) -> bool:
    """Ask OpenCode for a path; tell whether it answered within so many seconds."""
    credentials = base64.b64encode(f"opencode:{place.password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "x-opencode-directory": str(place.layout.workspace)}
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=seconds)
    try:
        connection.request("GET", path, headers=headers)
        connection.getresponse().close()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _until_end(child: subprocess.Popen[bytes], place: Place) -> int:
    """Sweep on request and bury the orphans until OpenCode ends; return what to end with.

    With this process, as the first of its container, ends whatever the agent has left there.
    """
    from vibe_app.workspace_services.sidecar.sweeper import serve_sweeps

    sweeper = serve_sweeps(place.project_id, place.sweeper_port)
    Thread(target=_wake, args=(place,), name="wake", daemon=True).start()
    while True:
        pid, status = os.wait()
        if pid == child.pid:
            break
    sweeper.server_close()
    code = child.returncode = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code
