"""A project's repository in its settings: address, branch and token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx

from vibe_app import addresses
from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView, RepoCredential
from vibe_app.web.auth import acts
from vibe_app.web.board.remote_line import RemoteState, remote_part, show_remote
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import field
from vibe_app.web.kit.sections import for_owners
from vibe_app.web.place import known
from vibe_app.web.settings.deploy_key import deploy_key_part
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
from vibe_app.wiring import services
from vibe_app.workspaces.states import WorkspaceStatus


class RepositoryState(rx.State):
    """What the part shows; a token is never among it."""

    project_id: str = ""
    url: str = ""
    branch: str = ""
    over_ssh: bool = False
    has_credential: bool = False
    looks_only: bool = True
    seen: str = ""
    shown: str = "0"
    failed: str = ""
    """Why the workspace could not be made, where it could not."""

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep what is in the form; an empty token leaves the one that is kept."""
        typed = field_texts(form, "repo_url", "branch", "username", "token")
        if not typed["token"]:
            del typed["username"], typed["token"]
        return await keep(self, actor, REPOSITORY, typed, form)

    @acts
    async def try_again(self, actor: Actor):
        """Make the workspace once more: what it failed of may have been mended elsewhere."""
        await services().workspaces.restart(actor, known(self.project_id))
        return rx.toast.info("The workspace is started anew. Its files stay.")

    @acts
    async def forget_token(self, actor: Actor):
        """Take the token away."""
        patch = ProjectPatch(repo_credential=None)
        show(self, await services().projects.change(actor, known(self.project_id), patch))
        return rx.toast.success("Token removed.")


def show(state: RepositoryState, project: ProjectView) -> None:
    """Put a project's repository into the form."""
    state.project_id, state.url, state.branch = str(project.id), project.repo_url or "", project.branch or ""
    show_clone(state, project)
    note_seen(state, REPOSITORY, project)
    state.over_ssh = addresses.is_ssh(project.repo_url or "")
    state.has_credential = project.has_credential and not state.over_ssh
    state.looks_only = project.role is not ProjectRole.OWNER


def show_clone(state: RepositoryState, project: ProjectView) -> None:
    """Say why the workspace could not be made, where it could not."""
    failed = project.workspace.status is WorkspaceStatus.FAILED
    state.failed = (project.workspace.reason or "It says no reason.") if failed else ""


def _texts(project: ProjectView) -> Texts:
    # Of a token nobody is told: whoever types one means to replace what is kept.
    return {"repo_url": project.repo_url or "", "branch": project.branch or "", "username": "", "token": ""}


async def _kept(state: Any, actor: Actor, project: ProjectView) -> Any:
    own = await state.get_state(RepositoryState)
    own.seen = ""
    show(own, project)
    show_remote(await state.get_state(RemoteState), project)
    # A workspace that could not be made of the old address is made of this one.
    await services().workspaces.opened(actor, project.id)
    return rx.toast.success("Repository saved.")


def _patch(changed: Texts) -> ProjectPatch:
    said = repository_of(changed)
    return ProjectPatch(
        **{name: value for name, value in said.items() if name in (*changed, "repo_credential")}
    )


REPOSITORY = FORMS["repository"] = Form(
    "repository", {"repo_url": "Address", "branch": "Branch"}, _texts, _patch, _kept
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
    """The form; `show` fills it."""
    return rx.fragment(
        _failed_clone(),
        remote_part(),
        _form(),
        rx.cond(
            RepositoryState.over_ssh & ~RepositoryState.looks_only,
            deploy_key_part(RepositoryState.project_id),
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
                    RepositoryState.looks_only,
                    "",
                    " Correct the address, branch or token below: the next save makes it anew.",
                ),
                class_name="v-grow v-wrap",
            ),
            rx.cond(
                RepositoryState.looks_only,
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
    return rx.el.form(
        for_owners(
            RepositoryState.looks_only,
            conflict_banner(REPOSITORY),
            seen_field(RepositoryState.seen),
            field(
                "Address",
                rx.input(
                    name="repo_url",
                    default_value=RepositoryState.url,
                    placeholder="https://…",
                    auto_complete="off",
                ),
                "It counts for a workspace that is made from now on. One that exists keeps its files, "
                "its history and its origin.",
            ),
            branch_field(RepositoryState.branch),
            rx.cond(
                RepositoryState.over_ssh,
                rx.text("An ssh address signs in with the project's deploy key.", class_name="v-hint"),
                rx.fragment(
                    *token_fields(
                        "It is kept encrypted and shown to nobody. Leave it empty to keep what is there. "
                        "With another server it is forgotten."
                    )
                ),
            ),
            rx.cond(
                RepositoryState.has_credential,
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
            rx.button("Save repository", type="submit"),
        ),
        key=RepositoryState.shown,
        on_submit=RepositoryState.save,
    )
