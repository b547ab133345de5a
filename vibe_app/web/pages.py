"""Every page with its address. A page and its State live in one file, or in those of its components."""

from __future__ import annotations

import reflex as rx

from vibe_app.web.board import page as board
from vibe_app.web.files import page as files
from vibe_app.web.home import page as projects
from vibe_app.web.home import sign_in
from vibe_app.web.kit.fresh import FreshState
from vibe_app.web.settings import page as settings
from vibe_app.web.settings.project import ON_LOAD as PROJECT_SETTINGS
from vibe_app.web.settings.project import ROUTE, TITLE, project_settings_page


def add_pages(app: rx.App) -> None:
    """Give the app its pages."""
    told = FreshState.arrive
    # Signing in ends with a full page load: those two need not be told.
    arrive = sign_in.SignInState.arrive
    app.add_page(sign_in.login_page, route="/login", title="Sign in · Vibe", on_load=arrive)
    app.add_page(sign_in.setup_page, route="/setup", title="Set up · Vibe", on_load=arrive)
    app.add_page(
        projects.projects_page, route="/", title="Projects · Vibe", on_load=[told, *projects.ON_LOAD]
    )
    app.add_page(
        settings.settings_page, route="/settings", title="Settings · Vibe", on_load=[told, *settings.LOAD]
    )
    # Before the board, whose address is as specific to Reflex: it takes the first that fits.
    app.add_page(files.files_page, route=files.ROUTE, title=files.TITLE, on_load=[told, *files.ON_LOAD])
    app.add_page(files.files_page, route=files.TREE_ROUTE, title=files.TITLE, on_load=[told, *files.ON_LOAD])
    app.add_page(project_settings_page, route=ROUTE, title=TITLE, on_load=[told, *PROJECT_SETTINGS])
    app.add_page(board.board_page, route=board.ROUTE, title=board.TITLE, on_load=[told, *board.ON_LOAD])
