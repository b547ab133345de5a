"""The deploy key in a project's settings, called as a browser's socket calls it."""

from __future__ import annotations

from tests.waiting import eventually
from tests.web.conftest import Open, Tab
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.configuration import deploy_keys
from vibe_app.wiring import Services

PINNED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"


async def test_an_owner_makes_a_key_and_confirms_a_server(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    actor = await parts.accounts.who(tokens["owner"])
    await parts.projects.change(actor, project.id, ProjectPatch(repo_url="git@example.org:team/app.git"))
    owner: Tab = await tab("owner", f"/p/{project.id}")
    await owner.call("DeployKeyState.load", project_id=str(project.id))
    assert owner.var("DeployKeyState", "loaded") is True
    await owner.call("DeployKeyState.make", new=False)
    public = owner.var("DeployKeyState", "public_key")
    assert public.startswith("ssh-ed25519 ")
    key = deploy_keys.make()
    await owner.call(
        "DeployKeyState.paste", form={"private_key": key, "host_keys": f"example.org {PINNED}\n"}
    )
    assert owner.var("DeployKeyState", "public_key") == deploy_keys.public_half(key)
    [shown] = owner.var("DeployKeyState", "confirmed")
    assert shown == {"kind": "ssh-ed25519", "fingerprint": deploy_keys.fingerprint(PINNED)}
    await owner.call("DeployKeyState.paste", form={})
    await eventually(lambda: "Paste a private key" in owner.told)
    for line in key.splitlines()[1:-1]:
        assert line not in str(owner.deltas)


async def test_nobody_but_an_owner_sees_or_makes_one(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    actor = await parts.accounts.who(tokens["owner"])
    await parts.projects.change(actor, project.id, ProjectPatch(repo_url="git@example.org:team/app.git"))
    editor: Tab = await tab("editor", f"/p/{project.id}")
    await editor.call("DeployKeyState.load", project_id=str(project.id))
    await editor.call("DeployKeyState.make", new=True)
    assert not editor.var("DeployKeyState", "public_key")
    assert not (await parts.projects.read(actor, project.id)).has_credential
