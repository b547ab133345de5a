"""Lists and pickers of what there may be thousands of: they show the first, and find the others."""

from __future__ import annotations

import pytest

from tests.seeding import seed_change
from tests.web.conftest import Open, Tab, admin_of
from vibe_app.board.projects import service as projects
from vibe_app.board.projects.schemas import NewProject, ProjectView
from vibe_app.board.tasks import windows
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.web import commands
from vibe_app.web.board import filters_view, reading
from vibe_app.web.card import people as people_of_card
from vibe_app.web.settings import members, people
from vibe_app.wiring import Services


async def test_members_beyond_the_first_are_found_by_their_names(
    project: ProjectView, tab: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(members, "SHOWN", 1)
    owner: Tab = await tab("owner", f"/p/{project.id}/settings/members")
    await owner.call("ProjectSettingsState.arrive")
    assert [row["name"] for row in owner.var("MembersState", "members")] == ["Owner"]
    assert owner.var("MembersState", "total") == 3
    await owner.call("MembersState.find", text="VIEW")
    (found,) = owner.var("MembersState", "members")
    assert found["name"] == "Viewer"
    await owner.call("MembersState.set_role", user_id=found["id"], role="editor")
    (found,) = owner.var("MembersState", "members")
    assert (found["name"], found["role"]) == ("Viewer", "editor")


async def test_people_beyond_the_first_are_found_by_their_addresses(
    parts: Services, tokens: dict[str, str], tab: Open, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(people, "SHOWN", 1)
    root = await admin_of(parts, tokens)
    admin: Tab = await tab("owner", "/settings/people")
    await admin.call("UsersState.load")
    everyone = await parts.users.everyone(root)
    assert len(admin.var("UsersState", "rows")) == 1
    assert admin.var("UsersState", "total") == len(everyone)
    for each in everyone:
        await admin.call("UsersState.find", text=each.email)
        assert [row["email"] for row in admin.var("UsersState", "rows")] == [each.email]


async def test_labels_beyond_those_of_most_cards_are_found(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    tab: Open,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(windows, "MOST_LABELS", 1)
    monkeypatch.setattr(reading, "MOST_LABELS", 1)
    owner = await parts.accounts.who(tokens["owner"])
    for labels in (["Ошибка"], ["Ошибка", "seldom"]):
        await parts.tasks.create(owner, project.id, NewTask(title="x", labels=labels))
    viewer: Tab = await tab("viewer", f"/p/{project.id}")
    await viewer.call("LabelsState.set_opened", opened=True)
    assert viewer.var("LabelsState", "labels") == [{"name": "Ошибка", "count": 2}]
    await viewer.call("LabelsState.find", text="SELD")
    assert viewer.var("LabelsState", "labels") == [{"name": "seldom", "count": 1}]
    await viewer.call("LabelsState.find", text="ошиб")
    assert viewer.var("LabelsState", "labels") == [{"name": "Ошибка", "count": 2}]


async def test_projects_beyond_those_that_are_listed_are_gone_to_and_worked_in(
    parts: Services, tokens: dict[str, str], tab: Open, monkeypatch: pytest.MonkeyPatch
):
    for module in (projects, commands):
        monkeypatch.setattr(module, "LISTED", 1)
    owner = await parts.accounts.who(tokens["owner"])
    _, last = [await parts.projects.create(owner, NewProject(name=name)) for name in ("Aaa", "Zzz")]
    await parts.tasks.create(owner, last.id, NewTask(title="Something to do"))
    someone: Tab = await tab("owner", f"/p/{last.id}")
    await someone.call("CommandState.open")
    kinds = {row["kind"]: row["target"] for row in someone.var("CommandState", "rows")}
    assert kinds["new"] == str(last.id)
    await someone.call("CommandState.find", query="zz")
    assert ("project", str(last.id)) in {
        (row["kind"], row["target"]) for row in someone.var("CommandState", "rows")
    }
    await someone.call("CommandState.find", query="something")
    assert any(row["kind"] == "execute" for row in someone.var("CommandState", "rows"))


async def test_a_person_whose_cards_are_looked_for_is_found_by_name(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    tab: Open,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(filters_view, "SHOWN", 2)
    editor = await parts.accounts.who(tokens["editor"])
    owner: Tab = await tab("owner", f"/p/{project.id}")
    await owner.call("BoardState.arrive")
    await owner.call("PersonsState.set_opened", opened=True)
    assert [each["name"] for each in owner.var("PersonsState", "people")] == ["Me", "Nobody"]
    await owner.call("PersonsState.find", text="edit")
    assert owner.var("PersonsState", "people") == [{"id": str(editor.user_id), "name": "Editor"}]
    await owner.call("PersonsState.choose", person=str(editor.user_id))
    await owner.call("BoardState.choose", name="person", value=str(editor.user_id))
    assert owner.var("BoardState", "whom") == "Editor"


@pytest.mark.parametrize(("person", "name"), [("nobody", "Nobody"), ("x", "Somebody else")])
async def test_an_address_that_names_a_person_says_who_that_is(
    project: ProjectView, tab: Open, person: str, name: str
):
    viewer: Tab = await tab("viewer", f"/p/{project.id}?person={person}")
    await viewer.call("BoardState.arrive")
    assert viewer.var("BoardState", "whom") == name


async def test_nobody_learns_the_name_of_somebody_who_is_no_member(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    stranger = await parts.accounts.who(tokens["stranger"])
    viewer: Tab = await tab("viewer", f"/p/{project.id}?person={stranger.user_id}")
    await viewer.call("BoardState.arrive")
    assert viewer.var("BoardState", "whom") == "Somebody else"


async def test_whoever_is_to_take_care_of_a_card_is_found_by_name_and_stays_chosen(
    parts: Services,
    tokens: dict[str, str],
    project: ProjectView,
    tab: Open,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(people_of_card, "SHOWN", 1)
    viewer = await parts.accounts.who(tokens["viewer"])
    editor: Tab = await tab("editor", f"/p/{project.id}")
    await editor.call("PeopleState.load")

    def offered() -> list[str]:
        return [each["name"] for each in editor.var("PeopleState", "people")]

    assert (offered(), editor.var("PeopleState", "total")) == (["Editor"], 3)
    await editor.call("PeopleState.find", text="view")
    assert offered() == ["Viewer"]
    await editor.call("PeopleState.choose", person=str(viewer.user_id))
    await editor.call("PeopleState.find", text="own")
    assert offered() == ["Viewer", "Owner"]


async def test_what_needs_one_is_counted_in_projects_that_are_not_listed_too(
    parts: Services, tokens: dict[str, str], tab: Open, monkeypatch: pytest.MonkeyPatch
):
    owner = await parts.accounts.who(tokens["owner"])
    _, last = [await parts.projects.create(owner, NewProject(name=name)) for name in ("Aaa", "Zzz")]
    card = await parts.tasks.create(owner, last.id, NewTask(title="Look at it"))
    await seed_change(parts.database, card.id, {"a.txt": (None, "1\n")})
    monkeypatch.setattr(projects, "LISTED", 1)
    someone: Tab = await tab("owner", "/")
    await someone.call("RailState.load")
    assert [each["name"] for each in someone.var("RailState", "projects")] == ["Aaa"]
    assert someone.var("RailState", "needs") == 1
