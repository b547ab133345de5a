"""Texts that are too large for their field: refused with a sentence, and nothing of them is cut or kept."""

from __future__ import annotations

from tests.web.conftest import Open, Tab, admin_of
from vibe_app.board.projects.schemas import ProjectView
from vibe_app.board.tasks.schemas import NewTask
from vibe_app.wiring import Services

LARGE = "Вставленный текст " * 4000
SENTENCE = f"has {len(LARGE.strip())} characters; shorten it to"


async def test_a_title_that_is_too_long_is_refused_and_not_cut(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    owner = await parts.accounts.who(tokens["owner"])
    card = await parts.tasks.create(owner, project.id, NewTask(title="Short"))
    editor: Tab = await tab("editor", f"/p/{project.id}/t/{card.id}/overview")
    await editor.call("DrawerState.arrive")
    await editor.call("DrawerState.save_title", title=LARGE, version=card.version)
    assert SENTENCE in editor.told
    assert (await parts.tasks.read(owner, project.id, card.id)).title == "Short"
    other: Tab = await tab("editor", f"/p/{project.id}")
    await other.call("BoardState.arrive")
    await other.call("ComposerState.set_opened", opened=True)
    await other.call("ComposerState.create", form={"title": LARGE, "description": ""})
    assert SENTENCE in other.var("ComposerState", "problem")
    assert (await parts.tasks.page(owner, project.id, None, "", 1, 10)).total_count == 1


async def test_names_that_are_too_long_are_refused_and_not_cut(
    parts: Services, tokens: dict[str, str], project: ProjectView, tab: Open
):
    root = await admin_of(parts, tokens)
    for page, handler, form, sentence in (
        ("/", "NewProjectState.create", {"name": LARGE}, SENTENCE),
        ("/settings/tokens", "TokensState.add", {"name": LARGE}, "must have 1 to 100 characters"),
        (
            "/settings/people",
            "UsersState.invite",
            {"name": LARGE, "email": "nia@example.org"},
            "must have 1 to 100 characters",
        ),
    ):
        someone: Tab = await tab("owner", page)
        if page == "/":
            await someone.call("NewProjectState.set_making", making=True)
        await someone.call(handler, form=form)
        assert sentence in someone.told, handler
    assert len(await parts.projects.list(root)) == 1
    assert "nia@example.org" not in {each.email for each in await parts.users.everyone(root)}
