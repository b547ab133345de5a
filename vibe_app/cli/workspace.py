"""`vibe workspace`: what a person does about a project's workspace from a terminal."""

from __future__ import annotations

import time
from pathlib import Path

import click

from vibe_app.cli.asking import asking_options, client_for, project_id
from vibe_app.cli.options import Fault, console

_ASK_EVERY = 0.5
_LONGEST = 300.0


@click.group()
def workspace() -> None:
    """Look after the workspace of a project."""


@workspace.command()
@asking_options("the scope run")
@click.option(
    "--interrupt", is_flag=True, help="Also while a session runs; what its agent does begins again."
)
def restart(
    project: str | None, server: str | None, token: str | None, data: Path | None, interrupt: bool
) -> None:
    """End what runs of a workspace and start it anew. Its files stay."""
    client = client_for(server, token, data)
    try:
        path = f"/api/projects/{project_id(client, project, make=False)}"
        client.ask("POST", f"{path}/workspace/restart?interrupt={str(interrupt).lower()}")
        said, end = "", time.monotonic() + _LONGEST
        while time.monotonic() < end:
            found = client.ask("GET", path)["workspace"]
            words = found["reason"] or found["status"]
            if words != said:
                console.print(f"{words}.".replace("..", "."), style="dim", soft_wrap=True)
                said = words
            if found["status"] == "ready":
                console.print("[green]✓[/] The workspace runs.")
                return
            if found["status"] == "failed":
                raise Fault(found["reason"] or "The workspace did not start.")
            time.sleep(_ASK_EVERY)  # the API has no answer that lasts until a workspace has changed
        raise Fault(f"The workspace is not ready after {_LONGEST:g} s: {said}.")
    finally:
        client.close()
