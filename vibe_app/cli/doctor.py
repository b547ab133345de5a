"""`vibe doctor`: what is installed, reachable and configured, with the cure beside each fault."""

from __future__ import annotations

import asyncio
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click
from rich.markup import escape

from vibe_app import frontend
from vibe_app.cli import database, page_state
from vibe_app.cli.finding import Finding
from vibe_app.cli.jobs import orphans_and_jobs
from vibe_app.cli.options import Fault, console, serving_options, settings_from
from vibe_app.errors import Unavailable
from vibe_app.private import exposed
from vibe_app.settings import OPENCODE_VERSION, Settings
from vibe_app.workspaces.protection import protection

# Seconds for which the cluster's API is asked again.
_CLUSTER_TIMEOUT = 3.0


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, the most basic first."""
    yield Finding("Vibe", _version())
    yield Finding("Python", f"{platform.python_version()} on {platform.platform()}")
    yield _reflex()
    yield _data_folder(settings)
    if settings.runtime == "local":
        yield _program("git", settings, "Install it: sudo apt install git (macOS: xcode-select --install)")
        yield _program("rg", settings, "Run `vibe setup`: it brings ripgrep from npm")
        yield _opencode(settings)
        yield _wall(settings)
    else:
        yield _cluster(settings)
    database_found = _database(settings)
    yield database_found
    if not database_found.cure:
        yield _secrets(settings)
        yield from orphans_and_jobs(settings)
    if settings.redis_url:
        yield _redis(settings)
    yield _frontend()
    yield _server(settings)
    yield from _first_account(settings)
    yield from _model(settings)


def _version() -> str:
    where = frontend.SHIPPED.parent if frontend.SHIPPED.is_dir() else frontend.SHIPPED.parent.parent
    return f"{version('vibe-board')} in {where}"


def _reflex() -> Finding:
    try:
        return Finding("Reflex", version("reflex"))
    except PackageNotFoundError:
        return Finding("Reflex", "is not installed", "Run `make up`, or `uv sync --frozen`")


def _data_folder(settings: Settings) -> Finding:
    folder = settings.data
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(nearest, os.W_OK):
        return Finding("data folder", f"{folder} cannot be written", "Give another with --data or VIBE_DATA")
    free = shutil.disk_usage(nearest).free
    if free < 1 << 30:
        cure = "Free some space: workspaces and their builds live here"
        return Finding(
            "data folder", f"{folder}, only {free >> 20} MB free", cure, essential=free < 200 << 20
        )
    if others := exposed(folder):
        what = f"{folder}: others on this machine may reach {others[0].relative_to(folder.parent)}"
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        cure = f"Start Vibe once, which makes it private, or: chmod -R go-rwx {folder}"
        return Finding("data folder", f"{what}{more}", cure, essential=False)
    return Finding("data folder", f"{folder}, {free >> 30} GB free")


def _program(name: str, settings: Settings, cure: str) -> Finding:
    path = shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}{os.pathsep}{settings.tools}")
    return Finding(name, path) if path else Finding(name, "is not to be found", cure)


def _opencode(settings: Settings) -> Finding:
    path = settings.opencode_binary
    cure = "Correct or unset VIBE_OPENCODE" if settings.opencode else "Run `vibe setup`"
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL
        ).stdout.strip()
    except FileNotFoundError:
        return Finding("OpenCode", f"is not at {path}", cure)
    except (OSError, subprocess.TimeoutExpired) as error:
        return Finding("OpenCode", f"{path} does not run ({error})", cure)
    if said != OPENCODE_VERSION:
        cure = f"Vibe is made for {OPENCODE_VERSION}. {cure}"
        return Finding("OpenCode", f"{path} is version {said or 'unknown'}", cure)
    return Finding("OpenCode", f"{said} at {path}")


def _wall(settings: Settings) -> Finding:
    found = protection(settings)
    if found.reason:
        return Finding(
            "wall around agents", found.reason.rstrip("."), found.cure.rstrip("."), essential=False
        )
    return Finding("wall around agents", found.notice or "bubblewrap can put it up")


def _database(settings: Settings) -> Finding:
    where = str(database.sqlite_path(settings) or "PostgreSQL of VIBE_DATABASE_URL")
    try:
        revision = database.check_newest(settings)
    except Fault as fault:
        return Finding("database", fault.message, "See the sentence itself")
    return Finding("database", f"{where}, revision {revision}")


def _secrets(settings: Settings) -> Finding:
    from vibe_app.cli.secrets import CURE, unreadable

    if unreadable(settings):
        return Finding("secrets", "some were encrypted under another key", CURE)
    return Finding("secrets", "can be read")


def _redis(settings: Settings) -> Finding:
    try:
        return Finding("Redis", page_state.check(settings.redis_url))
    except Fault as fault:
        return Finding("Redis", fault.message, "Start it, or unset VIBE_REDIS_URL to serve with one process")


def _frontend() -> Finding:
    try:
        root = frontend.home()
    except frontend.BuildError as error:
        return Finding("frontend", str(error), "Start vibe there")
    if not frontend.is_built(root):
        return Finding("frontend", "is not compiled", "Run `vibe setup`")
    if not frontend.is_current(root):
        return Finding("frontend", "is older than its sources", "Run `vibe setup`", essential=False)
    return Finding("frontend", str(frontend.published(root)))


def _server(settings: Settings) -> Finding:
    from vibe_app.cli import ports
    from vibe_app.cli.server import Running

    if running := Running.all(settings.data):
        where = ", ".join(f"{server.url} (process {server.pid})" for server in running)
        return Finding("server", f"runs at {where}")
    try:
        ports.bind(settings.host, settings.port).close()
    except (ports.PortTaken, Fault) as error:
        return Finding(
            "server", f"does not run. {error}", "Stop that, or give another --port", essential=False
        )
    return Finding("server", f"does not run; port {settings.port} is free")


def _first_account(settings: Settings) -> Iterator[Finding]:
    from vibe_app.accounts.service import Accounts
    from vibe_app.cli.serve import running_on, set_up_link
    from vibe_app.db import Database

    async def empty() -> bool:
        found = Database(settings.database)
        try:
            return await Accounts(found, settings.signing_key()).is_empty()
        finally:
            await found.close()

    url = running_on(settings)
    if url is not None and asyncio.run(empty()):
        yield Finding(
            "first account", "is not made yet", f"Open {set_up_link(settings, url)}", essential=False
        )


def _cluster(settings: Settings) -> Finding:
    from vibe_app.workspaces.runtimes.kubernetes.cluster import Cluster
    from vibe_app.workspaces.runtimes.kubernetes.names import APP

    async def workspaces() -> int:
        cluster = Cluster(settings.kubernetes_namespace, settings.kubeconfig, timeout=_CLUSTER_TIMEOUT)
        try:
            await cluster.open()
            return len((await cluster.list("pods", labels=f"app={APP}"))[0])
        finally:
            await cluster.close()

    try:
        found = asyncio.run(workspaces())
    except Unavailable as error:
        return Finding("cluster", error.message, "See docs/deployment.md for what Vibe needs in a cluster")
    return Finding("cluster", f"answers; {found} workspaces run in {settings.kubernetes_namespace}")


def _model(settings: Settings) -> Iterator[Finding]:
    if settings.rehearsal:
        cure = "To have real work done, set VIBE_MODEL=provider/model and the provider's key"
        yield Finding(
            "model", "the built-in rehearsal model: no AI provider is configured", cure, essential=False
        )
        return
    if settings.lacking_key:
        yield Finding("model", f"{settings.model} has no key", f"Set {settings.lacking_key}")
        return
    yield Finding("model", settings.model)
    if settings.model_base_url:
        yield _endpoint(settings)


def _endpoint(settings: Settings) -> Finding:
    import httpx

    url = settings.model_base_url.rstrip("/") + "/models"
    headers = {"Authorization": f"Bearer {settings.model_key}"} if settings.model_key else {}
    try:
        answer = httpx.get(url, headers=headers, timeout=5)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Finding("model endpoint", f"{url} does not answer ({error})", "Check VIBE_MODEL_BASE_URL")
    if answer.status_code in (401, 403):
        return Finding("model endpoint", f"{url} refuses the key", "Check VIBE_MODEL_API_KEY")
    return Finding("model endpoint", f"{settings.model_base_url} answers")


def show(finding: Finding) -> None:
    """Print one finding, the cure beside it."""
    mark = "[green]✓[/]" if not finding.cure else "[red]✗[/]" if finding.essential else "[yellow]![/]"
    console.print(f"{mark} {escape(finding.what)}: {escape(finding.found)}", soft_wrap=True)
    if finding.cure:
        console.print(f"    {escape(finding.cure)}.", style="dim", soft_wrap=True)


@click.command()
@serving_options
def doctor(host: str | None, port: int | None, data: Path | None) -> None:
    """Check what is installed, reachable and configured; exit status 1 if something essential is missing."""
    settings = settings_from(host=host, port=port, data=data)
    sound = True
    for finding in examine(settings):
        show(finding)
        sound = sound and not (finding.cure and finding.essential)
    if not sound:
        raise SystemExit(1)
