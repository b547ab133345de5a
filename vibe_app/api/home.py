"""The route of what somebody sees over all their projects."""

from __future__ import annotations

from fastapi import APIRouter

from vibe_app.api.access import Asker
from vibe_app.api.errors import errors
from vibe_app.board.home import HomeView
from vibe_app.wiring import services

home = APIRouter(tags=["home"])


@home.get("/home", responses=errors())
async def read_home(actor: Asker) -> HomeView:
    """Return what needs you, what runs, what ended last, and how each project is: 20 cards of each list."""
    return await services().home.read(actor)
