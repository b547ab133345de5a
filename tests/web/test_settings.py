"""The forms of the settings: what was changed is written, and nothing over what somebody else wrote."""

from __future__ import annotations

import json

from tests.web.conftest import Open, Tab, admin_of, owner_of
from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.projects.schemas import ProjectPatch, ProjectView
from vibe_app.wiring import Services


def general(project: ProjectView, tab: Tab, **typed: str) -> dict[str, str]:
    """What the browser sends of the first form of a project's settings."""
    form = {"name": project.name, "description": project.description, "card_key": "SAM", "limit": "1"}
    return form | {"seen": tab.var("FormsState", "seen")["general"]} | typed


def both(tab: Tab) -> list[tuple[str, str, str]]:
    """The texts that stand side by side."""
    return [(row["name"], row["mine"], row["theirs"]) for row in tab.var("FormsState", "both") or []]


async def test_settings_of_a_project_that_somebody_left_alone_are_not_written_back(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner: Tab = await tab("owner", f"/p/{project.id}/settings")
    await owner.call("ProjectSettingsState.arrive")
    actor = await owner_of(parts, tokens)
    await parts.projects.change(actor, project.id, ProjectPatch(name="Theirs", description="Theirs too"))
    await owner.call("FormsState.save", name="general", sent=general(project, owner, limit="7"))
    kept = await parts.projects.read(actor, project.id)
    assert (kept.name, kept.description, kept.session_limit) == ("Theirs", "Theirs too", 7)


async def test_what_somebody_else_changed_stands_beside_mine_until_one_is_chosen(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner: Tab = await tab("owner", f"/p/{project.id}/settings")
    await owner.call("ProjectSettingsState.arrive")
    actor = await owner_of(parts, tokens)
    await parts.projects.change(actor, project.id, ProjectPatch(description="Theirs"))
    await owner.call("FormsState.save", name="general", sent=general(project, owner, description="Mine"))
    assert both(owner) == [("Description", "Mine", "Theirs")]
    assert (await parts.projects.read(actor, project.id)).description == "Theirs"
    # A third text, while both stand there, is asked about again.
    await parts.projects.change(actor, project.id, ProjectPatch(description="Another"))
    await owner.call("FormsState.keep_mine")
    assert both(owner) == [("Description", "Mine", "Another")]
    await owner.call("FormsState.keep_mine")
    assert both(owner) == []
    assert (await parts.projects.read(actor, project.id)).description == "Mine"


async def test_who_goes_on_writing_while_a_save_is_on_its_way_meets_nobody_but_themselves(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner: Tab = await tab("owner", f"/p/{project.id}/settings")
    await owner.call("ProjectSettingsState.arrive")
    actor = await owner_of(parts, tokens)
    begun = owner.var("FormsState", "shown")["general"]
    sent = [general(project, owner, description=text) for text in ("First", "Second", "Third")]
    for each in sent:
        await owner.call("FormsState.save", name="general", sent=each)
        assert both(owner) == []
        assert (await parts.projects.read(actor, project.id)).description == each["description"]
    assert owner.var("FormsState", "shown")["general"] == begun, "what is typed meanwhile stays in the form"
    assert owner.var("FormsState", "texts")["general"]["description"] == "Third"
    # Where somebody else has changed another field, the form shows it.
    await parts.projects.change(actor, project.id, ProjectPatch(session_limit=4))
    await owner.call("FormsState.save", name="general", sent=general(project, owner, description="Fourth"))
    assert owner.var("FormsState", "shown")["general"] > begun
    assert owner.var("FormsState", "texts")["general"]["limit"] == "4"


async def test_a_form_that_does_not_say_what_it_was_filled_with_is_shown_beside_what_is_there(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner: Tab = await tab("owner", f"/p/{project.id}/settings")
    await owner.call("ProjectSettingsState.arrive")
    for seen in ("", "no JSON", "[]", '{"version": 1}', json.dumps({"version": 2**40, "texts": {}})):
        sent = general(project, owner, description="Mine", seen=seen)
        await owner.call("FormsState.save", name="general", sent=sent)
        assert both(owner) == [("Description", "Mine", "")], seen
    assert (await parts.projects.read(await owner_of(parts, tokens), project.id)).description == ""


async def test_a_role_that_somebody_else_has_just_given_is_not_written_over(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner: Tab = await tab("owner", f"/p/{project.id}/settings/members")
    await owner.call("ProjectSettingsState.arrive")
    actor, editor = await owner_of(parts, tokens), await parts.accounts.who(tokens["editor"])
    await parts.members.put(actor, project.id, editor.user_id, ProjectRole.VIEWER)
    await owner.call("MembersState.set_role", user_id=str(editor.user_id), role="owner")
    assert both(owner) == [("Editor: Role", "owner", "viewer")]
    roles = {row["id"]: row["role"] for row in owner.var("MembersState", "members")}
    assert roles[str(editor.user_id)] == "viewer"
    await owner.call("FormsState.keep_mine")
    found = {view.user_id: view.role for view in await parts.members.of(actor, project.id)}
    assert found[editor.user_id] is ProjectRole.OWNER


async def test_a_right_that_another_admin_has_just_taken_stays_taken(
    parts: Services, tokens: dict[str, str], tab: Open
):
    admin = await admin_of(parts, tokens)
    people: Tab = await tab("owner", "/settings/people")
    await people.call("UsersState.load")
    editor = await parts.accounts.who(tokens["editor"])
    await parts.users.change(admin, editor.user_id, can_execute=False)
    # Another field of the same person meets nothing of theirs.
    await people.call("UsersState.set_creates", user_id=str(editor.user_id), allowed=False)
    view = (await parts.users.names([editor.user_id]))[editor.user_id]
    assert (view.can_create_projects, view.can_execute) == (False, False)
    assert both(people) == []
    await parts.users.change(admin, editor.user_id, role="admin")
    await parts.users.change(admin, editor.user_id, role="member")
    await people.call("UsersState.set_role", user_id=str(editor.user_id), role="admin")
    assert both(people) == []


async def test_who_is_invited_to_a_project_that_is_gone_has_no_account_either(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    admin = await admin_of(parts, tokens)
    people: Tab = await tab("owner", "/settings/people")
    await people.call("UsersState.load")
    await parts.projects.delete(admin, project.id, project.name)
    sent = {"email": "nia@example.org", "name": "Nia", "role": "member", "project": str(project.id)}
    await people.call("UsersState.invite", form=sent)
    assert "There is no such project." in people.told
    assert "nia@example.org" not in {user.email for user in await parts.users.everyone(admin)}
    assert not people.var("UsersState", "link")
    await people.call("UsersState.invite", form=sent | {"project": ""})
    assert "/reset?token=" in people.var("UsersState", "link")


async def test_one_s_own_name_is_not_saved_over_that_which_an_admin_gave(
    parts: Services, tokens: dict[str, str], tab: Open
):
    admin = await admin_of(parts, tokens)
    mine: Tab = await tab("editor", "/settings")
    await mine.call("ProfileState.load")
    editor = await parts.accounts.who(tokens["editor"])
    await parts.users.change(admin, editor.user_id, name="Edith")
    sent = {"name": "Eddy", "seen": mine.var("FormsState", "seen")["profile"]}
    await mine.call("FormsState.save", name="profile", sent=sent)
    assert both(mine) == [("Name", "Eddy", "Edith")]
    await mine.call("FormsState.take_theirs")
    assert both(mine) == []
    assert (await parts.users.names([editor.user_id]))[editor.user_id].name == "Edith"


async def test_a_double_click_makes_one_access_token(parts: Services, tokens: dict[str, str], tab: Open):
    someone: Tab = await tab("editor", "/settings")
    for name in ("Nightly script", "Nightly script", "Another"):
        await someone.call("TokensState.add", form={"name": name, "days": "30"})
    made = await parts.accounts.tokens.list(await parts.accounts.who(tokens["editor"]))
    assert sorted(token.name for token in made) == ["Another", "Nightly script"]


async def test_numbers_of_thousands_of_digits_are_refused_in_words(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    someone: Tab = await tab("owner", "/settings")
    await someone.call("TokensState.add", form={"name": "Nightly script", "days": "9" * 5000})
    someone.path = f"/p/{project.id}/settings"
    await someone.call("ProjectSettingsState.arrive")
    sent = general(project, someone, limit="9" * 5000)
    await someone.call("FormsState.save", name="general", sent=sent)
    toasts = [json.dumps(payload) for name, payload in someone.events if "toast" in json.dumps(payload)]
    assert len(toasts) == 2
    assert "days" in toasts[0]
    assert "limit" in toasts[1]
    owner = await owner_of(parts, tokens)
    assert await parts.accounts.tokens.list(owner) == []
    assert (await parts.projects.read(owner, project.id)).session_limit == project.session_limit
