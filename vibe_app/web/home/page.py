"""The first page: what needs the person, what runs, what has ended, and every project, over all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import MAY_NOT_CREATE, Actor, rights_of
from vibe_app.board.home import HomeView
from vibe_app.board.topics import cards_of
from vibe_app.errors import Unavailable
from vibe_app.web.auth import acts, asker
from vibe_app.web.home.lists import first_steps, lists, tiles
from vibe_app.web.home.new_project import NewProjectState, new_project_dialog
from vibe_app.web.home.work import Tile, WorkRow, rows_of, tiles_of
from vibe_app.web.keyboard import HelpState
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.frame import Shortcuts
from vibe_app.web.kit.parts import skeleton
from vibe_app.web.layout import RailState, framed, read_rail, show_rail, top_bar
from vibe_app.web.place import known
from vibe_app.web.rail import Rail, RailProject
from vibe_app.wiring import services

log = logging.getLogger(__name__)

PULSE = 1.0
"""Seconds between two looks, however much happens."""
UNSEEN = 15.0
"""Seconds between two looks of a tab that nobody sees."""
LOOK_AGAIN = 60.0
"""Seconds without a change after which everything is read all the same."""
ASK_AGAIN = 2.0
"""Seconds to wait after it could not be read."""


class HomeState(rx.State):
    """What the page shows."""

    needs: list[WorkRow] = []
    more_needs: int = 0
    running: list[WorkRow] = []
    more_running: int = 0
    finished: list[WorkRow] = []
    tiles: list[Tile] = []
    loaded: bool = False
    _connection: str = ""

    @rx.event
    async def arrive(self):
        """Close what an earlier visit left open; a connection that comes back leaves it as it is."""
        connection = self.router.session.session_id
        if connection == self._connection:
            (await self.get_state(NewProjectState)).making = False
        self._connection = connection

    @acts(background=True)
    async def watch(self, actor: Actor, hidden: bool = False):
        """Read it now and whenever some of it changes, while the tab is on this page.

        Of a tab that nobody sees only the rail is read, for the count in its title, and seldom.
        """
        if hidden:
            await _watch_rail(self, actor)
            return
        topics: set[str] = set()
        while True:
            # Listening begins before the look, so that nothing between the two is missed.
            with services().database.bus.subscribe("projects", rights_of(actor.user_id), *topics) as changes:
                while True:
                    pause = LOOK_AGAIN
                    try:
                        view = await services().home.read(actor)
                    except Unavailable as error:
                        # What is on the screen stays, and is read again soon.
                        log.warning("the home page could not be read: %s", error)
                        pause = ASK_AGAIN
                    else:
                        async with self:
                            _show(self, view)
                            show_rail(await self.get_state(RailState), actor, _rail(view))
                        if (heard := _topics(view)) != topics:
                            await asyncio.sleep(PULSE if topics else 0)
                            topics = heard
                            break
                    await changes.wait(pause)
                    await asyncio.sleep(PULSE)
                    actor = await asker(self)

    @acts
    async def stop(self, actor: Actor, project_id: str, task_id: str):
        """Stop a card's run."""
        await services().sessions.stop(actor, known(project_id), known(task_id))

    @rx.event
    def key(self, key: str):
        """Do what a key asks for."""
        return HelpState.set_helping(True) if key == "?" else None


async def _watch_rail(state: HomeState, actor: Actor) -> None:
    with services().database.bus.subscribe("projects", rights_of(actor.user_id)) as changes:
        while True:
            with suppress(Unavailable):
                read = await read_rail(actor)
                async with state:
                    show_rail(await state.get_state(RailState), actor, read)
            await changes.wait(LOOK_AGAIN)
            await asyncio.sleep(UNSEEN)
            actor = await asker(state)


def _topics(view: HomeView) -> set[str]:
    """Return what is announced of what the page shows: each project's cards, and what runs say."""
    cards = {cards_of(each.id) for each in view.projects}
    return cards | {f"activity:{each.card.project_id}" for each in view.running.cards}


def _rail(view: HomeView) -> Rail:
    listed = [RailProject(str(each.id), each.name, each.live, each.needs_you) for each in view.projects]
    return Rail(listed, view.needs_you.total_count)


def _show(state: HomeState, view: HomeView) -> None:
    values: dict[str, Any] = {
        "needs": rows_of(view.needs_you),
        "more_needs": view.needs_you.total_count - len(view.needs_you.cards),
        "running": rows_of(view.running),
        "more_running": view.running.total_count - len(view.running.cards),
        "finished": rows_of(view.finished)[:10],
        "tiles": tiles_of(view.projects),
        "loaded": True,
    }
    for name, value in values.items():
        if getattr(state, name) != value:
            setattr(state, name, value)


def home_page() -> rx.Component:
    """The page at `/`."""
    make = rx.button(
        rx.icon("plus", size=16, aria_hidden="true"),
        "New project",
        on_click=NewProjectState.set_making(True),
        custom_attrs={OPENS: ""},
    )
    projects: Any = HomeState.tiles
    content = rx.cond(
        projects.length() > 0,
        rx.fragment(
            lists(HomeState),
            tiles(HomeState.tiles),
            rx.cond(~RailState.may_create, rx.el.p(MAY_NOT_CREATE, class_name="v-quiet")),
        ),
        first_steps(RailState.may_create, NewProjectState.create_sample, NewProjectState.set_making(True)),
    )
    return framed(
        top_bar("Home", rx.el.div(rx.cond(RailState.may_create, make), class_name="v-top-end")),
        rx.el.div(
            rx.el.div(
                rx.cond(HomeState.loaded, content, skeleton(6, height=44)), class_name="v-column v-home"
            ),
            class_name="v-scroll",
        ),
        new_project_dialog(),
        rx.window_event_listener(on_visibility_change=HomeState.watch),
        Shortcuts.create(keys="?", up="", on_key=HomeState.key),
    )


ON_LOAD = [HomeState.arrive, HomeState.watch]
