"""One's own access tokens for the REST API: list, make, end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.accounts.tokens import TokenView
from vibe_app.errors import InvalidRequest
from vibe_app.web.auth import acts
from vibe_app.web.card.model import epoch_ms
from vibe_app.web.kit.moment import ago, on
from vibe_app.web.kit.parts import ask, choice
from vibe_app.web.kit.sections import labelled, row_of
from vibe_app.web.place import known
from vibe_app.wire import whole
from vibe_app.wiring import services


@dataclass
class TokenRow:
    """An access token in the list."""

    id: str
    name: str
    ends: int
    used: int
    scopes: str
    project: str


@dataclass
class ProjectChoice:
    """A project that a token may be limited to."""

    id: str
    name: str


ALL = "all"
_SCOPES = {
    "read": "Look only",
    "read run": "Look and execute",
    "read run write": "Look, execute and change",
    "read run write admin": "Everything that I may",
}


async def _rows(actor: Actor) -> tuple[list[TokenRow], list[ProjectChoice]]:
    projects = await services().projects.list(actor)
    names = {project.id: project.name for project in projects}
    rows = [_token_row(token, names) for token in await services().accounts.tokens.list(actor)]
    return rows, [ProjectChoice(str(project.id), project.name) for project in projects]


def _token_row(token: TokenView, names: dict[UUID, str]) -> TokenRow:
    return TokenRow(
        id=str(token.id),
        name=token.name,
        ends=epoch_ms(token.expires_at),
        used=epoch_ms(token.last_used_at),
        scopes=", ".join(token.scopes),
        project="all projects"
        if token.project_id is None
        else names.get(token.project_id, "a project that you no longer see"),
    )


class TokensState(rx.State):
    """One's own access tokens for the REST API."""

    rows: list[TokenRow] = []
    projects: list[ProjectChoice] = []
    loaded: bool = False
    fresh: str = ""
    blank: str = ""

    @acts
    async def load(self, actor: Actor):
        """Read the list; a secret that was shown here before is gone."""
        self.fresh = ""
        self.rows, self.projects = await _rows(actor)
        self.loaded = True

    @acts
    async def add(self, actor: Actor, form: dict[str, Any]):
        """Make a token and show its secret, once. The second half of a double click makes no other."""
        name = str(form.get("name", ""))
        if self.fresh and any((row.id, row.name) == (self.blank, name.strip()) for row in self.rows):
            return
        project = str(form.get("project") or ALL)
        project_id = None if project == ALL else known(project)
        if project_id is not None:
            await services().projects.read(actor, project_id)
        days = str(form.get("days", "90"))
        if not (days.isascii() and days.isdecimal()):
            raise InvalidRequest("The number of days must be a whole number.")
        token = await services().accounts.tokens.add(
            actor,
            name,
            days=whole(days),
            scopes=str(form.get("scopes") or "read").split(),
            project_id=project_id,
        )
        self.fresh, self.blank = token.token or "", str(token.id)
        self.rows, self.projects = await _rows(actor)

    @acts
    async def remove(self, actor: Actor, token_id: str):
        """End a token."""
        await services().accounts.tokens.remove(actor, known(token_id))
        self.rows, self.projects = await _rows(actor)
        return rx.toast.success("Access token ended.")

    @rx.event
    def forget_fresh(self):
        """Hide the secret for good."""
        self.fresh = ""


def _token(row: TokenRow) -> rx.Component:
    return rx.flex(
        rx.vstack(
            rx.text(row.name, size="2", weight="medium"),
            rx.text(row.scopes, " · ", row.project, size="1", color_scheme="gray"),
            rx.text(
                "Ends ",
                on(row.ends),
                " · last used: ",
                rx.cond(row.used > 0, ago(row.used), "never"),
                size="1",
                color_scheme="gray",
            ),
            spacing="0",
            flex="1",
        ),
        ask(
            "End this access token?",
            "Programs that use it can no longer reach this board. It cannot be brought back.",
            "End token",
            TokensState.remove(row.id),
            trigger=rx.button("End", variant="soft", color_scheme="gray", size="2"),
        ),
        align="center",
        gap="12px",
        width="100%",
        padding="8px 0",
        border_bottom="1px solid var(--gray-4)",
    )


def tokens() -> rx.Component:
    """The section of the settings page."""
    return rx.fragment(
        rx.el.p(
            "What they can ask for is described at ",
            rx.el.a("/api/docs", href="/api/docs", reload_document=True, class_name="v-link"),
            ".",
            class_name="v-lead",
        ),
        rx.cond(
            TokensState.fresh != "",
            rx.callout.root(
                rx.callout.icon(rx.icon("key-round", size=16)),
                rx.callout.text("Copy it now: it is not shown again."),
                rx.flex(
                    rx.code(TokensState.fresh, word_break="break-all", id="fresh-token"),
                    rx.button(
                        "Copy",
                        size="1",
                        on_click=[
                            rx.set_clipboard(TokensState.fresh),
                            rx.toast.success("Copied."),
                        ],
                    ),
                    rx.button("Done", size="1", variant="soft", on_click=TokensState.forget_fresh),
                    gap="8px",
                    align="center",
                    wrap="wrap",
                ),
                color_scheme="green",
                width="100%",
                margin_bottom="12px",
            ),
        ),
        rx.cond(
            TokensState.loaded,
            rx.vstack(rx.foreach(TokensState.rows, _token), spacing="0", width="100%"),
            rx.skeleton(height="40px", width="100%"),
        ),
        rx.el.form(
            row_of(
                labelled(
                    "What it is for",
                    rx.input(name="name", placeholder="Nightly script", required=True),
                ),
                labelled(
                    "Ends after",
                    choice(
                        "Ends after",
                        {"30": "30 days", "90": "90 days", "365": "1 year"},
                        name="days",
                        default_value="90",
                    ),
                    "0",
                ),
                labelled(
                    "What it may do",
                    choice("What it may do", _SCOPES, name="scopes", default_value="read"),
                    "0",
                ),
                labelled(
                    "Where",
                    rx.select.root(
                        rx.select.trigger(aria_label="Where"),
                        rx.select.content(
                            rx.select.item("All projects", value=ALL),
                            rx.foreach(
                                TokensState.projects,
                                lambda project: rx.select.item(project.name, value=project.id),
                            ),
                        ),
                        name="project",
                        default_value=ALL,
                    ),
                    "0",
                ),
                rx.button("Make token", type="submit"),
            ),
            on_submit=TokensState.add,
            # Emptied by a success, not by sending: what was refused can be mended.
            key=TokensState.blank,
            margin_top="12px",
        ),
    )
