"""Reads changes from the hub: which files differ between two commits, and their texts.

Nothing of a tree is read here, and no program runs that a repository names.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

from vibe_app.errors import InvalidRequest, NotFound
from vibe_app.wire import git as wire
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.git.hub import Hub
from vibe_app.workspace_services.git.program import Failed, kill

_PLAIN = ("--no-ext-diff", "--no-textconv", "--no-color", "--ignore-submodules=none", "--full-index")
_DIFF = ("diff-tree", "-r", "-z", "-M", *_PLAIN)
# One file's patch is kept in memory to be cut into parts: a gigabyte of text is nobody's reading.
_LARGEST_PATCH = 256 << 20
_PIECE = 1 << 16
_HEAD = b"\ndiff --git "
_BLOB = re.compile(rb"(?P<mode>\d{6}) (?P<kind>\w+) (?P<hash>[0-9a-f]+) +(?P<size>\d+|-)\t")
_KINDS = {
    b"100644": wire.FileKind.FILE,
    b"100755": wire.FileKind.EXECUTABLE,
    b"120000": wire.FileKind.SYMLINK,
    b"160000": wire.FileKind.REPOSITORY,
}
_STATUSES = {
    b"A": wire.FileStatus.ADDED,
    b"M": wire.FileStatus.MODIFIED,
    b"D": wire.FileStatus.DELETED,
    b"R": wire.FileStatus.RENAMED,
    b"C": wire.FileStatus.ADDED,
    b"T": wire.FileStatus.TYPE_CHANGED,
}


@dataclass(frozen=True)
class _Record:
    """One file of a difference, as git tells it."""

    old_mode: bytes
    new_mode: bytes
    old_hash: str
    new_hash: str
    letter: bytes
    path: bytes
    old_path: bytes | None = None
    additions: int = 0
    deletions: int = 0
    binary: bool = False

    def of_text(self) -> _Record:
        """The record without the lines of what is a repository inside of the tree: its one is a hash."""
        nested = wire.FileKind.REPOSITORY in (_KINDS.get(self.old_mode), _KINDS.get(self.new_mode))
        return replace(self, additions=0, deletions=0) if nested else self

    def told(self) -> wire.ChangedFile:
        deleted = self.letter == b"D"
        kind = _KINDS.get(self.old_mode if deleted else self.new_mode, wire.FileKind.FILE)
        old = None if self.letter in (b"A", b"D") else _KINDS.get(self.old_mode)
        return wire.ChangedFile(
            path=shown(self.path),
            old_path=None if self.old_path is None else shown(self.old_path),
            status=_STATUSES.get(self.letter, wire.FileStatus.MODIFIED),
            kind=kind,
            old_kind=old if old is not kind else None,
            binary=self.binary,
            additions=self.additions,
            deletions=self.deletions,
            blob="" if deleted else self.new_hash,
        )


async def diff(hub: Hub, asked: wire.AskDiff) -> wire.Diff:
    """List the files that differ between two commits.

    Raises:
        NotFound: One is not in the hub.
    """
    await hub.require(asked.base, asked.revision)
    said = await hub.git(*_DIFF, "--raw", "--numstat", asked.base, asked.revision)
    records = sorted((each.of_text() for each in _records(said.out)), key=lambda record: record.path)
    return wire.Diff(
        files=[record.told() for record in records[: wire.MOST_FILES]],
        count=len(records),
        additions=sum(record.additions for record in records),
        deletions=sum(record.deletions for record in records),
    )


def _records(said: bytes) -> list[_Record]:
    """Read what `--raw --numstat -z` says: first all records, then the figures in the same order."""
    words = iter(said.split(b"\0"))
    records: list[_Record] = []
    figures: list[tuple[int, int, bool]] = []
    for word in words:
        if word.startswith(b":"):
            old_mode, new_mode, old, new, letter = word[1:].split(b" ")
            path = next(words)
            before = None
            if letter[:1] in (b"R", b"C"):
                before, path = path, next(words)
            record = _Record(old_mode, new_mode, old.decode(), new.decode(), letter[:1], path, before)
            records.append(record if letter[:1] != b"C" else replace(record, old_path=None))
        elif word:
            added, deleted, path = word.split(b"\t", 2)
            if not path:
                # A renamed one: its two names follow.
                next(words)
                next(words)
            binary = added == b"-"
            figures.append((0, 0, True) if binary else (int(added), int(deleted), False))
    if len(figures) != len(records):
        return records
    return [
        replace(record, additions=added, deletions=deleted, binary=binary)
        for record, (added, deleted, binary) in zip(records, figures, strict=True)
    ]


async def patches(hub: Hub, asked: wire.AskPatches) -> wire.Patches:
    """Return the patches of the files of a change, in the order of their paths, as far as they fit.

    Raises:
        NotFound: A commit is not in the hub.
    """
    await hub.require(asked.base, asked.revision)
    found: dict[str, str] = {}
    left = asked.limit
    async for record, patch in _patches(hub, (asked.base, asked.revision), asked.limit):
        if patch is not None and len(patch) <= left and not _is_binary(patch):
            left -= len(patch)
            found[shown(record.path)] = _text(patch)
    return wire.Patches(patches=found)


async def file(hub: Hub, asked: wire.AskFile) -> wire.FileDiff:
    """Return one file's patch, and its texts where they are small.

    Raises:
        InvalidRequest: The path is none.
        NotFound: A commit is not in the hub, or neither has such a file.
    """
    await hub.require(asked.base, asked.revision)
    names = [_path(path) for path in (asked.path, asked.old_path) if path is not None]
    between = (asked.base, asked.revision, "--", *names)
    async for record, patch in _patches(hub, between, _LARGEST_PATCH, asked.context):
        if record.path == names[0]:
            if patch is None:
                raise InvalidRequest("What differs in this file is too much to be shown.", "too_large")
            return await _told(hub, asked, record, patch)
    if not (await _entry(hub, asked.revision, names[0]) or await _entry(hub, asked.base, names[0])):
        raise NotFound(f"Neither state of the card has a file {asked.path}.")
    return wire.FileDiff(path=asked.path, patch="")


async def _told(hub: Hub, asked: wire.AskFile, record: _Record, patch: bytes) -> wire.FileDiff:
    end = asked.offset + wire.LARGEST_TEXT
    if end < len(patch):
        line = patch.rfind(b"\n", asked.offset, end) + 1
        # A line that is longer than a part is cut.
        end = line if line > asked.offset else end
    binary = _is_binary(patch)
    old = new = None
    if not asked.offset and not binary:
        old = await _small(hub, record.old_hash, record.old_mode)
        new = await _small(hub, record.new_hash, record.new_mode)
    return wire.FileDiff(
        path=asked.path,
        patch=_text(patch[asked.offset : end]),
        next_offset=end if end < len(patch) else None,
        old_text=old,
        new_text=new,
        binary=binary,
    )


async def _small(hub: Hub, blob: str, mode: bytes) -> str | None:
    """A file's text, if it has one that is small."""
    if mode not in _KINDS or _KINDS[mode] is wire.FileKind.REPOSITORY:
        return None
    size = await hub.git("cat-file", "-s", blob)
    if int(size.word) > wire.LARGEST_TEXT:
        return None
    return _text((await hub.git("cat-file", "blob", blob)).out)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "replace")


def _is_binary(patch: bytes) -> bool:
    """Whether git took it for no text: then there is no hunk, and a line that says so."""
    return b"\n@@ " not in patch and re.search(rb"^Binary files .* differ$", patch, re.MULTILINE) is not None


async def _patches(
    hub: Hub, between: tuple[str | bytes, ...], most: int, context: int = 3
) -> AsyncGenerator[tuple[_Record, bytes | None]]:
    """Yield each file of a difference with its patch, None for one of more than `most` bytes.

    git writes the patches in the order of its list.
    """
    listed = _records((await hub.git(*_DIFF, "--raw", *between)).out)
    process = await hub.started("diff-tree", "-r", "-M", f"-U{context}", *_PLAIN, *between)
    assert process.stdout is not None
    try:
        pieces = _sections(process.stdout, most)
        for record in listed:
            patch = await anext(pieces, b"")
            if record.letter == b"T":
                # It is deleted and made anew, which are two.
                second = await anext(pieces, b"")
                patch = None if patch is None or second is None else patch + second
            yield record, patch
    finally:
        await kill(process)


async def _sections(stream: asyncio.StreamReader, most: int) -> AsyncGenerator[bytes | None]:
    """Cut patches apart; one of more than `most` bytes is None.

    A line that begins with `diff --git` is a head, as each line of content begins with a sign.
    """
    held = bytearray(b"\n")
    begun = over = False
    searched = 0
    while True:
        chunk = await stream.read(_PIECE)
        held += chunk
        while (at := held.find(_HEAD, searched)) >= 0:
            if begun:
                yield None if over or at > most else bytes(held[: at + 1])
            del held[: at + 1]
            begun, over, searched = True, False, 0
        if not chunk:
            break
        if len(held) > most + len(_HEAD):
            del held[: -len(_HEAD)]
            over = True
        searched = max(0, len(held) - len(_HEAD))
    if begun:
        yield None if over or len(held) > most else bytes(held)


async def blob(hub: Hub, asked: wire.AskBlob) -> tuple[int, AsyncGenerator[bytes]]:
    """Return the size of a file of a commit, and what it holds, piece by piece.

    Raises:
        InvalidRequest: The path names no file.
        NotFound: The commit is not in the hub, or has no such file.
    """
    await hub.require(asked.commit)
    entry = await _entry(hub, asked.commit, _path(asked.path))
    if entry is None:
        raise NotFound(f"This state of the files has no {asked.path}.")
    if entry["kind"] != b"blob":
        raise InvalidRequest(f"{asked.path} is no file.", "not_a_file")
    return int(entry["size"]), _content(hub, entry["hash"].decode())


def _path(text: str) -> bytes:
    """Read the path of a file in a commit.

    Raises:
        InvalidRequest: It is none.
        NotFound: No commit has such a path.
    """
    path = raw(text)
    if not path or any(part in (b"", b".", b"..") for part in path.split(b"/")):
        raise NotFound(f"No state of the files has a file {text or 'without a name'}.")
    return path


async def _entry(hub: Hub, commit: str, path: bytes) -> dict[str, bytes] | None:
    """What a commit has at a path."""
    listed = await hub.git("ls-tree", "-z", "--long", "--full-tree", commit, "--", path)
    match = _BLOB.match(listed.out)
    return None if match is None else match.groupdict()


async def _content(hub: Hub, blob: str) -> AsyncGenerator[bytes]:
    process = await hub.started("cat-file", "blob", blob)
    assert process.stdout is not None
    try:
        while piece := await process.stdout.read(_PIECE):
            yield piece
        if await process.wait():
            raise Failed("the file cannot be read.")
    finally:
        await kill(process)
