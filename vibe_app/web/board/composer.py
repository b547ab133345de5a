"""The dialog that writes a new card."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.errors import InvalidRequest
from vibe_app.web.auth import acts
from vibe_app.web.card.fields import controls, read_form, texts_of
from vibe_app.web.forms import words
from vibe_app.web.kit.draft import draft, forget, typed
from vibe_app.web.kit.parts import field
from vibe_app.web.place import place_of
from vibe_app.wiring import services

_BLANK = texts_of(NewTask.model_construct())


class ComposerState(rx.State):
    """Whether the dialog is open. What is typed stays in the browser until it is sent.

    `opened` is the address on which it was opened; the browser keeps it, so that a server
    that is started again does not close the dialog.
    """

    opened: str = rx.SessionStorage("")
    problem: str = ""
    made: str = ""
    """The card that was made last."""

    @rx.event
    def set_opened(self, opened: bool):
        """Open or close the dialog."""
        self.opened, self.problem = self.router.url.path if opened else "", ""

    @acts
    async def create(self, actor: Actor, form: dict[str, Any]):
        """Make the card. Where a value is refused, the dialog keeps what was typed and says why."""
        project = place_of(self).project
        if project is None or not self.opened:  # closed by the first click of a double click
            return None
        try:
            new = NewTask(title=words(form, "title"), **read_form(form))
            task = await services().tasks.create(actor, project, new)
        except InvalidRequest as error:
            self.problem = error.message
            return None
        self.opened, self.problem, self.made = "", "", str(task.id)
        return [forget(_name(str(project))), rx.toast.success(f"“{task.title}” is in To do.", duration=2500)]


def _name(project_id: Any) -> Any:
    return f"new:{project_id}"


def composer(project_id: rx.Var[str] | str) -> rx.Component:
    """The dialog that makes cards in a project; `ComposerState.set_opened(True)` opens it."""
    name = _name(project_id)
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("New task", size="4"),
            rx.dialog.description("The agent gets title and description as its prompt.", size="2"),
            draft(
                name,
                rx.el.form(
                    rx.el.div(
                        field(
                            "Title",
                            rx.input(
                                name="title",
                                default_value=typed(name, "title", ""),
                                required=True,
                                auto_focus=True,
                                placeholder="Add a README file",
                                size="3",
                                auto_complete="off",
                            ),
                        ),
                        *controls(lambda field: typed(name, field, _BLANK[field])),
                        class_name="v-fields",
                        style={"margin_top": "16px"},
                    ),
                    rx.cond(
                        ComposerState.problem != "",
                        rx.el.p(ComposerState.problem, class_name="v-error", role="alert"),
                    ),
                    rx.el.div(
                        rx.dialog.close(
                            rx.button("Cancel", type="reset", variant="soft", color_scheme="gray")
                        ),
                        rx.button("Add task", type="submit"),
                        class_name="v-row v-end",
                    ),
                    on_submit=ComposerState.create,
                ),
            ),
            max_width="560px",
        ),
        open=ComposerState.opened != "",
        on_open_change=ComposerState.set_opened,
    )
