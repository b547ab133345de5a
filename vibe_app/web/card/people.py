"""The people of a project, as the pickers on a card offer them."""

from __future__ import annotations

from dataclasses import dataclass

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.place import place_of
from vibe_app.wiring import services

SHOWN = 200
"""People that a picker offers at once; its search finds the others."""


@dataclass
class Person:
    """A person as a picker offers one."""

    id: str
    name: str


class PeopleState(rx.State):
    """The people of the project that the address names."""

    project_id: str = ""
    people: list[Person] = []
    """Those who are offered: of many the first that are sought."""
    total: int = 0
    loaded: bool = False
    _all: list[Person] = []
    _sought: str = ""
    _chosen: str = ""

    @acts
    async def load(self, actor: Actor):
        """Read who belongs to the project."""
        project_id = place_of(self).project
        if project_id is None:
            return
        members = await services().members.of(actor, project_id)
        names = await services().users.names({each.user_id for each in members})
        people = [Person(str(each), user.name) for each, user in names.items()]
        people.sort(key=lambda person: person.name.casefold())
        self.project_id, self.loaded = str(project_id), True
        self._all, self.total = people, len(people)
        _offer(self)

    @acts
    async def find(self, actor: Actor, text: str):
        """Offer the people whose names contain a text."""
        self._sought = text[:200]
        _offer(self)

    @acts
    async def choose(self, actor: Actor, person: str):
        """Note who is chosen in a form, so that they stay among those who are offered."""
        self._chosen = person[:100]


def names_of(state: PeopleState) -> dict[str, str]:
    """Return the names of the people by id."""
    return {each.id: each.name for each in state._all}


def _offer(state: PeopleState) -> None:
    letters = state._sought.casefold()
    found = [each for each in state._all if letters in each.name.casefold()][:SHOWN]
    chosen = [each for each in state._all if each.id == state._chosen and each not in found]
    if state.people != chosen + found:
        state.people = chosen + found
