"""Two cards side by side, a follow-up, a conflict that is solved: with a power cut in the middle."""

from __future__ import annotations

import pytest

from tests.e2e.test_story import Newcomer, newcomer
from tests.e2e.two_cards import TwoCards, told

__all__ = ["newcomer"]


@pytest.mark.timeout(300)
async def test_two_cards_that_change_the_same_line(newcomer: Newcomer) -> None:
    newcomer.watch.away = True
    await newcomer.set_up()
    board = await newcomer.begin_project("Greetings")
    api = await newcomer.api()
    await told(TwoCards(board, newcomer.installation, api, newcomer.installation.workspace(board.project)))
    await api.close()
