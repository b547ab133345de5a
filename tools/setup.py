"""Brings the locked Python environment, on a machine that has Python and nothing else.

Run by whatever `python3` there is, with the standard library only. Everything
after that is `vibe setup`, which runs inside the environment.
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".vibe" / "tools"
VENV = ROOT / ".venv"
OLDEST = (3, 11)


class SetupError(Exception):
    """A step could not be done; the message says what to do."""


def say(text):
    print(text, flush=True)


def newer_python():
    """Return a Python on PATH that is new enough, when this one is not."""
    for minor in range(20, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found:
            return found
    return None


def locked_uv(lock):
    """Return what the lock file says about uv: its version and its wheels."""
    import tomllib  # not before the version of Python is known to have it

    packages = tomllib.loads(lock.read_text())["package"]
    return next(package for package in packages if package["name"] == "uv")


def wheel_for(wheels, system, machine, libc):
    """Return the wheel of this kind of machine, or None."""
    kind = {"Linux": "musllinux" if libc != "glibc" else "manylinux", "Darwin": "macosx"}.get(system)
    for wheel in wheels:
        tag = wheel["url"].rpartition("/")[2].removesuffix(".whl").rpartition("-")[2]
        if kind and kind in tag and tag.endswith(machine):
            return wheel
    return None


def unpack_uv(wheel, target):
    """Fetch the wheel that the lock file names, check its hash, and take the program out of it."""
    with urllib.request.urlopen(wheel["url"], timeout=60) as answer:
        content = answer.read()
    if "sha256:" + hashlib.sha256(content).hexdigest() != wheel["hash"]:
        raise SetupError("The wheel of uv is not the one that uv.lock names. Try again, or install uv.")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        partial = target.with_suffix(".partial")
        partial.write_bytes(archive.read(name))
    partial.chmod(0o755)
    partial.replace(target)


def bring_uv(lock=ROOT / "uv.lock"):
    """Return a uv: the one on PATH, or the locked one, brought from PyPI with pip where pip can be had."""
    found = shutil.which("uv")
    if found:
        return found
    locked = locked_uv(lock)
    target = TOOLS / f"uv-{locked['version']}"
    if target.is_file():
        return str(target)
    TOOLS.mkdir(parents=True, exist_ok=True)
    say(f"• uv {locked['version']}: not on PATH, bringing it into {TOOLS.relative_to(ROOT)}")
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        home = TOOLS / "uv-venv"
        run([sys.executable, "-m", "venv", "--clear", str(home)])
        run([str(home / "bin" / "pip"), "install", "--quiet", f"uv=={locked['version']}"])
        shutil.copy2(home / "bin" / "uv", target)
        shutil.rmtree(home)
        return str(target)
    wheel = wheel_for(locked["wheels"], platform.system(), platform.machine(), platform.libc_ver()[0])
    if wheel is None:
        raise SetupError(f"There is no uv for {platform.platform()}. Install uv yourself and try again.")
    try:
        unpack_uv(wheel, target)
    except urllib.error.URLError as error:
        raise SetupError(
            f"uv could not be fetched ({error.reason}). Check the network, or install uv, and try again."
        ) from error
    return str(target)


def run(command, environment=None):
    """Run a command, and make its failure a sentence."""
    environment = dict(os.environ, **(environment or {}))
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise SetupError(
            f"`{' '.join(command)}` failed with status {done.returncode}; its own words are above. "
            "Check the network and the free disk space, then start again: what is done is kept."
        )


def stamp_of_environment():
    """Return a fingerprint of what the environment is made of."""
    hashed = hashlib.sha256()
    for name in ("uv.lock", "pyproject.toml"):
        hashed.update((ROOT / name).read_bytes())
    return hashed.hexdigest()


def bring_environment():
    """Make `.venv` what `uv.lock` says, unless it is."""
    stamp = VENV / "vibe-setup.json"
    wanted = {"lock": stamp_of_environment()}
    if (VENV / "bin" / "vibe").exists() and stamp.is_file() and json.loads(stamp.read_text()) == wanted:
        say("✓ Python environment: up to date")
        return
    uv = bring_uv()
    started = time.monotonic()
    say("• Python environment: installing what uv.lock names into .venv")
    # A Python from elsewhere is never fetched: the machine's own is used.
    run([uv, "sync", "--frozen"], {"UV_PYTHON_DOWNLOADS": "never", "UV_PROJECT_ENVIRONMENT": str(VENV)})
    stamp.write_text(json.dumps(wanted))
    say(f"✓ Python environment: installed in {time.monotonic() - started:.1f} s")


def main():
    """Check Python and bring the environment; return the exit status."""
    if sys.version_info < OLDEST:
        newer = newer_python()
        if newer:
            os.execv(newer, [newer, *sys.argv])
        say(
            f"✗ Python {platform.python_version()} is too old: Vibe needs 3.11 or newer.\n"
            "  Install one (on Debian and Ubuntu: apt install python3.11) and start again with\n"
            "  make PYTHON=python3.11 ..."
        )
        return 1
    try:
        bring_environment()
    except (SetupError, OSError) as error:
        say(f"✗ {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
