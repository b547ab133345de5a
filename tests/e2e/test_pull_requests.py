"""Delivery by pull request in the browser: chosen in the settings, said in the question, shown on the card.

The changes are rows without a run behind them; what happens to them at a host is tried in tests/api.
"""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.axe import Look
from tests.e2e.browser import PHONE
from tests.e2e.conftest import Project, Visit
from tests.e2e.explorer import explore
from tests.e2e.installation import Installation
from tests.e2e.test_changes import Seed, seeded
from tests.waiting import eventually

__all__ = ["seeded"]

REPOSITORY = "https://git.example.org/team/app.git"
URL = f"{REPOSITORY.removesuffix('.git')}/pulls/12"


def opened(state: str) -> dict[str, object]:
    """A delivery as a change keeps it."""
    request = {"number": 12, "url": URL, "state": state}
    return {"mode": "request", "state": "opened", "branch": "vibe/1-greet", "request": request}


async def test_it_is_chosen_in_the_settings(project: Project, visit: Visit) -> None:
    await project.api("PATCH", project.path, json={"repo_url": REPOSITORY})
    board = await visit("ada", project)
    part = await board.settings("Changes")
    await expect(part.get_by_text("Accept pushes a branch and opens a pull request")).to_be_hidden()
    await part.get_by_role("combobox", name="What becomes of what is accepted").select_option("request")
    await expect(part.get_by_text("Accept pushes a branch and opens a pull request")).to_be_visible()
    await part.get_by_role("combobox", name="Kind of host").select_option(label="Gitea or Forgejo")
    look = Look(board.page)
    await look.at("delivery by request in the settings")
    look.nothing_found()
    await part.get_by_role("button", name="Save", exact=True).click()
    await expect(board.page.get_by_text("Saved. It counts for the runs")).to_be_visible()
    kept = await project.api("GET", project.path)
    assert (kept["delivery"], kept["delivery_host"]) == ("request", "gitea")


async def test_accept_says_that_it_opens_a_request(project: Project, visit: Visit, seeded: Seed) -> None:
    await project.api("PATCH", project.path, json={"repo_url": REPOSITORY, "delivery": "request"})
    task = await seeded()
    board = await visit("eve", project)
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Accept").click()
    await expect(board.dialog).to_contain_text("on a branch, and open a pull request into “main”.")
    await board.dialog.get_by_text("Keep the history (merge)").click()
    await expect(board.dialog).to_contain_text("Push the history of the runs as a branch")


async def test_a_request_is_shown_with_its_state_and_a_link(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded(state="accepted", delivery=opened("open"))
    board = await visit("vic", project)
    card = board.card("Greet by name", "AI review")
    chip = card.get_by_role("link", name="Pull request #12 open")
    await expect(chip).to_have_attribute("href", URL)
    await expect(chip).to_have_attribute("rel", "noopener noreferrer")
    await board.open("t", task, "changes")
    await expect(board.drawer.get_by_text("Pull request #12 is open.")).to_be_visible()
    await expect(board.drawer.get_by_role("link", name="Look at it there")).to_have_attribute("href", URL)
    look = Look(board.page)
    await look.at("an open request")
    await board.drawer.get_by_role("link", name="Overview").click()
    await expect(board.drawer.get_by_role("link", name="Pull request #12 open")).to_be_visible()
    await look.at("an open request in the overview")
    look.found = [fault for fault in look.found if "data-char" not in fault]
    look.nothing_found()


async def test_one_that_was_closed_offers_another_to_editors(
    project: Project, visit: Visit, seeded: Seed
) -> None:
    task = await seeded(state="accepted", delivery=opened("closed"))
    for name, offered in (("vic", 0), ("eve", 1)):
        board = await visit(name, project, viewport=PHONE, has_touch=True, is_mobile=True)
        await board.open("t", task, "changes")
        await expect(board.drawer.get_by_text("was closed without being merged")).to_be_visible()
        await expect(board.drawer.get_by_role("button", name="Open a new one")).to_have_count(offered)
        assert await board.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


async def test_the_base_s_files_offer_only_what_can_be_saved(
    project: Project, visit: Visit, server: Installation
) -> None:
    files = f"{project.path}/files/content"
    for path, text in ((".gitignore", ".env\n.cache/\n"), ("notes.txt", "first line\n"), (".env", "KEY=1\n")):
        await project.api("PUT", files, params={"path": path}, content=text.encode())
    explorer = await explore(visit, project, server, address="/notes.txt", refused=(409,))
    page = explorer.page
    # Somebody is writing while the project is switched: the words stay, and can be copied.
    await explorer.type("typed, ")
    values = {"repo_url": REPOSITORY, "delivery": "request"}
    await project.api("PATCH", project.path, json=values)
    await expect(page.get_by_text("This file cannot be saved here any more.")).to_be_visible()
    await expect(explorer.button("Save")).to_be_disabled()
    await expect(explorer.text).to_contain_text("typed, first line")
    look = Look(page)
    await look.at("words that cannot be saved any more")
    await explorer.button("Discard").click()
    why = page.get_by_role("note")
    await expect(why).to_contain_text("change the rest in a card’s files")
    await expect(explorer.button("Edit")).to_have_count(0)
    for name in ("Rename", "Delete"):
        await expect(explorer.button(name)).to_have_count(0)
    await look.at("a file of the base that is not saved there")

    # What git ignores is written as ever.
    await explorer.open()
    await expect(why).to_be_visible()
    await expect(explorer.button("New folder")).to_have_count(0)
    await look.at("a folder of the base in which little is saved")
    await explorer.button("New file that git ignores").click()
    await explorer.board.dialog.get_by_label("Name").fill("README.md")
    await explorer.board.dialog.get_by_role("button", name="Create").click()
    refusal = explorer.board.dialog.get_by_role("alert")
    await expect(refusal).to_contain_text("only files that git ignores are saved on it here")
    await expect(explorer.board.dialog.get_by_label("Name")).to_have_value("README.md")
    await explorer.board.dialog.get_by_label("Name").fill(".cache/one.txt")
    await explorer.board.dialog.get_by_role("button", name="Create").click()
    await expect(explorer.button("Save")).to_be_visible()
    await explorer.text.click()
    await page.keyboard.type("kept")
    await explorer.button("Save").click()
    await expect(page.get_by_text("Saved.", exact=True)).to_be_visible()
    await explorer.open("/.cache")
    await expect(explorer.button("New folder")).to_be_visible()
    await expect(why).to_have_count(0)
    await explorer.open("/.env")
    await explorer.type("# mine\n")
    await explorer.button("Save").click()
    await eventually(lambda: (explorer.folder / ".env").read_text() == "# mine\nKEY=1\n")
    assert (explorer.folder / ".cache/one.txt").read_text() == "kept"
    assert not (explorer.folder / "README.md").exists()
    look.nothing_found()
