"""The image, built once for all tests of this folder, and a board that runs from it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from tests.image.boards import Board
from tests.podman import Podman, PodmanMissing


@pytest.fixture(scope="session")
def podman() -> Podman:
    """Podman with settings of its own."""
    return Podman()


@pytest.fixture(scope="session")
def image(podman: Podman) -> str:
    """The name of the image. Of several processes of pytest one builds it, and the others find it built."""
    try:
        with (podman.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            return podman.build()
    except PodmanMissing as error:
        pytest.skip(f"THE CONTAINER IMAGE IS NOT TESTED: {error}")


@pytest.fixture(scope="module")
def volume(podman: Podman, image: str) -> Iterator[str]:
    """The name of a new volume."""
    name = f"vibe-{uuid4().hex[:8]}"
    podman("volume", "create", name)
    yield name
    podman("volume", "rm", "--force", name)


@pytest.fixture(scope="module")
def board(podman: Podman, image: str, volume: str) -> Iterator[Board]:
    """A board on the volume, as anybody and on a read-only root. It may be stopped and started."""
    with ExitStack() as stack:
        board = Board(podman, image, volume)
        stack.callback(board.remove)
        board.start()
        yield board
