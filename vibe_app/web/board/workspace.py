"""The words that tell how a project's workspace is, and what a person can do about it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.errors import Conflict
from vibe_app.web.auth import acts
from vibe_app.web.kit.status import WORKSPACE_LOOKS, Look, telling
from vibe_app.web.layout import RailState
from vibe_app.web.place import project_here
from vibe_app.wiring import services
from vibe_app.workspaces.states import WorkspaceStatus

_MEANING = {
    WorkspaceStatus.STOPPED: "It starts by itself when a run or a file needs it. Its files are kept.",
    WorkspaceStatus.STARTING: "It is being started.",
    WorkspaceStatus.READY: "The agent and its services run. Unused, they are stopped; the files are kept.",
    WorkspaceStatus.FAILED: "It could not be started.",
}


class WorkspaceState(rx.State):
    """What stands in the way of a restart, as far as somebody asked for one."""

    in_the_way: str = ""

    @acts
    async def restart(self, actor: Actor):
        """End what runs of the workspace and start it anew, unless a session runs there."""
        try:
            await services().workspaces.restart(actor, project_here(self))
        except Conflict as error:
            self.in_the_way = error.message
            return None
        self.in_the_way = ""
        return rx.toast.info("The workspace is started anew. Its files stay.")

    @acts
    async def interrupt(self, actor: Actor):
        """Start the workspace anew although a session runs there."""
        await services().workspaces.restart(actor, project_here(self), interrupt=True)
        self.in_the_way = ""
        return rx.toast.info("The workspace is started anew. What the agent was doing begins again.")

    @acts
    async def leave(self, actor: Actor):
        """Keep the workspace as it is."""
        self.in_the_way = ""


def workspace_chip(status: Any, reason: Any, may_edit: Any) -> rx.Component:
    """Say in a small word how a workspace is; pressed, it says more, and restarts it for who may.

    A failed one is said by `workspace_line`.

    Args:
        status: A var with a `WorkspaceStatus`.
        reason: A var with why it is so, or the step of a start; empty for neither.
        may_edit: A var that tells whether the person changes the project.
    """
    words = {str(key): _word(WORKSPACE_LOOKS[key], key, reason, may_edit) for key in WorkspaceStatus}
    return rx.match(status, *words.items(), words[WorkspaceStatus.STOPPED])  # pyright: ignore[reportReturnType]


def _word(look: Look, status: WorkspaceStatus, reason: Any, may_edit: Any) -> rx.Component:
    color = "red" if status is WorkspaceStatus.FAILED else "plain"
    return telling(
        replace(look, color=color),
        rx.text(rx.cond(reason != "", reason, _MEANING[status]), size="2"),
        rx.cond(may_edit & RailState.may_execute, _restart(), rx.fragment()),
    )


def workspace_line(status: Any, reason: Any, project_id: Any, may_edit: Any) -> rx.Component:
    """Say above the board why its workspace failed, with what mends it; nothing while it did not."""
    buttons = rx.fragment(
        rx.link("Correct the address", href=f"/p/{project_id}/settings/repository", class_name="v-link"),
        rx.cond(
            RailState.may_execute,
            rx.button("Try again", variant="surface", color_scheme="gray", on_click=WorkspaceState.restart),
        ),
    )
    return rx.cond(
        status == str(WorkspaceStatus.FAILED),
        rx.el.div(
            rx.el.div(
                rx.icon("circle-x", size=16, aria_hidden="true"),
                rx.el.span(
                    "The workspace could not be started: ",
                    rx.cond(reason != "", reason, "no reason is known."),
                    " Cards and files are kept.",
                    class_name="v-grow v-wrap",
                ),
                rx.cond(may_edit, rx.el.div(buttons, class_name="v-row")),
                role="alert",
                class_name="v-sentence v-red",
            ),
            class_name="v-remote",
        ),
    )


def _restart() -> rx.Component:
    return rx.cond(
        WorkspaceState.in_the_way != "",
        rx.vstack(
            rx.text(WorkspaceState.in_the_way, size="2", role="alert"),
            rx.hstack(
                rx.button("Restart nevertheless", color_scheme="red", on_click=WorkspaceState.interrupt),
                rx.button("Leave it", variant="soft", color_scheme="gray", on_click=WorkspaceState.leave),
                wrap="wrap",
            ),
            margin_top="12px",
        ),
        rx.button(
            rx.icon("rotate-ccw", size=14, aria_hidden="true"),
            "Restart workspace",
            variant="soft",
            margin_top="12px",
            on_click=WorkspaceState.restart,
        ),
    )
