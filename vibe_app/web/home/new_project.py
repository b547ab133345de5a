"""The dialog that makes a project, and the sample project."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.projects.service import SAMPLE_NAME
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import field
from vibe_app.web.settings.repository import branch_field, repository_of, token_fields
from vibe_app.wiring import services


class NewProjectState(rx.State):
    """Whether the dialog is open."""

    making: bool = False

    @rx.event
    def set_making(self, making: bool):
        """Open or close the dialog for a new project."""
        self.making = making

    @acts
    async def create(self, actor: Actor, form: dict[str, Any]):
        """Make a project and go to its board."""
        if not self.making:  # closed by the first click of a double click
            return None
        name, description = words(form, "name"), words(form, "description")
        new = NewProject(name=name, description=description, **repository_of(form))
        project = await services().projects.create(actor, new)
        self.making = False
        return rx.redirect(f"/p/{project.id}")

    @acts
    async def create_sample(self, actor: Actor):
        """Make the sample project and go to its board."""
        # A double click finds what its first click has made.
        found = await services().projects.list(actor)
        made = next((project for project in found if project.name == SAMPLE_NAME), None)
        project = made or await services().projects.create_sample(actor)
        return rx.redirect(f"/p/{project.id}")


def new_project_dialog() -> rx.Component:
    """The dialog; `NewProjectState.set_making(True)` opens it."""
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("New project", size="4"),
            rx.dialog.description("A board, and a workspace in which the agent works.", size="2"),
            rx.el.form(
                rx.el.div(
                    field(
                        "Name",
                        rx.input(name="name", required=True, auto_focus=True, size="3"),
                    ),
                    field("Description", rx.text_area(name="description", rows="2", size="3")),
                    field(
                        "Repository to clone",
                        rx.input(name="repo_url", placeholder="https://…", size="3", auto_complete="off"),
                        "Leave it empty to start with an empty folder.",
                    ),
                    rx.el.details(
                        rx.el.summary("Branch and token"),
                        rx.el.div(
                            branch_field(),
                            *token_fields("It is kept encrypted and shown to nobody."),
                            class_name="v-fields",
                            style={"margin_top": "12px"},
                        ),
                    ),
                    class_name="v-fields",
                    style={"margin_top": "16px"},
                ),
                rx.el.div(
                    rx.dialog.close(rx.button("Cancel", type="button", variant="soft", color_scheme="gray")),
                    rx.button("Create project", type="submit"),
                    class_name="v-row v-end",
                ),
                on_submit=NewProjectState.create,
            ),
            max_width="480px",
        ),
        open=NewProjectState.making,
        on_open_change=NewProjectState.set_making,
    )
