"""The `vibe` command.

Each command imports what it needs when it runs: `vibe doctor` and `vibe run`
answer at once, without the pages or the database behind them.
"""

from __future__ import annotations

import click

from vibe_app.cli.changes import accept, diff, follow_up
from vibe_app.cli.database import db, user
from vibe_app.cli.doctor import doctor
from vibe_app.cli.pair import sidecar_and_gateway
from vibe_app.cli.pod import checkout, opencode_server
from vibe_app.cli.run import run
from vibe_app.cli.secrets import secrets
from vibe_app.cli.serve import file_browser, gateway, serve, session_proxy, sidecar, up
from vibe_app.cli.setup import setup
from vibe_app.cli.workspace import workspace


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="vibe-board", prog_name="vibe")
def main() -> None:
    """A team board where a coding agent does the card."""


SERVICES = (
    sidecar,
    gateway,
    sidecar_and_gateway,
    file_browser,
    session_proxy,
    opencode_server,
    checkout,
)
for command in (
    up,
    serve,
    setup,
    *SERVICES,
    doctor,
    db,
    user,
    secrets,
    run,
    workspace,
    diff,
    accept,
    follow_up,
):
    main.add_command(command)
