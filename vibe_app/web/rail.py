"""The rail beside every page of a signed-in person: home, projects, settings, the person.

Its State belongs to the frame, not to a page, so that it stays while the pages inside it change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import reflex as rx

from vibe_app.accounts.roles import Actor, rights_of
from vibe_app.board.projects.service import LISTED
from vibe_app.web.auth import acts, asker
from vibe_app.web.keyboard import HelpState
from vibe_app.web.kit.attention import live_dot, needs_count
from vibe_app.web.kit.buttons import SignOut
from vibe_app.web.kit.frame import RailLink
from vibe_app.web.kit.parts import skeleton
from vibe_app.wiring import services


@dataclass
class RailProject:
    """A project in the rail."""

    id: str
    name: str
    live: int
    needs: int = 0


class Rail(NamedTuple):
    """What was read for it: the projects that it lists, and how many things of all need the person."""

    projects: list[RailProject]
    needs: int


class RailState(rx.State):
    """What the rail shows."""

    projects: list[RailProject] = []
    needs: int = 0
    person: str = ""
    loaded: bool = False
    rehearsal: bool = False
    model: str = ""
    unwalled: str = ""
    may_execute: bool = True
    no_execution: str = ""
    may_create: bool = True

    @acts
    async def load(self, actor: Actor):
        """Read the projects and who is signed in."""
        show_rail(self, actor, await read_rail(actor))

    @acts(background=True)
    async def watch(self, actor: Actor):
        """Keep the rail up to date while the tab is on this page."""
        # A right that an admin gives or takes is seen at once as well.
        with services().database.bus.subscribe("projects", rights_of(actor.user_id)) as changes:
            while True:
                read = await read_rail(actor)
                async with self:
                    show_rail(self, actor, read)
                await changes.wait(60)
                actor = await asker(self)

    @rx.var
    def initials(self) -> str:
        """The first letters of the person's names, two at most."""
        return initials_of(self.person)


def initials_of(name: str) -> str:
    """Return the first letters of a person's first and last name."""
    words = name.split()
    return "".join(word[0] for word in (words[:1] + words[1:][-1:])).upper()


async def read_rail(actor: Actor) -> Rail:
    """Return the first projects that the actor may see, as the rail shows them."""
    projects, counts = await services().projects.list(actor), await services().home.counts(actor)
    listed = [RailProject(str(each.id), each.name, *counts.get(each.id, (0, 0))) for each in projects]
    return Rail(listed, sum(needs for _, needs in counts.values()))


def show_rail(state: RailState, actor: Actor, read: Rail) -> None:
    """Put what was read into the rail."""
    settings = services().settings
    if (state.projects, state.needs) != (read.projects, read.needs):
        state.projects, state.needs = read
    state.person, state.loaded = actor.name, True
    state.may_execute, state.no_execution = not actor.no_execution, actor.no_execution
    state.may_create = actor.can_create_projects
    state.unwalled = actor.kept_from or services().protection.notice
    state.rehearsal, state.model = settings.rehearsal, settings.model


def _project(project: Any) -> rx.Component:
    return RailLink.create(
        rx.icon("square-kanban", size=16, aria_hidden="true"),
        rx.el.span(project.name, title=project.name, dir="auto", class_name="v-rail-name"),
        live_dot(project.live),
        needs_count(project.needs),
        to=f"/p/{project.id}",
    )


def _item(icon: str, label: str, href: str) -> rx.Component:
    return RailLink.create(rx.icon(icon, size=16, aria_hidden="true"), label, to=href)


def rail(*first: rx.Component) -> rx.Component:
    """Home, projects, settings, and the person.

    Args:
        first: What stands above all of it.
    """
    listed: Any = RailState.projects
    others = rx.cond(listed.length() >= LISTED, rx.el.p("Ctrl K finds the others.", class_name="v-hint"))
    return rx.fragment(
        rx.el.a(rx.icon("zap", size=20, aria_hidden="true"), "Vibe", href="/", class_name="v-brand"),
        *first,
        rx.el.nav(
            _item("house", "Home", "/"),
            rx.el.div("Projects", class_name="v-rail-title"),
            rx.cond(
                RailState.loaded,
                rx.fragment(rx.foreach(RailState.projects, _project), others),
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
                class_name="v-rail-item v-theme",
            ),
            rx.el.button(
                rx.icon("keyboard", size=16, aria_hidden="true"),
                "Keyboard",
                type="button",
                on_click=HelpState.set_helping(True),
                class_name="v-rail-item",
            ),
            rx.el.div(
                rx.el.span(RailState.initials, class_name="v-initials", aria_hidden="true"),
                rx.el.span(RailState.person, dir="auto", class_name="v-rail-name"),
                SignOut.create(
                    rx.icon("log-out", size=16, aria_hidden="true"),
                    rx.el.span("Sign out", class_name="v-unseen"),
                    url="/api/auth/logout",
                    done="/login",
                    still="You are still signed in.",
                    away="The server does not answer. Try again in a moment.",
                    class_name="v-icon-button",
                ),
                class_name="v-person",
            ),
            class_name="v-rail-foot",
        ),
    )
