"""Whether the page is connected, and what a person is told while it is not.

Stands in the place of Reflex's own notice, which names the address of a socket.
"""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex_components_core.core.banner import (
    has_connection_errors,
    has_hydration_payload_error,
    has_too_many_connection_errors,
)

from vibe_app.web.kit.hooks import first_of, js

WITHOUT_SOCKETS = (
    "Vibe answers, but the connection that this page lives on does not open. A proxy in front does not pass "
    "WebSocket on: set it to (nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, "
    'proxy_set_header Connection "upgrade").'
)
OFFLINE = "You are offline. What you typed is kept, and this page goes on by itself once you are back."
AWAY = (
    "Connection lost: the board does not answer. What you typed is kept, and this page goes on by itself as "
    "soon as it does."
)
TOO_MUCH = (
    "This page cannot connect: the browser keeps too much for it. Close the tab and open the board again."
)

_online = js("network.online", bool, ("const network = useNetwork();",))
connected: Any = ~has_connection_errors & _online
"""Whether the page hears of what happens: where it does not, nothing is live and no clock runs."""
heard: Any = js("!document.querySelector($told)", bool, told=".v-lost, .v-front")
"""The same for a press, at its time: one that is not heard is not kept to be done when nobody expects it."""


@rx.memo
def _notice() -> rx.Component:
    """Asks the server, for as long as the socket does not open: a browser is not told why."""
    failing = has_too_many_connection_errors & ~has_hydration_payload_error
    url = js("('/api/front?page=' + encodeURIComponent(location.origin))")
    ask = js("fetch($url, {credentials: 'omit'})", url=url)
    why = js(
        "(({status}, said) => status === 400 ? said.error : status === 204 ? $silent : '')",
        silent=WITHOUT_SOCKETS,
    )
    answer = js(
        "$ask.then(async (got) => $why(got, await window.vibeDoor.read(got)), () => '')", ask=ask, why=why
    )
    seen = js(
        "told",
        str,
        (
            "const [found, setFound] = useState('');",
            "const look = () => $failing && $answer.then(setFound);",
            "useEffect(() => {look(); return () => setFound('');}, [$failing]);",
            "useInterval(look, 10000, {autoInvoke: true});",
            # A server that is just back may answer before the socket is tried again.
            "const [told] = useDebouncedValue(found, 3000);",
        ),
        failing=failing,
        answer=answer,
    )
    alert = rx.el.p(seen, role="alert", class_name="v-front")
    lost = rx.el.p(rx.cond(_online, AWAY, OFFLINE), role="status", class_name="v-lost")
    return first_of(
        (has_hydration_payload_error, rx.el.p(TOO_MUCH, role="alert", class_name="v-front")),
        (failing & (seen != ""), alert),
        (failing | ~_online, lost),
        otherwise=rx.fragment(),
    )


def connection_notice() -> rx.Component:
    """Tell on every page that it is not connected, and why as far as that is known."""
    return rx.fragment(_notice())
