"""The front door: the Reflex app with its pages, the REST API beside them, and the app's life."""

import logging

import reflex as rx
from starlette.applications import Starlette
from starlette.types import ASGIApp

from vibe_app.api.app import api_routes
from vibe_app.api.headers import SafeHeaders
from vibe_app.log import Seldom
from vibe_app.web.auth import OneReader
from vibe_app.web.bounds import bound_socket
from vibe_app.web.front import LookedFor, door, without_parts
from vibe_app.web.handshake import guard_socket
from vibe_app.web.kit.connection import connection_notice
from vibe_app.web.packets import KnownPackets
from vibe_app.web.pages import add_pages
from vibe_app.web.tabs import share_tabs
from vibe_app.web.theme import STYLESHEETS, toaster
from vibe_app.wiring import lifespan

log = logging.getLogger(__name__)

_TOLD = 4000
"""Characters of a browser's report that go into the log."""
# Sizes that change while they are read are told with the next frame: no fault, but an error by the
# specification of Resize Observer, section 3.6.
_LATE = "ResizeObserver loop"
_broken_handlers, _broken_pages = Seldom(), Seldom()


def _something_went_wrong(exception: Exception) -> rx.event.EventSpec:
    """Log what nobody expected, whole, and show one plain sentence."""
    _broken_handlers.log(log, logging.ERROR, "a page's handler broke", error=exception)
    return rx.toast.error("Something went wrong on the server. Nothing was changed; try again.")


def _known_packets(served: ASGIApp) -> ASGIApp:
    return KnownPackets(served, app)


def _page_broke(exception: Exception) -> None:
    """Log what a browser says of a page that broke there; anybody can say it."""
    if str(exception).startswith(_LATE):
        return
    _broken_pages.log(log, logging.ERROR, "a browser tells of a page that broke: %s", str(exception)[:_TOLD])


app = rx.App(
    # A thin shell: with the API mounted in it, an unknown /api path stays the API's own 404.
    # What stands around both gives every answer its headers.
    api_transformer=[Starlette(routes=api_routes()), SafeHeaders, LookedFor, _known_packets],
    backend_exception_handler=_something_went_wrong,
    frontend_exception_handler=_page_broke,
    stylesheets=STYLESHEETS,
    toaster=toaster(),
    # In the place of Reflex's own, which shows the address of a socket.
    extra_app_wraps={(5, "Overlay"): lambda _: connection_notice()},
    # Before everything else, so that the first connection has the key of the login beside it.
    # Reflex leaves further arguments without types, of the life's task below too.
    head_components=[door(), without_parts()],  # pyright: ignore[reportUnknownMemberType]
)
guard_socket(app)
bound_socket(app)
app.add_middleware(OneReader())
app.register_lifespan_task(lifespan)  # pyright: ignore[reportUnknownMemberType]
share_tabs(app)
add_pages(app)
