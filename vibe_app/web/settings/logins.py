"""One's own logins: from where, with what, last use; ending them."""

from __future__ import annotations

from dataclasses import dataclass

import reflex as rx

from vibe_app.accounts.logins import LoginView
from vibe_app.accounts.roles import Actor
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.kit.moment import ago
from vibe_app.web.kit.parts import ask
from vibe_app.web.place import known
from vibe_app.wiring import services


@dataclass
class LoginRow:
    """A login in the list."""

    id: str
    what: str
    host: str
    since: int
    used: int
    current: bool


def _login_row(login: LoginView) -> LoginRow:
    return LoginRow(
        id=str(login.id),
        what=login.browser or "Unknown browser",
        host=login.host or "unknown address",
        since=epoch_ms(login.created_at),
        used=epoch_ms(login.last_used_at or login.created_at),
        current=login.current,
    )


class LoginsState(rx.State):
    """One's own logins."""

    rows: list[LoginRow] = []
    loaded: bool = False

    @acts
    async def load(self, actor: Actor):
        """Read the list."""
        self.rows = [_login_row(login) for login in await services().accounts.logins.list(actor)]
        self.loaded = True

    @acts
    async def end(self, actor: Actor, login_id: str):
        """End a login."""
        await services().accounts.logins.end(actor, known(login_id))
        self.rows = [_login_row(login) for login in await services().accounts.logins.list(actor)]
        return rx.toast.success("Login ended.")

    @acts
    async def end_others(self, actor: Actor):
        """End every login but this one."""
        await services().accounts.logins.end_others(actor)
        self.rows = [_login_row(login) for login in await services().accounts.logins.list(actor)]
        return rx.toast.success("All other logins ended.")


def _login(row: LoginRow) -> rx.Component:
    return rx.flex(
        rx.vstack(
            rx.text(row.what, rx.cond(row.current, " (this one)", ""), size="2", weight="medium"),
            rx.text(
                row.host,
                " · signed in ",
                ago(row.since),
                " · last used ",
                ago(row.used),
                size="1",
                color_scheme="gray",
            ),
            spacing="0",
            flex="1",
        ),
        rx.cond(
            row.current,
            rx.fragment(),
            rx.button(
                "End",
                variant="soft",
                color_scheme="red",
                size="2",
                on_click=LoginsState.end(row.id),
            ),
        ),
        align="center",
        gap="12px",
        width="100%",
        padding="8px 0",
        border_bottom="1px solid var(--gray-4)",
    )


def logins() -> rx.Component:
    """The section of the settings page."""
    return rx.fragment(
        rx.el.p("End what you do not know, and change your password then.", class_name="v-lead"),
        rx.cond(
            LoginsState.loaded,
            rx.vstack(rx.foreach(LoginsState.rows, _login), spacing="0", width="100%"),
            rx.skeleton(height="40px", width="100%"),
        ),
        rx.cond(
            rx.Var.create(LoginsState.rows).length() > 1,
            ask(
                "End all other logins?",
                "Every other browser and program that is signed in to your account must sign in again. "
                "Access tokens stay.",
                "End all others",
                LoginsState.end_others,
                trigger=rx.button("End all others", variant="soft", margin_top="12px"),
            ),
        ),
    )
