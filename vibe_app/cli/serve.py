"""`vibe up`, `vibe serve` and the services of a workspace: what runs until it is stopped."""

from __future__ import annotations

import os
import socket
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from vibe_app import frontend
from vibe_app.cli import database, ports
from vibe_app.cli.options import Fault, console, serving_options, settings_from
from vibe_app.cli.setup import bring_everything
from vibe_app.private import PRIVATE, keep_private
from vibe_app.settings import Settings


@click.command()
@serving_options
@click.option("--no-browser", is_flag=True, help="Do not open the board in a browser.")
def up(host: str | None, port: int | None, data: Path | None, no_browser: bool) -> None:
    """Bring what is missing, then serve the board and open it."""
    settings = _settings_to_serve(host, port, data)
    if (url := running_on(settings)) is not None:
        console.print(f"Vibe is running already: {url}")
        show_in_browser(url, no_browser)
        return
    listener = _listener_or_next(settings)
    if not bring_everything(settings):
        raise SystemExit(1)

    def ready(url: str, empty: bool) -> None:
        where = announce(settings, url, empty)
        console.print("Ctrl-C stops it.", style="dim")
        show_in_browser(where, no_browser)

    _serve(settings, listener, ready)


@click.command()
@serving_options
@click.option("--migrate", is_flag=True, help="Bring the database to the newest revision first.")
@click.option(
    "--role",
    type=click.Choice(["all", "web", "engine"]),
    help="What this process does: pages and API, runs and workspaces, or all (VIBE_ROLE; PostgreSQL but for "
    "all).",
)
def serve(host: str | None, port: int | None, data: Path | None, migrate: bool, role: str | None) -> None:
    """Serve the board; everything must be in place (see `vibe setup`, `vibe db upgrade`)."""
    settings = _settings_to_serve(host, port, data, role)
    if settings.on_sqlite and running_on(settings) is not None:
        raise _running_already(settings)
    try:
        listener = ports.bind(settings.host, settings.port)
    except ports.PortTaken as error:
        free = ports.next_free(settings.host, settings.port)
        raise Fault(f"{error} {free} is free: vibe serve --port {free}", 2) from error
    if settings.role != "engine" and not frontend.is_built(frontend.home()):
        raise Fault("The frontend is not compiled yet: run `vibe setup` first (`vibe up` does it by itself).")
    if not migrate:
        database.check_newest(settings)
    _serve(settings, listener, partial(announce, settings), migrate=migrate)


def _settings_to_serve(
    host: str | None, port: int | None, data: Path | None, role: str | None = None
) -> Settings:
    settings = settings_from(host=host, port=port, data=data, role=role)
    if settings.lacking_key:
        raise Fault(
            f"{settings.model} cannot be asked without a key: set {settings.lacking_key} (or "
            "VIBE_MODEL_API_KEY). Without VIBE_MODEL the built-in rehearsal model answers.",
            2,
        )
    return settings


def running_on(settings: Settings) -> str | None:
    """Return the address of the server that runs on this data folder, if one does."""
    from vibe_app.cli.server import Running

    running = Running.on(settings.data)
    return running.url if running else None


def _listener_or_next(settings: Settings) -> socket.socket:
    try:
        return ports.bind(settings.host, settings.port)
    except ports.PortTaken as error:
        listener = ports.bind_next(settings.host, settings.port)
        free = listener.getsockname()[1]
        if sys.stdin.isatty() and not click.confirm(f"{error} Use {free}?", default=True):
            raise click.Abort from error
        if not sys.stdin.isatty():
            console.print(f"{error} Taking {free}.")
        return listener


def set_up_link(settings: Settings, url: str) -> str:
    """The one-time link to the first account; dead once there is one."""
    from vibe_app.accounts.proof import Signer

    return f"{url}/setup?token={Signer(settings.signing_key()).set_up_token()}"


def announce(settings: Settings, url: str, empty: bool) -> str:
    """Say where the board is, and how to set it up while it has no account; return what to open."""
    console.print(f"[green]✓[/] The board is at [link={url}]{url}[/link]")
    if not empty:
        return url
    link = set_up_link(settings, url)
    # Whole and on one line, for whoever copies it out of a log.
    console.print(f"  No account exists yet. Make yours, once, at {link}", soft_wrap=True)
    return link


def show_in_browser(url: str, no_browser: bool) -> None:
    """Open the board where there is a screen."""
    screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if not no_browser and screen:
        webbrowser.open(url)


def _running_already(settings: Settings) -> Fault:
    url = running_on(settings) or "it is starting or stopping"
    return Fault(f"A server runs on {settings.data} already: {url}. Stop it, or give another --data.", 2)


def _serve(
    settings: Settings,
    listener: socket.socket,
    ready: Callable[[str, bool], object],
    *,
    migrate: bool = False,
) -> None:
    """Serve until told to stop; `ready` gets the address, and whether there is no account yet."""
    from vibe_app.cli import page_state
    from vibe_app.cli.secrets import check_readable
    from vibe_app.cli.server import claimed, run_engine, run_server
    from vibe_app.cli.workers import run_workers

    async def on_ready(url: str) -> None:
        from vibe_app.wiring import services

        ready(url, await services().accounts.is_empty())

    keep_private(settings.data)
    os.umask(PRIVATE)
    if settings.redis_url and settings.role != "engine":
        page_state.check(settings.redis_url)
    with claimed(settings) as mine:
        if not mine:
            raise _running_already(settings)
        if migrate:
            console.print(f"The database is at revision {database.migrate(settings)}.")
        check_readable(settings)
        if settings.role == "engine":
            return run_engine(settings, frontend.home(), listener)
        if settings.workers > 1:
            raise SystemExit(run_workers(settings, listener, ready))
        run_server(settings, frontend.home(), listener, on_ready)


@click.command(context_settings={"ignore_unknown_options": True})
def sidecar() -> None:
    """Run the service beside OpenCode in a workspace (set by WORKSPACE_DIR, PORT and their like)."""
    from vibe_app.workspace_services.sidecar.__main__ import main

    raise SystemExit(main())


@click.command()
def gateway() -> None:
    """Run the gateway of a workspace to its models (set by JOURNAL_DIR, PORT and their like)."""
    from vibe_app.workspace_services.gateway.__main__ import main

    raise SystemExit(main())


@click.command("file-browser")
def file_browser() -> None:
    """Run the file browser of a workspace (set by WORKSPACE_DIR, PORT and their like)."""
    from vibe_app.workspace_services.file_browser.__main__ import main

    raise SystemExit(main())


@click.command("session-proxy")
def session_proxy() -> None:
    """Run the proxy to a workspace's OpenCode (set by OPENCODE_URL, PORT and their like)."""
    from vibe_app.workspace_services.session_proxy.__main__ import main

    raise SystemExit(main())
