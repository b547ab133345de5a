"""What stands above a page whose socket does not open: why, as far as the server can tell."""

from __future__ import annotations

import reflex as rx
from reflex_components_core.core.banner import has_hydration_payload_error, has_too_many_connection_errors

from vibe_app.web.kit.sources import source

WITHOUT_SOCKETS = (
    "Vibe answers, but the connection that this page lives on does not open. A proxy in front does not pass "
    "WebSocket on: set it to (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, "
    'proxy_set_header Connection "upgrade").'
)
_SOURCE = source("unreached.jsx")


class Unreached(rx.Component):
    """Asks `url` while `failing`; shows its sentence, or `otherwise` where all but the socket seems well."""

    library = _SOURCE.importable_path
    tag = "Unreached"
    failing: rx.Var[bool]
    url: rx.Var[str]
    otherwise: rx.Var[str]


@rx.memo
def _unreached() -> rx.Component:
    return Unreached.create(
        failing=has_too_many_connection_errors & ~has_hydration_payload_error,
        url="/api/front",
        otherwise=WITHOUT_SOCKETS,
    )


def unreached() -> rx.Component:
    """Tell on every page why it does not connect."""
    return rx.fragment(_unreached())
