"""What the API takes and gives beside the nouns: pages of lists, the state of the server.

The nouns have their own in `board/*/schemas.py` and `accounts/schemas.py`, files theirs in `wire/files.py`.
Bodies refuse fields that they do not know, so that a misspelt one is noticed.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import Field

from vibe_app.schema import View

Page = Annotated[int, Query(ge=1, le=1_000_000, description="Which page, from 1")]
PageSize = Annotated[int, Query(ge=1, le=100, description="How many on a page, 1 to 100")]
After = Annotated[
    str | None,
    Query(description="The `next` of the page before, in place of a page's number; `page_size` still counts"),
]


class Message(View):
    """A word on what was done."""

    message: str


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
