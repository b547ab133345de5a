"""The contract of a workspace's file browser: what each of its verbs is asked, and what it answers.

The file browser, its client and the REST door use these models and no others, so a field is
written down here alone. Whatever a workspace says is outside input: an answer that does not fit
its model is none.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vibe_app.errors import InvalidRequest
from vibe_app.wire import HUGE, unicode_text

PAGE_SIZE = 1000
_FARTHEST = 2**62
_VERSION = r"[0-9a-f]{32}"
_TAG = re.compile(rf'(?:W/)?"({_VERSION})"')

NOT_IGNORED = "not_ignored"
"""Code of the refusal of what would change the base branch, where only what git ignores may be written."""

Kind = Literal["file", "directory", "symlink", "other"]
GitState = Literal["tracked", "untracked", "ignored"]
"""It is in the base branch, or something in it is; in no commit; in none and ignored, with all it holds."""
Path = Annotated[str, AfterValidator(unicode_text)]
"""Relative to the base's folder or a card's tree; a byte that is no UTF-8, or of a control character, as
`\\xNN`, a backslash as two.
"""
AskedPath = Annotated[
    Path,
    Field(
        description="From the workspace's root, without a leading /; a byte that is no UTF-8 as \\xNN, "
        "a backslash as two"
    ),
]
Parents = Annotated[bool, Field(description="Make missing folders on the way")]


class _Asked(BaseModel):
    """What a verb is asked: the query of a call, and for some the body at the REST door."""

    model_config = ConfigDict(frozen=True)

    task: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="Number of a card: its own files; without it, those of the base branch",
    )


class OneFile(_Asked):
    """Names what is to be downloaded or deleted."""

    path: AskedPath


class OneFolder(_Asked):
    """Names what is to be archived."""

    path: AskedPath = ""


class ListFolder(OneFolder):
    """Which part of which folder."""

    page: int = Field(default=1, ge=1, le=1_000_000, description="Which page, from 1")
    page_size: int = Field(default=PAGE_SIZE, ge=1, le=5000, description="How many on a page")
    git: bool = Field(
        default=False, description="Say of each entry of the base branch how it stands with git"
    )


class ReadFile(OneFile):
    """Which part of which file; without a length it must be small enough to be read whole."""

    offset: int = Field(default=0, ge=0, le=_FARTHEST, description="Byte at which to begin")
    length: int | None = Field(default=None, ge=0, le=_FARTHEST, description="Bytes wanted at most")


class WriteFile(OneFile):
    """Where the body goes. A version that was read comes beside it, as `If-Match`."""

    overwrite: bool = Field(default=False, description="Replace whatever is there")
    parents: Parents = False


class SearchFiles(_Asked):
    """What to look for, and where."""

    query: str = Field(description="What to look for, literally; a capital letter makes case matter")
    path: AskedPath = ""
    text: bool = Field(default=False, description="Look in the files rather than at their names")
    ignored: bool = Field(default=False, description="Look at what git ignores, too")


class WrittenBetween(_Asked):
    """A span of time, in milliseconds since 1970; without an end up to now."""

    since: int = Field(default=0, ge=0, le=_FARTHEST)
    until: int | None = Field(default=None, ge=0, le=_FARTHEST)


class NewFolder(_Asked):
    """A folder to be made."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(json_schema_extra={"example": "docs/images"})
    parents: Parents = False


class MoveFile(_Asked):
    """A file or folder and its new name or place."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(json_schema_extra={"example": "notes.md"})
    to: Path = Field(json_schema_extra={"example": "docs/notes.md"})
    parents: Parents = False


def _real(moment: str) -> str:
    # The pattern lets the 31st of February pass.
    datetime.fromisoformat(moment)
    return moment


Size = Annotated[int, Field(ge=0, le=HUGE)]
Version = Annotated[str, Field(pattern=f"^{_VERSION}$")]
Moment = Annotated[
    str,
    Field(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}\.[0-9]{3}Z$",
        json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"},
    ),
    AfterValidator(_real),
]


class _Told(BaseModel):
    """What a verb answers. Nothing is taken for something else: a number in a text is no number."""

    model_config = ConfigDict(frozen=True, strict=True)


class FileEntry(_Told):
    """One entry of a folder."""

    name: str
    path: str = Field(description="From the workspace's root")
    type: Kind
    size: Size
    modified: Moment
    leads_to: Literal["file", "directory"] | None = Field(
        default=None, description="What a link leads to; null where it leads out of the workspace, or nowhere"
    )
    git: GitState | None = Field(default=None, description="Null where it was not asked for")


class FileList(_Told):
    """A folder of the workspace, folders first."""

    path: str
    entries: list[FileEntry]
    total_count: Size


class FileContent(_Told):
    """A file of the workspace."""

    path: str
    size: Size = Field(description="Of the whole file, in bytes")
    offset: Size = Field(description="Byte at which the content begins; a text is cut between characters")
    encoding: Literal["utf-8", "base64"] = Field(description="`utf-8`, or `base64` where the file is no text")
    content: str
    version: Version | None = Field(description="Changes with the content; null where this is only a part")


class FileWritten(_Told):
    """A file that was put in place."""

    path: str
    size: Size
    version: Version


class FilePut(FileWritten):
    """The same, and whether nothing was there before: over REST the status says it."""

    created: bool = False


class FilePath(_Told):
    """Where something is in the workspace."""

    path: str


class SearchResult(_Told):
    """Something that was found."""

    path: str
    type: Kind
    line: int | None = Field(default=None, ge=1, le=HUGE, description="From 1; of a search in text")
    text: str | None = Field(default=None, description="The line, shortened; of a search in text")


class SearchResults(_Told):
    """What was found, nearest to the root first."""

    results: list[SearchResult]
    truncated: bool = Field(description="Time or room did not suffice for all")


class ChangedFile(_Told):
    """A file that was written."""

    path: str
    type: Kind
    size: Size
    modified: Moment


class ChangedFiles(_Told):
    """What was written, the newest first."""

    results: list[ChangedFile]
    truncated: bool = Field(description="Time or room did not suffice for all")


def tag(version: str) -> str:
    """Write a version as an `ETag` or an `If-Match`."""
    return f'"{version}"'


def version_in(condition: str | None) -> str | None:
    """Return the version that an `If-Match` names; None without one.

    Raises:
        InvalidRequest: It is not one version.
    """
    if condition is None:
        return None
    match = _TAG.fullmatch(condition.strip())
    if match is None:
        raise InvalidRequest(
            "If-Match must be one version in quotes, as the file's ETag gives it.", "invalid_version"
        )
    return match[1]
