"""Every page with its address. A page and its State live in one file, or in those of its components."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.board import page as board
from vibe_app.web.files import page as files
from vibe_app.web.home import lost, reset, sign_in
from vibe_app.web.home import page as home
from vibe_app.web.kit.fresh import FreshState
from vibe_app.web.layers import LayersState
from vibe_app.web.layout import titled
from vibe_app.web.settings import page as settings
from vibe_app.web.settings import project


def add_pages(app: rx.App) -> None:
    """Give the app its pages."""

    def inside(page: Any, route: str, title: Any, on_load: list[Any]) -> None:
        app.add_page(
            page, route=route, title=titled(title), on_load=[FreshState.arrive, LayersState.arrive, *on_load]
        )

    # Signing in ends with a full page load: those two need not be told which build is served.
    arrive = sign_in.SignInState.arrive
    app.add_page(sign_in.login_page, route="/login", title="Sign in · Vibe", on_load=arrive)
    app.add_page(sign_in.setup_page, route="/setup", title="Set up · Vibe", on_load=arrive)
    app.add_page(reset.reset_page, route="/reset", title="Password · Vibe", on_load=reset.ResetState.arrive)
    inside(home.home_page, "/", "Home · Vibe", home.ON_LOAD)
    inside(settings.settings_page, settings.ROUTE, "Settings · Vibe", settings.ON_LOAD)
    inside(lost.lost_page, "404", "Not found · Vibe", [lost.LostState.arrive])
    # Before the board, whose address is as specific to Reflex: it takes the first that fits.
    inside(files.files_page, files.ROUTE, files.TITLE, files.ON_LOAD)
    inside(files.files_page, files.TREE_ROUTE, files.TITLE, files.ON_LOAD)
    inside(project.project_settings_page, project.ROUTE, project.TITLE, project.ON_LOAD)
    inside(board.board_page, board.ROUTE, board.TITLE, board.ON_LOAD)
