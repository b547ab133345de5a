"""The hub of a workspace: the bare repository that agents read and cannot write, and how git is run on it.

Vibe runs git with this repository and its own configuration alone, with an index of its own for each
tree, and never with a git directory or configuration that an agent can write. What that keeps from
running is in tests/workspace_services/git/test_traps.py.

| in the workspace | |
|---|---|
| `hub/` | the bare repository; `HEAD` names the base branch |
| `hub/vibe-index/<number>`, `hub/vibe-index/base` | an index for each tree, and for the base's folder |
| `hub/vibe-index/base-to` | for which commit way was made in the base's folder, until it has followed |
| `hub/vibe-index/base-saved-<commit>` | the base's next index, while a save makes that commit its head |
| `hub/vibe-trees/<number>` | says that the tree of this number is ours, and its base |
| `hub/vibe.lock` | locked while something is done; says so too, for who comes after a death |
| `hub/vibe-bin/` | what git finds where it looks for programs of its own: one that does nothing |
| `base/`, `tasks/<number>/` | the base branch's files; a tree for each card |
| `found/`, `.earlier/` | of an earlier layout: work that waits for a card, and what else was there |
| `.new-*`, `.trash-*` | what is being made, and what is being removed |
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from threading import Lock, Thread
from uuid import uuid4

from vibe_app.disk import disk_full, is_full
from vibe_app.errors import NotFound, Unavailable
from vibe_app.private import ORDINARY
from vibe_app.wire.git import Person
from vibe_app.workspace_services.git import guard
from vibe_app.workspace_services.git.finishing import Done, gathered, remove
from vibe_app.workspace_services.git.program import SETTINGS, Call, Failed, environment, kill

VIBE = Person(name="Vibe", email="vibe@localhost")
AGENT = Person(name="OpenCode", email="opencode@localhost")
NOTHING = ""
"""What git takes for "there is none yet", in place of a reference's old value."""
LONGEST = 900.0
"""Seconds that one git may take: a gigabyte of new files on a slow disk."""
MOST = 64 << 20
"""Bytes of an answer that are kept in memory."""
DRAFT, TRASH = ".new-", ".trash-"
REMOTE_HEAD = "refs/remotes/origin/HEAD"
"""Leads to the branch that was fetched last."""

_HEADS = "refs/heads/"
_FULL = re.compile(rb"No space left on device|Disk quota exceeded")
_SETTINGS = (
    *SETTINGS,
    ("core.autocrlf", "false"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.alternateRefsCommand", ""),
    ("core.splitIndex", "false"),
    ("core.untrackedCache", "false"),
    ("protocol.ext.allow", "never"),
    ("advice.addEmbeddedRepo", "false"),
)
_WAIT, _PAUSE = 60.0, 0.05
_AT_WORK = b"at work\n"


class Hub:
    """A workspace's hub, and what lies beside it.

    Args:
        root: The workspace's folder, without links.
        bubblewrap: What hides the rest of the machine from a git that reads a tree; empty for none.
        mark: Variables by which the git processes are recognised if this one dies.
    """

    def __init__(self, root: Path, bubblewrap: str = "", mark: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.path = root / "hub"
        self.base = root / "base"
        self.tasks = root / "tasks"
        self.found = root / "found"
        self.mark = dict(mark or {})
        self._bubblewrap = bubblewrap
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._emptying = Lock()
        self._users = 0
        self._broken = False
        self._held = -1

    @property
    def exists(self) -> bool:
        """Whether this workspace has been made with a hub."""
        return (self.path / "HEAD").is_file()

    def guard(self, written: Sequence[Path], read: Sequence[Path]) -> tuple[str, ...]:
        """The words before a command that is to see the system and these folders alone."""
        return guard.before(self._bubblewrap, written, read)

    def tree(self, number: int) -> Path:
        """Where the tree of a card lies, or would."""
        return self.tasks / str(number)

    def index(self, name: int | str) -> Path:
        """Our index over the files of a card's tree, or over those of `base`."""
        return self.path / "vibe-index" / str(name)

    def marker(self, number: int) -> Path:
        """The file that says that a card's tree is ours."""
        return self.path / "vibe-trees" / str(number)

    def branch(self) -> str:
        """The base branch's name.

        Raises:
            Unavailable: The hub is damaged.
        """
        try:
            said = (self.path / "HEAD").read_text().strip()
        except OSError as error:
            raise _damaged() from error
        if not said.startswith(f"ref: {_HEADS}"):
            raise _damaged()
        return said.removeprefix(f"ref: {_HEADS}")

    @property
    def reference(self) -> str:
        """The base branch's whole name."""
        return f"{_HEADS}{self.branch()}"

    async def head(self) -> str:
        """The base branch's newest commit.

        Raises:
            Unavailable: The hub is damaged.
        """
        found = await self.git("rev-parse", "--quiet", "--verify", self.reference, accepted=(0, 1))
        if found.status:
            raise _damaged()
        return found.word

    async def remote_head(self) -> str:
        """The newest commit of the remote's branch, as it was last fetched; empty where there is none."""
        found = await self.git("rev-parse", "--quiet", "--verify", REMOTE_HEAD, accepted=(0, 1))
        return found.word if found.status == 0 else ""

    async def require(self, *commits: str | None) -> None:
        """Make sure that commits are there.

        Raises:
            NotFound: One is not (`no_such_commit`).
        """
        wanted = [commit for commit in commits if commit is not None]
        said = await self.git("cat-file", "--batch-check=%(objecttype)", given="\n".join(wanted).encode())
        for commit, kind in zip(wanted, said.out.splitlines(), strict=False):
            if kind != b"commit":
                raise NotFound(f"The workspace has no commit {commit[:12]}.", "no_such_commit")

    async def tree_of(self, commit: str) -> str:
        """The hash of a commit's files."""
        return (await self.git("rev-parse", "--verify", f"{commit}^{{tree}}")).word

    async def contains(self, commit: str, other: str) -> bool:
        """Whether `other` is in the history of `commit`, or is it."""
        said = await self.git("merge-base", "--is-ancestor", other, commit, accepted=(0, 1))
        return said.status == 0

    async def count(self, since: str, commit: str) -> int:
        """How many commits of a history are not in that of another."""
        return int((await self.git("rev-list", "--count", f"{since}..{commit}")).word)

    async def commit(
        self, tree: str, parents: Collection[str], message: str, author: Person, committer: Person = VIBE
    ) -> str:
        """Make a commit of files and return its hash. No reference leads to it yet."""
        words = [word for parent in parents for word in ("-p", parent)]
        env = {
            "GIT_AUTHOR_NAME": _named(author.name),
            "GIT_AUTHOR_EMAIL": _named(author.email),
            "GIT_COMMITTER_NAME": committer.name,
            "GIT_COMMITTER_EMAIL": committer.email,
        }
        given = message.replace("\0", "").encode("utf-8", "replace")
        return (await self.git("commit-tree", tree, *words, "-F", "-", given=given, env=env)).word

    async def git(
        self,
        *arguments: str | bytes,
        tree: Path | None = None,
        index: Path | None = None,
        given: bytes = b"",
        env: Mapping[str, str] | None = None,
        accepted: Collection[int] = (0,),
        guarded: bool = False,
        most: int = MOST,
    ) -> Done:
        """Run git on the hub.

        Args:
            arguments: What it shall do.
            tree: Files that it works on; none by default.
            index: The index that it uses.
            given: What it reads.
            env: Further variables.
            accepted: Exit statuses that are no fault.
            guarded: It reads what an agent writes: nothing else is shown to it, and it starts no program.
            most: Bytes that its answer may have.

        Raises:
            Failed: It ended with another status, or says too much.
            Unavailable: git is missing, took too long, or the disk is full.
        """
        process = await self.started(*arguments, tree=tree, index=index, env=env, guarded=guarded)
        try:
            async with asyncio.timeout(LONGEST):
                out, errors, status = await gathered(process, given, most)
        except TimeoutError as error:
            raise Unavailable(
                f"git was not done within {LONGEST / 60:.0f} min. Try again.", "git_too_slow"
            ) from error
        finally:
            await kill(process)
            if process.returncode not in accepted:
                # It may have been killed, and nobody else would remove its locks.
                self._broken = True
                if index is not None:
                    index.with_name(f"{index.name}.lock").unlink(missing_ok=True)
        failed = status not in accepted
        # It may have gone on, and left out what found no room.
        if (status and _FULL.search(errors)) or (failed and await asyncio.to_thread(is_full, self.root)):
            raise disk_full("The workspace's repository could not be written.")
        if failed:
            raise Failed(Call().complaint(errors))
        return Done(status, out, errors)

    async def started(
        self,
        *arguments: str | bytes,
        tree: Path | None = None,
        index: Path | None = None,
        env: Mapping[str, str] | None = None,
        guarded: bool = False,
    ) -> asyncio.subprocess.Process:
        """Start git on the hub and return the process, to be read and then `program.kill`ed.

        Raises:
            Unavailable: git is missing.
        """
        settings = (*_SETTINGS, ("core.bare", "true" if tree is None else "false"))
        words = ["git", "--no-pager", *(w for name, value in settings for w in ("-c", f"{name}={value}"))]
        words.append(f"--git-dir={self.path}")
        if tree is not None:
            words.append(f"--work-tree={tree}")
        variables = environment() | {
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
        }
        if index is not None:
            variables["GIT_INDEX_FILE"] = str(index)
        before: tuple[str, ...] = ()
        if guarded:
            # It would run `git status` with the configuration of a repository in the tree.
            variables["GIT_EXEC_PATH"] = str(self.path / "vibe-bin")
            read = [path for path in (self.tasks, self.found) if path.is_dir() and not path.is_symlink()]
            before = self.guard((self.path,), read)
        held = (self._held,) if self._held >= 0 else ()
        try:
            return await asyncio.create_subprocess_exec(
                *before,
                *words,
                *arguments,
                cwd="/",
                env=variables | dict(env or {}) | self.mark,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
                umask=ORDINARY,
                pass_fds=held,
            )
        except FileNotFoundError as exc:
            raise Unavailable("git is not installed on this machine: install it, or run `make up`.") from exc

    @asynccontextmanager
    async def locked(self, what: int | str) -> AsyncGenerator[None]:
        """Keep others off a card's tree, or off `base`, while something is done to it.

        As long as anything is done the hub is held by this process and every git that it starts: a git
        that outlived a process before this one is waited for.

        Raises:
            Unavailable: It is still at work, or the hub cannot be written.
        """
        async with self._locks["hub"]:
            if not self._users:
                await self._hold()
            self._users += 1
        try:
            async with self._locks[str(what)]:
                yield
        finally:
            self._users -= 1
            if not self._users:
                self._release()

    async def _hold(self) -> None:
        """Wait for whoever is at work, and remove what was left by one that died."""
        try:
            held = os.open(self.path / "vibe.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise Unavailable("The workspace's repository cannot be written.", "read_only") from error
        try:
            async with asyncio.timeout(_WAIT):
                # Linux tells nobody when a lock is free, unless a thread waits that cannot be stopped.
                while not _locks(held):  # noqa: ASYNC110
                    await asyncio.sleep(_PAUSE)
            if os.pread(held, 1, 0):
                await asyncio.to_thread(self._tidy)
            else:
                os.pwrite(held, _AT_WORK, 0)
        except TimeoutError as error:
            os.close(held)
            raise Unavailable("The workspace's repository is in use: try again soon.", "busy") from error
        except BaseException:
            os.close(held)
            raise
        self._held = held

    def _release(self) -> None:
        """Let the hub go, and leave word if nothing was broken off."""
        held, self._held = self._held, -1
        try:
            if not self._broken:
                os.ftruncate(held, 0)
            self._broken = False
        finally:
            os.close(held)

    def draft(self) -> Path:
        """Make an empty folder in which something is made, where no agent can write."""
        path = self.root / f"{DRAFT}{uuid4().hex}"
        path.mkdir()
        return path

    def throw_away(self, path: Path) -> None:
        """Take what is there, if anything, out of sight at one stroke; `empty_trash` removes it.

        Raises:
            OSError: It cannot be moved.
        """
        with suppress(FileNotFoundError):
            os.rename(path, self.root / f"{TRASH}{uuid4().hex}")

    def empty_trash(self) -> None:
        """Begin to remove what was thrown away; nobody waits for it, an end of this process neither."""
        Thread(target=self._empty, name="trash", daemon=True).start()

    def _tidy(self) -> None:
        """Remove what processes left that were killed: nobody else is at work now."""
        for pattern in ("*.lock", "vibe-index/*.lock", "refs/**/*.lock"):
            for left in self.path.glob(pattern):
                if left.name != "vibe.lock":
                    left.unlink(missing_ok=True)
        for path in self.root.glob(f"{DRAFT}*"):
            self.throw_away(path)
        self.empty_trash()

    def _empty(self) -> None:
        with self._emptying:
            for path in self.root.glob(f"{TRASH}*"):
                remove(path)


def _locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        # A file system that has no such locks.
        return True
    return True


def _named(name: str) -> str:
    """A name as git takes it: it must not be empty, and cannot hold what encloses an address."""
    clean = re.sub(r"[\x00-\x1f<>\x7f]+", " ", name).strip()
    return clean or "unknown"


def _damaged() -> Unavailable:
    return Unavailable("The workspace's repository is damaged: restart the workspace.", "repository_damaged")
