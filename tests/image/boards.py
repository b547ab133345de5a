"""A board that runs from the image: the container, and what can be asked of it."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

import httpx

from tests.podman import Podman
from tests.waiting import eventually

USER = 12345
# As strict as a cluster is with restricted pods.
STRICT = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:mode=1777"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    # Podman would write the user into /etc/passwd; others do not.
    "--passwd=false",
)
# Seconds after which podman kills what was told to stop.
GRACE = 30


class Board:
    """One container on one volume, with one port.

    Args:
        podman: What runs it.
        image: What it is started from.
        volume: What is mounted at `/data`.
        options: How its container is started.
    """

    def __init__(self, podman: Podman, image: str, volume: str, options: Sequence[str] = STRICT) -> None:
        self._podman = podman
        self._image = image
        self._volume = volume
        self._options = options
        self.name = f"vibe-{uuid4().hex[:8]}"

    def start(self) -> None:
        """Start a new container."""
        user = ("--user", f"{USER}:{USER}")
        place = ("--volume", f"{self._volume}:/data", "--publish", "127.0.0.1::8000")
        self._podman("run", "--detach", "--name", self.name, *self._options, *user, *place, self._image)

    @property
    def url(self) -> str:
        """Where it is reached from this machine."""
        return f"http://{self._podman('port', self.name, '8000')}"

    async def ready(self) -> str:
        """Return its address once it says that it is ready."""
        url = self.url

        async def answers() -> bool:
            assert self.runs, self.log()
            try:
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"{url}/api/ready")).status_code == 200
            except httpx.HTTPError:
                return False

        await eventually(answers, seconds=90)
        return url

    @property
    def runs(self) -> bool:
        """Whether its first process runs."""
        return self._podman.inspect(self.name)["State"]["Running"]

    def stop(self) -> int:
        """Send SIGTERM and return the exit status: 137 where it did not end in time."""
        self._podman("stop", "--time", str(GRACE), self.name, timeout=GRACE + 30)
        return self._podman.inspect(self.name)["State"]["ExitCode"]

    def remove(self) -> None:
        """Remove the container, not the volume."""
        self._podman("rm", "--force", "--time", "0", "--ignore", self.name)

    def log(self) -> str:
        """What it has said."""
        done = self._podman.run("logs", self.name)
        return done.stdout + done.stderr

    def sh(self, script: str) -> str:
        """Run a script inside, as the same user, and return all that it says, its status in the last line."""
        done = self._podman.run("exec", self.name, "sh", "-c", f"{{ {script}\n}} 2>&1; echo $?")
        return done.stdout + done.stderr

    def processes(self, word: str = "") -> list[str]:
        """The state and command of each process inside that is one of `word`'s."""
        script = 'for p in /proc/[0-9]*; do echo "$(cut -d" " -f3 $p/stat) $(cat $p/comm)"; done 2>/dev/null'
        return [line for line in self.sh(script).splitlines()[:-1] if word in line]
