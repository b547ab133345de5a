"""One real OpenCode with its sidecar for each module that asks, since a start takes seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.workspace_services.sidecar.stack import Stack, running


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A rehearsal model of its own, which lives on when the sidecar under test is killed."""
    with running(Stack(tmp_path_factory.mktemp("model")), opencode=False) as stack:
        yield stack


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, model: Stack) -> Iterator[Stack]:
    """A workspace with OpenCode and sidecar."""
    with running(Stack(tmp_path_factory.mktemp("stack"), model_url=model.url)) as stack:
        yield stack
