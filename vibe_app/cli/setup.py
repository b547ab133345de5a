"""`vibe setup`: everything that a server needs and that is not there yet.

`vibe up` goes through the same steps before it serves.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from vibe_app import frontend
from vibe_app.cli import npm, tools
from vibe_app.cli.database import database_step
from vibe_app.cli.options import console, data_option, settings_from
from vibe_app.cli.steps import Step, StepError, run_steps, show_fault
from vibe_app.settings import Settings


def steps(settings: Settings) -> list[Step]:
    """Return the steps from a bare environment to one that can serve."""
    root = frontend.home()
    listed = [
        tools.git_step(),
        tools.ripgrep_step(settings),
        tools.opencode_step(settings),
        tools.sandbox_step(settings),
        database_step(settings),
        frontend_step(settings, root),
    ]
    if settings.runtime == "kubernetes":  # the agent runs in pods, from the image
        return listed[4:]
    return listed


def frontend_step(settings: Settings, root: Path) -> Step:
    """The compiled frontend, brought up to date with the sources."""

    def found() -> str | None:
        return "up to date" if frontend.is_current(root) else None

    def do() -> str:
        bun = tools.stamped(settings, tools.BUN) or tools.install(settings, tools.BUN)
        # npm's registry is passed along, so that Reflex neither probes for the fastest one nor asks another.
        environment = {
            "REFLEX_BUN_PATH": bun,
            "REFLEX_DIR": str(settings.tools / "reflex"),
            "NPM_CONFIG_REGISTRY": npm.registry(root),
            "PATH": npm.node_path(),
        }
        try:
            frontend.build(root, environment)
        except frontend.BuildError as error:
            raise StepError(
                "The frontend could not be compiled.",
                "If the lines above speak of the network, check it and start again; "
                "if they speak of a page, mend it.",
                str(error),
            ) from error
        where = f"compiled into {frontend.published(root).relative_to(root)}"
        return where if frontend.was_locked(root) else f"{where}; reflex.lock has changed, commit it"

    return Step("frontend", "compiling the pages (about 10 s, longer the first time)", found, do)


def bring_everything(settings: Settings) -> bool:
    """Go through the steps, telling how each went; return whether all are done."""
    if not _enough_room(settings):
        return False
    try:
        run_steps(steps(settings), console)
    except StepError as error:
        show_fault(error, console)
        return False
    return True


def _enough_room(settings: Settings) -> bool:
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.data).free
    if free > 200 << 20:
        return True
    fault = f"Only {free >> 20} MB are free where {settings.data} is."
    show_fault(StepError(fault, "Free some space (1 GB) and start again."), console)
    return False


@click.command()
@data_option
def setup(data: Path | None) -> None:
    """Bring what a server needs: tools, the database, the compiled pages."""
    if not bring_everything(settings_from(data=data)):
        raise SystemExit(1)
