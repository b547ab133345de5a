"""What the commands share: the console, the options that stand for settings, and how faults end a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from vibe_app.settings import Settings, SettingsError, load_settings

Command = TypeVar("Command", bound=Callable[..., Any])

console = Console(highlight=False)
"""Everything that a command says to its person; what a program may read goes to standard output unadorned."""


class Fault(click.ClickException):
    """Ends a command with one sentence.

    Args:
        message: What happened and what to do.
        exit_code: 1 where something failed, 2 where the command was asked in a way that cannot be done.
    """

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self._exit_code = exit_code

    @property
    def exit_code(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]  # click reads it here
        """The status that the command ends with."""
        return self._exit_code


def data_option(command: Command) -> Command:
    """Add `--data`."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder for the database, workspaces and tools (VIBE_DATA, .vibe).",
    )(command)


def serving_options(command: Command) -> Command:
    """Add `--host`, `--port` and `--data`."""
    command = click.option("--host", help="Address to listen on (VIBE_HOST, 127.0.0.1).")(command)
    command = click.option(
        "--port",
        type=click.IntRange(0, 65535),
        help="Port to listen on (VIBE_PORT, 8000); 0 takes any free one.",
    )(command)
    return data_option(command)


def settings_from(**given: object) -> Settings:
    """Read the settings; options win over the environment.

    Raises:
        Fault: A value cannot be used; one sentence each.
    """
    try:
        return load_settings(**given)
    except SettingsError as error:
        raise Fault(str(error), 2) from error
