"""The manifests of `deploy/`: as they are written, and as kubectl's kustomize builds them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Json = dict[str, Any]

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
KUBECTL = shutil.which("kubectl")


def resources(folder: Path) -> Iterator[Json]:
    """The objects that a kustomization lists, as they are written: nothing in it is patched."""
    listed = yaml.safe_load((folder / "kustomization.yaml").read_text())["resources"]
    for name in listed:
        path = folder / name
        if path.is_dir():
            yield from resources(path)
        else:
            yield from filter(None, yaml.safe_load_all(path.read_text()))


def built(folder: Path) -> list[Json]:
    """The objects that kustomize makes of a kustomization; it needs kubectl."""
    done = subprocess.run(
        [KUBECTL or "kubectl", "kustomize", str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return [found for found in yaml.safe_load_all(done.stdout) if found]


def the(objects: list[Json], kind: str, name: str) -> Json:
    """The one object of this kind and name."""
    (found,) = (each for each in objects if each["kind"] == kind and each["metadata"]["name"] == name)
    return found


def pods(objects: list[Json]) -> Iterator[tuple[str, Json]]:
    """What the objects would run, each with the name of its object."""
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield f"{each['kind']} {each['metadata']['name']}", each["spec"]["template"]
