"""How a project's trees are prepared, and what becomes of what is accepted, in its settings."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.web.kit.parts import field, native_choice
from vibe_app.web.settings.keeping import Texts, begins, form_part, project_form

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


def _texts(project: ProjectView) -> Texts:
    return {
        "setup": (project.setup or "").replace("\r\n", "\n").strip(),
        "copied": "\n".join(project.copied or []),
        "delivery": project.delivery,
        "delivery_host": project.delivery_host,
    }


def _patch(changed: Texts) -> ProjectPatch:
    values: dict[str, Any] = {name: text or None for name, text in changed.items()}
    if copied := changed.get("copied"):
        values["copied"] = [line.strip() for line in copied.splitlines() if line.strip()]
    return ProjectPatch.model_validate(values)


TREES = project_form(
    "trees",
    {
        "setup": "Set-up command",
        "copied": "Files to copy",
        "delivery": "What becomes of what is accepted",
        "delivery_host": "Kind of host",
    },
    _texts,
    _patch,
    "Saved. It counts for the runs that begin from now on.",
)


def _lines(name: str, placeholder: str, hint: str) -> rx.Component:
    return field(
        TREES.labels[name],
        rx.text_area(
            name=name,
            default_value=begins(TREES, name),
            placeholder=placeholder,
            rows="3",
            spell_check=False,
        ),
        hint,
    )


def _choice(name: str, values: dict[str, str], hint: str = "") -> rx.Component:
    label = TREES.labels[name]
    return field(label, native_choice(label, values, name=name, default_value=begins(TREES, name)), hint)


def trees_part() -> rx.Component:
    """The form."""
    return form_part(
        TREES,
        _lines(
            "setup",
            "npm ci",
            "Runs in each card's folder before its first run, where the agent's commands run; 10 minutes "
            "at most. Where it fails, the run fails with its reason.",
        ),
        _lines(
            "copied",
            ".env",
            "One a line: what each card's folder is given of the base's, though git ignores it.",
        ),
        _choice("delivery", _DELIVERIES),
        rx.el.div(
            _choice(
                "delivery_host",
                _HOSTS,
                "github.com, gitlab.com and codeberg.org are known by their address. The repository's token "
                "opens the request: it must be allowed to.",
            ),
            rx.el.p(
                "Accept pushes a branch and opens a pull request into the project's branch. The files of "
                "the project stay as they are until it is merged there, and nothing is saved on them here.",
                class_name="v-quiet",
            ),
            class_name="v-stack v-if-request",
        ),
    )
