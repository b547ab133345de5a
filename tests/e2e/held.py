"""A tab whose server answers late: what it says can be kept back and let go of."""

from __future__ import annotations

import re

from playwright.async_api import Page, WebSocketRoute


class Held:
    """What the server says to a tab; until `hold` it arrives as it comes."""

    def __init__(self) -> None:
        self._holding = False
        self._kept: list[tuple[WebSocketRoute, str | bytes]] = []

    @property
    def count(self) -> int:
        """How much is kept back."""
        return len(self._kept)

    async def between(self, page: Page) -> None:
        """Stand between a tab and its server, from the next page that it loads on."""
        await page.route_web_socket(re.compile("/_event"), self._opened)

    def hold(self) -> None:
        """Keep back what the server says from here on."""
        self._holding = True

    def let_go(self) -> None:
        """Pass on what was kept back, and what comes from here on."""
        self._holding = False
        kept, self._kept = self._kept, []
        for socket, message in kept:
            socket.send(message)

    def _opened(self, socket: WebSocketRoute) -> None:
        def down(message: str | bytes) -> None:
            if self._holding:
                self._kept.append((socket, message))
            else:
                socket.send(message)

        socket.connect_to_server().on_message(down)
