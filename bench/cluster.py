"""A played cluster in a process of its own, so that it takes no turn from the runtime that is measured.

Run as `python -m bench.cluster FOLDER`. Its pods are pretended: each is ready at once, and
a scripted sidecar answers at its address. It says when it listens, and then for each line
that it is given how often it was asked and how often it was watched.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.sidecars import say
from tests.workspaces.runtimes.kubernetes.kube.api import FakeApi
from tests.workspaces.runtimes.kubernetes.kube.pretend import PretendNode


@dataclass
class PlayedCluster:
    """The process, as a bench sees it.

    Attributes:
        kubeconfig: The file that leads to it.
    """

    kubeconfig: Path
    process: subprocess.Popen[bytes]

    async def asked(self) -> tuple[int, int]:
        """Return how many requests its API was sent so far, beside watches, and how many watches."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()
        told = json.loads(await asyncio.to_thread(self.process.stdout.readline))
        return told["requests"], told["watches"]


@contextmanager
def played_cluster(folder: Path) -> Iterator[PlayedCluster]:
    """Run the process for as long as the block lasts; its kubeconfig is written into the folder."""
    command = [sys.executable, "-m", "bench.cluster", str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield PlayedCluster(Path(json.loads(process.stdout.readline())["kubeconfig"]), process)
        finally:
            process.kill()


async def main(folder: Path) -> None:
    """Play until the pipe is closed."""
    async with FakeApi() as api, PretendNode(api):
        say({"kubeconfig": str(api.kubeconfig(folder))})
        while await asyncio.to_thread(sys.stdin.readline):
            watches = api.calls["WATCH pods"]
            say({"requests": api.calls.total() - watches, "watches": watches})


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
