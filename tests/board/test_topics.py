"""Whoever shows the cards of a board hears which one has changed, and of no other board's."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from vibe_app.accounts.roles import Actor
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import NewProject
from vibe_app.board.tasks.schemas import NewTask, TaskPatch
from vibe_app.board.topics import cards_in, cards_of
from vibe_app.wiring import Services


async def test_each_verb_names_the_card_that_it_changed(resting: Services, owner: Actor) -> None:
    project = (await resting.projects.create(owner, NewProject(name="Calendar"))).id
    other = (await resting.projects.create(owner, NewProject(name="Other"))).id
    place = (owner, project)
    with resting.database.bus.subscribe(cards_of(project)) as changes:
        task = (await resting.tasks.create(*place, NewTask(title="Title"))).id
        assert cards_in(await changes.wait(0)) == {task}
        verbs: list[Awaitable[Any]] = [
            resting.tasks.change(*place, task, 1, TaskPatch(title="New")),
            resting.tasks.label(*place, task, add="a"),
            resting.tasks.move(*place, task, TaskStatus.DONE),
            resting.tasks.archive(*place, task),
            resting.tasks.unarchive(*place, task),
            resting.tasks.delete(*place, task),
            resting.tasks.restore(*place, task),
            resting.tasks.move(*place, task, TaskStatus.TODO),
            resting.starts.execute(*place, task),
            resting.sessions.stop(*place, task),
        ]
        for verb in verbs:
            await verb
            assert cards_in(await changes.wait(0)) == {task}, verb
        await resting.tasks.create(owner, other, NewTask(title="Elsewhere"))
        assert await changes.wait(0) == set()
        resting.database.bus.resync()
        missed = await changes.wait(0)
        assert (missed, cards_in(missed)) == ({cards_of(project)}, set())
