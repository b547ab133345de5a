"""The people of a project, as the pickers on a card offer them."""

from __future__ import annotations

from dataclasses import dataclass

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.place import place_of
from vibe_app.wiring import services


@dataclass
class Person:
    """A person as a picker offers one."""

    id: str
    name: str


class PeopleState(rx.State):
    """The people of the project that the address names."""

    project_id: str = ""
    people: list[Person] = []
    loaded: bool = False

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
        if self.people != people:
            self.people = people


def names_of(state: PeopleState) -> dict[str, str]:
    """Return the names of the people by id."""
    return {each.id: each.name for each in state.people}
