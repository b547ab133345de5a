"""Rights end when they end: what goes on for a while asks again whether it still may.

A stream, a download or a page that is open was let in once. `Rights` asks its
whole door again, at once when somebody's rights were changed and at times
unasked, and breaks off what is going on when the answer is no. Who follow the
same thing with the same proof share one watch, so that the two hundred streams of
one person are one question.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Hashable
from contextlib import asynccontextmanager
from typing import Any, TypeVar
from uuid import UUID

from vibe_app.accounts.roles import rights_of
from vibe_app.bus import Bus
from vibe_app.errors import Forbidden, NotFound, Unauthenticated, Unavailable

log = logging.getLogger(__name__)

LOOK_AGAIN = 3.5
"""Seconds at most between two questions, whatever was announced or got lost."""
UNKNOWN = 30.0
"""Seconds for which something goes on while nobody can say whether it still may."""

Again = Callable[[], Awaitable[object]]
"""Does the whole check of a door again; raises what the door would."""
_Ended = Unauthenticated | Forbidden | NotFound | Unavailable
_T = TypeVar("_T")


class Right:
    """That something may go on, until it may not.

    Args:
        ended: Gets the refusal, when there is one.
    """

    def __init__(self, ended: asyncio.Future[_Ended]) -> None:
        self._ended = ended

    def check(self) -> None:
        """Return if it may go on.

        Raises:
            Unauthenticated: The login or the token has ended.
            Forbidden: The person's role is not enough any more.
            NotFound: What it was about is gone.
            Unavailable: For `UNKNOWN` seconds nobody could say.
        """
        if self._ended.done():
            raise self._ended.result()

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Return what `work` returns; break it off as soon as the right has ended.

        Raises:
            Unauthenticated, Forbidden, NotFound, Unavailable: As `check` does.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            self.check()
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


class _Watch:
    """One question for all who share it; runs for as long as one of them does."""

    def __init__(self, bus: Bus, subjects: tuple[UUID, ...]) -> None:
        self.ended: asyncio.Future[_Ended] = asyncio.get_running_loop().create_future()
        self.askers: list[Again] = []
        self._bus = bus
        self._topics = [rights_of(subject) for subject in subjects]
        self.task = asyncio.create_task(self._ask(), name="whether it still may go on")

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        with self._bus.subscribe(*self._topics) as changes:
            known = loop.time()
            while True:
                await changes.wait(LOOK_AGAIN * random.uniform(0.7, 1.0))
                try:
                    # The newest one: whoever came first may be gone.
                    await self.askers[-1]()
                    known = loop.time()
                except (Unauthenticated, Forbidden, NotFound) as refusal:
                    self.ended.set_result(refusal)
                    return
                except Unavailable as error:
                    if loop.time() - known > UNKNOWN:
                        log.warning("what goes on was ended, since nobody can say whether it may: %s", error)
                        self.ended.set_result(error)
                        return
                except Exception as error:
                    # What nobody can ask about any more must not go on for ever.
                    log.exception("what goes on was ended, since asking whether it may broke")
                    self.ended.set_result(Unavailable(f"Nobody can say whether this may go on: {error}"))
                    return


class Rights:
    """Everything that goes on in this process for as long as somebody may see it.

    Args:
        bus: Where changes of rights are announced.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._watches: dict[Hashable, _Watch] = {}

    @asynccontextmanager
    async def lasting(self, proof: Hashable, again: Again, *subjects: UUID) -> AsyncGenerator[Right]:
        """Watch over something that was just let in, for as long as the block lasts.

        Args:
            proof: How it proved itself, and for what: who are alike in this share one question.
            again: The check of the door, as it was made just now.
            subjects: The person, and the project that it is about.
        """
        key = (proof, subjects)
        watch = self._watches.get(key)
        if watch is None or watch.task.done():
            watch = self._watches[key] = _Watch(self._bus, subjects)
        watch.askers.append(again)
        try:
            yield Right(watch.ended)
        finally:
            watch.askers.remove(again)
            if not watch.askers:
                watch.task.cancel()
                if self._watches.get(key) is watch:
                    del self._watches[key]
