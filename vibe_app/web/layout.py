"""The frame around every page of a signed-in person: rail, top bar, keyboard help.

The rail's State belongs to the frame, not to a page, so that it stays while the
pages inside it change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, rights_of
from vibe_app.web.auth import acts, asker
from vibe_app.web.kit.buttons import SignOut
from vibe_app.web.kit.frame import Frame, RailLink
from vibe_app.web.kit.fresh import fresh
from vibe_app.web.kit.parts import skeleton
from vibe_app.wiring import services


@dataclass
class RailProject:
    """A project in the rail."""

    id: str
    name: str
    live: int


class RailState(rx.State):
    """What the rail shows."""

    projects: list[RailProject] = []
    person: str = ""
    loaded: bool = False
    rehearsal: bool = False
    model: str = ""
    helping: bool = False
    unwalled: str = ""
    may_execute: bool = True
    no_execution: str = ""
    may_create: bool = True

    @acts
    async def load(self, actor: Actor):
        """Read the projects and who is signed in."""
        show_rail(self, actor, await read_rail(actor))

    @rx.event
    def arrive(self):
        """Close the list of keys: it does not outlive the page that it was opened on."""
        self.helping = False

    @acts(background=True)
    async def watch(self, actor: Actor):
        """Keep the rail up to date while the tab is on this page."""
        # A right that an admin gives or takes is seen at once as well.
        with services().database.bus.subscribe("projects", rights_of(actor.user_id)) as changes:
            while True:
                projects = await read_rail(actor)
                async with self:
                    show_rail(self, actor, projects)
                await changes.wait(60)
                actor = await asker(self)

    @rx.event
    def set_helping(self, helping: bool):
        """Show or hide the list of keys."""
        self.helping = helping


async def read_rail(actor: Actor) -> list[RailProject]:
    """Return the projects that the actor may see, as the rail shows them."""
    projects = await services().projects.list(actor)
    return [RailProject(str(each.id), each.name, each.live_sessions) for each in projects]


def show_rail(state: RailState, actor: Actor, projects: list[RailProject]) -> None:
    """Put what was read into the rail."""
    settings = services().settings
    if state.projects != projects:
        state.projects = projects
    state.person, state.loaded = actor.name, True
    state.may_execute, state.no_execution = not actor.no_execution, actor.no_execution
    state.may_create = actor.can_create_projects
    state.unwalled = actor.kept_from or services().protection.notice
    state.rehearsal, state.model = settings.rehearsal, settings.model


def _project(project: Any) -> rx.Component:
    return RailLink.create(
        rx.icon("square-kanban", size=16, aria_hidden="true"),
        rx.el.span(project.name, class_name="v-rail-name"),
        rx.cond(
            project.live > 0,
            rx.el.span(
                class_name="v-dot",
                role="img",
                aria_label=f"{project.live} running",
                title=f"{project.live} running",
            ),
        ),
        to=f"/p/{project.id}",
    )


def _item(icon: str, label: str, href: str) -> rx.Component:
    return RailLink.create(rx.icon(icon, size=16, aria_hidden="true"), label, to=href)


def rail() -> rx.Component:
    """Projects, settings, and the person."""
    return rx.fragment(
        rx.el.a(rx.icon("zap", size=20, aria_hidden="true"), "Vibe", href="/", class_name="v-brand"),
        rx.el.nav(
            _item("layout-grid", "All projects", "/"),
            rx.el.div("Projects", class_name="v-rail-title"),
            rx.cond(
                RailState.loaded,
                rx.foreach(RailState.projects, _project),
                rx.el.div(skeleton(3), style={"padding": "8px"}),
            ),
            aria_label="Projects",
        ),
        rx.el.div(
            _item("settings", "Settings", "/settings"),
            rx.el.button(
                rx.color_mode_cond(
                    rx.icon("moon", size=16, aria_hidden="true"), rx.icon("sun", size=16, aria_hidden="true")
                ),
                rx.color_mode_cond("Dark theme", "Light theme"),
                type="button",
                on_click=rx.toggle_color_mode,
                class_name="v-rail-item",
            ),
            rx.el.button(
                rx.icon("keyboard", size=16, aria_hidden="true"),
                "Keyboard",
                type="button",
                on_click=RailState.set_helping(True),
                class_name="v-rail-item",
            ),
            SignOut.create(
                rx.icon("log-out", size=16, aria_hidden="true"),
                rx.el.span("Sign out", class_name="v-rail-name"),
                rx.el.span(RailState.person, class_name="v-quiet v-rail-name", style={"text_align": "right"}),
                url="/api/auth/logout",
                done="/login",
                still="You are still signed in.",
                away="The server does not answer. Try again in a moment.",
                class_name="v-rail-item",
            ),
            class_name="v-rail-foot",
        ),
    )


_KEYS = [
    ("n", "New task"),
    ("/", "Search"),
    ("← ↑ ↓ →", "Go between cards"),
    ("Enter", "Open the card"),
    ("e", "Execute the card"),
    ("s", "Stop its run"),
    ("m", "Move the card to a column"),
    ("Space", "Pick up the card; the arrows move it, Space drops it"),
    ("j k", "Go through the changed lines of a card"),
    ("c", "Comment on the line"),
    ("Ctrl Enter", "Send what is being typed"),
    ("?", "Show this list"),
    ("Esc", "Close one layer"),
]


def _help() -> rx.Component:
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Keyboard", size="4"),
            rx.dialog.description("These work wherever nothing is being typed.", size="2"),
            rx.el.dl(
                *[
                    part
                    for keys, words in _KEYS
                    for part in (rx.el.dt(rx.code(keys, size="2", color_scheme="gray")), rx.el.dd(words))
                ],
                class_name="v-keys",
            ),
            rx.el.div(rx.dialog.close(rx.button("Close", variant="soft")), class_name="v-row v-end"),
            max_width="480px",
        ),
        open=RailState.helping,
        on_open_change=RailState.set_helping,
    )


def framed(*children: Any) -> rx.Component:
    """Put a page into the frame."""
    page = rx.el.main(*children, id="main", class_name="v-main", tab_index=-1)
    return Frame.create(rx.fragment(rail()), page, _help(), fresh())


def top_bar(title: Any, *children: Any) -> rx.Component:
    """The bar above a page: its name, then whatever belongs to it."""
    return rx.el.header(rx.el.h1(title), *children, class_name="v-top")
