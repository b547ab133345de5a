"""Where the commands of a project's agent may go on the network. A part of the project's settings."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.networks import reach
from vibe_app.settings import Settings
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import choice, field
from vibe_app.web.kit.sections import for_owners
from vibe_app.web.place import known
from vibe_app.wiring import services

_DEFAULT = "default"
_POLICIES = {
    _DEFAULT: "As the installation says",
    "closed": "Closed: nowhere",
    "listed": "Only the hosts below",
    "open": "Open: every public address",
}


class NetworkState(rx.State):
    """What the part shows."""

    project_id: str = ""
    policy: str = _DEFAULT
    hosts: str = ""
    hint: str = ""
    looks_only: bool = True
    shown: str = "0"

    @rx.event
    def set_policy(self, policy: str):
        """Note which is chosen: the hosts show with a list alone."""
        self.policy = policy if policy in _POLICIES else _DEFAULT

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep what is in the form."""
        chosen = {_DEFAULT: None, "listed": words(form, "hosts") or "closed"}
        patch = ProjectPatch(network=chosen.get(self.policy, self.policy))
        show_network(self, await services().projects.change(actor, known(self.project_id), patch))
        return rx.toast.success("Network saved.")


def show_network(state: NetworkState, project: ProjectView) -> None:
    """Put a project's network into the form."""
    policy, hosts = reach(project.network or "")
    state.project_id = str(project.id)
    state.policy = _DEFAULT if project.network is None else policy
    state.hosts = "\n".join(hosts)
    state.hint = _hint(services().settings)
    state.looks_only = project.role is not ProjectRole.OWNER
    state.shown = str(int(state.shown) + 1)


def _hint(settings: Settings) -> str:
    if settings.runtime == "kubernetes":
        return "On a cluster its network policies say where a workspace's pod may go; this binds no pod."
    return (
        f"The installation says: {settings.network}. They go through a proxy (HTTP and HTTPS);"
        " private addresses are never reached. The model is always asked."
    )


def network_part() -> rx.Component:
    """The form; `show_network` fills it."""
    return rx.el.form(
        for_owners(
            NetworkState.looks_only,
            field(
                "Where the agent's commands may go",
                choice(
                    "Where the agent's commands may go",
                    _POLICIES,
                    value=NetworkState.policy,
                    on_change=NetworkState.set_policy,
                ),
                f"{NetworkState.hint}",
            ),
            rx.cond(
                NetworkState.policy == "listed",
                field(
                    "Hosts",
                    rx.text_area(
                        name="hosts",
                        default_value=NetworkState.hosts,
                        placeholder="example.org\n*.example.org",
                        rows="4",
                        spell_check=False,
                    ),
                    "One a line. With *. before it, all names below a host.",
                ),
            ),
            rx.button("Save network", type="submit"),
        ),
        key=NetworkState.shown,
        on_submit=NetworkState.save,
    )
