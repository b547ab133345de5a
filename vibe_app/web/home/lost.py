"""What an address shows that leads nowhere: in the frame for whoever is signed in, and a way back for all."""

from __future__ import annotations

import reflex as rx

from vibe_app.errors import VibeError
from vibe_app.web.auth import asker
from vibe_app.web.home.entrance import entrance
from vibe_app.web.kit.parts import empty_state
from vibe_app.web.layout import RailState, framed, top_bar


class LostState(rx.State):
    """Whether there is somebody to show the frame to."""

    looked: bool = False
    signed_in: bool = False

    @rx.event
    async def arrive(self):
        """Find out whether somebody is signed in."""
        try:
            await asker(self)
        except VibeError:
            self.looked, self.signed_in = True, False
            return None
        self.looked = self.signed_in = True
        return RailState.watch


_WORDS = "Nothing has this address. It may have been mistyped, or what was here is gone."


def lost_page() -> rx.Component:
    """The page of every address that nothing has."""
    home = rx.el.a("Go home", href="/", class_name="v-button")
    inside = framed(top_bar("Not found"), empty_state("compass", "There is no page here", _WORDS, home))
    outside = entrance(
        "There is no page here", _WORDS, rx.el.a("Sign in", href="/login", class_name="v-button")
    )
    return rx.cond(LostState.looked, rx.cond(LostState.signed_in, inside, outside))
