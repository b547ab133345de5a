"""Projects, members and cards through the API."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from tests.api.conftest import Board
from tests.fakes import FakeRuntime


async def test_a_project_from_creation_to_deletion(board: Board, runtime: FakeRuntime) -> None:
    made = await board.stranger.post(
        "/projects",
        json={
            "name": "  An\x1b[31m app\x07 ",
            "description": "It\x00 is",
            "repo_url": "https://example.org/a.git",
        },
    )
    assert made.status_code == 201
    project = made.json()
    assert (project["name"], project["description"]) == ("An app", "It is")
    assert project["workspace"] == {"status": "stopped", "reason": None, "notices": []}
    assert (project["role"], project["session_limit"], project["task_count"]) == ("owner", 1, 0)
    path = f"/projects/{project['id']}"
    assert (await board.stranger.get(path)).json() == project
    changed = await board.stranger.patch(path, json={"name": "App", "session_limit": 3})
    assert (changed.json()["name"], changed.json()["session_limit"]) == ("App", 3)
    assert changed.json()["description"] == "It is"
    listed = (await board.stranger.get("/projects")).json()
    assert [(p["name"], listed["total_count"]) for p in listed["projects"]] == [("App", 1)]
    assert (await board.admin.get("/projects", params={"page_size": 1})).json()["total_count"] == 2
    for confirm in ({}, {"confirm": "app"}):
        refused = await board.stranger.delete(path, params=confirm)
        assert (refused.status_code, refused.json()["code"]) == (400, "confirmation_needed")
    assert (await board.stranger.delete(path, params={"confirm": "App"})).status_code == 204
    assert (await board.stranger.get(path)).status_code == 404
    assert [str(erased) for erased in runtime.erased] == [project["id"]]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"name": ""}, "empty_name"),
        ({"name": "\x00"}, "empty_name"),
        ({"name": "n" * 101}, "name_too_long"),
        ({"name": "n", "description": "é" * (32 * 1024 + 1)}, "description_too_long"),
        ({"name": "n", "repo_url": "https://u:p$$@[::1"}, "invalid_repo_url"),
        ({"name": "n", "repo_url": "git://example.org/a"}, "invalid_repo_url"),
        ({"name": "n", "repo_url": "https://example.org/a", "branch": "-x"}, "invalid_branch"),
        ({"name": "n", "repo_url": "ext::sh -c id"}, "invalid_repo_url"),
        ({"name": "n", "repo_url": "https://example.org/a b"}, "invalid_repo_url"),
    ],
)
async def test_projects_that_are_refused(board: Board, body: dict[str, str], code: str) -> None:
    answer = await board.owner.post("/projects", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert (await board.owner.get("/projects")).json()["total_count"] == 1


async def test_members(board: Board) -> None:
    members = f"{board.path}/members"
    listed = (await board.viewer.get(members)).json()
    assert [(m["email"].partition("@")[0], m["role"]) for m in listed["members"]] == [
        ("owner", "owner"), ("editor", "editor"), ("viewer", "viewer"),
    ]  # fmt: skip
    added = await board.owner.post(members, json={"email": "Stranger@example.org", "role": "viewer"})
    assert (added.status_code, added.json()["user_id"]) == (201, board.ids["stranger"])
    stranger = f"{members}/{board.ids['stranger']}"
    assert (await board.stranger.get(board.path)).json()["role"] == "viewer"
    assert (await board.owner.patch(stranger, json={"role": "editor"})).json()["role"] == "editor"
    assert (await board.owner.patch(stranger, json={"role": "king"})).json()["code"] == "invalid_role"
    assert (await board.stranger.delete(stranger)).status_code == 204
    assert (await board.stranger.get(board.path)).status_code == 403
    for answer, code in (
        (await board.owner.post(members, json={"email": "nobody@example.org"}), "user_not_found"),
        (await board.owner.post(members, json={"user_id": str(uuid4())}), "user_not_found"),
        (await board.owner.delete(stranger), "member_not_found"),
        (await board.owner.patch(stranger, json={"role": "editor"}), "member_not_found"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, code)
    me = f"{members}/{board.ids['owner']}"
    for answer in (await board.owner.delete(me), await board.owner.patch(me, json={"role": "viewer"})):
        assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    for body in ({}, {"email": "a@example.org", "user_id": str(uuid4())}):
        assert (await board.owner.post(members, json=body)).status_code == 400


async def test_a_card_from_creation_to_deletion(board: Board) -> None:
    made = await board.editor.post(
        f"{board.path}/tasks",
        json={"title": "Add\n it", "description": "# Do", "priority": "high", "labels": ["a", "a", " b "]},
    )
    assert made.status_code == 201
    card = made.json()
    assert {name: card[name] for name in ("title", "description", "priority", "labels", "status")} == {
        "title": "Add it", "description": "# Do", "priority": "high", "labels": ["a", "b"], "status": "TODO",
    }  # fmt: skip
    assert (card["session"], card["created_by"]) == (None, board.ids["editor"])
    path = f"{board.path}/tasks/{card['id']}"
    assert (await board.viewer.get(path)).json() == card
    changed = (await board.editor.patch(path, json={"version": 1, "priority": "low", "labels": []})).json()
    assert (changed["title"], changed["priority"], changed["labels"]) == ("Add it", "low", [])
    assert (await board.editor.delete(path)).status_code == 204
    for answer in (await board.viewer.get(path), await board.editor.patch(path, json={"version": 1}),
                   await board.editor.delete(path)):  # fmt: skip
        assert (answer.status_code, answer.json()["code"]) == (404, "task_not_found")


async def test_a_change_names_the_version_that_was_read(board: Board) -> None:
    path = await board.task("Title", description="As it was")
    read = await board.viewer.get(path)
    assert (read.json()["version"], read.headers["etag"]) == (1, '"1"')
    missing = await board.editor.patch(path, json={"labels": ["x"]})
    assert (missing.status_code, missing.json()["code"]) == (400, "version_missing")
    for tag in ("*", '"x"', '"1", "2"', "9" * 40, "\u00b2".encode()):
        odd = await board.editor.patch(path, json={"labels": ["x"]}, headers={"If-Match": tag})
        assert (odd.status_code, odd.json()["code"]) == (400, "invalid_version")
    for version in (0, 2**40, "one"):
        odd = await board.editor.patch(path, json={"version": version, "labels": ["x"]})
        assert (odd.status_code, odd.json()["code"]) == (400, "invalid_request")
    first = await board.editor.patch(
        path, json={"description": "Theirs"}, headers={"If-Match": read.headers["etag"]}
    )
    assert (first.status_code, first.headers["etag"], first.json()["version"]) == (200, '"2"', 2)
    second = await board.owner.patch(path, json={"version": 1, "labels": ["mine"]})
    assert (second.status_code, second.json()["code"]) == (409, "version_changed")
    assert second.json()["yours"] == {"labels": ["mine"]}
    assert second.json()["task"] == first.json() == (await board.viewer.get(path)).json()
    merged = await board.owner.patch(path, json={"version": 2, "labels": ["mine"]})
    assert (merged.json()["description"], merged.json()["labels"]) == ("Theirs", ["mine"])


@pytest.mark.parametrize("length", [1, 200])
async def test_titles_that_fit(board: Board, length: int) -> None:
    assert (await board.viewer.get(await board.task("é" * length))).json()["title"] == "é" * length


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"title": ""}, "empty_title"),
        ({"title": " \x1b[2J\n"}, "empty_title"),
        ({"title": "t" * 201}, "title_too_long"),
        ({"title": "t", "description": "x" * (64 * 1024 + 1)}, "description_too_long"),
        ({"title": "t", "priority": "highest"}, "invalid_priority"),
        ({"title": "t", "labels": ["l" * 41]}, "label_too_long"),
        ({"title": "t", "labels": [str(n) for n in range(21)]}, "invalid_request"),
    ],
)
async def test_cards_that_are_refused_leave_everything_as_it_was(
    board: Board, body: dict[str, Any], code: str
) -> None:
    answer = await board.editor.post(f"{board.path}/tasks", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    task = await board.task("Stays", description="as it is")
    answer = await board.editor.patch(task, json=body | {"version": 1})
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    card = (await board.viewer.get(task)).json()
    assert (card["title"], card["description"], card["labels"]) == ("Stays", "as it is", [])


async def test_a_description_of_64_kib_is_kept_without_what_controls_terminals(board: Board) -> None:
    nasty = "\x1b[31m\x1b]0;title\x07<script>alert(1)</script>\r\n\x00\x9b2J\u202e\t"
    clean = "<script>alert(1)</script>\n2J\t"
    text = "y" * (64 * 1024 - len(clean))
    task = await board.task(description=nasty + text)
    assert (await board.viewer.get(task)).json()["description"] == clean + text


async def test_cards_are_found_by_column_and_text(board: Board) -> None:
    tasks = [await board.task(f"Card {number}", description="100% _sure_") for number in range(3)]
    await board.editor.post(f"{tasks[0]}/move", json={"status": "DONE"})

    async def titles(**params: Any) -> list[str]:
        answer = (await board.viewer.get(f"{board.path}/tasks", params=params)).json()
        assert answer["total_count"] >= len(answer["tasks"])
        return sorted(card["title"] for card in answer["tasks"])

    assert await titles() == ["Card 0", "Card 1", "Card 2"]
    assert await titles(status="DONE") == ["Card 0"]
    assert await titles(text="card 1") == ["Card 1"]
    assert len(await titles(text="0% _")) == 3
    assert await titles(text="%sure%") == []
    assert await titles(text="\x00") == ["Card 0", "Card 1", "Card 2"]
    assert len(await titles(page=2, page_size=2)) == 1
    answer = await board.viewer.get(f"{board.path}/tasks", params={"status": "LATER"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_status")


async def order(board: Board, status: str = "TODO") -> list[str]:
    """Return the titles of a column from top to bottom."""
    answer = await board.viewer.get(f"{board.path}/tasks", params={"status": status, "page_size": 100})
    return [card["title"] for card in answer.json()["tasks"]]


async def test_moving_within_and_between_columns(board: Board) -> None:
    a, b, c = [await board.task(title) for title in "abc"]
    ids = {path: path.rpartition("/")[2] for path in (a, b, c)}
    assert await order(board) == ["a", "b", "c"]
    await board.editor.post(f"{c}/move", json={"status": "TODO", "before_id": ids[a]})
    assert await order(board) == ["c", "a", "b"]
    await board.editor.post(f"{c}/move", json={"status": "TODO"})
    assert await order(board) == ["a", "b", "c"]
    await board.editor.post(f"{b}/move", json={"status": "DONE"})
    await board.editor.post(f"{a}/move", json={"status": "DONE", "before_id": ids[b]})
    assert (await order(board), await order(board, "DONE")) == (["c"], ["a", "b"])
    await board.editor.post(f"{b}/move", json={"status": "DONE", "after_id": ids[b]})
    assert await order(board, "DONE") == ["a", "b"]
    await board.editor.post(f"{c}/move", json={"status": "DONE", "after_id": ids[a]})
    assert await order(board, "DONE") == ["a", "c", "b"]
    await board.editor.post(f"{c}/move", json={"status": "DONE", "after_id": ids[b]})
    assert await order(board, "DONE") == ["a", "b", "c"]
    await board.editor.post(f"{c}/move", json={"status": "TODO"})
    for body, status, code in (
        ({"status": "IN_PROGRESS"}, 409, "execute_instead"),
        ({"status": "TODO", "after_id": ids[a]}, 400, "invalid_after_id"),
        ({"status": "TODO", "after_id": ids[a], "before_id": ids[b]}, 400, "two_neighbours"),
        ({"status": "SOON"}, 400, "invalid_status"),
        ({"status": "TODO", "before_id": ids[a]}, 400, "invalid_before_id"),
        ({"status": "TODO", "before_id": str(uuid4())}, 404, "task_not_found"),
    ):
        answer = await board.editor.post(f"{c}/move", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await order(board) == ["c"]


async def test_a_column_is_spaced_anew_when_its_gaps_are_used_up(board: Board) -> None:
    tasks = [await board.task(f"{number:02}") for number in range(3)]
    last = tasks[-1].rpartition("/")[2]
    expected = ["00", "01"]
    for turn in range(60):
        mover = tasks[turn % 2]
        assert (
            await board.editor.post(f"{mover}/move", json={"status": "TODO", "before_id": last})
        ).is_success
        title = f"{turn % 2:02}"
        expected = [other for other in expected if other != title] + [title]
        assert await order(board) == [*expected, "02"]


async def test_a_list_takes_filters(board: Board) -> None:
    person = board.ids["viewer"]
    await board.task("One", labels=["a"], priority="high")
    await board.task("Two", labels=["b"], assignee_id=person)
    await board.task("Three")

    async def titles(**params: Any) -> list[str]:
        answer = await board.viewer.get(f"{board.path}/tasks", params=params)
        assert answer.json()["total_count"] == len(answer.json()["tasks"])
        return [task["title"] for task in answer.json()["tasks"]]

    assert await titles(label=["a", "b"]) == ["One", "Two"]
    assert await titles(priority="high") == ["One"]
    assert await titles(assignee=person) == ["Two"]
    assert await titles(unassigned=True) == ["One", "Three"]
    assert await titles(needs_me=True) == []
    wrong = await board.viewer.get(f"{board.path}/tasks", params={"priority": "highest"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "invalid_priority")
    labels = (await board.viewer.get(f"{board.path}/labels")).json()["labels"]
    assert labels == [{"name": "a", "count": 1}, {"name": "b", "count": 1}]


async def test_a_card_s_new_fields_are_checked(board: Board) -> None:
    other = await board.task("Other")
    needed = other.rpartition("/")[2]
    task = await board.task(due_on="2026-12-24", needs=[needed], assignee_id=board.ids["editor"])
    shown = (await board.viewer.get(task)).json()
    assert (shown["due_on"], shown["assignee"]["name"], shown["blocked"]) == (
        "2026-12-24",
        "Editor",
        ["SAM-1"],
    )
    refused = await board.editor.post(f"{task}/execute")
    assert (refused.status_code, refused.json()["code"]) == (409, "blocked")
    assert "SAM-1" in refused.json()["error"]
    for wrong, code in (
        ({"due_on": "tomorrow"}, "invalid_request"),
        ({"assignee_id": board.ids["stranger"]}, "not_a_member"),
        ({"needs": [needed] * 51}, "invalid_request"),
        ({"needs": [board.ids["owner"]]}, "unknown_need"),
    ):
        answer = await board.editor.patch(task, json={"version": 1} | wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, code)
    stale = await board.editor.patch(task, json={"version": 9, "due_on": None, "needs": []})
    assert (stale.status_code, stale.json()["code"]) == (409, "version_changed")
    assert stale.json()["yours"] == {"due_on": None, "needs": []}
    assert stale.json()["task"]["due_on"] == "2026-12-24"


async def test_what_is_shelved_comes_back(board: Board) -> None:
    task = await board.task()
    assert (await board.editor.post(f"{task}/archive")).json()["archived"]
    listed = (await board.viewer.get(f"{board.path}/tasks", params={"archived": True})).json()
    assert listed["total_count"] == 1
    assert (await board.editor.post(f"{task}/execute")).json()["code"] == "archived"
    assert not (await board.editor.post(f"{task}/unarchive")).json()["archived"]
    assert (await board.editor.delete(task)).status_code == 204
    assert (await board.viewer.get(task)).status_code == 404
    assert (await board.viewer.get(f"{board.path}/tasks")).json()["total_count"] == 0
    assert (await board.editor.post(f"{task}/restore")).json()["ref"] == "SAM-1"
    assert (await board.viewer.get(task)).status_code == 200


async def test_the_same_with_many_cards(board: Board) -> None:
    one, two, far = [await board.task(name, labels=["a"]) for name in ("One", "Two", "Far")]
    ids = {path: path.rpartition("/")[2] for path in (one, two, far)}
    await board.editor.delete(far)

    async def bulk(*paths: str, **asked: Any) -> list[tuple[bool, str | None]]:
        body = {"ids": [ids[path] for path in paths], **asked}
        answer = await board.editor.post(f"{board.path}/tasks/bulk", json=body)
        assert answer.status_code == 200, answer.text
        outcomes = answer.json()["outcomes"]
        assert [each["id"] for each in outcomes] == body["ids"]
        assert all(bool(each["error"]) is not each["done"] for each in outcomes)
        return [(each["done"], each["code"]) for each in outcomes]

    done, gone = (True, None), (False, "task_not_found")
    assert await bulk(one, far, two, action="add_label", label="b") == [done, gone, done]
    assert await bulk(one, action="add_label", label="b") == [done]
    assert await bulk(two, action="remove_label", label="a") == [done]
    shown = [(await board.viewer.get(path)).json() for path in (one, two)]
    assert [(task["labels"], task["version"]) for task in shown] == [(["a", "b"], 2), (["b"], 3)]
    assert await bulk(two, one, action="move", status="DONE") == [done, done]
    order = (await board.viewer.get(f"{board.path}/tasks", params={"status": "DONE"})).json()["tasks"]
    assert [task["title"] for task in order] == ["Two", "One"]
    assert await bulk(one, two, action="archive") == [done, done]
    assert await bulk(one, action="move", status="TODO") == [(False, "archived")]
    assert await bulk(one, two, action="unarchive") == [done, done]
    assert await bulk(one, two, action="delete") == [done, done]
    assert await bulk(one, action="restore") == [done]
    assert await board.status(one) == "DONE"
    for wrong in (
        {"ids": [], "action": "delete"},
        {"ids": [ids[one]] * 101, "action": "delete"},
        {"ids": [ids[one]], "action": "move"},
        {"ids": [ids[one]], "action": "add_label", "label": " "},
        {"ids": [ids[one]], "action": "explode"},
    ):
        answer = await board.editor.post(f"{board.path}/tasks/bulk", json=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
