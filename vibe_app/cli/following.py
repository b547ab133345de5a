"""A session that is watched in a terminal or a script, to its end."""

from __future__ import annotations

import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click
from pydantic import ValidationError
from rich.markup import escape
from rich.status import Status
from rich.text import Text

from vibe_app.cli.options import console
from vibe_app.wire import clean_text, plain_text

if TYPE_CHECKING:
    from vibe_app.cli.client import Client, StreamEvent

EXIT_STATUS = {"completed": 0, "failed": 1, "cancelled": 3}
"""Of a command that followed a session which ended so; 1 for any other end."""
_STYLES = {"output": "", "error": "red", "status": "blue", "done": "green"}


class Session:
    """A session being watched in a terminal or a script.

    Args:
        client: Of whom it is asked.
        task_path: The task's address.
        session_id: Which session.
    """

    def __init__(self, client: Client, task_path: str, session_id: str) -> None:
        self._client = client
        self._path = task_path
        self._id = session_id
        self._started = time.monotonic()
        self._line = ""
        self._lines = 0
        self._lost = ""
        self._after = 0

    def follow(self) -> str:
        """Print the session's events to its end, and return the status it ended with."""
        where = f"{self._client.url}/{_card(self._path)}"
        console.print(f"Session {self._id[:8]} on {where}", style="dim", soft_wrap=True)
        asked = False
        while True:
            try:
                self._watch()
                state = self._state()
                self._say_spent(state)
                return state["status"]
            except KeyboardInterrupt:
                if asked:
                    raise SystemExit(130) from None
                asked = True
                self._ask_to_stop()

    def _watch(self) -> None:
        with self._progress() as progress:
            self._wait_in_line(progress)
            for event in self._events(progress):
                self._print(event)
                self._show(progress)
            self._flush()

    def _events(self, progress: Status) -> Iterator[StreamEvent]:
        def on_lost(words: str) -> None:
            self._lost = words
            self._show(progress)

        return self._client.follow(f"{self._path}/output", self._id, on_lost, self._after)

    @contextmanager
    def _progress(self) -> Generator[Status]:
        status = Status("starting", console=console)
        if not console.is_terminal:
            yield status
            return
        with status:
            yield status

    def _wait_in_line(self, progress: Status) -> None:
        """Say what the session waits for until it runs; its stream has nothing to show before."""
        while (state := self._state())["status"] == "pending":
            progress.update(f"Queued: waits for {state.get('waiting_for') or 'its turn'}")
            time.sleep(0.5)  # the pause between two looks at the server
        self._show(progress)

    def _state(self) -> dict[str, Any]:
        sessions = self._client.everything(f"{self._path}/sessions", "sessions")
        return next(session for session in sessions if UUID(session["id"]) == UUID(self._id))

    def _say_spent(self, state: dict[str, Any]) -> None:
        """Say at the end what it has spent of what it might, where anybody counted."""
        # They take their time to import, which nobody waits for at the end.
        from vibe_app.board.sessions.schemas import SessionPreview
        from vibe_app.board.spending.wording import spent_words

        try:
            words = spent_words(SessionPreview.model_validate(state))
        except ValidationError:
            return  # the server is of a version that counts otherwise
        if words:
            console.print(f"Spent: {words}", style="dim", soft_wrap=True)

    def _show(self, progress: Status) -> None:
        seconds = int(time.monotonic() - self._started)
        clock = f"{seconds // 60} min {seconds % 60} s" if seconds >= 60 else f"{seconds} s"
        progress.update(escape(self._lost or f"Running, {clock}, {self._lines} lines"))

    def _print(self, event: StreamEvent) -> None:
        self._after = event.seq
        if event.type != "output":
            self._flush()
            self._out(event.text, _STYLES.get(event.type, ""))
            return
        *whole, self._line = (self._line + event.text).split("\n")
        for line in whole:
            self._out(line, "")

    def _flush(self) -> None:
        if self._line:
            self._out(self._line, "")
            self._line = ""

    def _out(self, text: str, style: str) -> None:
        self._lines += text.count("\n") + 1
        if console.is_terminal:
            console.print(Text.from_ansi(clean_text(text), style=style), soft_wrap=True)
        else:
            click.echo(plain_text(text))

    def _ask_to_stop(self) -> None:
        """Stop the session if the person wants it; without a person, an interrupt means stop."""
        self._flush()
        if sys.stdin.isatty() and not click.confirm("\nStop the session?", default=True):
            console.print("It goes on. Following again; Ctrl-C leaves it alone.", style="dim")
            return
        self._client.ask("POST", f"{self._path}/stop")


def _card(task_path: str) -> str:
    _, _, _, project_id, _, task_id = task_path.split("/")
    return f"p/{project_id}/t/{task_id}"
