"""The compiled frontend: whether it is up to date, how it is built, and how it is served.

Reflex compiles in `.web`; a finished build is copied to `build/frontend` and
swapped in whole, so that a failed or interrupted one leaves the last good one in
place. Nothing here imports Reflex: a build is a process of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

# Parts of the package whose code no page can contain.
_NOT_IN_PAGES = frozenset({"api", "cli", "clients", "runs", "workspace_services", "workspaces"})

# What a server needs of `.web`, as `reflex run --env prod` reads it (Reflex 0.10.1).
_SERVED = ("build/client", "backend", "routes.json", "reflex.json")

# Where an installed wheel has what a clone has beside the package (hatch_build.py): pages that were compiled
# from this very package, migrations, Reflex's configuration.
SHIPPED = Path(__file__).resolve().parent / "shipped"

_ENDPOINT = re.compile(r"""(["'`])(http|ws)s?://[^/"'`]+(/[^"'`$]*)\1""")
_SIBLING = re.compile(r"(?<=\))\+\*\s+(?=\.rt-SegmentedControlItemSeparator\b)")


class BuildError(Exception):
    """The frontend could not be compiled; the message ends with what the compiler said last."""


def home() -> Path:
    """Return the folder that holds `rxconfig.py`: the clone, `/app` in the image, or a part of the wheel.

    Raises:
        BuildError: There is none beside the package nor in the current folder.
    """
    for folder in (SHIPPED, SHIPPED.parent.parent, Path.cwd()):
        if (folder / "rxconfig.py").is_file():
            return folder
    raise BuildError("rxconfig.py is not to be found. Start vibe in the folder of its clone.")


def digest(root: Path) -> str:
    """Return a fingerprint of everything that the compiled frontend is made of."""
    hashed = hashlib.sha256(version("reflex").encode())
    for path in _sources(root):
        hashed.update(f"\0{path.relative_to(root).as_posix()}\0".encode())
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def lock_digest(root: Path) -> str:
    """Return a fingerprint of the JavaScript packages that the clone locks."""
    hashed = hashlib.sha256()
    for path in sorted((root / "reflex.lock").iterdir()):
        hashed.update(path.read_bytes())
    return hashed.hexdigest()


def was_locked(root: Path) -> bool:
    """Tell whether the served frontend was built of locked packages alone.

    Where a page asks for a package that is not locked, Reflex takes the newest
    and writes it into `reflex.lock`, which is then to be committed.
    """
    return (published(root) / "lock").read_text() == lock_digest(root)


def _sources(root: Path) -> Iterator[Path]:
    yield root / "rxconfig.py"
    for folder in ("assets", "reflex.lock", "vibe_app"):
        for path in sorted((root / folder).rglob("*")):
            inside = path.relative_to(root / folder)
            compiled = "__pycache__" in inside.parts or inside.parts[0] == "external"
            hidden = folder == "vibe_app" and inside.parts[0] in _NOT_IN_PAGES
            if path.is_file() and not compiled and not hidden:
                yield path


def published(root: Path) -> Path:
    """Return the folder that is served."""
    return root / "build" / "frontend"


def pages(root: Path) -> Path:
    """Return the folder of the pages that are served."""
    return published(root) / "build" / "client"


def is_current(root: Path) -> bool:
    """Tell whether the served frontend is the one of these sources, which a wheel's always is."""
    stamp = published(root) / "stamp"
    return stamp.is_file() and (root == SHIPPED or stamp.read_text() == digest(root))


def is_built(root: Path) -> bool:
    """Tell whether there is a frontend to serve, up to date or not."""
    return (published(root) / "stamp").is_file()


def build_id(root: Path) -> str:
    """Return what tells the served pages from those of another build, or nothing where there are none.

    React Router names its list of all parts after their contents, and a page
    knows it as `window.__reactRouterManifest.version` (React Router 8.4).
    """
    found = sorted((published(root) / "build" / "client" / "assets").glob("manifest-*.js"))
    return found[0].stem.removeprefix("manifest-") if found else ""


def build(root: Path, environment: Mapping[str, str]) -> None:
    """Compile the frontend and publish it, unless another process just did.

    Args:
        root: The folder of `rxconfig.py`.
        environment: Added to the build's: where bun is, the registry of npm.

    Raises:
        BuildError: The compiler failed. What was served before stays.
    """
    with _alone(root):
        if is_current(root):
            return
        stamp, lock = digest(root), lock_digest(root)
        with _same_text(root / "reflex.lock" / "package.json"):
            done = subprocess.run(
                [sys.executable, "-m", "reflex", "export", "--frontend-only", "--no-zip"],
                cwd=root,
                env={**os.environ, **BUILD_ENVIRONMENT, **environment},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
            )
        if done.returncode:
            raise BuildError("\n".join((done.stdout + done.stderr).splitlines()[-30:]))
        _publish(root, stamp, lock)


def _publish(root: Path, stamp: str, lock: str) -> None:
    target = published(root)
    fresh, old = target.with_name("frontend.new"), target.with_name("frontend.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    for name in _SERVED:
        source = root / ".web" / name
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, fresh / name)
        else:
            shutil.copy2(source, fresh / name)
    (fresh / "lock").write_text(lock)
    (fresh / "stamp").write_text(stamp)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)


@contextmanager
def _same_text(path: Path) -> Generator[None]:
    """Undo a rewriting of a JSON file that changed nothing but its layout, as Reflex does at each build."""
    before = path.read_text() if path.is_file() else None
    yield
    if before is not None and path.is_file():
        after = path.read_text()
        if after != before and json.loads(after) == json.loads(before):
            path.write_text(before)


@contextmanager
def _alone(root: Path) -> Generator[None]:
    (root / "build").mkdir(exist_ok=True)
    with (root / "build" / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def relative_origin(static_dir: Path) -> None:
    """Make the compiled pages talk to the host and port that they came from.

    Reflex compiles absolute addresses (`ws://localhost:8000/_event`) into
    `assets/reflex-env-*.js` and replaces only their host in the browser, so a
    frontend published on another port would find no server. Run before the
    assets are compressed.

    Raises:
        BuildError: The addresses are not where this version of Reflex puts them.
    """
    files = list((static_dir / "assets").glob("reflex-env-*.js"))
    if len(files) != 1:
        raise BuildError(f"Expected one assets/reflex-env-*.js in {static_dir}, found {len(files)}.")
    text, count = _ENDPOINT.subn(_from_origin, files[0].read_text())
    if not count or "localhost" in text:
        raise BuildError(f"The server's addresses in {files[0].name} could not be made relative.")
    files[0].write_text(text)


def closer_sibling(static_dir: Path) -> None:
    """Have the compiled styles ask after the neighbour of one kind of element, not of each.

    One rule of Radix Themes 3.3 begins with `…)+* .rt-SegmentedControlItemSeparator`. For it Chromium styles
    every child of a list anew, with all that is in it, whenever something comes into the list or leaves it:
    2,563 elements for one card of 50. That neighbour is always an item, and that is what it says now.

    Raises:
        BuildError: The rule is not where this version puts it.
    """
    found = 0
    for path in (static_dir / "assets").glob("*.css"):
        text, count = _SIBLING.subn("+.rt-SegmentedControlItem ", path.read_text())
        if count:
            path.write_text(text)
        found += count
    if found != 1:
        raise BuildError(f"Expected one rule of a segment's neighbour in {static_dir}, found {found}.")


def _from_origin(match: re.Match[str]) -> str:
    _, scheme, path = match.groups()
    origin = "location.origin" if scheme == "http" else 'location.origin.replace(/^http/,"ws")'
    return f'{origin}+"{path}"'


# Nothing phones home, and nothing is fetched but from the registry that npm is set to.
QUIET_ENVIRONMENT: Mapping[str, str] = {
    "REFLEX_TELEMETRY_ENABLED": "false",
    "REFLEX_CHECK_LATEST_VERSION": "false",
}
BUILD_ENVIRONMENT: Mapping[str, str] = {**QUIET_ENVIRONMENT, "NO_COLOR": "1", "COLUMNS": "120"}


def serving_environment(root: Path, redis_url: str = "") -> dict[str, str]:
    """Return the variables with which Reflex serves the published frontend without compiling it.

    The two that start with underscores are what `reflex run --env prod` sets for
    its own workers in Reflex 0.10.1. A page's state may be lost at any moment, as
    everything in it can be read again, so it is kept on no disk.
    """
    shared = {
        "REFLEX_STATE_MANAGER_MODE": "redis",
        "REFLEX_REDIS_URL": redis_url,
        # Milliseconds: a handler holds the lock of its tab, and Execute may take ten seconds to answer.
        "REFLEX_REDIS_LOCK_EXPIRATION": "20000",
        "REFLEX_REDIS_LOCK_WARNING_THRESHOLD": "12000",
        # A hosted Redis may not let its settings be changed: whoever runs it does it (docs/operations.md).
        "REFLEX_IGNORE_REDIS_CONFIG_ERROR": "true",
    }
    pages = shared if redis_url else {"REFLEX_STATE_MANAGER_MODE": "memory"}
    return {
        **pages,
        **QUIET_ENVIRONMENT,
        "REFLEX_ENV_MODE": "prod",
        # Without this, Reflex 0.10.1 links the parts of pages into `assets` at each start. Here nothing is
        # compiled, and the folder of an installed package may not be writable.
        "REFLEX_BACKEND_ONLY": "true",
        "REFLEX_WEB_WORKDIR": str(published(root)),
        "__REFLEX_SKIP_COMPILE": "true",
        "__REFLEX_MOUNT_FRONTEND_COMPILED_APP": "true",
    }
