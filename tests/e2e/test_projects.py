"""Projects, their members, and one's own settings, in the browser."""

from __future__ import annotations

import re
from uuid import uuid4

import httpx
import pytest
from playwright.async_api import expect

from tests.e2e.axe import Look
from tests.e2e.browser import PHONE
from tests.e2e.conftest import People, Project, Visit
from tests.e2e.installation import Installation

pytestmark = pytest.mark.cold

SOON = 3_000
"""Milliseconds within which the others see a change: a second on a machine that does nothing else, and
far less than the half minute after which a board looks by itself."""


async def test_a_project_is_created_seen_by_others_and_deleted_by_its_name(
    server: Installation, people: People, visit: Visit
) -> None:
    name = f"Garden {uuid4().hex[:6]}"
    ada, other = await visit("ada"), await visit("ada")
    for board in (ada, other):
        await board.page.goto(board.url)
        await expect(board.page.get_by_role("button", name="New project").first).to_be_visible()
    await ada.page.get_by_role("button", name="New project").first.click()
    await ada.dialog.get_by_label("Name").fill(name)
    await ada.dialog.get_by_label("Repository to clone").fill("ftp://example.org/garden.git")
    await ada.dialog.get_by_role("button", name="Create project").click()
    await expect(ada.toasts).to_contain_text("must start with https://")
    await expect(ada.dialog.get_by_label("Name")).to_have_value(name)
    await ada.dialog.get_by_label("Repository to clone").fill("")
    await ada.dialog.get_by_role("button", name="Create project").dblclick()
    await expect(ada.page.get_by_role("heading", name=name, level=1)).to_be_visible()
    await expect(other.page.get_by_role("heading", name=name)).to_have_count(1, timeout=SOON)

    await expect(ada.page.get_by_text("Workspace ready")).to_be_visible(timeout=40_000)
    project = ada.page.url.rpartition("/")[2]
    part = await ada.settings("Delete")
    delete = part.get_by_role("button", name="Delete this project")
    await expect(delete).to_be_disabled()
    await part.get_by_label("Type the project's name").press_sequentially(name)
    await delete.click()
    await expect(ada.page).to_have_url(f"{ada.url}/")
    await expect(other.page.get_by_role("heading", name=name)).to_have_count(0, timeout=SOON)
    assert server.agents(project) == []
    assert not server.workspace(project).exists()
    names = [each["name"] for each in (await people.ada("GET", "/projects"))["projects"]]
    assert name not in names


async def test_a_repository_that_cannot_be_cloned_is_told_on_the_board(people: People, visit: Visit) -> None:
    name = f"Clone {uuid4().hex[:6]}"
    body = {"name": name, "repo_url": "http://127.0.0.1:9/nothing.git"}
    made = await people.ada("POST", "/projects", json=body)
    board = await visit("ada")
    board.project = made["id"]
    await board.open()
    await board.write("Look at the code")
    await board.page.get_by_role("button", name="Workspace failed").click(timeout=30_000)
    await expect(board.page.get_by_role("dialog")).to_contain_text("leads to a private network")
    await board.page.keyboard.press("Escape")
    await board.card("Look at the code").get_by_role("button", name="Execute").click()
    failed = board.card("Look at the code", "To do").locator(".v-run")
    await expect(failed).to_contain_text("Failed", timeout=40_000)
    await expect(failed).to_contain_text(re.compile("clone|repository", re.IGNORECASE))
    # With another address, here none, the workspace is made by itself.
    part = await board.settings("Repository")
    failed = part.get_by_role("status").filter(has_text="The workspace could not be made.")
    await expect(failed).to_contain_text("leads to a private network")
    await part.get_by_label("Address").fill("")
    await part.get_by_role("button", name="Save repository").click()
    await expect(failed).to_have_count(0, timeout=30_000)
    await board.page.get_by_role("link", name="Board", exact=True).click()
    await expect(board.page.get_by_text("Workspace ready")).to_be_visible(timeout=30_000)
    await people.ada("DELETE", f"/projects/{made['id']}", params={"confirm": name})


async def test_a_repository_s_address_branch_and_token_are_changed_and_the_token_is_not_shown(
    people: People, project: Project, visit: Visit
) -> None:
    ada = await visit("ada", project)
    part = await ada.settings("Repository")
    await part.get_by_label("Address").fill("https://me:ghp_0123456789@example.org/a.git")
    await part.get_by_label("Branch").fill("next")
    await part.get_by_role("button", name="Save repository").click()
    await expect(part.get_by_label("Address")).to_have_value("https://example.org/a.git")
    await expect(part.get_by_text("A token is kept.")).to_be_visible()
    found = await people.ada("GET", f"/projects/{project.id}")
    assert (found["repo_url"], found["branch"], found["has_credential"]) == (
        "https://example.org/a.git",
        "next",
        True,
    )
    await part.get_by_label("Address").fill("https://u:p$$@[::1")
    await part.get_by_role("button", name="Save repository").click()
    await expect(ada.toasts.first).to_contain_text("must start with https://")
    await part.get_by_role("button", name="Remove token").click()
    await expect(part.get_by_text("A token is kept.")).to_have_count(0)
    assert not (await people.ada("GET", f"/projects/{project.id}"))["has_credential"]


async def test_a_members_tab_follows_what_the_owner_decides(project: Project, visit: Visit) -> None:
    await project.task("Shared work")
    ada, eve, sam = await visit("ada", project), await visit("eve", project), await visit("sam")
    await sam.page.goto(sam.url)
    part = await ada.settings("Members")
    await part.get_by_label("Name or e-mail").fill("SA")
    found = part.get_by_role("list", name="Who could be added")
    await expect(found.get_by_role("listitem")).to_have_count(1)
    await found.get_by_role("button", name="Add Sam").click()
    there = part.get_by_role("list", name="Who belongs here")
    await expect(there.get_by_text("sam@example.org")).to_be_visible()
    await expect(sam.page.get_by_role("heading", name=project.name)).to_be_visible(timeout=SOON)

    row = part.get_by_role("listitem").filter(has_text="eve@example.org")
    await row.get_by_role("combobox").click()
    await ada.page.get_by_role("option", name="Viewer").click()
    execute = eve.card("Shared work").get_by_role("button", name="Execute")
    await expect(execute).to_be_hidden(timeout=SOON)
    await row.get_by_role("button", name="Remove").click()
    await expect(part.get_by_text("eve@example.org")).to_have_count(0)
    await expect(eve.page.get_by_role("heading", name="No board here")).to_be_visible(timeout=SOON)
    await expect(eve.card("Shared work")).to_have_count(0)


async def test_an_access_token_is_shown_once_and_ends_when_told(visit: Visit) -> None:
    board = await visit("vic")
    page = board.page
    await page.goto(f"{board.url}/settings/tokens")
    name = f"Script {uuid4().hex[:6]}"
    await page.get_by_label("What it is for").fill(name)
    await page.get_by_role("button", name="Make token").click()
    shown = page.locator("#fresh-token")
    await expect(shown).to_be_visible()
    headers = {"Authorization": f"Bearer {await shown.inner_text()}"}
    async with httpx.AsyncClient(base_url=board.url, headers=headers) as script:
        assert (await script.get("/api/auth/me")).json()["email"] == "vic@example.org"
        await page.reload()
        await expect(page.get_by_text(name)).to_be_visible()
        await expect(shown).to_have_count(0)
        row = page.locator(".rt-Flex", has=page.get_by_role("button", name="End")).filter(has_text=name).last
        await row.get_by_role("button", name="End").click()
        await board.dialog.get_by_role("button", name="End token").click()
        await expect(page.get_by_text(name)).to_have_count(0)
        assert (await script.get("/api/auth/me")).status_code == 401


async def test_who_may_not_change_a_project_sees_its_settings_and_is_told_so(
    project: Project, visit: Visit
) -> None:
    board = await visit("vic", project, viewport=PHONE)
    for name in ("General", "Repository"):
        part = await board.settings(name)
        await expect(part.get_by_text("Only an owner of the project changes this.")).to_be_visible()
        for kind in ("textbox", "spinbutton", "button"):
            for each in await part.get_by_role(kind).all():
                await expect(each).to_be_disabled()
    await expect(board.page.get_by_role("link", name="Delete")).to_have_count(0)


async def test_the_settings_of_a_project_fit_a_phone(project: Project, visit: Visit) -> None:
    board = await visit("ada", project, viewport=PHONE)
    for name in ("General", "Repository", "Members", "Delete"):
        box = await (await board.settings(name)).bounding_box()
        assert box
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= PHONE["width"]


async def test_a_double_click_invites_one_person_who_sets_a_password_by_the_link(visit: Visit) -> None:
    board = await visit("ada")
    page = board.page
    await page.goto(f"{board.url}/settings/people")
    email = f"{uuid4().hex[:6]}@example.org"
    form = page.locator("form", has=page.get_by_role("button", name="Invite"))
    await form.get_by_label("E-mail").fill(email)
    await form.get_by_label("Name").fill("Nia")
    await form.get_by_role("button", name="Invite").dblclick()
    link = await page.locator("#password-link").inner_text()
    assert link.startswith(f"{board.url}/reset?token=")
    await expect(page.get_by_text(email)).to_have_count(1)
    look = Look(page)
    await look.at("people with a link")
    look.nothing_found()

    nia = await visit(None, refused=(400, 401, 404))
    await nia.page.goto(link)
    await expect(nia.page.get_by_text(email)).to_be_visible()
    outside = Look(nia.page)
    await outside.at("a link for a password")
    outside.nothing_found()
    await nia.page.get_by_label("New password").fill("correct horse battery")
    await nia.page.get_by_role("button", name="Set password").click()
    await expect(nia.page.get_by_role("heading", name="Home")).to_be_visible()
    other = await visit(None)
    await other.page.goto(link)
    await expect(other.page.get_by_role("heading", name="This link has ended")).to_be_visible()

    # An admin makes another link; once it is used, every login ends.
    row = page.get_by_role("listitem").filter(has_text=email)
    await row.get_by_role("button", name="Reset password").click()
    await board.dialog.get_by_role("button", name="Make link").click()
    await expect(page.locator("#password-link")).not_to_have_text(link)
    again = await page.locator("#password-link").inner_text()
    await page.reload()
    await expect(page.get_by_text(email)).to_be_visible()
    await expect(page.locator("#password-link")).to_have_count(0)
    await other.page.goto(again)
    await other.page.get_by_label("New password").fill("battery horse correct")
    await other.page.get_by_role("button", name="Set password").click()
    await expect(other.page.get_by_role("heading", name="Home")).to_be_visible()
    await expect(nia.page.get_by_role("heading", name="Sign in")).to_be_visible(timeout=SOON)


async def test_a_form_of_the_settings_is_not_saved_over_what_somebody_else_wrote(
    project: Project, visit: Visit
) -> None:
    board = await visit("ada", project)
    part = await board.settings("General")
    await part.get_by_label("Description").fill("Mine")
    await project.api("PATCH", project.path, json={"description": "Theirs", "session_limit": 3})
    await part.get_by_role("button", name="Save", exact=True).click()
    both = part.get_by_role("region", name="Two versions")
    await expect(both.get_by_role("alert")).to_contain_text("Nothing was saved.")
    await expect(both.get_by_role("region", name="Theirs: Description")).to_have_text("Theirs")
    await expect(part.get_by_role("textbox", name="Description")).to_have_value("Mine")
    await both.get_by_role("button", name="Keep mine").click()
    await expect(both).to_have_count(0)
    await expect(part.get_by_label("Runs at once")).to_have_value("3")
    kept = await project.api("GET", project.path)
    assert (kept["description"], kept["session_limit"]) == ("Mine", 3)


async def test_who_goes_on_typing_while_a_save_is_under_way_loses_nothing(
    project: Project, visit: Visit
) -> None:
    board = await visit("ada", project)
    part, keys = await board.settings("General"), board.page.keyboard
    text = part.get_by_label("Description")
    await text.fill("First")
    await keys.press("Control+Enter")
    await keys.type(", second")
    await expect(board.toasts).to_contain_text("Project saved.")
    await keys.type(", third")
    await expect(text).to_have_value("First, second, third")
    await keys.press("Control+Enter")
    await expect(board.toasts.filter(has_text="Project saved.")).to_have_count(2)
    await expect(part.get_by_role("region", name="Two versions")).to_have_count(0)
    assert (await project.api("GET", project.path))["description"] == "First, second, third"


async def test_what_is_typed_into_settings_outlives_a_reload_and_a_refusal(
    project: Project, visit: Visit
) -> None:
    board = await visit("ada", project)
    part = await board.settings("Repository")
    await part.get_by_label("Address").fill("ftp://example.org/team.git")
    await part.get_by_label("Branch").fill("main")
    await part.locator("input[name=token]").fill("a secret of the server")
    await part.get_by_role("button", name="Save repository").click()
    await expect(board.toasts).to_contain_text("must start with https://")
    await expect(part.get_by_label("Address")).to_have_value("ftp://example.org/team.git")
    await board.page.reload()
    await expect(part.get_by_text("What you had typed is back.")).to_be_visible()
    await expect(part.get_by_label("Address")).to_have_value("ftp://example.org/team.git")
    await expect(part.get_by_label("Branch")).to_have_value("main")
    await expect(part.locator("input[name=token]")).to_have_value("")
    stored = await board.page.evaluate("JSON.stringify(sessionStorage)")
    assert "example.org/team.git" in stored
    assert "a secret of the server" not in stored
    await part.get_by_role("button", name="Cancel").click()
    await expect(part.get_by_text("What you had typed is back.")).to_have_count(0)
    await expect(part.get_by_label("Address")).to_have_value("")
    await part.get_by_label("Branch").fill("trunk")
    await part.get_by_role("button", name="Save repository").click()
    await expect(board.page.get_by_text("Repository saved.")).to_be_visible()
    await board.page.reload()
    await expect(part.get_by_label("Branch")).to_have_value("trunk")
    await expect(part.get_by_text("What you had typed is back.")).to_have_count(0)
    await project.api("PATCH", project.path, json={"branch": None})


async def test_what_another_admin_changed_of_a_person_stays(visit: Visit, people: People) -> None:
    email = f"{uuid4().hex[:6]}@example.org"
    made = await people.ada("POST", "/users/invite", json={"email": email, "name": "Nia"})
    board = await visit("ada")
    page = board.page
    await page.goto(f"{board.url}/settings/people")
    row = page.get_by_role("listitem").filter(has_text=email)
    await expect(row).to_be_visible()
    await people.ada("PATCH", f"/users/{made['user']['id']}", json={"can_execute": False})
    await row.get_by_role("checkbox", name="Creates projects").click()
    await expect(row.get_by_role("checkbox", name="Executes")).not_to_be_checked()
    await people.ada("PATCH", f"/users/{made['user']['id']}", json={"can_execute": True})
    await people.ada("DELETE", f"/users/{made['user']['id']}")


async def test_the_documentation_of_the_api_is_a_click_away(visit: Visit) -> None:
    board = await visit("ada")
    await board.page.goto(f"{board.url}/settings/tokens")
    await board.page.get_by_role("link", name="/api/docs").click()
    await expect(board.page).to_have_title(re.compile("Vibe.*API|API", re.IGNORECASE))
    await expect(board.page.get_by_text("There is no page here")).to_have_count(0)


async def test_a_part_of_the_settings_has_an_address(project: Project, visit: Visit) -> None:
    board = await visit("vic")
    await board.page.goto(f"{board.url}/p/{project.id}/settings/members")
    await expect(board.page.get_by_role("heading", name="Members", level=2)).to_be_visible()
    await expect(board.page.get_by_text("eve@example.org")).to_be_visible()
    other = await visit("sam")
    await other.page.goto(f"{other.url}/p/{project.id}/settings/members")
    await expect(other.page.get_by_role("heading", name="No project here")).to_be_visible()
