"""`vibe diff`, `vibe accept`, `vibe follow-up`: what a card's agent changed, and what becomes of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from vibe_app.cli.asking import asking_options, client_for, project_id
from vibe_app.cli.following import EXIT_STATUS, Session
from vibe_app.cli.options import Fault, console
from vibe_app.wire import clean_text, plain_text

if TYPE_CHECKING:
    from vibe_app.cli.client import Client

_STYLES = {"+": "green", "-": "red", "@": "cyan"}
_LOOK = 0.5


@click.command()
@click.argument("card")
@asking_options("the scope read")
def diff(card: str, project: str | None, server: str | None, token: str | None, data: Path | None) -> None:
    """Print what the agent changed for CARD, its number on the board, as a unified patch."""
    client = client_for(server, token, data)
    try:
        task = _task(client, project, card)
        change = client.ask("GET", f"{task}/change")
        if not change["files"]:
            console.print("Nothing is changed.", style="dim")
        for file in change["files"]:
            _print_file(client, task, file)
    finally:
        client.close()


@click.command()
@click.argument("card")
@click.option("--merge", is_flag=True, help="Keep the runs as commits of their own instead of one.")
@click.option("--message", default="", help="Of the commit; the card's title by default.")
@asking_options("the scope write")
def accept(
    card: str,
    merge: bool,
    message: str,
    project: str | None,
    server: str | None,
    token: str | None,
    data: Path | None,
) -> None:
    """Join what the agent changed for CARD into the base branch, as it is now."""
    client = client_for(server, token, data)
    try:
        accept_change(client, _task(client, project, card), message, "merge" if merge else "squash")
    finally:
        client.close()


@click.command("follow-up")
@click.argument("card")
@click.argument("message")
@asking_options("the scope run")
def follow_up(
    card: str, message: str, project: str | None, server: str | None, token: str | None, data: Path | None
) -> None:
    """Tell the agent of CARD what to do next, in the same conversation, and follow it to its end.

    The exit status is that of `vibe run`.
    """
    client = client_for(server, token, data)
    try:
        task = _task(client, project, card)
        revision = client.ask("GET", f"{task}/change")["revision"]
        started = client.ask("POST", f"{task}/follow-up", {"message": message, "revision": revision})
        status = Session(client, task, started["session_id"]).follow()
    finally:
        client.close()
    raise SystemExit(EXIT_STATUS.get(status, 1))


def accept_change(client: Client, task: str, message: str = "", strategy: str = "squash") -> None:
    """Accept a card's change as it is now, and say what came of it.

    Raises:
        Fault: There is none, or it cannot be accepted.
    """
    change = client.ask("GET", f"{task}/change")
    if change["revision"] is None:
        raise Fault("The agent has changed nothing: there is nothing to accept.")
    body = {"revision": change["revision"], "strategy": strategy, "message": message}
    change = client.ask("POST", f"{task}/change/accept", body)
    while change["intent"] is not None:
        time.sleep(_LOOK)  # the pause between two looks at the server
        change = client.ask("GET", f"{task}/change")
    if change["state"] != "accepted":
        problem = change["problem"]
        raise Fault(str(problem["error"]) if problem else "The change was not accepted.")
    branch, commit = change["base"]["branch"], change["commit"][:12]
    if not (change["by_request"] and change["delivery"]):
        console.print(f"Accepted: {commit} on {branch}", style="green", soft_wrap=True)
        return
    while (delivery := change["delivery"])["state"] == "waiting":
        time.sleep(_LOOK)  # the pause between two looks at the server
        change = client.ask("GET", f"{task}/change")
    console.print(plain_text(_delivered(commit, branch, delivery)), style="green", soft_wrap=True)


def _delivered(commit: str, branch: str, delivery: dict[str, Any]) -> str:
    """Say what became of an accepted change that is delivered by request.

    Raises:
        Fault: It is accepted, and not delivered.
    """
    if delivery["state"] == "failed":
        raise Fault(f"Accepted: {commit}, but it is not delivered yet. {delivery['error']}")
    if request := delivery["request"]:
        return f"Accepted: {commit}, pull request #{request['number']} into {branch}: {request['url']}"
    if delivery["state"] == "nothing":
        return f"Accepted: {branch} holds all of it already"
    pushed = delivery["branch"]
    return f"Accepted: {commit}, pushed as the branch {pushed}; open the request into {branch} there"


def _task(client: Client, project: str | None, card: str) -> str:
    """Return the address of a card by its number.

    Raises:
        Fault: There is no such card.
    """
    number = card.rpartition("#")[2].rpartition("-")[2]
    if not (number.isascii() and number.isdecimal()):
        raise Fault(f"{card} is no number of a card: it stands on the card, for example #14.", 2)
    path = f"/api/projects/{project_id(client, project)}/tasks"
    for task in client.everything(path, "tasks"):
        if task["number"] == int(number):
            return f"{path}/{task['id']}"
    raise Fault(f"There is no card {number} in this project.")


def _print_file(client: Client, task: str, file: dict[str, Any]) -> None:
    query: dict[str, Any] = {"path": file["path"]}
    renamed = f" (was {file['old_path']})" if file.get("old_path") else ""
    console.print(Text(plain_text(f"{file['status']} {file['path']}{renamed}"), style="bold"), soft_wrap=True)
    while True:
        found = client.ask("GET", f"{task}/change/file", **query)
        if found.get("code") == "workspace_starting":
            time.sleep(_LOOK)  # the pause between two looks at the server
            continue
        for line in found["patch"].splitlines():
            _print_line(line)
        if found["next_offset"] is None:
            return
        query["offset"] = found["next_offset"]


def _print_line(line: str) -> None:
    if console.is_terminal:
        style = "" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], "")
        console.print(Text(clean_text(line), style=style), soft_wrap=True)
    else:
        click.echo(clean_text(line))
