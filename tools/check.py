"""Runs the checks that a change must pass, tells how long each took, and fails if any failed.

The tests run in lanes at the same time, each a pytest of its own: most of
them wait for something (a process, a lease, a page) and leave a core idle.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS = {
    "lint": [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
    ],
    "types": [["basedpyright"]],
}
PYTEST = ["pytest", "--durations=10"]
# What keeps both cores busy for minutes goes by itself: pods with real processes and the container image;
# several replicas and workers, with the soaks in short, and processes killed in mid-run.
APART = {
    "cluster": [
        "tests/e2e/test_cluster.py",
        "tests/runtimes/test_pods.py",
        "tests/runtimes/test_pod_sessions.py",
        "tests/image",
    ],
    "replicas": [
        "tests/runs/test_soak.py",
        "tests/runs/test_restart.py",
        "tests/runs/test_replicas.py",
        "tests/runtimes/test_shared.py",
        "tests/api/test_output_replicas.py",
        "tests/cli/test_workers.py",
        "tests/e2e/test_replicas.py",
        "tests/e2e/test_workers.py",
        "tests/e2e/test_loss.py",
        "tests/e2e/test_drafts.py",
    ],
}
_ignored = [f"--ignore={path}" for paths in APART.values() for path in paths]
# Those that start whole servers, OpenCode and browsers: about half of the time.
LARGE = ["tests/e2e", "tests/cli", "tests/runtimes", "tests/sidecar"]
LANES = {
    "large": [*PYTEST, *LARGE, *_ignored],
    "small": [
        *PYTEST,
        "-o",
        "cache_dir=.pytest_cache/small",
        "tests",
        *(f"--ignore={path}" for path in LARGE),
        *_ignored,
    ],
}


def say(text: str) -> None:
    """Print a line at once, so that it stands before what the next command prints."""
    print(text, flush=True)


def run(arguments: list[str]) -> tuple[bool, str]:
    """Run a program of this environment; return whether it failed, and a line about it."""
    say(f"• {' '.join(arguments)}")
    started = time.monotonic()
    status = subprocess.run(_command(arguments)).returncode
    return status != 0, _verdict(status, arguments, started)


def run_lane(name: str) -> tuple[bool, str, Counter[str]]:
    """Run one lane, printing its lines as they are complete; return also how many tests ended how."""
    say(f"• {' '.join(LANES[name])}")
    started, counts = time.monotonic(), Counter[str]()
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace"}
    with subprocess.Popen(_command(LANES[name]), **pipe) as lane:
        for line in lane.stdout:
            say(f"{name} │ {line.rstrip()}")
            if told := re.fullmatch(r"=+ (.*) in [\d.]+s.* =+", line.strip()):
                found = re.findall(r"(\d+) (passed|failed|error|skipped)", told[1])
                counts = Counter({word: int(number) for number, word in found})
    return lane.returncode != 0, _verdict(lane.returncode, LANES[name], started), counts


def _command(arguments: list[str]) -> list[str]:
    return [str(BIN / arguments[0]), *arguments[1:]]


def _verdict(status: int, arguments: list[str], started: float) -> str:
    return f"{'✗' if status else '✓'} {' '.join(arguments)}: {time.monotonic() - started:.1f} s"


def run_tests() -> list[tuple[bool, str]]:
    """Run the lanes at once and end with one line about all tests."""
    with ThreadPoolExecutor(len(LANES)) as pool:
        lanes = list(pool.map(run_lane, LANES))
    total = sum((counts for _, _, counts in lanes), Counter[str]())
    say(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return [(failed, line) for failed, line, _ in lanes]


def main() -> int:
    """Run the checks named on the command line; what follows `--` goes to one single pytest."""
    names, _, extra = " ".join(sys.argv[1:]).partition("--")
    results: list[tuple[bool, str]] = []
    for name in names.split() or ["lint", "types", "pytest"]:
        if name in APART:
            results.append(run([*PYTEST, *APART[name]]))
        elif name != "pytest":
            results += [run(command) for command in CHECKS[name]]
        elif extra.split():
            results.append(run([*PYTEST, *extra.split()]))
        else:
            results += run_tests()
    say("\n".join(line for _, line in results))
    return int(any(failed for failed, _ in results))


if __name__ == "__main__":
    sys.exit(main())
