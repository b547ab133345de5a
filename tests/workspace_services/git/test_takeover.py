"""How a workspace of the earlier layout becomes one of today's, and that nothing of it is lost on the way."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.workspace_services.git.rooms import BUBBLEWRAP, checkpoint, content, ignore, own_git, sound
from vibe_app.errors import NotFound
from vibe_app.wire import git as wire
from vibe_app.workspace_services.git import takeover, trees
from vibe_app.workspace_services.git.checkout import notices
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.making import make_workspace


@pytest.fixture(
    params=[BUBBLEWRAP, ""] if BUBBLEWRAP else [""], ids=lambda path: "walled" if path else "open"
)
def bubblewrap(request: pytest.FixtureRequest) -> str:
    return request.param


def earlier(root: Path) -> Path:
    """A folder as earlier versions have it, in which an agent has worked."""
    root.mkdir(parents=True)
    own_git(root, "init", "--quiet", "--initial-branch=trunk")
    (root / "a.txt").write_text("one\n")
    (root / ".gitignore").write_text(".env\nnode_modules/\n")
    # Names of today's layout are a team's too.
    for name in ("hub", "base", "tasks", "found", ".earlier"):
        (root / name).mkdir()
        (root / name / "theirs").write_text(f"{name}\n")
    (root / ".opencode").mkdir()
    (root / ".opencode/command.md").write_text("the team's\n")
    own_git(root, "add", "--all")
    own_git(root, "commit", "--quiet", "--message=First")
    own_git(root, "branch", "other")
    (root / ".opencode/config.json").write_text("ours")
    (root / ".git/info/exclude").write_text("/.opencode/\n")
    (root / "a.txt").write_text("two\n")
    (root / "new\nfile").write_text("new\n")
    (root / "base/theirs").unlink()
    (root / ".env").write_text("KEY=1\n")
    os.mkfifo(root / "base/.gitignore")
    (root / "node_modules").mkdir()
    (root / "node_modules/big").write_text("big")
    return root


async def start(root: Path, bubblewrap: str) -> Hub:
    await make_workspace(root, source=None, mark={}, progress=ignore, bubblewrap=bubblewrap)
    return Hub(root, bubblewrap)


async def test_history_goes_to_the_hub_and_the_rest_waits(tmp_path: Path, bubblewrap: str) -> None:
    root = earlier(tmp_path / "workspace")
    hub = await start(root, bubblewrap)
    found = await trees.look(hub)
    assert (found.branch, found.trees, found.found) == ("trunk", [], True)
    assert sorted(os.listdir(root)) == [".opencode", "base", "found", "hub", "tasks"]
    assert own_git(hub.path, "for-each-ref", "--format=%(refname)").split() == [
        "refs/heads/other",
        "refs/heads/trunk",
    ]
    assert (hub.base / "a.txt").read_text() == "one\n"
    assert (hub.base / "base/theirs").read_text() == "base\n"
    assert (hub.base / ".env").read_text() == "KEY=1\n"
    assert (root / ".opencode/config.json").read_text() == "ours"
    adopted = await takeover.adopt(hub, 5, wire.AdoptFound(message="Work found in the workspace"))
    assert adopted.base == found.head
    assert adopted.revision
    listed = await hub.git("diff-tree", "-r", "-z", "--name-status", adopted.base, adopted.revision)
    assert listed.out.split(b"\0") == [b"M", b"a.txt", b"D", b"base/theirs", b"A", b"new\nfile", b""]
    folder = hub.tree(5)
    assert (folder / "node_modules/big").read_text() == "big"
    assert own_git(folder, "status", "--porcelain", "-z").split("\0") == [
        "M a.txt",
        " D base/theirs",
        "?? new\nfile",
        "",
    ]
    assert own_git(root / ".earlier/git", "log", "--format=%s", "trunk") == "First"
    assert not (await trees.look(hub)).found
    # Asked again, and started again, it is the same.
    assert await takeover.adopt(hub, 5, wire.AdoptFound(message="x")) == adopted
    hub = await start(root, bubblewrap)
    assert (await trees.look(hub)).trees == [5]
    with pytest.raises(NotFound):
        await takeover.adopt(hub, 6, wire.AdoptFound(message="x"))
    await sound(hub)


async def test_a_clean_one_leaves_no_work_and_keeps_what_was_there(tmp_path: Path, bubblewrap: str) -> None:
    root = earlier(tmp_path / "workspace")
    (root / "base/.gitignore").unlink()
    own_git(root, "add", "--all")
    own_git(root, "commit", "--quiet", "--message=Second")
    hub = await start(root, bubblewrap)
    assert not (await trees.look(hub)).found
    assert (hub.base / "a.txt").read_text() == "two\n"
    assert (root / ".earlier/files/node_modules/big").read_text() == "big"


@pytest.mark.parametrize("damage", ["gone", "link", "file", "detached", "unborn", "broken", "borrowing"])
async def test_whatever_the_repository_has_become_no_file_is_lost(
    tmp_path: Path, bubblewrap: str, damage: str
) -> None:
    root = earlier(tmp_path / "workspace")
    secret = tmp_path / "other"
    secret.mkdir()
    own_git(secret, "init", "--quiet")
    (secret / "secret").write_text("another project's")
    own_git(secret, "add", ".")
    own_git(secret, "commit", "--quiet", "--message=Secret")
    hidden = own_git(secret, "rev-parse", "HEAD")
    dot = root / ".git"
    match damage:
        case "gone":
            shutil.rmtree(dot)
        case "link":
            shutil.rmtree(dot)
            dot.symlink_to(secret / ".git")
        case "file":
            shutil.rmtree(dot)
            dot.write_text(f"gitdir: {secret}/.git\n")
        case "detached":
            own_git(root, "checkout", "--quiet", "--detach")
        case "unborn":
            own_git(root, "checkout", "--quiet", "--orphan", "new")
        case "broken":
            for path in (dot / "objects").rglob("*"):
                if path.is_file():
                    path.unlink()
        case _:
            (dot / "objects/info/alternates").write_text(f"{secret}/.git/objects\n")
            (dot / "refs/heads/stolen").write_text(f"{hidden}\n")
    hub = await start(root, bubblewrap)
    assert (await trees.look(hub)).found
    adopted = await takeover.adopt(hub, 1, wire.AdoptFound(message="Found"))
    held = await content(hub, adopted.revision or "")
    assert "\tnew\nfile\0" in held
    assert "\thub/theirs\0" in held
    if bubblewrap:
        kept = await hub.git("cat-file", "--batch-check", given=hidden.encode())
        assert b"missing" in kept.out
    if damage in ("detached", "unborn"):
        assert (await trees.look(hub)).branch == "other"
    if damage in ("broken", "borrowing") and bubblewrap:
        assert "could not be read as a whole" in notices(root)[-1]
    assert (await checkpoint(hub, 1, adopted.revision)).written is False
    await sound(hub)


async def test_a_layout_that_an_agent_made_up_is_not_believed(tmp_path: Path, bubblewrap: str) -> None:
    ran = tmp_path / "ran"
    root = tmp_path / "workspace"
    root.mkdir()
    own_git(root, "init", "--quiet", "--bare", "hub")
    own_git(root / "hub", "config", "filter.evil.smudge", f"touch {ran}")
    (root / "hub/vibe-trees").mkdir()
    for name in ("base", "tasks"):
        (root / name).mkdir()
    (root / "tasks/1").symlink_to("/etc")
    hub = await start(root, bubblewrap)
    assert own_git(hub.path, "config", "--get-regexp", "filter", status=1) == ""
    assert (hub.found / "hub/vibe-trees").is_dir()
    assert not ran.exists()


async def test_it_goes_on_wherever_it_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each rename and each git is where it dies once; then it is started again until it is through."""
    bubblewrap = BUBBLEWRAP
    for death in range(1, 60):
        root = earlier(tmp_path / str(death) / "workspace")
        left = _Deaths(death)
        with monkeypatch.context() as patched:
            left.sow(patched)
            died = False
            hub = Hub(root, bubblewrap)
            try:
                await start(root, bubblewrap)
                await takeover.adopt(hub, 3, wire.AdoptFound(message="Found"))
            except _Death:
                died = True
        hub = await start(root, bubblewrap)
        adopted = await takeover.adopt(hub, 3, wire.AdoptFound(message="Found"))
        listed = await hub.git("diff-tree", "-r", "-z", "--name-only", adopted.base, adopted.revision or "")
        assert listed.out.split(b"\0") == [b"a.txt", b"base/theirs", b"new\nfile", b""], f"death {death}"
        assert (await trees.look(hub)).branch == "trunk"
        assert (hub.base / "a.txt").read_text() == "one\n"
        assert (hub.tree(3) / "node_modules/big").exists()
        assert json.loads(takeover.state_file(root).read_text())["state"] == "made"
        await sound(hub)
        if not died:
            assert death > 20
            return
    pytest.fail("it never came through")


class _Death(BaseException):
    pass


class _Deaths:
    """Lets the n-th step that changes something be the last."""

    def __init__(self, left: int) -> None:
        self._left = left

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise _Death

    def sow(self, patched: pytest.MonkeyPatch) -> None:
        rename, replace = os.rename, os.replace

        def renamed(*given: object, **named: object) -> None:
            self._count()
            rename(*given, **named)  # pyright: ignore

        def replaced(*given: object, **named: object) -> None:
            self._count()
            replace(*given, **named)  # pyright: ignore

        run, git = takeover.run, Hub.git

        async def ran(*given: object, **named: object) -> object:
            self._count()
            return await run(*given, **named)  # pyright: ignore

        async def asked(*given: object, **named: object) -> object:
            self._count()
            return await git(*given, **named)  # pyright: ignore

        patched.setattr(os, "rename", renamed)
        patched.setattr(os, "replace", replaced)
        patched.setattr(takeover, "run", ran)
        patched.setattr(Hub, "git", asked)
