"""The two pages that need no account: setting the first one up, and signing in.

The form goes from the browser straight to the REST door, which answers with the
HttpOnly cookie and the key that the page keeps beside it; the password never passes
through a State. A full page load follows, so that the new socket's handshake carries both.
"""

from __future__ import annotations

from typing import Any, Literal

import reflex as rx

from vibe_app.errors import Unauthenticated
from vibe_app.origins import HOME, page_or_home
from vibe_app.web.auth import asker
from vibe_app.web.home.entrance import entrance
from vibe_app.web.kit.hooks import js
from vibe_app.web.kit.parts import field
from vibe_app.wiring import services

_FORM = "sign-in-form"

_AWAY = "The server cannot be reached. Check the connection and try again."


def _send(url: str) -> rx.Var[Any]:
    """Return what sends the form as JSON; it answers with the reason of a refusal, or nothing and goes on."""
    form = js("document.forms[$form]", form=_FORM)
    body = js("JSON.stringify(Object.fromEntries(new FormData($form)))", form=form)
    ask = js(
        "fetch($url, {method: 'POST', headers: {'Content-Type': 'application/json'}, body: $body})",
        url=url,
        body=body,
    )
    answer = js("$ask.then(window.vibeDoor.read, () => ({error: $away}))", ask=ask, away=_AWAY)
    enter = js("(window.vibeDoor.keep(said.body.key), location.assign($form.dataset.next))", form=form)
    told = js("(delete $form.dataset.sent, said.error)", form=form)
    sent = js(
        "$answer.then((said) => said.error ? $told : void $enter)", answer=answer, told=told, enter=enter
    )
    # The second half of a double click finds it sent.
    return js("(() => $form.dataset.sent ? null : ($form.dataset.sent = 'yes', $sent))", form=form, sent=sent)


class SignInState(rx.State):
    """What the sign-in pages show."""

    error: str = ""
    busy: bool = False
    setup_token: str = ""
    """What the one-time link to the first account carries."""
    linkless: bool = False
    """Whether somebody came to the set-up without that link."""
    next: str = HOME
    """Where the browser goes once it is signed in."""

    @rx.event
    async def arrive(self):
        """Send people where they belong: to the set-up before there is an account, home when signed in."""
        self.error, self.busy = "", False
        self.next = page_or_home(self.router.url.query_parameters.get("next", HOME))
        setting_up = self.router.url.path.rstrip("/").endswith("/setup")
        self.setup_token = self.router.url.query_parameters.get("token", "")[:200] if setting_up else ""
        self.linkless = setting_up and not self.setup_token
        if await services().accounts.is_empty():
            return None if setting_up else rx.redirect("/setup", replace=True)
        try:
            await asker(self)
        except Unauthenticated:
            return rx.redirect("/login", replace=True) if setting_up else None
        return rx.redirect(self.next, replace=True)

    @rx.event
    def begin(self):
        """Show that the form is on its way."""
        self.error, self.busy = "", True

    @rx.event
    def answered(self, error: str | None):
        """Show the server's sentence, or wait for the page that follows."""
        if error:
            self.error, self.busy = error[:500], False


def entry(
    label: str,
    name: str,
    kind: Literal["text", "email", "password"],
    autocomplete: str,
    hint: str = "",
    **props: Any,
) -> rx.Component:
    """A field of such a form."""
    control = rx.input(name=name, type=kind, required=True, auto_complete=autocomplete, size="3", **props)
    return field(label, control, hint)


def entering(title: str, lead: Any, url: str, button: str, *fields: rx.Component) -> rx.Component:
    """A page with a form that ends with whoever sent it signed in."""
    return entrance(
        title,
        lead,
        rx.el.form(
            rx.vstack(
                *fields,
                rx.cond(
                    SignInState.error != "",
                    rx.callout(
                        SignInState.error,
                        icon="circle_alert",
                        color_scheme="red",
                        role="alert",
                        width="100%",
                        size="1",
                    ),
                ),
                rx.button(
                    button,
                    type="submit",
                    size="3",
                    width="100%",
                    loading=SignInState.busy,
                    # Before, the form has no handler yet: the browser would send it as an address.
                    disabled=rx.cond(rx.State.is_hydrated, False, True),
                ),
                spacing="4",
                align="stretch",
            ),
            id=_FORM,
            custom_attrs={"data-next": SignInState.next},
            on_submit=[SignInState.begin, rx.call_function(_send(url), callback=SignInState.answered)],
        ),
    )


def login_page() -> rx.Component:
    """The page to sign in on."""
    return entering(
        "Sign in",
        "To the board of your team.",
        "/api/auth/login",
        "Sign in",
        entry("E-mail", "email", "email", "username", auto_focus=True),
        entry("Password", "password", "password", "current-password"),
    )


def setup_page() -> rx.Component:
    """The page for the first account, for whoever has the link."""
    made = entering(
        "Create the first account",
        "It administers this installation. Then invite the others under Settings, People: each gets a link.",
        "/api/auth/setup",
        "Create account",
        entry("Name", "name", "text", "name", auto_focus=True),
        entry("E-mail", "email", "email", "username"),
        entry("Password", "password", "password", "new-password", "At least 10 characters.", min_length=10),
        rx.el.input(type="hidden", name="setup_token", value=SignInState.setup_token, read_only=True),
    )
    linkless = entrance(
        "No account yet",
        rx.fragment(
            "The first account is made with the one-time link that Vibe printed when it started: it is in "
            "the terminal or the log. ",
            rx.el.code("vibe doctor"),
            " says it again.",
        ),
    )
    return rx.cond(SignInState.linkless, linkless, made)
