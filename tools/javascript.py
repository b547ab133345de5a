"""Checks the little JavaScript there is (types, style, tests), and what Python says to the browser.

That is read as Reflex has compiled it, so the pages are compiled first where they are not; and as
`spoken.py` finds it in the sources, where a handler sends it.

What checks it is pinned in `tools/js` (`package.json`, `bun.lock`) and comes from the
registry of npm the first time; nothing of it is part of the product.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import spoken

from vibe_app.cli import npm, tools
from vibe_app.cli.setup import frontend_step
from vibe_app.cli.steps import StepError
from vibe_app.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[1]
CHECKS = ROOT / "tools" / "js"
MODULES = CHECKS / "node_modules"
TRIED = CHECKS / ".tried"
"""Copies of the scripts, which find there the packages that they import."""
SAID = TRIED / "said.js"
"""What handlers send to the browser."""
COMPILED = [ROOT / ".web" / "app", ROOT / ".web" / "app_components"]
"""What Reflex makes of the pages."""
PARTS = COMPILED[1] / "vibe_app" / "web" / "kit"
"""Of them the parts that have tests of their own."""


def sources() -> list[Path]:
    """Return the files of the pages that are written in JavaScript."""
    folders = (ROOT / "vibe_app" / "web", ROOT / "assets")
    found = [path for folder in folders for path in sorted(folder.rglob("*.js*")) if path.is_file()]
    return [path for path in found if "external" not in path.parts]


def bring(bun: str, environment: dict[str, str]) -> None:
    """Have the locked packages at hand.

    Raises:
        StepError: They could not be brought.
    """
    stamp = MODULES / ".stamp"
    lock = hashlib.sha256((CHECKS / "bun.lock").read_bytes()).hexdigest()
    if stamp.is_file() and stamp.read_text() == lock:
        return
    install = [bun, "install", "--frozen-lockfile", "--ignore-scripts", "--no-progress"]
    done = subprocess.run(install, cwd=CHECKS, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise StepError(
            "The packages that check the JavaScript could not be brought.",
            "Check the network and the registry of npm (`npm config get registry`), then start again.",
            done.stderr[-2000:],
        )
    stamp.write_text(lock)


def compiled(settings: Settings) -> None:
    """Have the pages compiled, as they are in the sources by now.

    Raises:
        StepError: They could not be compiled, or only what is served of them is left.
    """
    pages = frontend_step(settings, ROOT)
    if pages.found() is None:
        print(f"• {pages.doing}", flush=True)
        pages.do()
    if gone := [path for path in COMPILED if not path.is_dir()]:
        raise StepError(f"{gone[0]} is gone.", "Remove build/frontend and start again: it is made anew.")


def main() -> int:
    """Run the checks; return 1 if any failed."""
    settings = load_settings()
    try:
        bun = tools.stamped(settings, tools.BUN) or tools.install(settings, tools.BUN)
        environment = {
            **os.environ,
            "NPM_CONFIG_REGISTRY": npm.registry(ROOT),
            "PATH": npm.node_path(),
        }
        bring(bun, environment)
        compiled(settings)
    except StepError as error:
        print(error, file=sys.stderr)
        return 1
    shutil.rmtree(TRIED, ignore_errors=True)
    TRIED.mkdir()
    for path in sources():
        shutil.copy(path, TRIED)
    shutil.copytree(PARTS, TRIED / "compiled")
    SAID.write_text("".join(spoken.scripts(ROOT / "vibe_app" / "web")))
    checked = [str(path.relative_to(ROOT)) for path in [*sources(), *COMPILED, SAID]]
    config = str(CHECKS / "eslint.config.js")
    runs = (
        [bun, "--bun", str(MODULES / ".bin" / "tsc"), "-p", str(CHECKS)],
        [bun, "--bun", str(MODULES / ".bin" / "tsc"), "-p", str(CHECKS / "spoken")],
        [bun, "--bun", str(MODULES / ".bin" / "eslint"), "--max-warnings=0", "-c", config, *checked],
        [bun, "test", "--cwd", str(CHECKS)],
    )
    return max(subprocess.run(run, cwd=ROOT, env=environment).returncode for run in runs)


if __name__ == "__main__":
    sys.exit(main())
