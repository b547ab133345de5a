"""A project's repository in its settings: address, branch and token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx

from vibe_app import addresses
from vibe_app.accounts.roles import Actor
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView, RepoCredential
from vibe_app.web.auth import acts
from vibe_app.web.board.remote_line import remote_part
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import field
from vibe_app.web.place import known
from vibe_app.web.settings.deploy_key import deploy_key_part
from vibe_app.web.settings.keeping import FormsState, Texts, begins, field_texts, form_part, project_form
from vibe_app.wiring import services
from vibe_app.workspaces.states import WorkspaceStatus


class RepositoryState(rx.State):
    """What stands beside the form."""

    project_id: str = ""
    failed: str = ""
    """Why the workspace could not be made, where it could not."""

    @acts
    async def try_again(self, actor: Actor):
        """Make the workspace once more: what it failed of may have been mended elsewhere."""
        await services().workspaces.restart(actor, known(self.project_id))
        return rx.toast.info("The workspace is started anew. Its files stay.")

    @acts
    async def forget_token(self, actor: Actor):
        """Take the token away."""
        await services().projects.change(actor, known(self.project_id), ProjectPatch(repo_credential=None))
        return [FormsState.show_again("repository"), rx.toast.success("Token removed.")]


def show_clone(state: RepositoryState, project: ProjectView) -> None:
    """Say why the workspace could not be made, where it could not."""
    state.project_id = str(project.id)
    failed = project.workspace.status is WorkspaceStatus.FAILED
    state.failed = (project.workspace.reason or "It says no reason.") if failed else ""


def _texts(project: ProjectView) -> Texts:
    over_ssh = addresses.is_ssh(project.repo_url or "")
    return {
        "repo_url": project.repo_url or "",
        "branch": project.branch or "",
        # Of a token nobody is told: whoever types one means to replace what is kept.
        "username": "",
        "token": "",
        "over_ssh": "yes" if over_ssh else "",
        "has_token": "yes" if project.has_credential and not over_ssh else "",
    }


def _typed(sent: Mapping[str, Any]) -> Texts:
    typed = field_texts(sent, "repo_url", "branch", "username", "token")
    if not typed["token"]:
        del typed["username"], typed["token"]
    return typed


async def _after(actor: Actor, project: ProjectView) -> None:
    # A workspace that could not be made of the old address is made of this one.
    await services().workspaces.opened(actor, project.id)


def _patch(changed: Texts) -> ProjectPatch:
    said = repository_of(changed)
    return ProjectPatch(
        **{name: value for name, value in said.items() if name in (*changed, "repo_credential")}
    )


REPOSITORY = project_form(
    "repository",
    {"repo_url": "Address", "branch": "Branch"},
    _texts,
    _patch,
    "Repository saved.",
    typed=_typed,
    after=_after,
)


def repository_of(form: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a form says of a repository; of its credential nothing where no token was typed."""
    said: dict[str, Any] = {name: words(form, name) or None for name in ("repo_url", "branch")}
    if token := words(form, "token").strip():
        username = words(form, "username").strip() or "git"
        said["repo_credential"] = RepoCredential(username=username, token=token)
    return said


def branch_field(branch: Any = "") -> rx.Component:
    """The field for a branch."""
    return field(
        "Branch",
        rx.input(name="branch", default_value=branch, auto_complete="off"),
        "Leave it empty for the repository's own choice.",
    )


def token_fields(hint: str) -> list[rx.Component]:
    """Fields for what signs in at an https:// address."""
    return [
        field(
            "User for the token",
            rx.input(name="username", placeholder="git", auto_complete="off"),
            "Most servers take any.",
        ),
        field("Token", rx.input(name="token", type="password", auto_complete="new-password"), hint),
    ]


def repository_part() -> rx.Component:
    """The form, and what stands beside it."""
    return rx.fragment(
        _failed_clone(),
        remote_part(),
        _form(),
        rx.cond(
            (FormsState.texts["repository"]["over_ssh"] != "") & ~FormsState.looks_only,
            deploy_key_part(FormsState.of["repository"]),
        ),
    )


def _failed_clone() -> rx.Component:
    return rx.cond(
        RepositoryState.failed != "",
        rx.el.div(
            rx.icon("circle-x", size=16, aria_hidden="true"),
            rx.el.div(
                rx.el.strong("The workspace could not be made. "),
                RepositoryState.failed,
                rx.cond(
                    FormsState.looks_only,
                    "",
                    " Correct the address, branch or token below: the next save makes it anew.",
                ),
                class_name="v-grow v-wrap",
            ),
            rx.cond(
                FormsState.looks_only,
                rx.fragment(),
                rx.button(
                    "Try again", variant="surface", color_scheme="gray", on_click=RepositoryState.try_again
                ),
            ),
            role="status",
            class_name="v-sentence v-red",
        ),
    )


def _form() -> rx.Component:
    return form_part(
        REPOSITORY,
        field(
            "Address",
            rx.input(
                name="repo_url",
                default_value=begins(REPOSITORY, "repo_url"),
                placeholder="https://…",
                auto_complete="off",
            ),
            "It counts for a workspace that is made from now on. One that exists keeps its files, "
            "its history and its origin.",
        ),
        branch_field(begins(REPOSITORY, "branch")),
        rx.cond(
            FormsState.texts["repository"]["over_ssh"] != "",
            rx.text("An ssh address signs in with the project's deploy key.", class_name="v-hint"),
            rx.fragment(
                *token_fields(
                    "It is kept encrypted and shown to nobody. Leave it empty to keep what is there. "
                    "With another server it is forgotten."
                )
            ),
        ),
        rx.cond(
            FormsState.texts["repository"]["has_token"] != "",
            rx.hstack(
                rx.text("A token is kept.", size="2"),
                rx.button(
                    "Remove token",
                    type="button",
                    variant="soft",
                    color_scheme="gray",
                    on_click=RepositoryState.forget_token,
                ),
                align="center",
            ),
        ),
        save="Save repository",
    )
