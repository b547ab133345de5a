"""The page of a one-time link by which somebody sets the password of their account."""

from __future__ import annotations

import reflex as rx

from vibe_app.errors import VibeError
from vibe_app.web.home.entrance import entrance
from vibe_app.web.home.sign_in import SignInState, entering, entry
from vibe_app.wiring import services

_TEN = "At least 10 characters."


class ResetState(rx.State):
    """Whose link it is."""

    token: str = ""
    email: str = ""
    ended: str = ""

    @rx.event
    async def arrive(self):
        """Find out whose link it is; of one that has ended, say so."""
        self.token = self.router.url.query_parameters.get("token", "")[:200]
        self.email = self.ended = ""
        sign_in = await self.get_state(SignInState)
        sign_in.error, sign_in.busy, sign_in.next = "", False, "/"
        try:
            self.email = (await services().accounts.link_owner(self.token)).email
        except VibeError as error:
            self.ended = error.message


def reset_page() -> rx.Component:
    """The page at `/reset`."""
    form = entering(
        "Choose a password",
        rx.fragment("For ", rx.el.strong(ResetState.email), ". You sign in with it from now on."),
        "/api/auth/reset",
        "Set password",
        # Password managers want to know whose password it is.
        rx.el.input(
            type="text", value=ResetState.email, read_only=True, auto_complete="username", display="none"
        ),
        entry(
            "New password", "password", "password", "new-password", "At least 10 characters.", min_length=10
        ),
        rx.el.input(type="hidden", name="token", value=ResetState.token, read_only=True),
    )
    ended = entrance(
        "This link has ended", ResetState.ended, rx.el.a("Sign in", href="/login", class_name="v-button")
    )
    return rx.cond(ResetState.ended != "", ended, form)
