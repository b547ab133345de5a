"""`vibe run`: makes a card on a running server, executes it, and prints what the agent does."""

from __future__ import annotations

from pathlib import Path

import click

from vibe_app.cli.asking import asking_options, client_for, project_id
from vibe_app.cli.changes import accept_change
from vibe_app.cli.following import EXIT_STATUS, Session
from vibe_app.cli.options import Fault


@click.command()
@click.argument("prompt")
@click.option("--accept", is_flag=True, help="Where it completes, accept what it has changed.")
@asking_options("the scopes run and write")
def run(
    prompt: str,
    accept: bool,
    project: str | None,
    server: str | None,
    token: str | None,
    data: Path | None,
) -> None:
    """Make a card of PROMPT, execute it, and follow it to its end.

    The exit status is the session's result: 0 completed, 1 failed, 3 cancelled.
    Ctrl-C asks whether to stop the session.
    """
    if not prompt.strip():
        raise Fault('Say what is to be done: vibe run "Add a README file"', 2)
    client = client_for(server, token, data)
    try:
        path = f"/api/projects/{project_id(client, project)}/tasks"
        title, _, rest = prompt.strip().partition("\n")
        description = prompt.strip() if len(title) > 200 else rest.strip()
        task = client.ask("POST", path, {"title": title[:200], "description": description})
        task_path = f"{path}/{task['id']}"
        started = client.ask("POST", f"{task_path}/execute")
        status = Session(client, task_path, started["session_id"]).follow()
        if accept and status == "completed":
            accept_change(client, task_path)
    finally:
        client.close()
    raise SystemExit(EXIT_STATUS.get(status, 1))
