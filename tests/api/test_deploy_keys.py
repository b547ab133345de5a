"""Deploy keys through the API, with a real OpenSSH server: made, pasted, pinned, used, never shown."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from sqlalchemy import text

from tests.api import changing
from tests.api.changing import Agent, change, run, writes
from tests.api.conftest import Board
from tests.sshd import Sshd, sshd
from tests.waiting import eventually
from tests.workspace_services.git.rooms import own_git
from vibe_app.configuration import deploy_keys
from vibe_app.settings import Settings
from vibe_app.wiring import Services
from vibe_app.workspace_services.git.hub import Hub

agent, runtime, hub = changing.agent, changing.runtime, changing.hub


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"repository_networks": "127.0.0.0/8"})


@pytest.fixture
def server(hub: Hub, tmp_path: Path) -> Iterator[Sshd]:
    """`team.git` as the workspace has it."""
    folder = tmp_path / "server"
    folder.mkdir()
    own_git(folder, "clone", "--quiet", "--bare", str(hub.path), "team.git")
    with sshd(folder) as running:
        yield running


async def post(board: Board, **body: Any) -> dict[str, Any]:
    answer = await board.owner.post(f"{board.path}/deploy-key", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_key_is_made_confirmed_and_used(
    board: Board, agent: Agent, server: Sshd, parts: Services
) -> None:
    refused = await board.owner.post(f"{board.path}/deploy-key", json={})
    assert (refused.status_code, refused.json()["code"]) == (400, "no_place_for_credential")
    address = {"repo_url": server.url("team.git"), "branch": "main", "delivery": "push"}
    assert (await board.owner.patch(board.path, json=address)).status_code == 200
    assert (await board.owner.get(f"{board.path}/deploy-key")).json() == {"public_key": None, "host_keys": []}
    made = await post(board)
    assert made["public_key"].startswith("ssh-ed25519 ")
    assert (await board.viewer.get(board.path)).json()["has_credential"]
    server.let_in(made["public_key"])

    async def fetched() -> dict[str, Any]:
        return (await board.editor.post(f"{board.path}/remote/fetch")).json()["remote"]

    assert "confirm its host key" in (await fetched())["why"]
    scanned = (await board.owner.post(f"{board.path}/deploy-key/scan")).json()["host_keys"]
    assert [each["key"] for each in scanned] == server.host_keys()
    kept = await post(board, host_keys=[each["key"] for each in scanned])
    assert kept == {"public_key": made["public_key"], "host_keys": scanned}
    assert (await fetched())["outcome"] == "same"
    agent.work = writes(app__py="one\n2\nthree\n")
    task = await board.task()
    await run(board, task)
    revision = (await change(board, task))["revision"]
    await board.editor.post(f"{task}/change/accept", json={"revision": revision})

    async def pushed() -> bool:
        return own_git(server.folder / "team.git", "show", "main:app.py") == "one\n2\nthree"

    await eventually(pushed)
    # Another server is another key's.
    await board.owner.patch(board.path, json={"repo_url": "git@example.org:team/app.git"})
    assert not (await board.viewer.get(board.path)).json()["has_credential"]


async def test_the_private_half_is_shown_to_nobody_and_kept_encrypted(
    board: Board, hub: Hub, parts: Services
) -> None:
    await board.owner.patch(board.path, json={"repo_url": "git@example.org:team/app.git"})
    key = deploy_keys.make()
    line = key.splitlines()[-2]
    given = await board.owner.post(f"{board.path}/deploy-key", json={"private_key": key})
    assert given.json()["public_key"] == deploy_keys.public_half(key)
    for told in (given, await board.owner.get(f"{board.path}/deploy-key"), await board.owner.get(board.path)):
        assert line not in told.text
    async with parts.database.read() as db:
        stored = (await db.execute(text("SELECT * FROM secrets"))).all()
    assert stored
    assert line not in str(stored)
    # Another one in its place; taken away it is as any credential.
    assert (await post(board, new=True))["public_key"] != given.json()["public_key"]
    await board.owner.patch(board.path, json={"repo_credential": None})
    assert (await board.owner.get(f"{board.path}/deploy-key")).json()["public_key"] is None


def pem(key: Any, form: PrivateFormat = PrivateFormat.OpenSSH, passphrase: bytes = b"") -> str:
    hidden = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, form, hidden).decode()


def protected(folder: Path) -> str:
    """A key with a passphrase, as ssh-keygen writes it."""
    made = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret words", "-f", str(folder / "key")]
    subprocess.run(made, check=True, capture_output=True)
    return (folder / "key").read_text()


async def test_keys_of_every_usual_form_are_taken_and_others_get_a_sentence(
    board: Board, hub: Hub, tmp_path: Path
) -> None:
    await board.owner.patch(board.path, json={"repo_url": "git@example.org:team/app.git"})
    curve, usual = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    for key in (pem(curve), pem(curve, PrivateFormat.PKCS8), pem(usual, PrivateFormat.TraditionalOpenSSL)):
        told = await post(board, private_key=f"\r\n{key}  ".replace("\n", "\r\n"))
        assert told["public_key"].split()[0] in ("ecdsa-sha2-nistp256", "ssh-rsa")
    refusals = {
        protected(tmp_path): "passphrase",
        pem(curve, PrivateFormat.PKCS8, b"secret words"): "passphrase",
        pem(dsa.generate_private_key(1024), PrivateFormat.PKCS8): "of this kind",
        "not a key": "no private key that can be read",
        pem(curve)[:120]: "no private key that can be read",
        "x" * 20_000: "longer than any",
    }
    for key, words in refusals.items():
        refused = await board.owner.post(f"{board.path}/deploy-key", json={"private_key": key})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_key"), words
        assert words in refused.json()["error"]
    for line in ("example.org", "ssh-ed25519 AAAA", "ssh-ed25519 not-base64", "ssh-dss AAAAB3NzaC1kc3M="):
        refused = await board.owner.post(f"{board.path}/deploy-key", json={"host_keys": [line]})
        assert (refused.status_code, refused.json()["code"]) == (400, "invalid_key"), line
