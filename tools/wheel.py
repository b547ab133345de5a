"""Builds the wheel into `dist`, and beside it the versions of everything that it was tested with.

Run in the locked environment, after `vibe setup` has compiled the pages.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
UV = Path(sys.executable).parent / "uv"


def build(folder: Path) -> Path:
    """Build the wheel into a folder; return it.

    Raises:
        subprocess.CalledProcessError: It could not be built; the words of the build are in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for older in folder.glob("vibe_board-*.whl"):
        older.unlink()
    _uv("build", "--wheel", "--out-dir", str(folder))
    (wheel,) = folder.glob("vibe_board-*.whl")
    return wheel


def constraints(folder: Path) -> Path:
    """Write what `uv.lock` says a server needs, as pip's constraints; return the file."""
    target = folder / "constraints.txt"
    _uv(
        *(
            "export",
            "--frozen",
            "--no-default-groups",
            "--extra",
            "npm",
            "--no-emit-project",
            "--no-hashes",
            "--no-header",
        ),
        *("--no-annotate", "--output-file", str(target)),
    )
    return target


def _uv(*arguments: str) -> None:
    subprocess.run([str(UV), *arguments], cwd=ROOT, check=True, capture_output=True, text=True)


def main() -> int:
    """Build both; return the exit status."""
    try:
        wheel = build(DIST)
        versions = constraints(DIST)
    except subprocess.CalledProcessError as error:
        print(f"✗ The wheel could not be built:\n{error.stderr.strip()}")
        return 1
    print(f"✓ {wheel.relative_to(ROOT)}: {wheel.stat().st_size / 1e6:.1f} MB")
    print(f'  pipx install {wheel} --pip-args="--constraint {versions}"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
