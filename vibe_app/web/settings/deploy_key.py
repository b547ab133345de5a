"""The deploy key of a repository with an ssh address, in the project's settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor
from vibe_app.changes.deploy_keys import DeployKeyView, HostKey, SetDeployKey
from vibe_app.web.auth import acts
from vibe_app.web.forms import words
from vibe_app.web.kit.parts import ask, field
from vibe_app.web.place import known
from vibe_app.wiring import services


@dataclass
class Shown:
    """A host key: its kind, and its fingerprint."""

    kind: str
    fingerprint: str


class DeployKeyState(rx.State):
    """What the part shows; never a private key."""

    project_id: str = ""
    loaded: bool = False
    public_key: str = ""
    confirmed: list[Shown] = []
    found: list[Shown] = []
    looking: bool = False
    shown: str = "0"
    _found: list[str] = []
    """The host keys themselves that were looked up, as they are confirmed."""

    @acts
    async def load(self, actor: Actor, project_id: str):
        """Read what is kept."""
        view = await services().deploy_keys.read(actor, known(project_id))
        self.project_id = str(known(project_id))
        _show(self, view)

    @acts
    async def make(self, actor: Actor, new: bool):
        """Make a key; with `new` in place of the one that is kept."""
        _show(self, await self._put(actor, SetDeployKey(new=new)))

    @acts
    async def paste(self, actor: Actor, form: dict[str, Any]):
        """Keep a key, or host keys, that somebody has elsewhere."""
        given = {"private_key": words(form, "private_key").strip() or None}
        lines = [line for line in words(form, "host_keys").splitlines() if line.strip()]
        asked = SetDeployKey.model_validate(given | ({"host_keys": lines} if lines else {}))
        if asked.private_key is None and asked.host_keys is None:
            return rx.toast.error("Paste a private key, or host keys.")
        _show(self, await self._put(actor, asked))
        return rx.toast.success("Saved.")

    @acts(background=True)
    async def look_up(self, actor: Actor):
        """Ask the server by which keys it is recognised."""
        async with self:
            self.looking = True
        try:
            found = await services().deploy_keys.scan(actor, known(self.project_id))
            async with self:
                self.found, self._found = _of(found), [each.key for each in found]
        finally:
            async with self:
                self.looking = False

    @acts
    async def confirm(self, actor: Actor):
        """Keep what was looked up: by these keys the server is recognised from now on."""
        _show(self, await self._put(actor, SetDeployKey(host_keys=list(self._found))))
        return rx.toast.success("Confirmed.")

    async def _put(self, actor: Actor, asked: SetDeployKey) -> DeployKeyView:
        return await services().deploy_keys.put(actor, known(self.project_id), asked)


def _show(state: DeployKeyState, view: DeployKeyView) -> None:
    state.loaded, state.public_key = True, view.public_key or ""
    state.confirmed, state.found, state._found = _of(view.host_keys), [], []
    # The form starts anew, without what was pasted.
    state.shown = str(int(state.shown) + 1)


def _of(keys: list[HostKey]) -> list[Shown]:
    return [Shown(each.key.split()[0], each.fingerprint) for each in keys]


def _button(label: str, on_click: Any, **more: Any) -> rx.Component:
    return rx.button(
        label,
        type="button",
        variant="soft",
        color_scheme="gray",
        align_self="start",
        on_click=on_click,
        **more,
    )


def _keys(keys: Any) -> rx.Component:
    return rx.foreach(
        keys, lambda key: rx.el.div(rx.el.code(key.kind, " ", key.fingerprint), class_name="v-wrap")
    )


def _host() -> rx.Component:
    confirmed: Any = DeployKeyState.confirmed
    found: Any = DeployKeyState.found
    return rx.vstack(
        rx.text("Host keys, by which the server is recognised", size="2", weight="medium"),
        rx.cond(
            confirmed.length() > 0,
            rx.box(_keys(DeployKeyState.confirmed)),
            rx.text("Nothing is confirmed yet: until then the repository is refused.", class_name="v-hint"),
        ),
        rx.cond(
            found.length() > 0,
            rx.vstack(
                rx.text("The server shows this. Compare it with what its owners publish:", size="2"),
                rx.box(_keys(DeployKeyState.found)),
                _button("It is the same: confirm", DeployKeyState.confirm),
            ),
            _button("Look up the server's keys", DeployKeyState.look_up, loading=DeployKeyState.looking),
        ),
        align="stretch",
    )


def _key() -> rx.Component:
    return rx.cond(
        DeployKeyState.public_key != "",
        rx.vstack(
            rx.text("Deploy key", size="2", weight="medium"),
            rx.el.code(DeployKeyState.public_key, class_name="v-wrap"),
            rx.hstack(
                _button("Copy", [rx.set_clipboard(DeployKeyState.public_key), rx.toast.success("Copied.")]),
                ask(
                    "Replace the deploy key?",
                    "The repository refuses this board until its server has been given the new key.",
                    "Replace it",
                    DeployKeyState.make(True),
                    trigger=rx.button(
                        "Replace it by a new one", type="button", variant="soft", color_scheme="gray"
                    ),
                ),
            ),
            rx.text(
                "Give this to the repository's server, with the right to write where what is accepted is to "
                "be pushed. The private half is kept encrypted and shown to nobody.",
                class_name="v-hint",
            ),
            align="stretch",
        ),
        _button("Make a deploy key", DeployKeyState.make(False)),
    )


def _paste() -> rx.Component:
    area = {"rows": "3", "spell_check": False}
    return rx.el.details(
        rx.el.summary("Paste a key, or host keys"),
        rx.el.form(
            rx.vstack(
                field(
                    "Private key",
                    rx.text_area(name="private_key", **area),
                    "Without a passphrase. Leave it empty to keep what is there.",
                ),
                field(
                    "Host keys",
                    rx.text_area(name="host_keys", placeholder="ssh-ed25519 AAAA…", **area),
                    "Lines as in known_hosts; they take the place of those that are confirmed.",
                ),
                rx.button("Save keys", type="submit"),
                spacing="4",
                align="stretch",
                padding_top="8px",
            ),
            on_submit=DeployKeyState.paste,
            key=DeployKeyState.shown,
        ),
    )


def deploy_key_part(project_id: Any) -> rx.Component:
    """The part, for an owner of a project with an ssh address; it reads what it shows when it is opened."""
    return rx.vstack(
        rx.cond(
            DeployKeyState.loaded & (DeployKeyState.project_id == project_id),
            rx.fragment(_key(), _host(), _paste()),
        ),
        on_mount=DeployKeyState.load(project_id),
        key=project_id,
        spacing="4",
        align="stretch",
        class_name="v-apart",
    )
