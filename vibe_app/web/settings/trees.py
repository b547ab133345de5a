"""How a project's trees are prepared, and what becomes of what is accepted, in its settings."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.web.auth import acts
from vibe_app.web.kit.parts import choice, field
from vibe_app.web.kit.sections import for_owners
from vibe_app.web.settings.keeping import (
    FORMS,
    Form,
    Texts,
    conflict_banner,
    field_texts,
    keep,
    note_seen,
    seen_field,
)

_DELIVERIES = {
    "none": "It stays in the workspace",
    "push": "It is pushed to the project's repository",
    "request": "It becomes a pull request",
}
_HOSTS = {
    "auto": "By the repository's address",
    "github": "GitHub",
    "gitlab": "GitLab",
    "gitea": "Gitea or Forgejo",
    "none": "Another: push the branch alone",
}


class TreesState(rx.State):
    """What the part shows."""

    project_id: str = ""
    setup: str = ""
    copied: str = ""
    delivery: str = "none"
    host: str = "auto"
    looks_only: bool = True
    seen: str = ""
    shown: str = "0"

    @rx.event
    def set_delivery(self, delivery: str):
        """Note which is chosen."""
        self.delivery = delivery if delivery in _DELIVERIES else "none"

    @rx.event
    def set_host(self, host: str):
        """Note which kind of host is chosen."""
        self.host = host if host in _HOSTS else "auto"

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep what is in the form."""
        typed = field_texts(form, "setup", "copied")
        chosen = {"delivery": self.delivery, "delivery_host": self.host}
        return await keep(self, actor, TREES, typed | chosen, form)


def show_trees(state: TreesState, project: ProjectView) -> None:
    """Put a project's settings of its trees into the form."""
    state.project_id = str(project.id)
    note_seen(state, TREES, project)
    texts = _texts(project)
    state.setup, state.copied = texts["setup"], texts["copied"]
    state.delivery, state.host = project.delivery, project.delivery_host
    state.looks_only = project.role is not ProjectRole.OWNER


def _texts(project: ProjectView) -> Texts:
    return {
        "setup": project.setup or "",
        "copied": "\n".join(project.copied or []),
        "delivery": project.delivery,
        "delivery_host": project.delivery_host,
    }


def _patch(changed: Texts) -> ProjectPatch:
    values: dict[str, Any] = {name: text or None for name, text in changed.items()}
    if copied := changed.get("copied"):
        values["copied"] = [line.strip() for line in copied.splitlines() if line.strip()]
    return ProjectPatch.model_validate(values)


async def _kept(state: Any, actor: Actor, project: ProjectView) -> Any:
    own = await state.get_state(TreesState)
    own.seen = ""
    show_trees(own, project)
    return rx.toast.success("Saved. It counts for the runs that begin from now on.")


TREES = FORMS["trees"] = Form(
    "trees",
    {
        "setup": "Set-up command",
        "copied": "Files to copy",
        "delivery": "What becomes of what is accepted",
        "delivery_host": "Kind of host",
    },
    _texts,
    _patch,
    _kept,
)


def _request_fields() -> rx.Component:
    return rx.fragment(
        field(
            "Kind of host",
            choice("Kind of host", _HOSTS, value=TreesState.host, on_change=TreesState.set_host),
            "github.com, gitlab.com and codeberg.org are known by their address. The repository's token "
            "opens the request: it must be allowed to.",
        ),
        rx.el.p(
            "Accept pushes a branch and opens a pull request into the project's branch. The files of the "
            "project stay as they are until it is merged there, and nothing is saved on them here.",
            class_name="v-quiet",
        ),
    )


def trees_part() -> rx.Component:
    """The form; `show_trees` fills it."""
    return rx.el.form(
        for_owners(
            TreesState.looks_only,
            conflict_banner(TREES),
            seen_field(TreesState.seen),
            field(
                "Set-up command",
                rx.text_area(
                    name="setup",
                    default_value=TreesState.setup,
                    placeholder="npm ci",
                    rows="3",
                    spell_check=False,
                ),
                "Runs in each card's folder before its first run, where the agent's commands run; 10 minutes "
                "at most. Where it fails, the run fails with its reason.",
            ),
            field(
                "Files to copy",
                rx.text_area(
                    name="copied",
                    default_value=TreesState.copied,
                    placeholder=".env",
                    rows="3",
                    spell_check=False,
                ),
                "One a line: what each card's folder is given of the base's, though git ignores it.",
            ),
            field(
                "What becomes of what is accepted",
                choice(
                    "What becomes of what is accepted",
                    _DELIVERIES,
                    value=TreesState.delivery,
                    on_change=TreesState.set_delivery,
                ),
            ),
            rx.cond(TreesState.delivery == "request", _request_fields()),
            rx.button("Save", type="submit"),
        ),
        key=TreesState.shown,
        on_submit=TreesState.save,
    )
