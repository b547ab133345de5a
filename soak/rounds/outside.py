"""What a workspace holds, read from outside: plain git, and OpenCode's own database.

Nothing of the product is asked. Git runs with a git directory and an index of its own, without filters,
attributes of this machine or configuration of anybody's; it borrows the hub's objects.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import mkdtemp

_ENV = {
    "PATH": os.environ.get("PATH", os.defpath),
    "HOME": "/nonexistent",
    "LANG": "C.UTF-8",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
}
_OPTIONS = tuple(
    word
    for name, value in (
        ("core.autocrlf", "false"),
        ("core.excludesFile", os.devnull),
        ("core.attributesFile", os.devnull),
        ("core.fsmonitor", "false"),
        ("core.hooksPath", os.devnull),
        ("advice.addEmbeddedRepo", "false"),
        ("gc.auto", "0"),
    )
    for word in ("-c", f"{name}={value}")
)


class Workspace:
    """One project's workspace on disk.

    Args:
        root: Its folder.
        home: OpenCode's home.
    """

    def __init__(self, root: Path, home: Path) -> None:
        self.root = root
        self.hub = root / "hub"
        self._home = home

    def tree(self, number: int) -> Path:
        """The folder of a card's files."""
        return self.root / "tasks" / str(number)

    async def git(self, *arguments: str, statuses: Sequence[int] = (0,)) -> str:
        """What git says of the hub, which it must not change.

        Raises:
            RuntimeError: It ends with another status.
        """
        return await asyncio.to_thread(_git, f"--git-dir={self.hub}", *arguments, statuses=statuses)

    async def lines(self, *arguments: str) -> list[str]:
        """The same, line by line."""
        return (await self.git(*arguments)).splitlines()

    async def contains(self, commit: str, other: str) -> bool:
        """Whether `other` is in the history of `commit`."""
        said = await asyncio.to_thread(
            _run, f"--git-dir={self.hub}", "merge-base", "--is-ancestor", other, commit
        )
        return said.returncode == 0

    async def checkpoints(self) -> dict[int, dict[int, str]]:
        """Every reference of a checkpoint: card, then number, then commit."""
        found: dict[int, dict[int, str]] = {}
        for line in await self.lines(
            "for-each-ref", "--format=%(objectname) %(refname:lstrip=2)", "refs/vibe/"
        ):
            commit, _, name = line.partition(" ")
            card, _, number = name.partition("/")
            found.setdefault(int(card), {})[int(number)] = commit
        return found

    async def differs_from_a_plain_add(self, number: int, revision: str, before: str) -> list[str]:
        """In what a checkpoint differs from what a plain `git add --all` stores of the card's tree now.

        Args:
            number: The card's.
            revision: The checkpoint.
            before: A commit, with whose files the index begins: what git has once, it keeps although it is
                ignored by now.
        """
        return await asyncio.to_thread(self._differs, number, revision, before)

    def _differs(self, number: int, revision: str, before: str) -> list[str]:
        twin = Path(mkdtemp(prefix="vibe-twin-"))
        try:
            _git("init", "--quiet", "--bare", str(twin / "git"))
            (twin / "git/objects/info/alternates").write_text(f"{self.hub / 'objects'}\n")
            at = ("-c", "core.bare=false", f"--git-dir={twin / 'git'}", f"--work-tree={self.tree(number)}")
            _git(*at, "read-tree", before)
            _git(*at, "add", "--all", "--ignore-errors", statuses=(0, 1))
            self._without_the_large(at, number)
            plain = _git(*at, "write-tree").strip()
            raw = _git(*at, "diff-tree", "-r", "-z", "--raw", f"{revision}^{{tree}}", plain).split("\0")
            return [
                f"{facts} {name}"
                for facts, name in zip(raw[::2], raw[1::2], strict=False)
                if not (_of_older_attributes(at, facts) or self._is_empty_repository(number, facts, name))
            ]
        finally:
            shutil.rmtree(twin)

    def _is_empty_repository(self, number: int, facts: str, name: str) -> bool:
        """Whether a repository's folder is empty, as in a tree that was made anew: git keeps its entry."""
        gone = facts.startswith(":160000 ") and facts.endswith(" D")
        folder = self.tree(number) / name
        return gone and folder.is_dir() and not any(folder.iterdir())

    def _without_the_large(self, at: Sequence[str], number: int) -> None:
        """Take out of the index what the product says to leave out: files of more than 50 MiB."""
        for path in self.tree(number).glob("huge.bin"):
            if path.is_file() and path.stat().st_size > 50 << 20:
                _git(*at, "rm", "-q", "--cached", "--ignore-unmatch", "huge.bin")

    async def base_differs(self) -> list[str]:
        """What the base's folder has otherwise than the base branch's head, ignored files aside."""
        return await asyncio.to_thread(self._base_differs)

    def _base_differs(self) -> list[str]:
        folder = Path(mkdtemp(prefix="vibe-base-"))
        try:
            at = ("-c", "core.bare=false", f"--git-dir={self.hub}", f"--work-tree={self.root / 'base'}")
            index = {"GIT_INDEX_FILE": str(folder / "index")}
            # As it was checked out: git does not write a file anew because its attributes became others.
            shutil.copyfile(self.hub / "vibe-index" / "base", folder / "index")
            staged = _git(*at, "diff-index", "--cached", "--name-only", "-z", "HEAD", more=index)
            words = ("ls-files", "-z", "--modified", "--deleted", "--others", "--exclude-standard")
            names = f"{staged}{_git(*at, *words, more=index)}".split("\0")
            return [name for name in filter(None, names) if not self._is_as_in_head(at, name)]
        finally:
            shutil.rmtree(folder)

    def _is_as_in_head(self, at: Sequence[str], name: str) -> bool:
        """Whether a file of the base's folder was written when other attributes held: see below."""
        try:
            here = (self.root / "base" / name).read_bytes()
        except OSError:
            return False
        return _plain(here) == _plain(_run(*at, "cat-file", "blob", f"HEAD:{name}").stdout)

    async def unsound(self) -> list[str]:
        """What `git fsck` has to say against the hub."""
        found: list[str] = []
        for words in (("--full", "--no-dangling"), ("--connectivity-only", "--no-dangling")):
            said = await asyncio.to_thread(_run, f"--git-dir={self.hub}", "fsck", *words)
            text = (said.stdout + said.stderr).decode("utf-8", "replace")
            found += [
                line
                for line in text.splitlines()
                # What an agent calls its files is its own matter.
                if line and not line.startswith(("notice:", "warning in", "Checking"))
            ]
            if said.returncode and not found:
                found.append(f"git fsck {words[0]} ended with status {said.returncode}")
        return found

    async def told(self) -> list[tuple[str, str]]:
        """What people's messages say that OpenCode holds: conversation and text."""
        return await asyncio.to_thread(self._told)

    def _told(self) -> list[tuple[str, str]]:
        [path] = self._home.rglob("opencode.db")
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20) as db:
            rows = db.execute(
                "SELECT m.session_id, m.data, p.data FROM message m JOIN part p ON p.message_id = m.id"
            ).fetchall()
        return [
            (session, str(json.loads(part).get("text", "")))
            for session, message, part in rows
            if json.loads(message).get("role") == "user" and json.loads(part).get("type") == "text"
        ]


def _of_older_attributes(at: Sequence[str], facts: str) -> bool:
    """Whether a file was stored when other attributes held: ends of lines or `$Id$` alone tell them apart.

    git stores a file again when it is written, and not when `.gitattributes` is.
    """
    old_mode, new_mode, old, new, status = facts.lstrip(":").split(" ")
    if status != "M" or old_mode != new_mode or old_mode == "160000":
        return False
    texts = [_run(*at, "cat-file", "blob", blob).stdout for blob in (old, new)]
    return _plain(texts[0]) == _plain(texts[1])


def _plain(text: bytes) -> bytes:
    return re.sub(rb"\$Id(?::[^$\n]*)?\$", b"$Id$", text.replace(b"\r\n", b"\n"))


def _run(*arguments: str, more: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["git", *_OPTIONS, *arguments], env=_ENV | dict(more or {}), cwd="/", capture_output=True, check=False
    )


def _git(*arguments: str, statuses: Sequence[int] = (0,), more: Mapping[str, str] | None = None) -> str:
    done = _run(*arguments, more=more)
    if done.returncode not in statuses:
        raise RuntimeError(f"git {arguments}: {done.returncode}: {done.stderr.decode(errors='replace')}")
    return done.stdout.decode("utf-8", "surrogateescape")
