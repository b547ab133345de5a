"""The history of a card: a run that nobody needs any more is deleted from it."""

from __future__ import annotations

from playwright.async_api import expect

from tests.e2e.conftest import Project, Visit
from tests.waiting import eventually


async def test_a_run_is_deleted_and_gone_for_everybody(project: Project, visit: Visit) -> None:
    task = await project.task("Twice")
    path = f"{project.path}/tasks/{task}"
    for _ in range(2):
        await project.api("POST", f"{path}/execute")

        async def over() -> bool:
            return (await project.api("GET", path))["status"] == "AI_REVIEW"

        await eventually(over, 60)
        await project.api("POST", f"{path}/move", json={"status": "TODO"})
    newest, oldest = [session["id"] for session in await project.sessions(task)]

    editor, viewer = await visit("eve", project), await visit("vic", project)
    for board in (editor, viewer):
        await board.open("t", task, "history")
        await board.drawer.get_by_text(newest[:8]).click()
        await expect(board.drawer.get_by_role("link", name="Show it in the terminal")).to_be_visible()
    delete = editor.drawer.get_by_role("button", name="Delete", exact=True)
    await expect(viewer.drawer.get_by_role("button", name="Delete", exact=True)).to_have_count(0)
    await delete.click()
    await expect(editor.dialog).to_contain_text("Its output goes with it")
    await editor.dialog.get_by_role("button", name="Cancel").click()
    assert len(await project.sessions(task)) == 2
    await delete.click()
    await editor.dialog.get_by_role("button", name="Delete run").click()
    for board in (editor, viewer):
        await expect(board.drawer.get_by_text(newest[:8])).to_have_count(0)
        await expect(board.drawer.get_by_text(oldest[:8])).to_be_visible()
    assert [session["id"] for session in await project.sessions(task)] == [oldest]
    await viewer.page.goto(f"{viewer.url}/p/{project.id}/t/{task}/run/{newest}")
    await expect(viewer.page.get_by_text("This task has no such session.")).to_be_visible()
