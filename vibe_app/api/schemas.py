"""What the API takes and gives beside the nouns: pages of lists, files, the state of the server.

The nouns have their own in `board/*/schemas.py` and `accounts/schemas.py`. Bodies refuse fields that they
do not know, so that a misspelt one is noticed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from vibe_app.schema import Str, Taken, View, documented

Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="How many on a page, 1 to 100")]
After = Annotated[
    str | None,
    Query(description="The `next` of the page before, in place of a page's number; `page_size` still counts"),
]


class Message(View):
    """A word on what was done."""

    message: str


class FileEntry(View):
    """One entry of a folder."""

    name: str
    path: str = Field(description="From the workspace's root")
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str = Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"})
    leads_to: Literal["file", "directory"] | None = Field(
        default=None, description="What a link leads to; null where it leads out of the workspace, or nowhere"
    )


class FileList(View):
    """A folder of the workspace, folders first."""

    path: str
    entries: list[FileEntry]
    total_count: int


class FileContent(View):
    """A file of the workspace."""

    path: str
    size: int = Field(description="Of the whole file, in bytes")
    offset: int = Field(description="Byte at which the content begins; a text is cut between characters")
    encoding: str = Field(description="`utf-8`, or `base64` where the file is no text")
    content: str
    version: str | None = Field(description="Changes with the content; null where this is only a part")


class FileWritten(View):
    """A file that was put in place."""

    path: str
    size: int
    version: str


class FilePath(View):
    """Where something is in the workspace."""

    path: str


class NewFolder(Taken):
    """A folder to be made."""

    path: Annotated[Str, documented(example="docs/images")]
    parents: bool = Field(default=False, description="Make missing folders on the way")


class MoveFile(Taken):
    """A file or folder and its new name or place."""

    path: Annotated[Str, documented(example="notes.md")]
    to: Annotated[Str, documented(example="docs/notes.md")]
    parents: bool = Field(default=False, description="Make missing folders on the way")


class SearchResult(View):
    """Something that was found."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    line: int | None = Field(default=None, description="From 1; of a search in text")
    text: str | None = Field(default=None, description="The line, shortened; of a search in text")


class SearchResults(View):
    """What was found, nearest to the root first."""

    results: list[SearchResult]
    truncated: bool = Field(description="Time or room did not suffice for all")


class ChangedFile(View):
    """A file that was written."""

    path: str
    type: Literal["file", "directory", "symlink", "other"]
    size: int
    modified: str = Field(json_schema_extra={"example": "2026-11-22T09:30:00.000Z", "format": "date-time"})


class ChangedFiles(View):
    """What was written, the newest first."""

    results: list[ChangedFile]
    truncated: bool = Field(description="Time or room did not suffice for all")


class Health(View):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Ready(View):
    """Everything that it needs answers."""

    status: Literal["ready"] = "ready"


class NotReady(View):
    """What does not answer."""

    error: str
    code: Literal["not_ready"] = "not_ready"
    reasons: dict[str, str] = Field(description="What is wrong with each part that is not ready")
