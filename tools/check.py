"""Runs the checks that a change must pass, tells how long each took, and fails if any failed.

Most tests wait for something (a process, a lease, a page) and leave a core
idle, so several processes of pytest run them at once; those marked `alone`,
which measure time and do little else than wait, follow with a core for each.
A test that fails is repeated once, by itself, when all have ended. One that
passes then fails no check, but is named under "Passed on the second try": it
is a fault to be explained, not a success.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

BIN = Path(sys.executable).parent
CHECKS = {
    "lint": [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["lint-imports"],
        ["python", "tools/javascript.py"],
    ],
    "types": [["basedpyright"]],
}
PYTEST = ["pytest", "--durations=10"]
CACHE = Path(".pytest_cache")
# Where more than this fail, something is broken, and a second try would only take its time.
REPEATED = 20
CORES = os.cpu_count() or 1
# So many processes run tests at once: most tests wait a lot, and with more of them some miss their time.
WORKERS = min(2 * CORES, 16)
# What is work for a core by itself. Pods with real processes, and what is shipped: the container image and
# the wheel; several replicas and workers, with the soaks in short, and processes killed in mid-run;
# everything else in a browser.
APART = {
    "cluster": [
        "tests/e2e/test_cluster.py",
        "tests/workspaces/runtimes/kubernetes/test_pods.py",
        "tests/workspaces/runtimes/kubernetes/test_pod_sessions.py",
        "tests/workspaces/runtimes/kubernetes/test_pod_keys.py",
        "tests/image",
        "tests/cli/test_wheel.py",
    ],
    "replicas": [
        "tests/runs/test_soak.py",
        "tests/runs/test_restart.py",
        "tests/runs/test_replicas.py",
        "tests/api/test_output_replicas.py",
        "tests/cli/test_workers.py",
        "tests/e2e/test_replicas.py",
        "tests/e2e/test_workers.py",
        "tests/e2e/test_loss.py",
        "tests/e2e/test_drafts.py",
    ],
    "browser": ["tests/e2e", "tests/web/test_components_browser.py", "tests/web/test_parts_browser.py"],
    # Part of `make test`, after the others: each test of these has OpenCode work without a pause.
    "wall": ["tests/wall"],
}
# Chromium gives up what it loads whenever the networks of the machine change, as pods make them do: these
# come before all others of their lane.
FIRST = {"cluster": ["tests/e2e/test_cluster.py"]}
# The soaks take all that a machine has for minutes: beside them a server's answer takes what it takes. They
# come after all others of their lane, one by one.
LAST = {"replicas": ["tests/runs/test_soak.py"]}
# What takes long to make, changes no network, and can be made meanwhile.
MEANWHILE = {"cluster": ["python", "tools/podman.py", "--base"]}
# Those whose tests are shared out one by one; elsewhere those of a file stay together, with their servers.
SPREAD = {"browser"}


def ignored(*chosen: str) -> list[str]:
    """Return what keeps a lane from the tests of all other lanes that stand apart."""
    others = {path for name, paths in APART.items() if name not in chosen for path in paths}
    return [f"--ignore={path}" for path in sorted(others)]


def environment() -> dict[str, str]:
    """Return what the checks get to know of this one's environment.

    Tests start Python hundreds of times. Where it may leave no compiled modules
    beside their sources, as in many containers, each of them would compile some
    two thousand anew: it finds them in the build folder instead.
    """
    kept = dict(os.environ)
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        kept.setdefault("PYTHONPYCACHEPREFIX", str(Path("build", "pycache").resolve()))
    return kept


def say(text: str) -> None:
    """Print a line at once, so that it stands before what the next command prints."""
    print(text, flush=True)


def run(arguments: list[str]) -> tuple[bool, str]:
    """Run a program of this environment; return whether it failed, and a line about it."""
    say(f"• {' '.join(arguments)}")
    started = time.monotonic()
    status = subprocess.run(_command(arguments), env=environment()).returncode
    return status != 0, _verdict(status, arguments, time.monotonic() - started)


class Lane:
    """Tests that run in one pytest, which remembers those that failed.

    Args:
        name: Begins each line that it prints.
        chosen: Paths and options that choose its tests.
        workers: How many processes share the tests; 0 for the one of pytest itself.
        dist: How: `worksteal`, where each begins with neighbours, which share a server or a browser, and who
            is done takes from the others; `loadfile`, where the tests of a file stay together.
        meanwhile: A program to run beside them, for the lanes that follow.
    """

    def __init__(
        self,
        name: str,
        chosen: list[str],
        workers: int = 0,
        dist: str = "worksteal",
        meanwhile: list[str] | None = None,
    ) -> None:
        self.name = name
        self._meanwhile = meanwhile
        self.counts = Counter[str]()
        self._cache = CACHE / name
        self._command = [*PYTEST, "-o", f"cache_dir={self._cache}", *chosen]
        self._shared = ["-n", str(workers), "--dist", dist] if workers else []
        self._status = 0
        self._seconds = 0.0

    def run(self) -> None:
        """Run all of its tests."""
        self._remembered.unlink(missing_ok=True)
        if self._meanwhile is None:
            self.counts = self._run(*self._shared)
            return
        with subprocess.Popen(_command(self._meanwhile), env=environment()):
            self.counts = self._run(*self._shared)

    def repeat(self) -> list[str]:
        """Run those that failed once more, one by one; return the names of those that passed this time."""
        failed = self._last_failed()
        if self._status != 1 or not 0 < len(failed) <= REPEATED:  # 1: it ended, and tests failed
            return []
        self._run("--last-failed")
        passed = sorted(failed - self._last_failed())
        self.counts["failed"] = len(failed) - len(passed)
        self.counts["error"] = 0
        self.counts["passed"] += len(passed)
        return passed

    @property
    def failed(self) -> bool:
        """Whether any test has failed for good, or the tests did not come to their end."""
        return self._status != 0

    @property
    def verdict(self) -> str:
        """A line about it."""
        return _verdict(self._status, self._command, self._seconds)

    @property
    def _remembered(self) -> Path:
        return self._cache / "v" / "cache" / "lastfailed"

    def _last_failed(self) -> set[str]:
        return set(json.loads(self._remembered.read_bytes())) if self._remembered.exists() else set()

    def _run(self, *options: str) -> Counter[str]:
        """Run its pytest, printing lines as they are complete; return how many tests ended how."""
        command = [*self._command, *options]
        say(f"• {' '.join(command)}")
        started, counts = time.monotonic(), Counter[str]()
        with subprocess.Popen(
            _command(command),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as lane:
            assert lane.stdout
            for line in lane.stdout:
                say(f"{self.name} │ {line.rstrip()}")
                if told := re.fullmatch(r"=+ (.*) in [\d.]+s.* =+", line.strip()):
                    found = re.findall(r"(\d+) (passed|failed|error|skipped)", told[1])
                    counts = Counter({word: int(number) for number, word in found})
        self._status = lane.returncode
        self._seconds += time.monotonic() - started
        return counts


def _command(arguments: list[str]) -> list[str]:
    return [str(BIN / arguments[0]), *arguments[1:]]


def _verdict(status: int, arguments: list[str], seconds: float) -> str:
    return f"{'✗' if status else '✓'} {' '.join(arguments)}: {seconds:.1f} s"


def run_tests(lanes: list[Lane]) -> list[tuple[bool, str]]:
    """Run one lane after the other, what failed once more, and end with one line about all tests."""
    for lane in lanes:
        lane.run()
    repeated = [name for lane in lanes for name in lane.repeat()]
    if repeated:
        say("\nPassed on the second try:\n" + "\n".join(f"  {name}" for name in repeated) + "\n")
    total = sum((lane.counts for lane in lanes), Counter[str]())
    say(f"{total['passed']} passed, {total['failed'] + total['error']} failed, {total['skipped']} skipped")
    return [(lane.failed, lane.verdict) for lane in lanes]


def main() -> int:
    """Run the checks named on the command line; what follows `--` goes to one single pytest."""
    names, _, extra = " ".join(sys.argv[1:]).partition("--")
    results: list[tuple[bool, str]] = []
    for name in names.split() or ["lint", "types", "pytest"]:
        if name in APART:
            first, last = FIRST.get(name, []), LAST.get(name, [])
            lanes = [Lane(f"{name}-first", first, meanwhile=MEANWHILE.get(name))] if first else []
            chosen = [path for path in APART[name] if path not in (*first, *last)]
            workers = min(CORES + 1, 3)
            if name in SPREAD:
                lanes.append(Lane(name, [*chosen, *ignored(name)], workers))
            else:
                lanes.append(Lane(name, chosen, workers, "loadfile"))
            if last:
                lanes.append(Lane(f"{name}-last", last))
            results += run_tests(lanes)
        elif name != "pytest":
            results += [run(command) for command in CHECKS[name]]
        elif extra.split():
            results.append(run([*PYTEST, *extra.split()]))
        else:
            together = Lane("together", ["-m", "not alone", *ignored()], WORKERS)
            alone = Lane("alone", ["-m", "alone", *ignored()], min(CORES, 4))
            results += run_tests([together, alone, Lane("wall", APART["wall"], min(CORES, 4))])
    say("\n".join(line for _, line in results))
    return int(any(failed for failed, _ in results))


if __name__ == "__main__":
    sys.exit(main())
