"""Everyone with an account, for the installation's admins: list, add, change, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.accounts.service import UserView
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import ask, choice, icon_button
from vibe_app.web.kit.sections import labelled, row_of
from vibe_app.web.place import known
from vibe_app.wiring import services


@dataclass
class UserRow:
    """A person in the list."""

    id: str
    name: str
    email: str
    role: str
    me: bool
    creates: bool
    executes: bool


def _user_row(user: UserView, actor: Actor) -> UserRow:
    return UserRow(
        id=str(user.id),
        name=user.name,
        email=user.email,
        role=user.role.value,
        me=user.id == actor.user_id,
        creates=user.can_create_projects,
        executes=user.can_execute,
    )


class UsersState(rx.State):
    """Everyone with an account, for admins."""

    rows: list[UserRow] = []
    blank: str = ""
    link: str = ""
    link_of: str = ""

    @acts
    async def load(self, actor: Actor):
        """Read the list, where the asker may see it; a link that was shown here before is gone."""
        self.link = self.link_of = ""
        if actor.is_admin:
            self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]

    @acts
    async def invite(self, actor: Actor, form: dict[str, Any]):
        """Create an account and show its link, once. The second half of a double click makes no other."""
        email = str(form.get("email", "")).strip().lower()
        if any((row.id, row.email) == (self.blank, email) for row in self.rows):
            return
        user, link = await services().accounts.invite(
            actor, email, str(form.get("name", "")), str(form.get("role", "member"))
        )
        self.rows = [_user_row(each, actor) for each in await services().accounts.users(actor)]
        self.blank, self.link_of, self.link = str(user.id), user.name, _whole(self, link.path)

    @acts
    async def reset_password(self, actor: Actor, user_id: str):
        """Make a link by which a person sets another password, and show it, once."""
        link = await services().accounts.reset_link(actor, known(user_id))
        name = next((row.name for row in self.rows if row.id == user_id), "this person")
        self.link_of, self.link = name, _whole(self, link.path)

    @rx.event
    def forget_link(self):
        """Hide the link for good."""
        self.link = self.link_of = ""

    @acts
    async def set_role(self, actor: Actor, user_id: str, role: str):
        """Change what a person is in the installation."""
        await services().accounts.change_user(actor, known(user_id), role=role)
        self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]

    @acts
    async def set_creates(self, actor: Actor, user_id: str, allowed: bool):
        """Give or take the right to create projects."""
        await services().accounts.change_user(actor, known(user_id), can_create_projects=allowed)
        self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]

    @acts
    async def set_executes(self, actor: Actor, user_id: str, allowed: bool):
        """Give or take the right to execute."""
        await services().accounts.change_user(actor, known(user_id), can_execute=allowed)
        self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]

    @acts
    async def remove(self, actor: Actor, user_id: str):
        """Delete an account."""
        await services().accounts.remove_user(actor, known(user_id))
        self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]
        return rx.toast.success("Account deleted.")


def _whole(state: rx.State, path: str) -> str:
    """Return the address of a page as others have to type it."""
    here = urlsplit(str(state.router.url))
    return f"{here.scheme}://{here.netloc}{path}"


def _link() -> rx.Component:
    return rx.cond(
        UsersState.link != "",
        rx.el.div(
            rx.el.p(
                rx.el.strong(UsersState.link_of),
                " sets a password by this link, once, within a day. Send it: it is not shown again.",
            ),
            rx.el.code(UsersState.link, id="password-link", class_name="v-secret"),
            rx.el.div(
                rx.button("Copy", on_click=[rx.set_clipboard(UsersState.link), rx.toast.success("Copied.")]),
                rx.button("Done", variant="soft", color_scheme="gray", on_click=UsersState.forget_link),
                class_name="v-row",
            ),
            role="status",
            class_name="v-panel v-shown-once",
        ),
    )


def _right(label: str, held: Any, role: Any, on_change: Any) -> rx.Component:
    return rx.text(
        rx.checkbox(label, checked=held, on_change=on_change, disabled=role == "admin", size="1"), size="1"
    )


def _user(row: UserRow) -> rx.Component:
    return rx.flex(
        rx.vstack(
            rx.text(row.name, rx.cond(row.me, " (you)", ""), size="2", weight="medium"),
            rx.text(row.email, size="1", color_scheme="gray"),
            spacing="0",
            flex="1",
            min_width="160px",
        ),
        _right("Creates projects", row.creates, row.role, lambda on: UsersState.set_creates(row.id, on)),
        _right("Executes", row.executes, row.role, lambda on: UsersState.set_executes(row.id, on)),
        choice(
            "Role",
            {"admin": "Admin", "member": "Member"},
            value=row.role,
            on_change=lambda role: UsersState.set_role(row.id, role),
            disabled=row.me,
        ),
        rx.cond(
            row.me,
            rx.fragment(),
            rx.fragment(
                ask(
                    "Make a link for another password?",
                    "Whoever has the link sets a new password for this account, once, within a day. Until "
                    "then nothing changes; afterwards every login and access token of it ends.",
                    "Make link",
                    UsersState.reset_password(row.id),
                    trigger=icon_button("key-round", "Reset password"),
                ),
                ask(
                    "Delete this account?",
                    "The person can no longer sign in. Projects, cards and runs stay.",
                    "Delete account",
                    UsersState.remove(row.id),
                    trigger=icon_button("trash-2", "Delete"),
                ),
            ),
        ),
        align="center",
        gap="12px",
        wrap="wrap",
        width="100%",
        padding="8px 0",
        border_bottom="1px solid var(--gray-4)",
    )


def people() -> rx.Component:
    """The part of the settings page."""
    return rx.fragment(
        _link(),
        rx.vstack(rx.foreach(UsersState.rows, _user), spacing="0", width="100%"),
        rx.el.section(
            rx.el.h3("Invite somebody", class_name="v-h3"),
            rx.el.form(
                row_of(
                    labelled(
                        "Name", rx.input(name="name", max_length=100, required=True, auto_complete="off")
                    ),
                    labelled(
                        "E-mail", rx.input(name="email", type="email", required=True, auto_complete="off")
                    ),
                    labelled(
                        "Role",
                        choice(
                            "Role",
                            {"member": "Member", "admin": "Admin"},
                            name="role",
                            default_value="member",
                        ),
                        "0",
                    ),
                    rx.button("Invite", type="submit"),
                ),
                on_submit=UsersState.invite,
                key=UsersState.blank,
            ),
            class_name="v-apart v-stack",
        ),
    )
