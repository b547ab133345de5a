"""How a project's base branch stands to its remote: a line above the board where that needs somebody, and a
part of the project's settings.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.errors import VibeError
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.kit.moment import ago
from vibe_app.web.place import known
from vibe_app.wiring import services

NEEDS = ("diverged", "gone", "unreachable")
"""Outcomes that the board says; the others are as they should be."""


class RemoteState(rx.State):
    """What the settings show of a remote, and whether it is being asked just now."""

    project_id: str = ""
    words: str = ""
    at: int = 0
    can_edit: bool = False
    fetching: bool = False

    @acts(background=True)
    async def fetch(self, actor: Actor, project_id: str):
        """Ask a project's repository for what is new, and say how it stands."""
        async with self:
            self.fetching = True
        try:
            await services().joining.fetch(actor, known(project_id))
            project = await services().projects.read(actor, known(project_id))
            async with self:
                show_remote(self, project)
        finally:
            async with self:
                self.fetching = False
        outcome = (project.remote or {}).get("outcome")
        tell = rx.toast.error if outcome in NEEDS else rx.toast.success
        yield tell(remote_words(project.remote))

    @acts
    async def join(self, actor: Actor, project_id: str):
        """Make the card that brings together what has parted, have it executed, and open it."""
        task_id, made = await services().joining.join(actor, known(project_id))
        to_card = rx.redirect(f"/p/{known(project_id)}/t/{task_id}")
        if made:
            try:
                await services().starts.execute(actor, known(project_id), task_id)
            except VibeError as error:
                # The card is there, and says what it waits for.
                return [to_card, rx.toast.error(error.message)]
        return to_card


def remote_words(remote: dict[str, Any] | None) -> str:
    """Say how the base branch stood to its remote when that was last looked at."""
    said = remote or {}
    ahead, behind = said.get("ahead") or 0, said.get("behind") or 0
    branch = said.get("branch") or "The base branch"
    match said.get("outcome"):
        case None:
            return "The repository has not been asked for what is new yet."
        case "unreachable":
            return f"The repository could not be asked for what is new: {said.get('why')}"
        case "diverged":
            parted = f"{branch} and its repository have diverged"
            return f"{parted}: {_commits(ahead)} here, {_commits(behind)} there."
        case "gone":
            named = f"branch {said['branch']}" if said.get("branch") else "such branch"
            return f"The repository has no {named} any more."
        case _:
            return (
                f"{branch} is {_commits(ahead)} ahead of its repository."
                if ahead
                else (f"{branch} is as its repository has it.")
            )


def needs_somebody(project: ProjectView) -> str:
    """Return what the board says of a project's remote: the outcome, empty where it is as it should be."""
    outcome = str((project.remote or {}).get("outcome") or "")
    return outcome if outcome in NEEDS and project.repo_url else ""


def _commits(count: int) -> str:
    return "1 commit" if count == 1 else f"{count} commits"


def _button(words: str, **more: Any) -> rx.Component:
    return rx.button(words, type="button", size="2", variant="surface", color_scheme="gray", **more)


def fetch_button(project_id: Any, words: str = "Fetch now") -> rx.Component:
    """Ask the repository for what is new."""
    return _button(words, on_click=RemoteState.fetch(project_id), loading=RemoteState.fetching)


def remote_line(
    outcome: Any, words: Any, project_id: Any, joining: Any, can_edit: Any, may_execute: Any
) -> rx.Component:
    """The line above the board; nothing where all is as it should be.

    Args:
        outcome: `needs_somebody`.
        words: `remote_words`.
        project_id: The project.
        joining: The card that brings both together already; empty for none.
        can_edit: Whether the reader decides.
        may_execute: Whether the reader may have agents work.
    """
    join = rx.cond(
        joining != "",
        rx.el.a("Open the card", href=f"/p/{project_id}/t/{joining}", class_name="v-link"),
        rx.cond(
            can_edit & may_execute,
            _button("Bring together", on_click=RemoteState.join(project_id)),
        ),
    )
    return rx.cond(
        outcome != "",
        rx.el.div(
            rx.el.div(
                rx.icon("git-fork", size=16, aria_hidden="true"),
                rx.el.span(words, class_name="v-grow"),
                rx.cond(
                    outcome == "diverged", join, rx.cond(can_edit, fetch_button(project_id, "Try again"))
                ),
                role="status",
                class_name="v-sentence v-amber",
            ),
            class_name="v-remote",
        ),
    )


def show_remote(state: RemoteState, project: ProjectView) -> None:
    """Put what is known of a project's remote into its settings."""
    state.project_id = str(project.id)
    state.can_edit = project.role.covers(ProjectRole.EDITOR)
    state.words = remote_words(project.remote) if project.repo_url else ""
    at = (project.remote or {}).get("at")
    state.at = epoch_ms(datetime.fromisoformat(at)) if at else 0


def remote_part() -> rx.Component:
    """What the project's settings say of its remote, with a button to ask it; `show_remote` fills it."""
    return rx.cond(
        RemoteState.words != "",
        rx.el.div(
            rx.el.span(
                RemoteState.words,
                rx.cond(RemoteState.at > 0, rx.fragment(" Asked ", ago(RemoteState.at), ".")),
                class_name="v-grow",
            ),
            rx.cond(RemoteState.can_edit, fetch_button(RemoteState.project_id)),
            role="status",
            class_name="v-sentence v-gray v-remote-part",
        ),
    )
