"""Everyone with an account, for the installation's admins: list, add, change, delete."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.accounts.rows import UserView
from vibe_app.board import rules
from vibe_app.errors import NotFound
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import ask, choice, icon_button, native_choice
from vibe_app.web.kit.sections import labelled, row_of
from vibe_app.web.place import known
from vibe_app.web.settings.keeping import FORMS, Form, FormsState, Seen, Texts, conflict_banner, keep
from vibe_app.web.settings.many import SHOWN, finder, fitting
from vibe_app.wiring import services

_ROLES = {"member": "Member", "admin": "Admin"}


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
    version: int


@dataclass
class ProjectChoice:
    """A project to which somebody can be invited."""

    id: str
    name: str


def _user_row(user: UserView, actor: Actor) -> UserRow:
    return UserRow(
        id=str(user.id),
        name=user.name,
        email=user.email,
        role=user.role.value,
        me=user.id == actor.user_id,
        creates=user.can_create_projects,
        executes=user.can_execute,
        version=user.version,
    )


def _texts(user: UserView) -> Texts:
    says = {True: "Yes", False: "No"}
    return {
        "role": user.role.value,
        "can_create_projects": says[user.can_create_projects],
        "can_execute": says[user.can_execute],
    }


async def _read(actor: Actor, of: str) -> UserView:
    actor.need_admin()
    found = await services().users.names([known(of)])
    if not found:
        raise NotFound("There is no such account. It may have been deleted.", "user_not_found")
    return found[known(of)]


async def _write(actor: Actor, of: str, changed: Texts, version: int) -> UserView:
    given: dict[str, Any] = {
        name: text if name == "role" else text == "Yes" for name, text in changed.items()
    }
    return await services().users.change(actor, known(of), **given, version=version)


PERSON = FORMS["person"] = Form(
    "person",
    {"role": "Role", "can_create_projects": "Creates projects", "can_execute": "Executes"},
    _texts,
    _read,
    _write,
)


class UsersState(rx.State):
    """Everyone with an account, for admins."""

    rows: list[UserRow] = []
    total: int = 0
    sought: str = ""
    projects: list[ProjectChoice] = []
    blank: str = ""
    link: str = ""
    link_of: str = ""
    _invited: str = ""
    """The address of who was invited last."""

    @acts
    async def load(self, actor: Actor):
        """Read the list, where the asker may see it; a link that was shown here before is gone."""
        self.link = self.link_of = ""
        if actor.is_admin:
            listed = await services().projects.list(actor)
            self.projects = [ProjectChoice(str(each.id), each.name) for each in listed]
            self.sought = ""
            await _show(self, actor)

    @acts
    async def find(self, actor: Actor, text: str):
        """List the people whose name or address contains a text."""
        self.sought = text[:200]
        await _show(self, actor)

    @acts
    async def invite(self, actor: Actor, form: dict[str, Any]):
        """Create an account and show its link, once. The second half of a double click makes no other."""
        email = str(form.get("email", "")).strip().lower()
        if self.blank and email == self._invited:
            return
        project, as_what = words(form, "project"), rules.parse_role(words(form, "project_role", "editor"))
        admin = words(form, "role") == "admin"
        user, link = await services().users.invite(
            actor,
            email,
            words(form, "name"),
            words(form, "role", "member"),
            can_create_projects=admin or bool(form.get("creates")),
            can_execute=admin or bool(form.get("executes")),
            projects={known(project): as_what} if project else {},
        )
        await _show(self, actor)
        self._invited = email
        self.blank, self.link_of, self.link = str(user.id), user.name, _whole(self, link.path)

    @acts
    async def reset_password(self, actor: Actor, user_id: str):
        """Make a link by which a person sets another password, and show it, once."""
        link = await services().users.reset_link(actor, known(user_id))
        name = next((row.name for row in self.rows if row.id == user_id), "this person")
        self.link_of, self.link = name, _whole(self, link.path)

    @rx.event
    def forget_link(self):
        """Hide the link for good."""
        self.link = self.link_of = ""

    @acts
    async def set_role(self, actor: Actor, user_id: str, role: str):
        """Change what a person is in the installation."""
        return await _change(self, actor, user_id, {"role": role})

    @acts
    async def set_creates(self, actor: Actor, user_id: str, allowed: bool):
        """Give or take the right to create projects."""
        return await _change(self, actor, user_id, {"can_create_projects": "Yes" if allowed else "No"})

    @acts
    async def set_executes(self, actor: Actor, user_id: str, allowed: bool):
        """Give or take the right to execute."""
        return await _change(self, actor, user_id, {"can_execute": "Yes" if allowed else "No"})

    @acts
    async def remove(self, actor: Actor, user_id: str):
        """Delete an account."""
        await services().users.remove(actor, known(user_id))
        self._invited = ""
        await _show(self, actor)
        return rx.toast.success("Account deleted.")


async def _show(state: UsersState, actor: Actor) -> None:
    """Read everyone, and show the first of those that are sought."""
    everyone = await services().users.everyone(actor)
    state.total = len(everyone)
    state.rows = [_user_row(user, actor) for user in fitting(everyone, state.sought)[:SHOWN]]


async def _change(state: UsersState, actor: Actor, user_id: str, changed: Texts) -> Any:
    """Change a person in the list, unless somebody else has just done so."""
    row = next((each for each in state.rows if each.id == user_id), None)
    if row is None:
        return None
    says = {True: "Yes", False: "No"}
    was = {"role": row.role, "can_create_projects": says[row.creates], "can_execute": says[row.executes]}
    forms = await state.get_state(FormsState)
    await keep(forms, actor, PERSON, user_id, changed, Seen(row.version, was), row.name)
    return UsersState.load


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
    return rx.el.li(
        rx.el.div(
            rx.el.div(rx.el.bdi(row.name), rx.cond(row.me, " (you)", ""), class_name="v-strong"),
            rx.el.div(row.email, class_name="v-quiet"),
            class_name="v-grow v-who",
        ),
        rx.el.div(
            _right("Creates projects", row.creates, row.role, lambda on: UsersState.set_creates(row.id, on)),
            _right("Executes", row.executes, row.role, lambda on: UsersState.set_executes(row.id, on)),
            class_name="v-rights",
        ),
        choice(
            "Role",
            _ROLES,
            value=row.role,
            on_change=lambda role: UsersState.set_role(row.id, role),
            disabled=row.me,
        ),
        rx.cond(row.me, rx.fragment(), _for_others(row)),
    )


def _for_others(row: UserRow) -> rx.Component:
    return rx.el.div(
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
        class_name="v-row",
    )


def _invitation() -> rx.Component:
    projects = rx.el.select(
        rx.el.option("None yet", value=""),
        rx.foreach(UsersState.projects, lambda each: rx.el.option(each.name, value=each.id)),
        name="project",
        aria_label="Project",
        class_name="v-input",
    )
    roles = {role.value: role.value.capitalize() for role in ProjectRole}
    return rx.el.form(
        rx.el.div(
            row_of(
                labelled("Name", rx.input(name="name", required=True, auto_complete="off")),
                labelled("E-mail", rx.input(name="email", type="email", required=True, auto_complete="off")),
                labelled("Role", native_choice("Role", _ROLES, name="role", default_value="member")),
            ),
            row_of(
                labelled("Project", projects),
                labelled(
                    "There as",
                    native_choice("There as", roles, name="project_role", default_value="editor"),
                ),
            ),
            rx.el.div(
                rx.text(rx.checkbox("Creates projects", name="creates", default_checked=True), size="2"),
                rx.text(rx.checkbox("Executes", name="executes", default_checked=True), size="2"),
                class_name="v-row v-if-member",
                style={"gap": "16px"},
            ),
            rx.button("Invite", type="submit", align_self="start"),
            class_name="v-stack",
        ),
        on_submit=UsersState.invite,
        key=UsersState.blank,
    )


def people() -> rx.Component:
    """The part of the settings page."""
    listed: Any = UsersState.rows
    return rx.fragment(
        _link(),
        conflict_banner(PERSON, UsersState.load),
        finder("Find a person", UsersState.total, listed.length(), UsersState.find),
        rx.el.ul(
            rx.foreach(UsersState.rows, _user), aria_label="Everyone here", class_name="v-list v-people"
        ),
        rx.el.section(
            rx.el.h3("Invite somebody", class_name="v-h3"),
            rx.el.p(
                "You get a link to send: by it the person sets a password. Nobody is written to by itself.",
                class_name="v-lead",
            ),
            _invitation(),
            class_name="v-apart",
        ),
    )
