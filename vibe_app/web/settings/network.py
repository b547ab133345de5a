"""Where the commands of a project's agent may go on the network, in the project's settings."""

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
from vibe_app.web.settings.keeping import FORMS, Form, Texts, conflict_banner, keep, note_seen, seen_field
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
    seen: str = ""
    shown: str = "0"

    @rx.event
    def set_policy(self, policy: str):
        """Note which is chosen: the hosts show with a list alone."""
        self.policy = policy if policy in _POLICIES else _DEFAULT

    @acts
    async def save(self, actor: Actor, form: dict[str, Any]):
        """Keep what is in the form."""
        hosts = ", ".join(words(form, "hosts").replace(",", " ").split())
        chosen = {_DEFAULT: "", "listed": hosts or "closed"}
        return await keep(self, actor, NETWORK, {"network": chosen.get(self.policy, self.policy)}, form)


def show_network(state: NetworkState, project: ProjectView) -> None:
    """Put a project's network into the form."""
    policy, hosts = reach(project.network or "")
    state.project_id = str(project.id)
    note_seen(state, NETWORK, project)
    state.policy = _DEFAULT if project.network is None else policy
    state.hosts = "\n".join(hosts)
    state.hint = _hint(services().settings)
    state.looks_only = project.role is not ProjectRole.OWNER


def _texts(project: ProjectView) -> Texts:
    return {"network": project.network or ""}


async def _kept(state: Any, actor: Actor, project: ProjectView) -> Any:
    own = await state.get_state(NetworkState)
    own.seen = ""
    show_network(own, project)
    return rx.toast.success("Network saved.")


NETWORK = FORMS["network"] = Form(
    "network",
    {"network": "Where the agent's commands may go"},
    _texts,
    lambda changed: ProjectPatch(network=changed["network"] or None) if changed else ProjectPatch(),
    _kept,
)


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
            conflict_banner(NETWORK),
            seen_field(NetworkState.seen),
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
