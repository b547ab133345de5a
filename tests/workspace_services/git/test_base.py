"""How changes join the base branch, how it moves, and that its folder follows."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.workspace_services.git.rooms import (
    PERSON,
    checkpoint,
    ignore,
    made,
    own_git,
    put_on_base,
    sound,
    tree,
)
from vibe_app.errors import InvalidRequest
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import aside, base, trees
from vibe_app.workspace_services.git.finishing import Done
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace

FILES = {"a.txt": "one\ntwo\nthree\n", "b.txt": "b\n", ".gitignore": "*.log\n"}


@pytest.fixture
async def hub(tmp_path: Path) -> Hub:
    return await made(tmp_path / "workspace", FILES)


async def planned(hub: Hub, number: int, text: str, strategy: str = "squash") -> wire.MergePlan:
    """Have a card's agent write `a.txt`, keep it and plan to accept it."""
    folder = await tree(hub, number)
    (folder / "a.txt").write_text(text)
    kept = await checkpoint(hub, number)
    assert kept.revision
    return await plan(hub, number, kept.revision, strategy)


async def plan(hub: Hub, number: int, revision: str, strategy: str = "squash") -> wire.MergePlan:
    message = "Accepted\n\nCo-authored-by: OpenCode <opencode@localhost>\n"
    return await base.plan(
        hub,
        wire.PlanMerge.model_validate(
            {
                "number": number,
                "base": trees.base_of(hub, number),
                "revision": revision,
                "strategy": strategy,
                "message": message,
                "author": PERSON,
            }
        ),
    )


async def move(hub: Hub, found: wire.MergePlan) -> wire.Moved:
    assert found.new is not None
    return await base.move(hub, wire.MoveBase(old=found.old, new=found.new))


@pytest.mark.parametrize("strategy", ["squash", "merge"])
async def test_an_accepted_change_is_one_commit_by_the_person(hub: Hub, strategy: str) -> None:
    before = await hub.head()
    found = await planned(hub, 1, "one\n2\nthree\n", strategy)
    assert await hub.head() == before
    moved = await move(hub, found)
    assert (moved.outcome, moved.head) == ("moved", found.new)
    said = await hub.git("log", "-1", "--format=%an <%ae>|%cn|%P|%B")
    author, committer, parents, message = said.word.split("|")
    assert (author, committer) == ("Ada <ada@example.org>", "Vibe")
    assert parents.split()[0] == before
    assert len(parents.split()) == (1 if strategy == "squash" else 2)
    assert message == "Accepted\n\nCo-authored-by: OpenCode <opencode@localhost>"
    assert (hub.base / "a.txt").read_text() == "one\n2\nthree\n"
    # Asked again, it has been.
    assert await move(hub, found) == moved
    await sound(hub)


async def test_a_base_that_moved_is_said_and_the_change_joined_anew(hub: Hub) -> None:
    first, second = await planned(hub, 1, "1\ntwo\nthree\n"), await planned(hub, 2, "one\ntwo\n3\n")
    await move(hub, first)
    refused = await move(hub, second)
    assert (refused.outcome, refused.head) == ("elsewhere", first.new)
    assert (hub.base / "a.txt").read_text() == "1\ntwo\nthree\n"
    revision = (await hub.git("rev-parse", "refs/vibe/2/1")).word
    anew = await plan(hub, 2, revision)
    assert anew.old == first.new
    assert (await move(hub, anew)).outcome == "moved"
    assert (hub.base / "a.txt").read_text() == "1\ntwo\n3\n"


async def test_conflicts_are_listed_and_change_nothing(hub: Hub) -> None:
    await move(hub, await planned(hub, 1, "one\n2\nthree\n"))
    head = await hub.head()
    found = await planned(hub, 2, "one\nzwei\nthree\n")
    # The tree began before... so the two do not conflict where it began after.
    assert found.conflicts == []
    folder = await tree(hub, 3, base=(await hub.git("rev-parse", f"{head}~1")).word)
    (folder / "a.txt").write_text("one\ndeux\nthree\n")
    (folder / "new\nfile").touch()
    kept = await checkpoint(hub, 3)
    conflicting = await plan(hub, 3, kept.revision or "")
    assert (conflicting.new, conflicting.conflicts, conflicting.old) == (None, ["a.txt"], head)
    assert await hub.head() == head


async def test_how_changes_stand_is_told_without_moving_anything(hub: Hub) -> None:
    commits: list[tuple[str, str]] = []
    for number, text in ((2, "one\nzwei\nthree\n"), (3, "one\ntwo\nthree\nfour\n")):
        folder = await tree(hub, number)
        (folder / "a.txt").write_text(text)
        kept = await checkpoint(hub, number)
        assert (kept.behind, kept.conflicts) == (0, [])
        commits.append((kept.base, kept.revision or ""))
    await move(hub, await planned(hub, 1, "1\n2\nthree\n", "merge"))
    gone = ("0" * 39 + "1", commits[0][1])
    references = (await hub.git("for-each-ref")).out
    asked = [wire.AskDiff(base=of, revision=revision) for of, revision in (*commits, gone)]
    found = await base.standings(hub, wire.AskStandings(changes=asked))
    # Of an accept as a merge there are two commits more.
    assert found.changes == [
        wire.Standing(behind=2, conflicts=["a.txt"]),
        wire.Standing(behind=2),
        None,
    ]
    assert (await hub.git("for-each-ref")).out == references


async def test_a_checkpoint_tells_what_conflicts(hub: Hub) -> None:
    folder = await tree(hub, 2)
    await move(hub, await planned(hub, 1, "one\n2\nthree\n"))
    (folder / "a.txt").write_text("one\nzwei\nthree\n")
    for _ in range(2):
        kept = await checkpoint(hub, 2)
        assert (kept.behind, kept.conflicts) == (1, ["a.txt"])
    (folder / "a.txt").write_text("one\ntwo\nthree\n")
    kept = await checkpoint(hub, 2)
    assert (kept.behind, kept.conflicts) == (1, [])


async def test_a_conflict_that_the_agent_solved_is_joined(hub: Hub) -> None:
    folder = await tree(hub, 2)
    (folder / "a.txt").write_text("one\nzwei\nthree\n")
    kept = await checkpoint(hub, 2)
    await move(hub, await planned(hub, 1, "one\n2\nthree\n"))
    assert (await plan(hub, 2, kept.revision or "")).conflicts == ["a.txt"]
    own_git(folder, "commit", "--quiet", "--all", "--message=Mine")
    own_git(folder, "pull", "--quiet", "--no-rebase", "origin", "main", status=1)
    (folder / "a.txt").write_text("one\n2 zwei\nthree\n")
    head = await hub.head()
    from vibe_app.workspace_services.git import checkpoints

    solved = await checkpoints.take(
        hub, 2, wire.TakeCheckpoint(base=head, revision=kept.revision, message="Solved")
    )
    found = await plan(hub, 2, solved.revision or "")
    assert found.conflicts == []
    await move(hub, found)
    assert (hub.base / "a.txt").read_text() == "one\n2 zwei\nthree\n"


async def test_a_change_that_is_there_already_stays(hub: Hub) -> None:
    await move(hub, await planned(hub, 1, "1\n"))
    folder = await tree(hub, 2, base=(await hub.git("rev-parse", "HEAD~1")).word)
    (folder / "a.txt").write_text("1\n")
    kept = await checkpoint(hub, 2)
    found = await plan(hub, 2, kept.revision or "")
    assert found.new == found.old == await hub.head()


async def test_the_base_is_only_moved_forward(hub: Hub) -> None:
    head = await hub.head()
    other = await hub.commit(await hub.tree_of(head), [], "Another history", PERSON)
    with pytest.raises(InvalidRequest, match="forward"):
        await base.move(hub, wire.MoveBase(old=head, new=other))


async def test_the_folder_follows_after_a_death_and_keeps_what_git_ignores(hub: Hub) -> None:
    (hub.base / "debug.log").write_text("ignored")
    (hub.base / "untracked").write_text("mine")
    found = await planned(hub, 1, "1\n")
    assert found.new
    await hub.git("update-ref", hub.reference, found.new, found.old)
    assert (hub.base / "a.txt").read_text() == FILES["a.txt"]
    # It died there; half of the files were written.
    (hub.base / "a.txt").write_text("1\n")
    (hub.base / "b.txt").unlink()
    assert (await move(hub, found)).outcome == "moved"
    assert (hub.base / "a.txt").read_text() == "1\n"
    assert (hub.base / "debug.log").read_text() == "ignored"
    assert (hub.base / "untracked").read_text() == "mine"


async def put_upstream(hub: Hub, files: dict[str, str]) -> None:
    """Move the base branch, and not its folder, to a commit that has these files too: a fetch that died."""
    head, index = await hub.head(), hub.index("draft")
    await hub.git("read-tree", head, index=index)
    for name, text in files.items():
        blob = (await hub.git("hash-object", "-w", "--stdin", given=text.encode())).word
        await hub.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", index=index)
    new = await hub.commit((await hub.git("write-tree", index=index)).word, [head], "Theirs", PERSON)
    index.unlink()
    await hub.git("update-ref", hub.reference, new, head)


async def is_clean(hub: Hub, *others: str) -> None:
    """Make sure that the folder is as the base branch's head, beside these files."""
    how = ("--porcelain", "-z", "--untracked-files=all", "--ignored")
    said = await hub.git("status", *how, tree=hub.base, index=hub.index("base"))
    assert sorted(os.fsdecode(line[3:]) for line in said.out.split(b"\0") if line) == sorted(others)


async def test_what_a_person_put_there_outlives_a_file_that_comes_to_its_place(hub: Hub) -> None:
    (hub.base / "x.log").write_text("mine")
    (hub.base / "logs").mkdir()
    (hub.base / "logs/y.log").write_text("mine too")
    (hub.base / "z.log").write_text("a file, where a folder comes")
    (hub.base / "quiet.log").write_text("nothing comes here")
    await put_upstream(hub, {"x.log": "theirs", "logs": "a file", "z.log/inner": "theirs"})
    short = (await hub.head())[:7]
    await base.follow(hub)
    assert (hub.base / "x.log").read_text() == "theirs"
    assert (hub.base / f"x.log.before-{short}").read_text() == "mine"
    assert (hub.base / f"logs.before-{short}/y.log").read_text() == "mine too"
    assert (hub.base / "logs").read_text() == "a file"
    assert (hub.base / f"z.log.before-{short}").read_text().startswith("a file")
    assert (hub.base / "z.log/inner").read_text() == "theirs"
    assert (hub.base / "quiet.log").read_text() == "nothing comes here"
    await sound(hub)


async def test_folders_of_the_branch_that_become_files_and_back_leave_nothing_behind(hub: Hub) -> None:
    await put_on_base(hub, {"d/one": "1", "d/deep/two": "2"})
    for files in ({"d": "a file"}, {"d/one": "1", "d/three": "3"}):
        head, index = await hub.head(), hub.index("draft")
        await hub.git("read-tree", head, index=index)
        await hub.git("rm", "-r", "--cached", "-q", "d", index=index, tree=hub.base)
        tree = (await hub.git("write-tree", index=index)).word
        await hub.git("update-ref", hub.reference, await hub.commit(tree, [head], "Gone", PERSON), head)
        await put_upstream(hub, files)
        await base.follow(hub)
        await is_clean(hub)


async def test_what_git_had_half_written_when_it_died_is_nobodys(hub: Hub) -> None:
    (hub.base / "x.log").write_text("mine")
    await put_upstream(hub, {"new": "theirs", "x.log": "theirs"})
    first = (await hub.head())[:7]
    has = (await hub.git("write-tree", index=hub.index("base"))).word
    await aside.make_way(hub, has, await hub.head())
    (hub.base / "new").write_text("the")
    (hub.base / "x.log").write_text("th")
    # It died, and the branch moved on before anybody looked at the folder.
    await put_upstream(hub, {"newer": "theirs"})
    await base.follow(hub)
    assert {(hub.base / name).read_text() for name in ("new", "newer", "x.log")} == {"theirs"}
    assert (hub.base / f"x.log.before-{first}").read_text() == "mine"
    await is_clean(hub, f"x.log.before-{first}")
    assert not aside.begun(hub).exists()


async def test_a_workspace_that_is_started_again_brings_its_folder_up_to_date(hub: Hub) -> None:
    found = await planned(hub, 1, "1\n")
    assert found.new
    await hub.git("update-ref", hub.reference, found.new, found.old)
    await make_workspace(hub.root, source=None, mark={}, progress=ignore)
    assert (hub.base / "a.txt").read_text() == "1\n"


async def test_saves_are_commits_by_the_person_and_ignored_files_are_none(hub: Hub) -> None:
    (hub.base / "a.txt").write_text("saved\n")
    (hub.base / "other").write_text("not named")
    (hub.base / "x.log").write_text("ignored")
    (hub.base / "b.txt").unlink()
    paths = ["a.txt", "b.txt", "x.log", "nowhere", "odd\\x0aname"]
    (hub.base / "odd\nname").touch()
    saved = await base.save(hub, wire.SaveOnBase(paths=paths, author=PERSON, message="Saved"))
    assert saved.commit == await hub.head()
    assert own_git(hub.path, "show", "--format=%an", "--name-status", "-z", "HEAD").split("\0") == [
        "Ada", "\nM", "a.txt", "D", "b.txt", "A", "odd\nname", "",
    ]  # fmt: skip
    assert (await base.save(hub, wire.SaveOnBase(paths=paths, author=PERSON, message="Again"))).commit is None
    ignored = await base.save(hub, wire.SaveOnBase(paths=["x.log"], author=PERSON, message="Ignored"))
    assert ignored.commit is None
    assert (hub.base / "other").read_text() == "not named"


class Dying(Hub):
    """A hub whose process dies before or behind the git that moves the base branch."""

    when = ""

    async def git(self, *arguments: str | bytes, **how: Any) -> Done:
        if arguments[0] == "update-ref" and self.when == "before":
            raise asyncio.CancelledError
        done = await super().git(*arguments, **how)
        if arguments[0] == "update-ref" and self.when == "behind":
            raise asyncio.CancelledError
        return done


@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("meanwhile", ["nothing", "written again", "base moved"])
async def test_a_save_that_died_beside_its_commit_leaves_nothing_behind(
    hub: Hub, when: str, meanwhile: str
) -> None:
    asked = wire.SaveOnBase(paths=["saved", "a.txt", "b.txt"], author=PERSON, message="Saved")
    (hub.base / "saved").write_text("mine")
    (hub.base / "a.txt").write_text("mine")
    (hub.base / "b.txt").unlink()
    dying = Dying(hub.root)
    dying.when = when
    with pytest.raises(asyncio.CancelledError):
        await base.save(dying, asked)
    text = "mine"
    if meanwhile == "written again":
        text = "mine, and more"
        (hub.base / "saved").write_text(text)
    if meanwhile == "base moved":
        await put_upstream(hub, {"theirs": "theirs"})
    await base.save(Hub(hub.root), asked)
    assert (hub.base / "saved").read_text() == text
    assert (hub.base / "a.txt").read_text() == "mine"
    assert own_git(hub.path, "show", "HEAD:saved") == text
    assert "b.txt" not in own_git(hub.path, "ls-tree", "--name-only", "HEAD").split()
    assert (hub.base / "theirs").exists() == (meanwhile == "base moved")
    await is_clean(hub)
    assert sorted(path.name for path in (hub.path / "vibe-index").glob("base*")) == ["base"]


async def test_a_folder_for_a_file_and_back_is_saved(hub: Hub) -> None:
    (hub.base / "b.txt").unlink()
    (hub.base / "b.txt").mkdir()
    (hub.base / "b.txt/inner").touch()
    await base.save(hub, wire.SaveOnBase(paths=["b.txt"], author=PERSON, message="Folder"))
    assert "b.txt/inner" in own_git(hub.path, "ls-tree", "-r", "--name-only", "HEAD")
    (hub.base / "b.txt/inner").unlink()
    (hub.base / "b.txt").rmdir()
    (hub.base / "b.txt").write_text("file")
    await base.save(hub, wire.SaveOnBase(paths=["b.txt"], author=PERSON, message="File"))
    assert own_git(hub.path, "ls-tree", "-r", "--name-only", "HEAD").split() == [
        ".gitignore",
        "a.txt",
        "b.txt",
    ]


async def test_many_at_once_leave_the_base_whole(hub: Hub) -> None:
    async def accept(number: int) -> None:
        folder = await tree(hub, number)
        (folder / f"file {number}").write_text("x")
        kept = await checkpoint(hub, number)
        while (await move(hub, await plan(hub, number, kept.revision or ""))).outcome != "moved":
            continue

    async def save(number: int) -> None:
        await put_on_base(hub, {f"saved {number}": "y"})

    await asyncio.gather(*(accept(n) for n in range(1, 6)), *(save(n) for n in range(5)))
    names = own_git(hub.path, "ls-tree", "-r", "--name-only", "HEAD").splitlines()
    assert len([name for name in names if name.startswith(("file", "saved"))]) == 10
    assert all((hub.base / name).exists() for name in names)
    await sound(hub)
