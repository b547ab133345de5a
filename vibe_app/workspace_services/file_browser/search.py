"""Searches the workspace with ripgrep: names, text, or what was changed; bounded in time and results.

ripgrep only points at places. Each is then looked at, or read, as everything else
is in the file browser, so that what is found never comes from outside the workspace.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import stat
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from pathlib import Path

from vibe_app.errors import InvalidRequest, NotFound, Unavailable, VibeError
from vibe_app.wire import iso
from vibe_app.wire.files import ChangedFile, ChangedFiles, Kind, SearchResult, SearchResults
from vibe_app.workspace_services.common.names import shown
from vibe_app.workspace_services.file_browser.places import Workspace
from vibe_app.workspace_services.file_browser.reading import kind_of, written

MOST_RESULTS = 200
MOST_CHANGED = 1000
LONGEST_QUERY = 200
SECONDS = 10.0

_LARGEST_FILE = 5 * 1024 * 1024
_PER_FILE = 20
_LONGEST_LINE = 300
_LONGEST_HIT = 64 * 1024
# Neither a home folder's configuration nor its list of ignored files must change results.
_ALWAYS = (
    *("--no-config", "--no-messages", "--no-ignore-global", "--hidden", "--no-require-git"),
    *("--threads", "2", "--null", "--color", "never", "--iglob", "!.git", "--iglob", "!.opencode"),
)
_PATH = re.compile(rb"([^\0]+)\0")
# `<path> NUL <line>:` and a line end, where --replace has taken the text away.
_HIT = re.compile(rb"([^\0]+)\0(\d+):\n")


async def search(
    workspace: Workspace, query: str, path: str = "", *, text: bool = False, ignored: bool = False
) -> SearchResults:
    """Return what is found. A result of a text search has a line and its text as well.

    Letters of either case are found unless the query has a capital one.

    Args:
        workspace: Where.
        query: What to look for, literally. In names, one with a slash is looked for in whole paths.
        path: The folder to look in.
        text: Whether to look in the files rather than at their names.
        ignored: Whether to look at what git ignores, too.

    Raises:
        InvalidRequest: There is nothing to look for, or the path names no folder.
        NotFound: There is no such folder.
        Unavailable: ripgrep is not installed.
    """
    if not query.strip() or len(query) > LONGEST_QUERY or re.search(r"[\n\r\0]", query):
        raise InvalidRequest(f"Search for one line of 1 to {LONGEST_QUERY} characters.", "invalid_query")
    with workspace.at(path) as place:
        if not stat.S_ISDIR(place.stat().st_mode):
            raise InvalidRequest(f"{path} is a file, not a folder.", "not_a_folder")
        above = place.parts
    found: list[SearchResult] = []
    truncated = False
    results = (_texts if text else _names)(workspace, above, query, ignored)
    try:
        async with asyncio.timeout(SECONDS), aclosing(results):
            async for result in results:
                if len(found) == MOST_RESULTS:
                    truncated = True
                    break
                found.append(result)
    except TimeoutError:
        truncated = True
    found.sort(key=lambda result: (result.path.count("/"), result.path, result.line or 0))
    return SearchResults(results=found, truncated=truncated)


async def changed(workspace: Workspace, since: float, until: float | None = None) -> ChangedFiles:
    """Return the files that were last written in a span of time, newest first.

    What git ignores is left out. A file that was deleted leaves nothing to be found.

    Args:
        workspace: Where.
        since: Seconds since 1970 at which it begins.
        until: Where it ends; None for no end.

    Raises:
        Unavailable: ripgrep is not installed.
    """
    found: list[tuple[float, ChangedFile]] = []
    truncated = False
    files = _ripgrep(workspace, (), ["--files"], False, _PATH)
    try:
        async with asyncio.timeout(SECONDS), aclosing(files):
            async for batch in _batches(files):
                found += await asyncio.to_thread(_written, workspace, batch, since, until)
    except TimeoutError:
        truncated = True
    found.sort(key=lambda each: (-each[0], each[1].path))
    results = [result for _, result in found[:MOST_CHANGED]]
    return ChangedFiles(results=results, truncated=truncated or len(found) > MOST_CHANGED)


async def _batches(files: AsyncGenerator[tuple[bytes, ...]]) -> AsyncGenerator[list[bytes]]:
    batch: list[bytes] = []
    async for (file,) in files:
        batch.append(file)
        if len(batch) == 500:
            yield batch
            batch = []
    yield batch


def _written(
    workspace: Workspace, files: list[bytes], since: float, until: float | None
) -> list[tuple[float, ChangedFile]]:
    found: list[tuple[float, ChangedFile]] = []
    for name in files:
        path = shown(name)
        with suppress(VibeError), workspace.at(path, follow=False) as place:
            info = place.stat()
            if since <= info.st_mtime and (until is None or info.st_mtime <= until):
                kind, moment = kind_of(info.st_mode), iso(written(info))
                file = ChangedFile(path=path, type=kind, size=info.st_size, modified=moment)
                found.append((info.st_mtime, file))
    return found


async def _names(
    workspace: Workspace, above: tuple[bytes, ...], query: str, ignored: bool
) -> AsyncGenerator[SearchResult]:
    capital = query != query.lower()
    looked: set[tuple[bytes, ...]] = set()
    async with aclosing(_ripgrep(workspace, above, ["--files"], ignored, _PATH)) as files:
        async for (file,) in files:
            parts = (*above, *file.split(b"/"))
            # ripgrep names files only; the folders are on the way to them.
            for end in range(len(above) + 1, len(parts) + 1):
                some = parts[:end]
                if some in looked:
                    continue
                looked.add(some)
                name = shown(b"/".join(some) if "/" in query else some[-1])
                if query in (name if capital else name.lower()):
                    kind = await asyncio.to_thread(_kind, workspace, some)
                    if kind is not None:
                        yield SearchResult(path=shown(b"/".join(some)), type=kind)


async def _texts(
    workspace: Workspace, above: tuple[bytes, ...], query: str, ignored: bool
) -> AsyncGenerator[SearchResult]:
    options = ["--fixed-strings", "--smart-case", "--line-number", "--no-heading", "--with-filename"]
    # With nothing in the place of a match, no text is printed: a line may be megabytes long.
    options += ["--only-matching", "--replace", "", "--max-count", str(_PER_FILE)]
    options += ["--max-filesize", str(_LARGEST_FILE), "--regexp", query]
    async with aclosing(_ripgrep(workspace, above, options, ignored, _HIT)) as hits:
        file, lines = b"", set[int]()
        async for path, line in hits:
            if path != file:
                for result in await asyncio.to_thread(_lines, workspace, above, file, lines, query):
                    yield result
                file, lines = path, set[int]()
            lines.add(int(line))
        for result in await asyncio.to_thread(_lines, workspace, above, file, lines, query):
            yield result


async def _ripgrep(
    workspace: Workspace, above: tuple[bytes, ...], options: list[str], ignored: bool, form: re.Pattern[bytes]
) -> AsyncGenerator[tuple[bytes, ...]]:
    program = shutil.which("rg")
    if program is None:
        raise Unavailable("ripgrep (rg) is not installed where the workspace runs.", "ripgrep_missing")
    more = ["--no-ignore"] if ignored else []
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *(*_ALWAYS, *more, *options),
            cwd=workspace.path / Path(os.fsdecode(b"/".join(above))),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError as error:
        raise NotFound("The folder is gone.") from error
    try:
        assert process.stdout is not None
        rest = b""
        while piece := await process.stdout.read(64 * 1024):
            rest += piece
            end = 0
            for match in form.finditer(rest):
                end = match.end()
                yield match.groups()
            rest = rest[end:][-_LONGEST_HIT:]
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _kind(workspace: Workspace, parts: tuple[bytes, ...]) -> Kind | None:
    with suppress(VibeError), workspace.at(shown(b"/".join(parts)), follow=False) as place:
        return kind_of(place.stat().st_mode)
    return None


def _lines(
    workspace: Workspace, above: tuple[bytes, ...], file: bytes, lines: set[int], query: str
) -> list[SearchResult]:
    """Read the lines of a file that ripgrep pointed at."""
    if not lines:
        return []
    path = shown(b"/".join((*above, *file.split(b"/"))))
    try:
        with workspace.at(path, follow=False) as place, os.fdopen(place.open_file(), "rb") as opened:
            found = opened.read(_LARGEST_FILE).split(b"\n")
    except VibeError:  # it went away, or is not what ripgrep took it for
        return []
    return [
        SearchResult(path=path, type="file", line=line, text=_around(found[line - 1], query))
        for line in sorted(lines)
        if line <= len(found)
    ]


def _around(line: bytes, query: str) -> str:
    """The line as text, without its indent, and not much more than the match where it is long."""
    text = line.decode("utf-8", "replace").strip()
    if len(text) <= _LONGEST_LINE:
        return text
    at = max(text.lower().find(query.lower()), 0)
    begin = max(0, min(at - _LONGEST_LINE // 3, len(text) - _LONGEST_LINE))
    return f"{'…' if begin else ''}{text[begin : begin + _LONGEST_LINE]}…"
