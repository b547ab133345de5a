"""The settings of a person, and of the installation for its admins."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.accounts.rows import UserView
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import field
from vibe_app.web.kit.sections import section
from vibe_app.web.kit.side import side_page
from vibe_app.web.layout import RailState, framed, top_bar
from vibe_app.web.settings.keeping import FORMS, Form, FormsState, Texts, begins, fill, form_part, settle
from vibe_app.web.settings.logins import LoginsState, logins
from vibe_app.web.settings.people import UsersState, people
from vibe_app.web.settings.tokens import TokensState, tokens
from vibe_app.wiring import services


class ProfileState(rx.State):
    """One's own name, address and password."""

    email: str = ""
    admin: bool = False

    @acts
    async def load(self, actor: Actor):
        """Read one's own account."""
        me = await services().accounts.me(actor)
        self.email, self.admin = me.email, actor.is_admin
        forms = await self.get_state(FormsState)
        settle(forms)
        forms.looks_only = False
        fill(forms, PROFILE, str(me.id), me)

    @acts
    async def save_password(self, actor: Actor, form: dict[str, Any]):
        """Change one's password; every login of the account ends, this one too."""
        await services().accounts.change_me(
            actor,
            password=str(form.get("new", "")),
            current_password=str(form.get("current", "")),
            keep_tokens=bool(form.get("keep")),
        )
        return [
            rx.toast.success("Password changed. Sign in with the new one."),
            rx.call_script("setTimeout(() => location.assign('/login'), 1200)"),
        ]


async def _read(actor: Actor, of: str) -> UserView:
    return await services().accounts.me(actor)


async def _write(actor: Actor, of: str, changed: Texts, version: int) -> UserView:
    return await services().accounts.change_me(actor, name=changed.get("name"), version=version)


PROFILE = FORMS["profile"] = Form(
    "profile", {"name": "Name"}, lambda me: {"name": me.name}, _read, _write, "Name saved."
)


class SettingsState(rx.State):
    """Which part is shown."""

    part: str = "profile"

    @rx.event
    def arrive(self):
        """Note which part the address names, and read it."""
        named = self.router.url.path.strip("/").split("/")[1:2]
        self.part = named[0] if named and named[0] in _LOADS else "profile"
        return _LOADS[self.part]


_LOADS: dict[str, Any] = {
    "profile": None,
    "logins": LoginsState.load,
    "tokens": TokensState.load,
    "people": UsersState.load,
}
ROUTE = "/settings/[[...splat]]"
ON_LOAD = [ProfileState.load, SettingsState.arrive, RailState.watch]


def _profile() -> rx.Component:
    return rx.el.div(
        form_part(
            PROFILE,
            field(
                "Name",
                rx.input(
                    name="name",
                    default_value=begins(PROFILE, "name"),
                    required=True,
                    auto_complete="name",
                ),
            ),
            field(
                "E-mail",
                rx.input(value=ProfileState.email, read_only=True),
                "You sign in with it. It stays as it is.",
            ),
            save="Save name",
        ),
        class_name="v-section",
    )


def _password() -> rx.Component:
    return section(
        "Password",
        "A new password ends every login of your account, this one too. Access tokens end with it unless "
        "you keep them.",
        rx.el.form(
            # Password managers want to know whose password it is.
            rx.el.input(
                type="text",
                value=ProfileState.email,
                read_only=True,
                auto_complete="username",
                display="none",
            ),
            rx.el.div(
                field(
                    "Current password",
                    rx.input(
                        name="current", type="password", required=True, auto_complete="current-password"
                    ),
                ),
                field(
                    "New password",
                    rx.input(
                        name="new",
                        type="password",
                        required=True,
                        min_length=10,
                        auto_complete="new-password",
                    ),
                    "At least 10 characters.",
                ),
                rx.checkbox("Keep my access tokens", name="keep"),
                rx.button("Change password", type="submit"),
                class_name="v-fields",
            ),
            on_submit=ProfileState.save_password,
        ),
    )


def settings_page() -> rx.Component:
    """The page at `/settings` and below."""
    mine = {
        "profile": ("Profile", "How others see you here, and your password.", _profile_part()),
        "logins": ("Logins", "Where you are signed in, and since when.", logins()),
        "tokens": ("Access tokens", "For scripts that use the REST API in your name.", tokens()),
    }
    lead = (
        "Everyone with an account here, and what each may do; an admin may do everything. "
        "A project's members are chosen in the project."
    )
    for_admins = rx.el.p("Only an admin sees who has an account here.", class_name="v-hint")
    parts = mine | {"people": ("People", lead, rx.cond(ProfileState.admin, people(), for_admins))}
    only = {"people": ProfileState.admin}
    return framed(
        top_bar("Settings"),
        rx.el.div(
            side_page("Parts of the settings", "/settings", parts, SettingsState.part, only),
            class_name="v-scroll",
        ),
    )


def _profile_part() -> rx.Component:
    return rx.fragment(_profile(), _password())
