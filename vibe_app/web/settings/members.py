"""Who belongs to a project, chosen by name, in the project's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board import rules
from vibe_app.board.projects.schemas import MemberView
from vibe_app.errors import NotFound
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import choice
from vibe_app.web.kit.sections import labelled, row_of
from vibe_app.web.place import known
from vibe_app.web.settings.keeping import FORMS, Form, FormsState, Seen, Texts, conflict_banner, keep
from vibe_app.web.settings.many import SHOWN, finder, fitting
from vibe_app.wiring import services


@dataclass
class MemberRow:
    """A person in the list of members."""

    id: str
    name: str
    email: str
    role: str
    me: bool
    version: int = 0


class MembersState(rx.State):
    """Who belongs to the project."""

    project_id: str = ""
    manages: bool = False
    members: list[MemberRow] = []
    total: int = 0
    sought: str = ""
    found: list[MemberRow] = []
    text: str = ""
    looked: bool = False
    new_role: str = ProjectRole.EDITOR.value

    @acts
    async def find(self, actor: Actor, text: str):
        """List the members whose name or address contains a text."""
        self.sought = text[:200]
        await show_members(self, actor)

    @acts
    async def look(self, actor: Actor, text: str):
        """Show who could be added: people whose name or address contains a text."""
        self.text = text[:200]
        await _look(self, actor)

    @rx.event
    def set_new_role(self, role: str):
        """Note what the next person is to be here."""
        self.new_role = role if role in list(ProjectRole) else ProjectRole.EDITOR.value

    @acts
    async def add_member(self, actor: Actor, user_id: str):
        """Give somebody with an account a role here."""
        role = rules.parse_role(self.new_role)
        await services().members.put(actor, known(self.project_id), known(user_id), role)
        await show_members(self, actor)
        await _look(self, actor)
        name = next((row.name for row in self.members if row.id == user_id), "The person")
        return rx.toast.success(f"{name} belongs to the project now.")

    @acts
    async def set_role(self, actor: Actor, user_id: str, role: str):
        """Change a member's role, unless somebody else has just given another."""
        row = next((each for each in self.members if each.id == user_id), None)
        if row is None:
            return None
        seen = Seen(row.version, {"role": row.role})
        of = f"{self.project_id}/{user_id}"
        events = await keep(
            await self.get_state(FormsState), actor, MEMBER, of, {"role": role}, seen, row.name
        )
        return [*(events or []), MembersState.load]

    @acts
    async def load(self, actor: Actor):
        """Read who belongs to the project."""
        await show_members(self, actor)

    @acts
    async def remove_member(self, actor: Actor, user_id: str):
        """Take somebody out of the project."""
        await services().members.remove(actor, known(self.project_id), known(user_id))
        if known(user_id) == actor.user_id and not actor.is_admin:
            return rx.redirect("/")
        await show_members(self, actor)
        return None


async def _read(actor: Actor, of: str) -> MemberView:
    project_id, user_id = _ids(of)
    for view in await services().members.of(actor, project_id):
        if view.user_id == user_id:
            return view
    raise NotFound("This person is not a member of the project any more.", "member_not_found")


async def _write(actor: Actor, of: str, changed: Texts, version: int) -> MemberView:
    project_id, user_id = _ids(of)
    if not changed:
        return await _read(actor, of)
    return await services().members.put(
        actor, project_id, user_id, rules.parse_role(changed["role"]), version
    )


def _ids(of: str) -> tuple[UUID, UUID]:
    project_id, _, user_id = of.partition("/")
    return known(project_id), known(user_id)


MEMBER = FORMS["member"] = Form(
    "member", {"role": "Role"}, lambda view: {"role": view.role.value}, _read, _write
)


async def _look(state: MembersState, actor: Actor) -> None:
    people = await services().members.candidates(actor, known(state.project_id), state.text)
    state.found = [MemberRow(str(each.id), each.name, each.email, "", False) for each in people]
    state.looked = True


async def show_members(state: MembersState, actor: Actor) -> None:
    """Read who belongs to the project, and show the first of those that are sought."""
    show_read(state, await members_of(actor, known(state.project_id), state.sought))


def show_read(state: MembersState, read: tuple[list[MemberRow], int]) -> None:
    """Show what `members_of` returned."""
    state.members, state.total = read


async def members_of(actor: Actor, project_id: UUID, sought: str) -> tuple[list[MemberRow], int]:
    """Return the first members whose name or address contains a text, and how many members there are."""
    views = await services().members.of(actor, project_id)
    read = views if sought else views[:SHOWN]
    people = await services().users.names(view.user_id for view in read)
    rows = [
        MemberRow(
            id=str(view.user_id),
            name=people[view.user_id].name,
            email=people[view.user_id].email,
            role=view.role.value,
            me=view.user_id == actor.user_id,
            version=view.version,
        )
        for view in read
        if view.user_id in people
    ]
    return fitting(rows, sought)[:SHOWN], len(views)


def _roles(**props: Any) -> rx.Component:
    return choice("Role", {role.value: role.value.capitalize() for role in ProjectRole}, **props)


def _member(row: MemberRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.div(rx.el.bdi(row.name), rx.cond(row.me, " (you)", ""), class_name="v-strong"),
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


def _candidate(row: MemberRow) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.div(rx.el.bdi(row.name), class_name="v-strong"),
            rx.el.div(row.email, class_name="v-quiet"),
            class_name="v-grow",
        ),
        rx.button(
            "Add", aria_label=f"Add {row.name}", variant="soft", on_click=MembersState.add_member(row.id)
        ),
    )


def _adding() -> rx.Component:
    found: Any = MembersState.found
    nobody = rx.fragment(
        "Nobody else here has this name. An admin invites people in ",
        rx.el.a("Settings, People", href="/settings/people", class_name="v-link"),
        ".",
    )
    return rx.el.section(
        rx.el.h3("Add somebody", class_name="v-h3"),
        row_of(
            labelled(
                "Name or e-mail",
                rx.input(
                    on_change=MembersState.look.debounce(150),  # pyright: ignore[reportFunctionMemberAccess]
                    on_focus=MembersState.look(MembersState.text),
                    placeholder="Somebody with an account here",
                    auto_complete="off",
                ),
            ),
            labelled("Role", _roles(value=MembersState.new_role, on_change=MembersState.set_new_role), "0"),
        ),
        rx.cond(
            MembersState.looked,
            rx.cond(
                found.length() > 0,
                rx.el.ul(rx.foreach(found, _candidate), aria_label="Who could be added", class_name="v-list"),
                rx.el.p(nobody, role="status", class_name="v-hint"),
            ),
        ),
        class_name="v-apart v-stack",
    )


def members_part() -> rx.Component:
    """The list, and what adds somebody; `ProjectSettingsState` fills it."""
    listed: Any = MembersState.members
    return rx.fragment(
        conflict_banner(MEMBER, MembersState.load),
        finder("Find a member", MembersState.total, listed.length(), MembersState.find),
        rx.el.ul(
            rx.foreach(MembersState.members, _member), aria_label="Who belongs here", class_name="v-list"
        ),
        rx.cond(MembersState.manages, _adding()),
    )
