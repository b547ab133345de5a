"""Everyone with an account, for the installation's admins: list, add, change, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.accounts.service import UserView
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import ask, choice
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

    @acts
    async def load(self, actor: Actor):
        """Read the list, where the asker may see it."""
        if actor.is_admin:
            self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]

    @acts
    async def add(self, actor: Actor, form: dict[str, Any]):
        """Create an account. The second half of a double click makes no other."""
        email = str(form.get("email", "")).strip().lower()
        if any((row.id, row.email) == (self.blank, email) for row in self.rows):
            return None
        user = await services().accounts.add_user(
            actor,
            str(form.get("email", "")),
            str(form.get("name", "")),
            str(form.get("password", "")),
            str(form.get("role", "member")),
            can_create_projects=bool(form.get("creates")),
            can_execute=bool(form.get("executes")),
        )
        self.rows = [_user_row(user, actor) for user in await services().accounts.users(actor)]
        self.blank = str(user.id)
        return rx.toast.success(f"{user.name} can sign in now.")

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
            ask(
                "Delete this account?",
                "The person can no longer sign in. Projects, tasks and sessions stay.",
                "Delete account",
                UsersState.remove(row.id),
                trigger=rx.button("Delete", variant="soft", color_scheme="gray", size="2"),
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
    """The section of the settings page."""
    return rx.fragment(
        rx.vstack(rx.foreach(UsersState.rows, _user), spacing="0", width="100%"),
        rx.el.form(
            row_of(
                labelled("Name", rx.input(name="name", max_length=100, required=True, auto_complete="off")),
                labelled("E-mail", rx.input(name="email", type="email", required=True, auto_complete="off")),
                labelled(
                    "First password",
                    rx.input(
                        name="password",
                        type="password",
                        required=True,
                        min_length=10,
                        auto_complete="new-password",
                    ),
                ),
                rx.checkbox("Creates projects", name="creates", default_checked=True),
                rx.checkbox("Executes", name="executes", default_checked=True),
                rx.button("Add person", type="submit", variant="soft"),
            ),
            on_submit=UsersState.add,
            key=UsersState.blank,
            margin_top="12px",
        ),
    )
