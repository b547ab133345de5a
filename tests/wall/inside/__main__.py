"""`python3 -m inside FOLDER`: all probes of `FOLDER/targets.json`, each in a process; writes results.json."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import files, kernel, network, processes
from .table import TABLE, Targets

_PARTS = (files, kernel, network, processes)
_SECONDS = 15
_AT_ONCE = 3


def attempt(folder: Path, name: str) -> str:
    """What a probe says: what it got, or after a minus sign why it got nothing."""
    command = [sys.executable, "-m", __package__, str(folder), name]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "-it took too long"
    return ended.stdout.strip() or f"-{ended.stderr.strip()[-300:] or ended.returncode}"


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    told = json.loads((folder / "targets.json").read_text())
    names = told.pop("probes")
    targets = Targets(**told)
    if len(sys.argv) > 2:
        try:
            sys.stdout.write(f"{TABLE[sys.argv[2]].run(targets) or '-nothing'}\n")
        except OSError as error:
            sys.stdout.write(f"-{type(error).__name__}: {error}\n")
        return
    os.chdir(Path(__file__).parent.parent)
    # One after the other what spoils another's: folders that are exchanged, and what waits for others.
    alone = [name for name in names if name.startswith(("replace-", "remove-"))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        together = [name for name in names if name not in alone]
        said = dict(zip(together, pool.map(lambda name: attempt(folder, name), together), strict=True))
    said |= {name: attempt(folder, name) for name in alone}
    (folder / "results.tmp").write_text(json.dumps(said))
    (folder / "results.tmp").rename(folder / "results.json")


main()
