"""The first page: every project that the person may see, and a way to make one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import MAY_NOT_CREATE, Actor, ProjectRole, rights_of
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.projects.service import SAMPLE_NAME
from vibe_app.web.auth import acts, asker
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.forms import words
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.parts import empty_state, field, skeleton
from vibe_app.web.layout import RailState, framed, show_rail, top_bar
from vibe_app.web.rail import RailProject
from vibe_app.web.settings.repository import branch_field, repository_of, token_fields
from vibe_app.wiring import services


@dataclass
class ProjectRow:
    """A project on the page."""

    id: str
    name: str
    description: str
    tasks: str
    live: int
    created: int
    owned: bool


class ProjectsState(rx.State):
    """What the page shows."""

    rows: list[ProjectRow] = []
    loaded: bool = False
    making: bool = False
    _connection: str = ""

    @rx.event
    async def arrive(self):
        """Close what an earlier visit left open; a connection that comes back leaves it as it is."""
        connection = self.router.session.session_id
        if connection == self._connection:
            self.making = False
        self._connection = connection
        (await self.get_state(RailState)).helping = False

    @acts(background=True)
    async def watch(self, actor: Actor):
        """Read the projects now and whenever one of them changes, while the tab is on this page."""
        with services().database.bus.subscribe("projects", rights_of(actor.user_id)) as changes:
            while True:
                rows = [
                    ProjectRow(
                        id=str(project.id),
                        name=project.name,
                        description=project.description,
                        tasks=f"{project.task_count} task{'' if project.task_count == 1 else 's'}",
                        live=project.live_sessions,
                        created=epoch_ms(project.created_at),
                        owned=project.role is ProjectRole.OWNER,
                    )
                    for project in await services().projects.list(actor)
                ]
                async with self:
                    if self.rows != rows or not self.loaded:
                        self.rows, self.loaded = rows, True
                    show_rail(
                        await self.get_state(RailState),
                        actor,
                        [RailProject(row.id, row.name, row.live) for row in rows],
                    )
                await changes.wait(60)
                actor = await asker(self)

    @rx.var
    def any(self) -> bool:
        """Whether there is a project at all."""
        return bool(self.rows)

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


def _new_project() -> rx.Component:
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("New project", size="4"),
            rx.dialog.description("A board, and a workspace in which the agent works.", size="2"),
            rx.el.form(
                rx.el.div(
                    field(
                        "Name",
                        rx.input(name="name", required=True, max_length=100, auto_focus=True, size="3"),
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
                on_submit=ProjectsState.create,
            ),
            max_width="480px",
        ),
        open=ProjectsState.making,
        on_open_change=ProjectsState.set_making,
    )


def _row(project: Any) -> rx.Component:
    return rx.el.li(
        rx.el.h2(rx.el.a(project.name, href=f"/p/{project.id}")),
        rx.cond(project.description != "", rx.el.p(project.description)),
        rx.el.div(
            rx.el.span(project.tasks),
            rx.el.span("·", aria_hidden="true"),
            rx.el.span("created ", ago(project.created)),
            rx.cond(
                project.live > 0,
                rx.el.span(
                    rx.icon("loader-circle", size=14, class_name="v-spin", aria_hidden="true"),
                    f"{project.live} running",
                    class_name="v-chip v-blue",
                ),
            ),
            class_name="v-row v-quiet",
        ),
        class_name="v-project",
    )


def _sample_button(**props: Any) -> rx.Component:
    return rx.button("Try the sample project", on_click=ProjectsState.create_sample, **props)


def projects_page() -> rx.Component:
    """The page at `/`."""
    make = rx.button(
        rx.icon("plus", size=16, aria_hidden="true"), "New project", on_click=ProjectsState.set_making(True)
    )
    return framed(
        top_bar("Home", rx.el.div(rx.cond(RailState.may_create, make), class_name="v-top-end")),
        rx.el.div(
            rx.el.div(
                rx.cond(
                    ProjectsState.loaded & ~RailState.may_create & ProjectsState.any,
                    rx.el.p(MAY_NOT_CREATE, class_name="v-quiet"),
                ),
                rx.cond(
                    ~ProjectsState.loaded,
                    skeleton(3, height=116),
                    rx.cond(
                        ProjectsState.any,
                        rx.el.ul(rx.foreach(ProjectsState.rows, _row), class_name="v-projects"),
                        rx.cond(
                            RailState.may_create,
                            empty_state(
                                "square-kanban",
                                "Start with a project",
                                "A project has a board of tasks and a workspace where the agent does them. "
                                "The sample comes with two small cards to see the whole path once.",
                                _sample_button(),
                                rx.button(
                                    "New project", variant="soft", on_click=ProjectsState.set_making(True)
                                ),
                            ),
                            empty_state(
                                "square-kanban",
                                "No project yet",
                                MAY_NOT_CREATE + " Or ask a project's owner to add you.",
                            ),
                        ),
                    ),
                ),
                class_name="v-width",
            ),
            class_name="v-scroll",
        ),
        _new_project(),
    )


ON_LOAD = [ProjectsState.arrive, ProjectsState.watch]
