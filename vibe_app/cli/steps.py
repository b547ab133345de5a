"""Set-up as a list of steps: each says what it does, shows that it works, is skipped when done.

A step knows how to tell that there is nothing to do; running the list again
after a failure therefore goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class StepError(Exception):
    """A step could not be done.

    Args:
        fault: What happened, in one sentence.
        cure: What the person can do about it.
        details: What the failing program said last, if that helps.
    """

    def __init__(self, fault: str, cure: str, details: str = "") -> None:
        super().__init__(fault)
        self.fault = fault
        self.cure = cure
        self.details = details


@dataclass(frozen=True)
class Step:
    """One thing that must be in place.

    Args:
        name: What it is, for people: "OpenCode 1.18.33".
        doing: What happens when it is missing: "installing from npm (60 MB)".
        found: Returns where or which it is when there is nothing to do, else None.
        do: Puts it in place and returns what `found` would.
    """

    name: str
    doing: str
    found: Callable[[], str | None]
    do: Callable[[], str]


def run_steps(steps: Sequence[Step], console: Console) -> None:
    """Go through the steps in order, each only if it is not done.

    Raises:
        StepError: One failed; those before it stay done.
    """
    for step in steps:
        if (found := step.found()) is not None:
            console.print(f"[green]✓[/] {escape(step.name)}: {escape(found)}", soft_wrap=True)
            continue
        started = time.monotonic()
        result = _do(step, console)
        seconds = time.monotonic() - started
        console.print(f"[green]✓[/] {escape(step.name)}: {escape(result)} ({seconds:.1f} s)", soft_wrap=True)


def _do(step: Step, console: Console) -> str:
    label = f"{escape(step.name)}: {escape(step.doing)}"
    if not console.is_terminal:
        console.print(f"• {label}", soft_wrap=True)
        return step.do()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task(label, total=None)
        return step.do()


def show_fault(error: StepError, console: Console) -> None:
    """Print what failed, why as far as known, and what to do."""
    console.print(f"[red]✗[/] {escape(error.fault)}", soft_wrap=True)
    if error.details:
        console.print(escape(error.details), style="dim", soft_wrap=True)
    console.print(f"  {escape(error.cure)}", soft_wrap=True)
