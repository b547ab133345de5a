"""The front door: the Reflex app with its pages, the REST API beside them, and the app's life."""

import logging

import reflex as rx
from starlette.applications import Starlette

from vibe_app.api.app import api_routes
from vibe_app.api.headers import SafeHeaders
from vibe_app.web.auth import OneReader
from vibe_app.web.bounds import bound_socket
from vibe_app.web.handshake import guard_socket
from vibe_app.web.pages import add_pages
from vibe_app.web.tabs import share_tabs
from vibe_app.web.theme import STYLESHEETS
from vibe_app.wiring import lifespan


def _something_went_wrong(exception: Exception) -> rx.event.EventSpec:
    """Log what nobody expected, whole, and show one plain sentence."""
    logging.getLogger(__name__).error("a page's handler broke", exc_info=exception)
    return rx.toast.error("Something went wrong on the server. Nothing was changed; try again.")


app = rx.App(
    # A thin shell: with the API mounted in it, an unknown /api path stays the API's own 404.
    # What stands around both gives every answer its headers.
    api_transformer=[Starlette(routes=api_routes()), SafeHeaders],
    backend_exception_handler=_something_went_wrong,
    stylesheets=STYLESHEETS,
    # Before everything else, so that the first connection has the key of the login beside it.
    head_components=[rx.el.script(src="/door.js")],
)
guard_socket(app)
bound_socket(app)
app.add_middleware(OneReader())
app.register_lifespan_task(lifespan)
share_tabs(app)
add_pages(app)
