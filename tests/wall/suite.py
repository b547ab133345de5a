"""`python -m tests.wall.suite PLAN`: all probes, once, in an OpenCode of its own; writes what each said.

It is a program because it wants a network namespace of its own (`unshare --net`), in which the machine's
addresses and the one where clouds tell their secrets can be had without touching the machine's.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.wall import outside
from tests.wall.inside import files, kernel, network, processes
from tests.wall.inside.table import TABLE, Probe, Targets
from tests.wall.rig import PYTHON, Behind, behind, secret
from vibe_app.settings import load_settings
from vibe_app.workspaces.runtimes.local import wall

_PARTS = (files, kernel, network, processes)


def wanted(*, root: bool, network: bool, own_proc: bool = True) -> list[Probe]:
    """The probes that can succeed without a wall for such a user, and are refused by such a wall."""
    return [
        each
        for each in TABLE.values()
        if (root or not each.root)
        and not (root and each.user)
        and (network or not each.network)
        and (own_proc or not each.own_proc)
    ]


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if plan["network"]:
        for address in ("10.251.7.1/32", "169.254.169.254/32"):
            subprocess.run(["ip", "addr", "add", address, "dev", "lo"], check=True)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # Where no new `/proc` can be mounted, the old one is shown.
    found = wall.find(load_settings())
    forced = replace(found, own_proc=False) if plan["old_proc"] and isinstance(found, wall.Wall) else None
    with behind(plan["where"], user=plan["user"], walled=plan["walled"], wall=forced) as workspace:
        Path(plan["results"]).write_text(json.dumps(attack(workspace, plan["probes"])))


def attack(workspace: Behind, probes: list[str]) -> dict[str, Any]:
    """Plant what is to be found; run probes in the workspace; return what each said, and what there was."""
    kept = {name: secret() for name in outside.KEPT}
    layout = workspace.layout
    plant(outside.files(workspace.data, workspace.root / "person", kept))
    plant({layout.guidance: "", layout.ours / "vibe" / "journal": ""})
    scratch, shared = Path(f"/tmp/vibe-{secrets.token_hex(6)}"), Path(f"/dev/shm/vibe-{secrets.token_hex(6)}")
    told = outside.plan(workspace.data, workspace.root)
    kept |= {f"held-{number}": each for number, each in enumerate(told["secrets"])}
    kept |= {"scratch": secret(), "shared": secret(), "environment": secret(), "argument": secret()}
    (workspace.root / "victims.json").write_text(json.dumps(told))
    shutil.copy(Path(__file__).with_name("victims.py"), workspace.root)
    workspace.own()
    scratch.write_text(kept["scratch"])
    shared.write_text(kept["shared"])
    victim = subprocess.Popen(
        workspace.as_user(
            PYTHON, str(workspace.root / "victims.py"), str(workspace.root / "victims.json"), kept["argument"]
        ),
        env={"PATH": os.defpath, "VIBE_SECRET_KEY": kept["environment"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert victim.stdout
        said = json.loads(victim.stdout.readline())
        workspace.start()
        assert workspace.process
        targets = Targets(
            data=str(workspace.data),
            workspace=str(layout.workspace),
            tree=str(workspace.tree),
            home=str(layout.home),
            given=str(layout.given),
            other=outside.OTHER,
            person=str(workspace.root / "person"),
            scratch=str(scratch),
            shared=str(shared),
            opencode=workspace.process.pid,
            segment=told["segment"],
            abstract=told["abstract"],
            sockets=told["sockets"],
            opencode_port=workspace.port,
            terminal=workspace.named,
            **said,
        )
        results = run(workspace, targets, probes)
        if "kill" in results:
            results["kill"] = "DONE" if Path(told["signalled"]).exists() else "-nothing came"
        if "terminal-of-the-keeper" in results:
            came = b"written by an agent" in workspace.written()
            results["terminal-of-the-keeper"] = "DONE" if came else "-nothing came"
        return {
            "results": results,
            "secrets": [*kept.values(), workspace.password, workspace.token],
            "alive": victim.poll() is None,
        }
    finally:
        victim.communicate(timeout=10)
        for path in (scratch, shared):
            with suppress(FileNotFoundError):
                path.unlink()


def plant(files: Mapping[Path, str]) -> None:
    """Write files, and make the folders that they are in."""
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def run(workspace: Behind, targets: Targets, probes: list[str]) -> dict[str, str]:
    """Run probes by OpenCode's bash tool."""
    folder = workspace.tree / "probe"
    folder.mkdir()
    shutil.copytree(Path(__file__).with_name("inside"), folder / "inside", ignore=lambda *_: ["__pycache__"])
    (folder / "targets.json").write_text(json.dumps(asdict(targets) | {"probes": probes}))
    workspace.own()
    output = workspace.bash(f"cd probe && exec {PYTHON} -m inside .")
    results = folder / "results.json"
    assert results.exists(), f"{output}\n{workspace.log.read_text()[-2000:]}"
    return json.loads(results.read_text())


if __name__ == "__main__":
    main()
