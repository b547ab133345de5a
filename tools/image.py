"""Builds the container image with podman or docker, whichever is there, and says how large it is.

Run by whatever `python3` there is, with the standard library only: all that a build needs is
brought inside of it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENGINES = ("podman", "docker")


def engine() -> str | None:
    """Return the first engine on PATH that answers."""
    for name in ENGINES:
        found = shutil.which(name)
        if found and subprocess.run([found, "info"], capture_output=True).returncode == 0:
            return found
    return None


def command(program: str, tags: list[str]) -> list[str]:
    """Return the command that builds the image.

    The machine's bundle of certificates is used during the build where SSL_CERT_FILE names one: behind
    a proxy that signs everything itself nothing could be fetched without.
    """
    bundle = os.environ.get("SSL_CERT_FILE", "")
    secrets = ["--secret", f"id=ca,src={bundle}"] if Path(bundle).is_file() else []
    names = [word for tag in tags for word in ("--tag", tag)]
    return [program, "build", *secrets, *names, "--file", str(ROOT / "Containerfile"), str(ROOT)]


def size(program: str, tag: str) -> int:
    """Return the size of an image in bytes."""
    asked = subprocess.run(
        [program, "image", "inspect", tag], capture_output=True, text=True, check=True, timeout=60
    )
    return json.loads(asked.stdout)[0]["Size"]


def main() -> int:
    """Build the image; return the exit status."""
    parser = argparse.ArgumentParser(description="Build the container image.")
    parser.add_argument(
        "--tag", action="append", help="what to call it, for example registry.example.org/vibe:1 (vibe)"
    )
    tags = parser.parse_args().tag or ["vibe"]
    program = engine()
    if program is None:
        print("✗ Neither podman nor docker answers: install one (Debian: sudo apt install podman).")
        return 1
    # Docker's older builder knows no secrets.
    done = subprocess.run(command(program, tags), env={**os.environ, "DOCKER_BUILDKIT": "1"})
    if done.returncode:
        print("✗ The image could not be built; what went wrong is above.")
        return 1
    print(f"✓ {', '.join(tags)}: {size(program, tags[0]) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
