"""The Changes tab, its files, lines and comments, called as a browser's socket calls it."""

from __future__ import annotations

import pytest

from tests.seeding import seed_change
from tests.web import reviewing
from tests.web.conftest import Open, Tab
from tests.web.reviewing import TEXTS, TWO, comment, looking
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.tasks.schemas import TaskView
from vibe_app.web.card.shown import tab_of
from vibe_app.web.place import Place
from vibe_app.wire.git import ChangedFile, FileKind, FileStatus
from vibe_app.wiring import Services

task = reviewing.task


async def select(someone: Tab, item: str, start: tuple[str, int], end: tuple[str, int]) -> None:
    """Select lines of a file by their numbers."""
    ends = {"side": start[0], "line": start[1], "end_side": end[0], "end_line": end[1]}
    await someone.call("ReviewState.select", item=item, **ends)


@pytest.mark.parametrize(
    ("status", "changes", "tab"),
    [
        (TaskStatus.TODO, True, "overview"),
        (TaskStatus.IN_PROGRESS, True, "output"),
        (TaskStatus.AI_REVIEW, True, "changes"),
        (TaskStatus.HUMAN_REVIEW, True, "changes"),
        (TaskStatus.AI_REVIEW, False, "output"),
        (TaskStatus.DONE, True, "overview"),
    ],
)
async def test_a_card_says_which_tab_is_shown(
    parts: Services, tokens: dict[str, str], task: TaskView, status: TaskStatus, changes: bool, tab: str
):
    owner = await parts.accounts.who(tokens["owner"])
    read = await parts.tasks.read(owner, task.project_id, task.id)
    card = read.model_copy(update={"status": status, "change": read.change if changes else None})
    assert tab_of(Place(task.project_id, task.id), card) == tab
    assert tab_of(Place(task.project_id, task.id, "history"), card) == "history"


async def test_a_run_that_begins_takes_nobody_away_from_what_they_do(
    parts: Services, tokens: dict[str, str], task: TaskView
):
    owner = await parts.accounts.who(tokens["owner"])
    read = await parts.tasks.read(owner, task.project_id, task.id)
    live = read.model_copy(update={"status": TaskStatus.IN_PROGRESS})
    place = Place(task.project_id, task.id)
    assert tab_of(place, live, "overview") == "output"
    assert tab_of(place, live, "overview", editing=True) == "overview"
    assert tab_of(place, live, "changes") == "changes"


@pytest.mark.parametrize("role", ["owner", "editor", "viewer"])
async def test_a_member_sees_files_and_lines(tab: Open, task: TaskView, role: str):
    someone = await looking(tab, role, task, "")
    assert someone.var("DrawerState", "tab") == "changes"
    files = someone.var("ChangesState", "files")
    assert [(file["path"], file["mark"], file["additions"], file["deletions"]) for file in files] == [
        ("a.py", "M", 1, 1),
        ("b.py", "A", 1, 0),
    ]
    texts = {file["path"]: file["text"] for file in someone.var("ReviewState", "files")}
    assert "-two\n+three\n" in texts["a.py"]
    assert bool(someone.var("DrawerState", "can_edit")) is (role != "viewer")


async def test_a_stranger_sees_nothing(tab: Open, task: TaskView):
    stranger = await looking(tab, "stranger", task)
    for handler, sent in {
        "ReviewState.load": {},
        "ReviewState.choose": {"path": "a.py"},
        "ChangesState.see": {"path": "a.py", "seen": True},
        "DecideState.accept": {},
        "DecideState.send": {"form": {"message": "Go on"}},
    }.items():
        await stranger.call(handler, **sent)
    assert "three" not in str(stranger.deltas)
    assert not stranger.var("ChangesState", "files")
    assert "went wrong" not in stranger.told


async def test_what_is_no_text_is_named(parts: Services, tab: Open, task: TaskView):
    more = (
        ChangedFile(path="logo.png", status=FileStatus.MODIFIED, binary=True),
        ChangedFile(path="to", status=FileStatus.ADDED, kind=FileKind.SYMLINK, additions=1),
        ChangedFile(path="sub", status=FileStatus.ADDED, kind=FileKind.REPOSITORY),
        ChangedFile(path="new.py", old_path="old.py", status=FileStatus.RENAMED),
    )
    left_out = [{"path": "film.mp4", "why": "it is larger than 50 MiB"}]
    await seed_change(parts.database, task.id, TEXTS, TWO, more, left_out=left_out)
    viewer = await looking(tab, "viewer", task)
    kinds = {file["path"]: file["kind"] for file in viewer.var("ChangesState", "files")}
    assert kinds["logo.png"] == "binary"
    assert (kinds["to"], kinds["sub"], kinds["new.py"]) == ("link", "nested repository", "")
    assert viewer.var("ChangesState", "left_out") == ["film.mp4 is not in it: it is larger than 50 MiB."]
    notes = {note["item"]: note for note in viewer.var("ReviewState", "notes")}
    assert notes["logo.png"]["old_picture"].endswith("path=logo.png&side=old")
    assert notes["new.py"]["words"] == "Renamed from old.py, without other changes."


async def test_texts_come_a_page_of_files_at_a_time(parts: Services, tab: Open, task: TaskView):
    await seed_change(parts.database, task.id, {f"f{n:03}": (None, f"text {n}\n") for n in range(50)}, TWO)
    viewer = await looking(tab, "viewer", task)
    assert len(viewer.var("ChangesState", "files")) == 50
    assert [file["path"] for file in viewer.var("ReviewState", "files")] == [f"f{n:03}" for n in range(20)]
    await viewer.call("ReviewState.choose", path="f047")
    assert [file["path"] for file in viewer.var("ReviewState", "files")] == [
        f"f{n:03}" for n in range(40, 50)
    ]
    assert viewer.var("ReviewState", "target")["item"] == "f047"
    assert viewer.var("ChangesState", "page") == 2


async def test_a_tick_is_ones_own_and_goes_when_the_file_changes(parts: Services, tab: Open, task: TaskView):
    viewer, editor = await looking(tab, "viewer", task), await looking(tab, "editor", task)
    for path in TEXTS:
        await viewer.call("ChangesState.see", path=path, seen=True)
    assert [file["seen"] for file in viewer.var("ChangesState", "files")] == [True, True]
    assert [file["seen"] for file in editor.var("ChangesState", "files")] == [False, False]
    await seed_change(parts.database, task.id, TEXTS | {"a.py": ("one\ntwo\n", "one\nfour\n")}, TWO)
    later = await looking(tab, "viewer", task)
    assert [file["seen"] for file in later.var("ChangesState", "files")] == [False, True]


async def test_a_viewer_comments_on_lines_and_sees_it_before_it_is_written_down(tab: Open, task: TaskView):
    viewer = await looking(tab, "viewer", task)
    await select(viewer, "a.py", ("new", 2), ("new", 1))
    await viewer.call("ReviewState.add", form={"body": "Why **three**?"})
    shown = [rows[-1] for rows in viewer.all_of("ReviewState", "comments") if rows]
    assert [row["saving"] for row in shown] == [True, False]
    assert (shown[-1]["where"], shown[-1]["quote"], shown[-1]["mine"]) == ("lines 1 to 2", "one\nthree", True)
    notes = [note for note in viewer.var("ReviewState", "notes") if note["comments"]]
    assert [(note["item"], note["side"], note["line"]) for note in notes] == [("a.py", "new", 2)]
    assert not viewer.var("ReviewState", "writing")


async def test_lines_from_before_and_after_the_change_are_commented_on_as_those_after_it(
    tab: Open, task: TaskView
):
    viewer = await looking(tab, "viewer", task)
    await select(viewer, "a.py", ("old", 2), ("new", 2))
    assert viewer.var("ReviewState", "writing") == ["a.py", "new", 2, 2]
    await select(viewer, "a.py", ("new", 2), ("old", 1))
    assert viewer.var("ReviewState", "writing") == ["a.py", "new", 1, 2]


async def test_a_comment_that_is_too_long_is_refused_in_words_and_not_cut(tab: Open, task: TaskView):
    viewer = await looking(tab, "viewer", task)
    await select(viewer, "a.py", ("new", 2), ("new", 2))
    await viewer.call("ReviewState.add", form={"body": "y" * 65_537})
    assert "shorten it to 65,536" in viewer.told
    assert viewer.var("ReviewState", "writing") == ["a.py", "new", 2, 2]
    assert "removeItem" not in viewer.told


async def test_a_comment_that_is_refused_goes_again_and_its_words_stay(
    parts: Services, tab: Open, task: TaskView
):
    viewer = await looking(tab, "viewer", task)
    await select(viewer, "a.py", ("new", 2), ("new", 2))
    await seed_change(parts.database, task.id, {"b.py": TEXTS["b.py"]}, TWO)
    await viewer.call("ReviewState.add", form={"body": "Why?"})
    assert "The change has no such file." in viewer.told
    assert viewer.var("ReviewState", "comments") == []
    assert viewer.var("ReviewState", "writing") == ["a.py", "new", 2, 2]
    assert "removeItem" not in viewer.told


async def test_whoever_edits_a_comment_in_two_tabs_sees_both_texts(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    written = str(await comment(parts, tokens, task))
    first, second = [await looking(tab, "owner", task) for _ in range(2)]
    for someone in (first, second):
        await someone.call("ReviewState.edit", comment_id=written)
    await first.call("ReviewState.save", form={"body": "How?", "was": "Why?"})
    assert first.var("ReviewState", "editing") == ""
    for choice, kept in (("theirs", "How?"), ("mine", "When?")):
        await second.call("ReviewState.edit", comment_id=written)
        await second.call("ReviewState.save", form={"body": "When?", "was": "Why?"})
        [row] = second.var("ReviewState", "both")
        assert (row["mine"], row["theirs"]) == ("When?", "How?")
        assert [each["body"] for each in second.var("ReviewState", "comments")] == ["How?"]
        await second.call("ReviewState.settle", field="body", choice=choice)
        assert second.var("ReviewState", "both") == []
        assert second.var("ReviewState", "editing") == ""
        owner = await parts.accounts.who(tokens["owner"])
        [saved] = await parts.comments.list(owner, task.project_id, task.id)
        assert saved.body == kept


async def test_lines_between_the_changes_are_shown_and_not_commented_on(
    parts: Services, tab: Open, task: TaskView
):
    lines = [f"{number}\n" for number in range(1, 60)]
    text = "".join(lines), "".join([*lines[:29], "new\n", *lines[30:]])
    await seed_change(parts.database, task.id, {"a.py": text}, TWO)
    viewer = await looking(tab, "viewer", task)
    assert viewer.var("ReviewState", "texts").endswith(f"/tasks/{task.id}/change/file?whole=true")
    await select(viewer, "a.py", ("new", 3), ("new", 3))
    assert "close to one" in viewer.told
    assert not viewer.var("ReviewState", "writing")
    await viewer.call("ReviewState.not_shown", why="x" * 9000)
    assert "x" * 300 in viewer.told
    assert "x" * 301 not in viewer.told


async def test_only_who_wrote_a_comment_changes_or_deletes_it(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    written = str(await comment(parts, tokens, task))
    viewer = await looking(tab, "viewer", task)
    await viewer.call("ReviewState.edit", comment_id=written)
    await viewer.call("ReviewState.save", form={"body": "Because."})
    assert "Somebody else wrote this comment." in viewer.told
    await viewer.call("ReviewState.delete", comment_id=written)
    assert [row["body"] for row in viewer.var("ReviewState", "comments")] == ["Why?"]
    owner = await looking(tab, "owner", task)
    await owner.call("ReviewState.edit", comment_id=written)
    await owner.call("ReviewState.save", form={"body": "How?"})
    assert [row["body"] for row in owner.var("ReviewState", "comments")] == ["How?"]
    await owner.call("ReviewState.resolve", comment_id=written, resolved=True)
    assert [row["state"] for row in owner.var("ReviewState", "comments")] == ["resolved"]
    await owner.call("ReviewState.resolve", comment_id=written, resolved=False)
    await owner.call("ReviewState.delete", comment_id=written)
    assert owner.var("ReviewState", "comments") == []


async def test_a_comment_whose_lines_are_gone_is_shown_with_its_quote(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    await comment(parts, tokens, task)
    await seed_change(parts.database, task.id, {"a.py": ("one\ntwo\n", "one\nfour\n")}, TWO)
    viewer = await looking(tab, "viewer", task)
    assert [row["quote"] for row in viewer.var("ReviewState", "apart")] == ["three"]
    assert all(not note["comments"] for note in viewer.var("ReviewState", "notes") or [])


async def test_a_comment_on_a_line_that_is_in_no_hunk_is_shown_too(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    await comment(parts, tokens, task, line=400, quote="far below")
    await comment(parts, tokens, task)
    viewer = await looking(tab, "viewer", task)
    assert [row["quote"] for row in viewer.var("ReviewState", "apart")] == ["far below"]
    assert [note["line"] for note in viewer.var("ReviewState", "notes") if note["comments"]] == [2]


async def test_keys_lead_from_one_changed_line_to_the_next(tab: Open, task: TaskView):
    viewer = await looking(tab, "viewer", task)
    for _ in range(3):
        await viewer.call("KeysState.anywhere", key="j")
    assert [told for told in viewer.all_of("ReviewState", "spoken") if told] == [
        "a.py, removed line 2: two",
        "a.py, added line 2: three",
        "b.py, added line 1: new",
    ]
    await viewer.call("KeysState.anywhere", key="k")
    target = viewer.var("ReviewState", "target")
    assert (target["item"], target["side"], target["line"]) == ("a.py", "new", 2)
    await viewer.call("KeysState.anywhere", key="c")
    assert viewer.var("ReviewState", "writing") == ["a.py", "new", 2, 2]


async def test_a_long_text_is_shown_part_by_part(parts: Services, tab: Open, task: TaskView):
    text = "".join(f"line {number}\n" for number in range(1, 6001))
    await seed_change(parts.database, task.id, {"a.txt": (None, text), "b.txt": (None, "b\n")}, TWO)
    viewer = await looking(tab, "viewer", task)

    def shown() -> list[str]:
        files = [file for file in viewer.var("ReviewState", "files") if file["path"] == "a.txt"]
        return [line[1:] for file in files for line in file["text"].splitlines() if line[0] == "+"]

    def goes_on() -> list[str]:
        return [note["item"] for note in viewer.var("ReviewState", "notes") if note["more"]]

    assert len(shown()) < 6000
    assert goes_on() == ["a.txt"]
    await viewer.call("ReviewState.show_more", item="a.txt")
    assert shown() == text.splitlines()
    assert goes_on() == []
    assert [file["path"] for file in viewer.var("ReviewState", "files")] == ["a.txt", "a.txt", "b.txt"]
    # A comment on a line of the second part stands there.
    item = viewer.var("ReviewState", "files")[1]["id"]
    await select(viewer, item, ("new", 5999), ("new", 6000))
    await viewer.call("ReviewState.add", form={"body": "The end"})
    (note,) = [note for note in viewer.var("ReviewState", "notes") if note["comments"]]
    assert (note["item"], note["line"]) == (item, 6000)
    assert note["comments"][0]["quote"] == "line 5999\nline 6000"


async def test_nobody_but_its_own_page_names_lines(tab: Open, task: TaskView):
    viewer = await looking(tab, "viewer", task)
    for item, start, end in (
        ("nothing", ("new", 1), ("new", 1)),
        ("a.py", ("both", 1), ("both", 1)),
        ("a.py", ("new", 0), ("new", 1)),
        ("a.py", ("new", 1), ("new", 2**40)),
        ("a.py", ("old", 1), ("new", 9)),
    ):
        await select(viewer, item, start, end)
        await viewer.call("ReviewState.add", form={"body": "Here"})
    assert "went wrong" not in viewer.told
    assert not viewer.var("ReviewState", "comments")


async def test_comments_that_are_long_in_all_come_in_part(
    parts: Services, tokens: dict[str, str], tab: Open, task: TaskView
):
    for _ in range(20):
        await comment(parts, tokens, task, body="A long story. " * 4000)
    await comment(parts, tokens, task, body="And a short one.")
    owner = await looking(tab, "owner", task)
    rows = owner.var("ReviewState", "comments")
    assert sum(len(row["body"]) for row in rows) < 600_000
    assert [rows[0]["mine"], rows[-2]["mine"], rows[-1]["mine"]] == [True, False, True]
    assert "left out" in rows[-2]["body"]
    assert rows[-1]["body"] == "And a short one."
