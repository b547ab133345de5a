"""What commands share that ask a running server: its address, who asks, and which project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vibe_app.cli.options import Fault, data_option, settings_from

if TYPE_CHECKING:
    from vibe_app.cli.client import Client


def asking_options(scopes: str) -> Callable[[Any], Any]:
    """Add `--project`, `--server`, `--token` and `--data` to a command.

    Args:
        scopes: The scopes that a token needs, in words.
    """

    def add(command: Any) -> Any:
        for option in (
            data_option,
            click.option(
                "--token",
                envvar="VIBE_TOKEN",
                help=f"Access token with {scopes} (VIBE_TOKEN); not needed on its machine.",
            ),
            click.option("--server", envvar="VIBE_SERVER", help="Address of the server (VIBE_SERVER)."),
            click.option(
                "--project", help="Name or id of the project; may be left out where there is only one."
            ),
        ):
            command = option(command)
        return command

    return add


def client_for(server: str | None, token: str | None, data: Path | None) -> Client:
    """Return what asks the server that is named, or the one of the data folder.

    Raises:
        Fault: There is none, or it wants a token that was not given.
    """
    from vibe_app.cli.client import Client, local_token, server_of

    settings = settings_from(data=data)
    here = server_of(settings.data)
    url = server or here
    if url is None:
        raise Fault(
            f"No server runs on {settings.data}. Start one with `vibe up`, or name one with --server.", 2
        )
    if token:
        given = token

        def kept(fresh: bool) -> str:
            if fresh:
                raise Fault("The server does not take the token. Make a new one in Settings on the board.")
            return given

        return Client(url, kept)
    if url.rstrip("/") != here:
        raise Fault(
            "Give an access token of that server in VIBE_TOKEN; it is made in Settings on the board.", 2
        )
    return Client(url, lambda fresh: local_token(settings, fresh))


def project_id(client: Client, wanted: str | None, *, make: bool = True) -> str:
    """Return the id of the project that is named, or of the only one.

    Args:
        client: Of whom it is asked.
        wanted: Its name or id.
        make: Make a first one where there is none.

    Raises:
        Fault: None or several fit.
    """
    projects = list(client.everything("/api/projects", "projects"))
    if wanted is None:
        if not projects and make:
            name = "First project"
            return str(client.ask("POST", "/api/projects", {"name": name, "description": ""})["id"])
        if len(projects) == 1:
            return str(projects[0]["id"])
    fitting = [project for project in projects if wanted in (project["name"], project["id"])]
    if len(fitting) == 1:
        return str(fitting[0]["id"])
    names = ", ".join(sorted(project["name"] for project in projects)) or "none"
    if wanted is None:
        raise Fault(f"Say which project with --project: {names}.", 2)
    if fitting:
        raise Fault(f"Several projects are named {wanted!r}: give the id with --project.", 2)
    raise Fault(f"There is no project {wanted!r}. There is: {names}.", 2)
