"""Where the commands of a project's agent may go on the network, in the project's settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx

from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.networks import reach
from vibe_app.settings import Settings
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import field, native_choice
from vibe_app.web.settings.keeping import FormsState, Texts, begins, form_part, project_form
from vibe_app.wiring import services

_DEFAULT = "default"
_POLICIES = {
    _DEFAULT: "As the installation says",
    "closed": "Closed: nowhere",
    "listed": "Only the hosts below",
    "open": "Open: every public address",
}
_LABEL = "Where the agent's commands may go"


def _texts(project: ProjectView) -> Texts:
    policy, hosts = reach(project.network or "")
    return {
        "network": project.network or "",
        "policy": _DEFAULT if project.network is None else policy,
        "hosts": "\n".join(hosts),
        "hint": _hint(services().settings),
    }


def _typed(sent: Mapping[str, Any]) -> Texts:
    policy = words(sent, "policy")
    hosts = ", ".join(words(sent, "hosts").replace(",", " ").split())
    chosen = {_DEFAULT: "", "listed": hosts or "closed"}
    return {"network": chosen.get(policy, policy)}


def _hint(settings: Settings) -> str:
    if settings.runtime == "kubernetes":
        return "On a cluster its network policies say where a workspace's pod may go; this binds no pod."
    return (
        f"The installation says: {settings.network}. They go through a proxy (HTTP and HTTPS);"
        " private addresses are never reached. The model is always asked."
    )


NETWORK = project_form(
    "network",
    {"network": _LABEL},
    _texts,
    lambda changed: ProjectPatch(network=changed["network"] or None) if changed else ProjectPatch(),
    "Network saved.",
    typed=_typed,
)


def network_part() -> rx.Component:
    """The form."""
    return form_part(
        NETWORK,
        field(
            _LABEL,
            native_choice(_LABEL, _POLICIES, name="policy", default_value=begins(NETWORK, "policy")),
            f"{FormsState.texts['network']['hint']}",
        ),
        rx.el.div(
            field(
                "Hosts",
                rx.text_area(
                    name="hosts",
                    default_value=begins(NETWORK, "hosts"),
                    placeholder="example.org\n*.example.org",
                    rows="4",
                    spell_check=False,
                ),
                "One a line. With *. before it, all names below a host.",
            ),
            class_name="v-if-listed",
        ),
        save="Save network",
    )
