"""What stands where, and in which colours, against pictures that were looked at by a person."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser

from tests import looks, sample
from tests.e2e.installation import installed
from tests.e2e.team import assembled

pytestmark = pytest.mark.timeout(300)
SEEN = Path("build/looks")


def kept(name: str) -> Image.Image:
    """How a page is to look."""
    return Image.open(looks.KEPT / f"{name}.png").convert("RGB")


def changes(taken: dict[str, bytes]) -> dict[str, str]:
    """Keep the pictures to be looked at, and return how much of which page is not as it was."""
    SEEN.mkdir(parents=True, exist_ok=True)
    for name, picture in taken.items():
        (SEEN / f"{name}.png").write_bytes(picture)
    found = {name: looks.apart(looks.small(picture), kept(name)) for name, picture in taken.items()}
    return {name: f"{share:.1%}" for name, share in found.items() if share > looks.MOST}


async def test_pages_look_as_they_did(tmp_path: Path, migrated: Path, browser: Browser) -> None:
    async with installed(tmp_path, migrated) as server, assembled(browser, server) as team:
        await team.api("DELETE", team.path, params={"confirm": "Shared"})
        project = await sample.project(team.api)
        cards = await sample.cards(team.api, project)
        taken = await looks.taken(browser, server.url, team.cookies, project, cards)
    assert set(taken) == {path.stem for path in looks.KEPT.glob("*.png")}
    changed = changes(taken)
    assert not changed, f"Look at {SEEN}; if it is as it should be: make screenshots ARGS=--looks"


async def test_another_theme_and_another_place_are_told_apart() -> None:
    board = kept("board-1440-light")
    assert looks.apart(board, board) == 0
    assert looks.apart(board, kept("board-1440-dark")) > 0.5
    moved = Image.new("RGB", board.size)
    moved.paste(board, (10, 0))
    assert looks.apart(board, moved) > looks.MOST
    assert looks.apart(board, kept("board-390-light")) == 1
