"""The contract of a workspace's repository: what its verbs are asked, and what they answer.

The room `workspace_services.git` serves them beside the file browser's, below `/git`; its client and the
rooms of the board use these models and no others. Paths are written as in `wire.files`. A commit is named
by its whole hash. Whatever a workspace says is outside input: an answer that does not fit its model is none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from vibe_app.wire import files

Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
"""The hash of a commit."""
Number = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""A card's number: what its tree and its references are called by."""
Amount = Annotated[int, Field(ge=0, le=2**53)]
Sentence = Annotated[str, Field(max_length=4000)]

LARGEST_FILE = 50 << 20
"""Bytes above which a file is left out of a checkpoint."""
LARGEST_TREE = 1 << 30
"""Bytes above which what a tree holds is left out of a checkpoint, largest files first."""
LARGEST_TEXT = 1 << 20
"""Bytes up to which a file's text is handed out in one piece."""
MOST_FILES = 20_000
"""Of a change that are listed; of more only the number is told."""

MOST_STANDINGS = 100
"""Changes of which may be asked at once how they stand to the base branch."""


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Person(_Message):
    """Who a commit is by."""

    name: str = Field(min_length=1, max_length=200)
    email: str = Field(min_length=1, max_length=320)


class Remote(_Message):
    """Where a repository came from, and what signs in there. Only sent to a service that proved itself."""

    url: str = Field(max_length=2000)
    branch: str = Field(default="", max_length=250)
    username: str = Field(default="", max_length=500)
    token: str = Field(default="", max_length=20_000, repr=False)
    host_keys: list[str] = Field(default_factory=list[str], max_length=100, description="Of an ssh server")
    networks: str = Field(default="", description="Networks of private addresses that may be reached")


class LeftOut(_Message):
    """What of a tree is in no checkpoint, and why, as the end of a sentence ("it is larger than 50 MiB")."""

    path: files.Path
    why: Sentence


class Repository(_Message):
    """How a workspace's repository is: answer of `GET /git`."""

    branch: str = Field(description="The base branch")
    head: Commit = Field(description="Its newest commit")
    trees: list[Number] = Field(description="Cards that have a tree")
    found: bool = Field(
        default=False, description="Work of an earlier layout waits to become a card's change"
    )


class WantTree(_Message):
    """Body of `PUT /git/trees/{number}`: make a card's tree, or find it again.

    Where it is there already nothing is done. Where it was lost, it is made anew: from `revision`
    where there is one, else from `base`.
    """

    base: Commit | None = Field(
        default=None, description="Where a new one begins; the base branch's head if absent"
    )
    revision: Commit | None = Field(default=None, description="The newest checkpoint, if the change has one")
    copied: list[str] = Field(
        default_factory=list[str],
        max_length=100,
        description="Files of the base's folder that a new tree is given although git ignores them",
    )


class Tree(_Message):
    """A card's tree: answer of `PUT /git/trees/{number}`."""

    base: Commit
    made: bool = Field(description="It was made just now")
    restored: bool = Field(default=False, description="It had been lost, and was made anew")
    notices: list[Sentence] = Field(default_factory=list[str], description="What could not be copied")


class TakeCheckpoint(_Message):
    """Body of `POST /git/trees/{number}/checkpoint`: keep all in a tree that git does not ignore."""

    base: Commit
    revision: Commit | None = Field(default=None, description="The newest checkpoint so far")
    message: str = Field(max_length=100_000)


class Checkpoint(_Message):
    """Answer of it. Nothing is written where nothing differs: then `revision` is the one of before."""

    revision: Commit | None = Field(description="None where the tree is as its base and never was otherwise")
    base: Commit = Field(
        description="On what the change is founded: a newer commit of the base branch than before, where the "
        "agent has brought that into its tree"
    )
    behind: Amount = Field(default=0, description="Commits of the base branch since then")
    brings: Amount = Field(
        default=0, description="Commits of the remote's that it has and the base branch has not"
    )
    conflicts: list[files.Path] = Field(
        default_factory=list[str], description="Files in which it conflicts with the base branch as it is"
    )
    number: Amount = Field(default=0, description="Which checkpoint of the card it is, from 1")
    written: bool = False
    left_out: list[LeftOut] = Field(default_factory=list[LeftOut])


class FileStatus(StrEnum):
    """What became of a file."""

    ADDED = "added"
    MODIFIED = "modified"
    DELETED = "deleted"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"


class FileKind(StrEnum):
    """What a changed path is, after the change or, where it was deleted, before it."""

    FILE = "file"
    EXECUTABLE = "executable"
    SYMLINK = "symlink"
    REPOSITORY = "repository"
    """A repository inside the tree: its files are in no change."""


class ChangedFile(_Message):
    """One file of a change."""

    path: files.Path
    old_path: files.Path | None = Field(default=None, description="Its name before, where it was renamed")
    status: FileStatus
    kind: FileKind = FileKind.FILE
    old_kind: FileKind | None = Field(default=None, description="What it was before, where that differs")
    binary: bool = False
    additions: Amount = 0
    deletions: Amount = 0
    blob: str = Field(default="", max_length=64, description="Hash of what it holds now: `seen` is by this")


class AskDiff(_Message):
    """Query of `GET /git/diff`: what differs between two commits."""

    base: Commit
    revision: Commit


class Diff(_Message):
    """The files that differ between two commits, in the order of their paths."""

    files: list[ChangedFile]
    count: Amount = Field(description="How many there are; `files` may end early")
    additions: Amount
    deletions: Amount


class AskPatches(AskDiff):
    """Query of `GET /git/patches`: the texts of a change, file after file, while `limit` bytes last."""

    limit: Annotated[int, Field(ge=1, le=64 << 20)] = 4 << 20


class Patches(_Message):
    """Unified patches by path; a file whose patch did not fit, or that is binary, is missing."""

    patches: dict[files.Path, str]


class AskFile(AskDiff):
    """Query of `GET /git/diff/file`: one file of a change."""

    path: files.AskedPath
    old_path: files.AskedPath | None = None
    context: Annotated[int, Field(ge=0, le=1000)] = 3
    offset: Annotated[int, Field(ge=0, le=2**53)] = Field(
        0, description="Byte of the patch at which to begin"
    )


class FileDiff(_Message):
    """One file of a change: its patch, and both texts where they are small enough.

    A patch that is longer than `LARGEST_TEXT` comes in parts: `next_offset` is where the next begins.
    Parts end at the end of a line.
    """

    path: files.Path
    patch: str
    next_offset: Amount | None = None
    old_text: str | None = None
    new_text: str | None = None
    binary: bool = False


class AskBlob(_Message):
    """Query of `GET /git/blob`: a file as a commit holds it, as bytes. A link is its own text."""

    commit: Commit
    path: files.AskedPath


class PlanMerge(_Message):
    """Body of `POST /git/merges`: join a checkpoint into the base branch, without moving it yet."""

    number: Number
    base: Commit
    revision: Commit
    strategy: Literal["squash", "merge"] = "squash"
    message: str = Field(min_length=1, max_length=100_000)
    author: Person
    keep: bool = Field(
        default=False, description="Keep the commit although the base branch is not moved to it"
    )


class MergePlan(_Message):
    """Answer of it: a commit that the base branch could be moved to, or why there is none."""

    old: Commit = Field(description="The base branch's head that was seen")
    new: Commit | None = Field(
        default=None, description="The commit to move it to; None where there are conflicts"
    )
    conflicts: list[files.Path] = Field(default_factory=list[str])


class AskStandings(_Message):
    """Body of `POST /git/standings`: how do these changes stand to the base branch as it is now?"""

    changes: list[AskDiff] = Field(max_length=MOST_STANDINGS)


class Standing(_Message):
    """How one change stands to the base branch."""

    behind: Amount = Field(description="Commits of the base branch since the change's base")
    conflicts: list[files.Path] = Field(
        default_factory=list[str], description="Files in which it conflicts with the base branch"
    )


class Standings(_Message):
    """Answer of it, in the order of the question; None for a change whose commits are not in the hub."""

    changes: list[Standing | None]


class MoveBase(_Message):
    """Body of `POST /git/base`: move the base branch from one commit to another, and its folder with it."""

    old: Commit
    new: Commit


class Moved(_Message):
    """Answer of it.

    `moved`: it has been, now or before (the new commit is in the base branch). `elsewhere`: its head is
    another than `old`, and nothing was done.
    """

    outcome: Literal["moved", "elsewhere"]
    head: Commit


class DropTree(_Message):
    """Query of `DELETE /git/trees/{number}`: remove a tree.

    Raises 409 `would_be_lost` where the tree holds what `revision` does not, and git does not ignore,
    unless `anyway`; the sentence names it.
    """

    revision: Commit | None = None
    base: Commit | None = None
    anyway: bool = False


class Forget(_Message):
    """Body of `POST /git/trees/{number}/forget`: let go of checkpoints of a card.

    Of one change: those that lead to `revision` and to nothing in `kept` or in the base branch. Without
    `revision`: all of them. What was kept of an accept of the change goes with them, or alone. What is gone
    already is no fault.
    """

    revision: Commit | None = None
    kept: list[Commit] = Field(
        default_factory=list[str],
        max_length=1000,
        description="Newest ones of the card's other changes",
    )
    accepted: bool = Field(
        default=False, description="The checkpoints stay: only the commit goes that it was accepted as"
    )


class Forgotten(_Message):
    """Answer of it: how many references went."""

    count: Amount


class Fetched(_Message):
    """Answer of `POST /git/fetch` (body: `Remote`): how the base branch stands to its remote now.

    `same`: nothing new. `forwarded`: moved to the remote's head. `merged`: joined with it by a commit of
    Vibe's. `diverged`: they conflict, and nothing was moved. `gone`: the remote has no such branch.
    """

    outcome: Literal["same", "forwarded", "merged", "diverged", "gone"]
    head: Commit
    branch: str = Field(default="", max_length=250, description="Its name at the remote")
    moved: Amount = Field(default=0, description="Commits by which the base has moved on just now")
    ahead: Amount = Field(default=0, description="Commits of the base that the remote has not")
    behind: Amount = Field(default=0, description="Commits of the remote that the base has not")


class Push(_Message):
    """Body of `POST /git/push`: bring a commit to a branch of the remote, never by force."""

    remote: Remote
    commit: Commit
    branch: str = Field(min_length=1, max_length=250, description="Its name there")
    fresh: bool = Field(
        default=False,
        description="Only where there is no such branch, or it is at this commit: else 409 `branch_taken`",
    )


class Pushed(_Message):
    """Answer of it. What the remote refuses is a 409 `push_refused` with its words."""

    commit: Commit


class SaveOnBase(_Message):
    """Body of `POST /git/base/saves`: make what was written in the base's folder a commit by a person."""

    paths: list[files.Path] = Field(min_length=1, max_length=1000)
    author: Person
    message: str = Field(min_length=1, max_length=10_000)


class SavedOnBase(_Message):
    """Answer of it: `commit` is None where git ignores all of it, or nothing differs."""

    commit: Commit | None


class AdoptFound(_Message):
    """Body of `PUT /git/found/{number}`: the work of an earlier layout becomes this card's tree."""

    message: str = Field(max_length=10_000)


class Adopted(_Message):
    """Answer of it; `revision` is None where nothing was uncommitted there."""

    base: Commit
    revision: Commit | None
    left_out: list[LeftOut] = Field(default_factory=list[LeftOut])
