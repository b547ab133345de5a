"""An agent gets at nothing that is not its own; each way that is tried leads there without the wall."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.wall import rig
from tests.wall.suite import wanted

REPOSITORY = Path(__file__).parents[2]
ROOT = os.geteuid() == 0
# A suite takes some 12 s by itself, and shares the machine.
SECONDS = 200
# Where the data folder lies: below a folder that is private behind the wall, and below one that is not there.
PLACES = {"root": "/tmp", "user": "/var/tmp"}


def attack(who: str, *, walled: bool, old_proc: bool = False) -> tuple[dict[str, str], dict[str, Any]]:
    """Run all probes as a user; return those that got something, and all that was said."""
    as_root = who == "root"
    network = ROOT and shutil.which("ip") is not None
    names = [each.name for each in wanted(root=as_root, network=network, own_proc=not old_proc)]
    with tempfile.TemporaryDirectory() as folder:
        plan, results = Path(folder, "plan.json"), Path(folder, "results.json")
        told = {
            "where": PLACES[who],
            "user": rig.USER if ROOT and not as_root else None,
            "walled": walled,
            "old_proc": old_proc,
            "probes": names,
            "network": network,
            "results": str(results),
        }
        plan.write_text(json.dumps(told))
        command = [sys.executable, "-m", "tests.wall.suite", str(plan)]
        isolated = ["unshare", "--net", "--", *command] if network else command
        suite = subprocess.Popen(isolated, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
        try:
            _, errors = suite.communicate(timeout=SECONDS)
        finally:
            # It ends what it has started.
            suite.terminate()
            suite.wait()
        assert suite.returncode == 0, errors
        said = json.loads(results.read_text())
    assert set(said["results"]) == set(names)
    got = {name: what for name, what in said["results"].items() if not what.startswith("-")}
    # What a probe shows was planted: it cannot have made it up.
    assert {what for what in got.values() if what != "DONE"} <= set(said["secrets"]), got
    return got, said


pytestmark = pytest.mark.timeout(SECONDS + 40)
EACH = pytest.mark.parametrize(
    "who", ["user", pytest.param("root", marks=pytest.mark.skipif(not ROOT, reason="not root"))]
)


@EACH
def test_every_probe_is_refused_behind_the_wall_and_succeeds_without_it(who: str) -> None:
    assert not (missing := rig.needs()), missing
    with ThreadPoolExecutor(2) as pool:
        behind, without = pool.map(lambda walled: attack(who, walled=walled), (True, False))
    assert behind[0] == {}
    assert behind[1]["alive"]
    refused = {name: what for name, what in without[1]["results"].items() if name not in without[0]}
    assert refused == {}, "these probes are broken: they get nothing without the wall either"
    assert len(without[0]) > 40


def test_every_probe_is_refused_where_the_old_proc_is_shown() -> None:
    """As in a container. Without a wall each succeeds, as in the test before."""
    assert not (missing := rig.needs()), missing
    got, said = attack("root" if ROOT else "user", walled=True, old_proc=True)
    assert got == {}
    assert said["alive"]
    assert len(said["results"]) > 40
