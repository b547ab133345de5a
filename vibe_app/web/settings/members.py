"""Who belongs to a project, chosen by name, in the project's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board import rules
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import choice
from vibe_app.web.kit.sections import labelled, row_of
from vibe_app.web.place import known
from vibe_app.wiring import services


@dataclass
class MemberRow:
    """A person in the list of members."""

    id: str
    name: str
    email: str
    role: str
    me: bool


class MembersState(rx.State):
    """Who belongs to the project."""

    project_id: str = ""
    manages: bool = False
    members: list[MemberRow] = []
    blank: str = ""

    @acts
    async def add_member(self, actor: Actor, form: dict[str, Any]):
        """Give somebody with an account a role here."""
        await services().projects.check_owner(actor, known(self.project_id))
        person = await services().accounts.find(str(form.get("email", "")))
        role = rules.parse_role(words(form, "role", ProjectRole.EDITOR))
        await services().projects.set_member(actor, known(self.project_id), person.id, role)
        self.members = await members_of(actor, known(self.project_id))
        self.blank = str(person.id)
        return rx.toast.success(f"{person.name} belongs to the project now.")

    @acts
    async def set_role(self, actor: Actor, user_id: str, role: str):
        """Change a member's role."""
        await services().projects.set_member(
            actor, known(self.project_id), known(user_id), rules.parse_role(role)
        )
        self.members = await members_of(actor, known(self.project_id))

    @acts
    async def remove_member(self, actor: Actor, user_id: str):
        """Take somebody out of the project."""
        await services().projects.remove_member(actor, known(self.project_id), known(user_id))
        if known(user_id) == actor.user_id and not actor.is_admin:
            return rx.redirect("/")
        self.members = await members_of(actor, known(self.project_id))
        return None


async def members_of(actor: Actor, project_id: UUID) -> list[MemberRow]:
    """Return who belongs to a project, as the page shows them."""
    views = await services().projects.members(actor, project_id)
    people = await services().accounts.names(view.user_id for view in views)
    return [
        MemberRow(
            id=str(view.user_id),
            name=people[view.user_id].name,
            email=people[view.user_id].email,
            role=view.role.value,
            me=view.user_id == actor.user_id,
        )
        for view in views
        if view.user_id in people
    ]


def _roles(**props: Any) -> rx.Component:
    return choice("Role", {role.value: role.value.capitalize() for role in ProjectRole}, **props)


def _member(row: MemberRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.div(row.name, rx.cond(row.me, " (you)", ""), class_name="v-strong"),
            rx.el.div(row.email, class_name="v-quiet"),
            class_name="v-grow",
        ),
        _roles(
            value=row.role,
            on_change=lambda role: MembersState.set_role(row.id, role),
            disabled=~MembersState.manages,
        ),
        rx.cond(
            MembersState.manages | row.me,
            rx.button(
                rx.cond(row.me, "Leave", "Remove"),
                variant="soft",
                color_scheme="gray",
                on_click=MembersState.remove_member(row.id),
            ),
        ),
    )


def members_part() -> rx.Component:
    """The list, and the form that adds somebody; `ProjectSettingsState` fills it."""
    return rx.fragment(
        rx.el.ul(rx.foreach(MembersState.members, _member), class_name="v-list"),
        rx.cond(
            MembersState.manages,
            rx.el.form(
                row_of(
                    labelled(
                        "E-mail of somebody with an account here",
                        rx.input(name="email", type="email", required=True, auto_complete="off"),
                    ),
                    labelled("Role", _roles(name="role", default_value="editor"), "0"),
                    rx.button("Add", type="submit", variant="soft"),
                ),
                on_submit=MembersState.add_member,
                key=MembersState.blank,
                class_name="v-apart",
            ),
        ),
    )
