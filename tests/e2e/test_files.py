"""The files of a workspace in a browser: looked at, sent up and down, and nothing of them a page."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.e2e.axe import Look
from tests.e2e.browser import PHONE, PROBE
from tests.e2e.conftest import Project, Visit
from tests.e2e.explorer import START, Explorer, explore, workspace
from tests.e2e.installation import Installation
from tests.waiting import eventually

__all__ = ["workspace"]

pytestmark = pytest.mark.timeout(180)

DROP = """
([files, target]) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name));
  const at = document.querySelector(target);
  for (const kind of ["dragover", "drop"]) {
    at.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
  }
}
"""


async def test_browsing_keeps_the_place(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    board = await visit("eve", project)
    await board.page.get_by_role("link", name="Files", exact=True).click()
    explorer = Explorer(board, project, server)
    page = explorer.page
    await expect(explorer.row("src")).to_be_visible(timeout=START)
    await explorer.row("src").click()
    await explorer.row("app.py").click()
    await expect(page).to_have_url(f"{explorer.base}/src/app.py")
    await expect(explorer.text).to_contain_text("return 42")
    await expect(page.locator(".tok-keyword").first).to_have_text("def")
    await page.reload()
    await expect(explorer.row("app.py")).to_have_attribute("aria-selected", "true")
    await expect(explorer.text).to_contain_text("return 42")
    await page.get_by_role("navigation", name="Path").get_by_role("link", name="src").click()
    await explorer.entry("deep").click()
    await explorer.entry("inner.txt").click()
    await expect(explorer.text).to_contain_text("deep inside")
    await page.go_back()
    await page.go_back()
    await expect(page).to_have_url(f"{explorer.base}/src")
    await expect(explorer.entry("app.py")).to_be_visible()
    await page.get_by_role("link", name="Board", exact=True).click()
    await board.ready()


async def test_everything_by_keyboard(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    # A look at the files may ask for one by its old name while it is renamed.
    explorer = await explore(visit, project, server, refused=(404,))
    page = explorer.page
    await expect(explorer.row("src")).to_be_visible()
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Search files")).to_be_focused()
    await page.get_by_role("tree").focus()
    for key in ("Home", "ArrowRight"):
        await page.keyboard.press(key)
    await expect(explorer.row("deep")).to_be_visible()
    for key in ("ArrowDown", "ArrowDown", "Enter"):
        await page.keyboard.press(key)
    await expect(page).to_have_url(f"{explorer.base}/src/app.py")
    await explorer.button("Edit").press("Enter")
    await expect(explorer.text).to_be_focused()
    await page.keyboard.press("Control+End")
    await page.keyboard.type("# the end")
    await page.keyboard.press("Control+s")
    await eventually(lambda: (workspace / "src" / "app.py").read_text().endswith("42\n# the end"))
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    await expect(explorer.text).not_to_be_focused()
    await explorer.button("Done").press("Enter")
    await page.get_by_role("tree").focus()
    await page.keyboard.press("F2")
    await expect(explorer.board.dialog.get_by_label("New name")).to_be_focused()
    await page.keyboard.press("Control+a")
    await page.keyboard.type("main.py")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{explorer.base}/src/main.py")
    assert not (workspace / "src" / "app.py").exists()
    await page.get_by_role("tree").focus()
    await page.keyboard.press("Delete")
    await expect(explorer.board.dialog.get_by_role("button", name="Delete")).to_be_visible()
    await explorer.board.dialog.get_by_role("button", name="Delete").press("Enter")
    await expect(page).to_have_url(f"{explorer.base}/src")
    assert not (workspace / "src" / "main.py").exists()


async def test_up_and_down(project: Project, visit: Visit, server: Installation, workspace: Path) -> None:
    explorer = await explore(visit, project, server, address="/src", refused=(409,))
    page = explorer.page
    sent = [{"name": "one.bin", "mimeType": "", "buffer": bytes(3_000_000)}]
    await page.get_by_label("Files to upload").set_input_files(sent)  # pyright: ignore[reportArgumentType]
    await expect(explorer.entry("one.bin")).to_be_visible()
    assert (workspace / "src" / "one.bin").read_bytes() == bytes(3_000_000)
    await page.evaluate(DROP, [[["a 'b'.txt", "dropped"], ["app.py", "replaced"]], ".ve-main"])
    uploads = page.get_by_role("region", name="Uploads")
    await expect(uploads.get_by_text("There is a file of this name already")).to_be_visible()
    assert (workspace / "src" / "app.py").read_text().startswith("def answer")
    await uploads.get_by_role("button", name="Replace").click()
    await expect(uploads.get_by_role("status")).to_have_text("2 of 2 uploaded")
    assert (workspace / "src" / "app.py").read_text() == "replaced"
    assert (workspace / "src" / "a 'b'.txt").read_text() == "dropped"

    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download folder").click()
    archive = await (await coming.value).path()
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes())) as packed:
        assert "src/deep/inner.txt" in packed.getnames()
    await explorer.entry("one.bin").click()
    await expect(page.get_by_text("A BIN file, 2.9 MiB")).to_be_visible()
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download").first.click()
    assert (await (await coming.value).path()).read_bytes() == bytes(3_000_000)


async def test_new_things_renamed_and_deleted(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    explorer = await explore(visit, project, server, refused=(400, 409))
    page, dialog = explorer.page, explorer.board.dialog
    await explorer.button("New file").first.click()
    for name, complaint in (("notes.txt", "exists already"), ("../x", "inside the workspace"), (" ", "name")):
        await dialog.get_by_label("Name").fill(name)
        await dialog.get_by_role("button", name="Create").click()
        await expect(dialog.get_by_role("alert")).to_contain_text(complaint)
    await dialog.get_by_label("Name").fill("docs/ä b.md")
    await dialog.get_by_role("button", name="Create").dblclick()
    await expect(page).to_have_url(f"{explorer.base}/docs/%C3%A4%20b.md")
    await expect(explorer.text).to_be_focused()
    await page.keyboard.type("# Heading")
    await explorer.button("Save").click()
    await explorer.button("Done").click()
    await expect(page.get_by_role("heading", name="Heading")).to_be_visible()
    assert (workspace / "docs" / "ä b.md").read_text() == "# Heading"
    await page.get_by_role("navigation", name="Path").get_by_role("link", name="docs").click()
    await explorer.button("Rename").click()
    await dialog.get_by_label("New name").fill("src/papers")
    await dialog.get_by_role("button", name="Rename").click()
    await expect(page).to_have_url(f"{explorer.base}/src/papers")
    await expect(explorer.entry("ä b.md")).to_be_visible()
    await explorer.button("New folder").click()
    await dialog.get_by_label("Name").fill("empty")
    await dialog.get_by_role("button", name="Create").click()
    await expect(page.get_by_text("An empty folder")).to_be_visible()
    await page.go_back()
    await explorer.button("Delete").click()
    await expect(dialog).to_contain_text("The folder goes with everything in it")
    await dialog.get_by_role("button", name="Delete").click()
    await expect(page).to_have_url(f"{explorer.base}/src")
    assert not (workspace / "src" / "papers").exists()


async def test_search_leads_to_the_line(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    (workspace / "long.txt").write_text("".join(f"line {number}\n" for number in range(1, 2000)))
    explorer = await explore(visit, project, server)
    page = explorer.page
    await page.get_by_role("searchbox", name="Search files").fill("INNER")
    await expect(page.get_by_text("Nothing found")).to_be_visible()
    await page.get_by_role("searchbox", name="Search files").fill("inner")
    await expect(explorer.entry("src/deep/inner.txt")).to_be_visible()
    await page.get_by_role("searchbox", name="Search files").fill("line 1234")
    await page.get_by_role("link", name="Text", exact=True).click()
    await explorer.entry("long.txt:1234").click()
    await expect(page).to_have_url(f"{explorer.base}/long.txt#L1234")
    await expect(page.locator(".cm-activeLine")).to_have_text("line 1234")
    await page.go_back()
    await page.reload()
    await expect(page.get_by_role("searchbox", name="Search files")).to_have_value("line 1234")
    await expect(explorer.entry("long.txt:1234")).to_be_visible()


async def test_a_viewer_reads_only(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    explorer = await explore(visit, project, server, person="vic")
    page = explorer.page
    await expect(explorer.row("notes.txt")).to_be_visible()
    await page.evaluate(DROP, [[["x.txt", "x"]], ".ve-main"])
    await explorer.row("notes.txt").click()
    await expect(explorer.text).to_contain_text("first line")
    await page.get_by_role("tree").focus()
    await page.keyboard.press("Delete")
    for name in ("Edit", "Rename", "Delete", "New file", "New folder", "Upload files"):
        await expect(explorer.button(name)).to_have_count(0)
    await expect(page.get_by_role("link", name="Download")).to_be_visible()
    await expect(explorer.board.dialog).to_have_count(0)
    assert {name for name in os.listdir(workspace) if name[0] != "."} == {"notes.txt", "src"}


async def test_nothing_of_a_workspace_runs_in_the_browser(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    script = f"<script>{PROBE}</script><img src=x onerror='{PROBE}'>"
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" onload="{PROBE}" width="9" height="9">'
        f"<script>{PROBE}</script></svg>"
    )
    (workspace / "page.html").write_text(script)
    (workspace / "README.md").write_text(f"# Shown\n\n{script}\n\n[go](javascript:{PROBE})\n")
    (workspace / "logo.svg").write_text(picture)
    (workspace / "fake.png").write_text(script)
    odd = workspace / os.fsdecode(b"odd\xff")
    odd.mkdir()
    (odd / "<img src=x onerror=probed()>\n#?%2e.txt").write_text("odd indeed\n")
    explorer = await explore(visit, project, server, address="/page.html")
    page = explorer.page
    await expect(explorer.text).to_contain_text("<script>")
    await explorer.row("README.md").click()
    await expect(page.get_by_role("heading", name="Shown")).to_be_visible()
    await explorer.row("logo.svg").click()
    await expect(page.get_by_role("img", name="logo.svg", exact=True)).to_be_visible()
    await explorer.row("fake.png").click()
    await expect(page.get_by_text("This picture cannot be shown")).to_be_visible()
    await explorer.row(r"odd\xff").click()
    await page.locator(".ve-entry").click()
    await expect(explorer.text).to_contain_text("odd indeed")
    await page.reload()
    await expect(explorer.text).to_contain_text("odd indeed")
    # Opened by itself, it is a page of an origin of its own, or a download.
    key = await page.evaluate("localStorage.getItem('vibe.key')")
    for path in ("logo.svg", "page.html"):
        url = f"{server.url}/api/projects/{project.id}/files/download?path={path}&inline=true&key={key}"
        answer = await page.context.request.get(url)
        assert answer.ok
        assert answer.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_odd_files(project: Project, visit: Visit, server: Installation, workspace: Path) -> None:
    (workspace / "empty.txt").touch()
    (workspace / "ends.txt").write_bytes(b"one\r\ntwo\r\n")
    (workspace / "latin.txt").write_bytes("café\n".encode("latin-1"))
    (workspace / "large.log").write_text("".join(f"{number:07} of the log\n" for number in range(100_000)))
    (workspace / "out").symlink_to("/etc")
    (workspace / ("x" * 250)).write_text("a long name\n")
    explorer = await explore(visit, project, server, refused=(404,))
    page = explorer.page
    await explorer.row("empty.txt").click()
    await expect(page.get_by_text("This file is empty")).to_be_visible()
    await explorer.row("latin.txt").click()
    await expect(explorer.text).to_contain_text("café")
    await expect(explorer.button("Edit")).to_have_count(0)
    await explorer.row("out").click()
    await expect(page.get_by_text("A link that leads nowhere here")).to_be_visible()
    await explorer.row("large.log").click()
    await expect(explorer.text).to_contain_text("0000000 of the log")
    await expect(page.get_by_text("The first 1.0 MiB of 1.8 MiB")).to_be_visible()
    await explorer.button("Load more").click()
    await expect(page.get_by_text("The first")).to_have_count(0)
    await explorer.text.focus()
    await page.keyboard.press("Control+End")
    await expect(explorer.text).to_contain_text("0099999 of the log")
    await explorer.row("ends.txt").click()
    await expect(explorer.text).to_contain_text("two")
    await explorer.type("zero\n")
    await explorer.button("Save").click()
    await eventually(lambda: (workspace / "ends.txt").read_bytes() == b"zero\r\none\r\ntwo\r\n")
    await explorer.button("Done").click()
    await page.goto(f"{explorer.base}/{'x' * 250}")
    await expect(explorer.text).to_contain_text("a long name")
    await page.goto(f"{explorer.base}/not/here.txt")
    await expect(page.locator(".v-empty")).to_contain_text("Not here")


async def test_five_thousand_files_are_shown_a_screen_at_a_time(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    (workspace / "many").mkdir()
    for number in range(5001):
        (workspace / "many" / f"{number:05}.txt").touch()
    explorer = await explore(visit, project, server, address="/many")
    page = explorer.page
    await expect(page.get_by_text("5001 entries")).to_be_visible()
    await explorer.row("many").click()
    await page.get_by_role("tree").focus()
    await page.keyboard.press("ArrowRight")
    await expect(explorer.row("00010.txt")).to_be_visible()
    assert await page.locator(".ve-row, .ve-entry").count() < 200
    await page.keyboard.type("04999")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(f"{explorer.base}/many/04999.txt")
    await expect(explorer.row("04999.txt")).to_be_in_viewport()
    await page.go_back()
    await page.locator(".ve-list").evaluate("node => node.scrollTop = node.scrollHeight")
    await explorer.button("Show more of 1 further entries").click()
    await expect(explorer.entry("05000.txt")).to_be_attached()


async def test_on_a_phone_one_after_the_other(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    explorer = Explorer(await visit("eve", viewport=PHONE, has_touch=True), project, server)
    page = explorer.page
    await explorer.open()
    await expect(page.get_by_role("tree")).to_be_hidden()
    await explorer.entry("src").tap()
    await explorer.entry("app.py").tap()
    await expect(explorer.text).to_contain_text("return 42")
    await expect(page.locator(".ve-entry")).to_have_count(0)
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await page.get_by_role("navigation", name="Path").get_by_role("link", name="src").tap()
    await expect(explorer.entry("app.py")).to_be_visible()


async def test_axe_finds_nothing(
    project: Project, visit: Visit, server: Installation, workspace: Path
) -> None:
    (workspace / "README.md").write_text("# A heading\n\nSome `code` and [a link](src/app.py).\n")
    explorer = await explore(visit, project, server)
    page, look = explorer.page, Look(explorer.page)
    await explorer.row("src").click()
    await expect(explorer.entry("app.py")).to_be_visible()
    await look.at("folder")
    await explorer.row("app.py").click()
    await expect(page.locator(".tok-keyword").first).to_be_visible()
    await look.at("code")
    await explorer.type("x")
    await look.at("editor")
    await explorer.button("Discard").click()
    await explorer.row("README.md").click()
    await expect(page.get_by_role("heading", name="A heading")).to_be_visible()
    await look.at("Markdown")
    await explorer.open("?q=return&in=text")
    await expect(explorer.entry("app.py:2")).to_be_visible()
    await look.at("search")
    await explorer.open()
    await explorer.button("New file").first.click()
    await expect(explorer.board.dialog).to_be_visible()
    await look.at("new file")
    look.nothing_found()


@pytest.mark.cold
async def test_a_workspace_that_does_not_start_says_why(
    project: Project, visit: Visit, server: Installation
) -> None:
    # Something else is where the workspace's folder belongs.
    server.workspace(project.id).parent.mkdir(exist_ok=True)
    server.workspace(project.id).write_text("not a folder")
    explorer = Explorer(await visit("eve"), project, server)
    page = explorer.page
    await page.goto(explorer.base)
    await expect(page.get_by_text("The workspace did not start")).to_be_visible(timeout=START)
    server.workspace(project.id).unlink()
    await explorer.button("Try again").click()
    await expect(page.get_by_text(re.compile("No files yet"))).to_be_visible(timeout=START)
