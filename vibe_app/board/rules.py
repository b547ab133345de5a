"""What people may write: limits and clean-up of their input, and types of fields that do so. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from vibe_app.accounts.roles import ProjectRole
from vibe_app.board.lifecycle import Priority, TaskStatus
from vibe_app.errors import InvalidRequest
from vibe_app.schema import Str, documented
from vibe_app.wire import is_blank, plain_text

TITLE_CHARS = 200
DESCRIPTION_BYTES = 64 * 1024
NAME_CHARS = 100
LABELS = 20
LABEL_CHARS = 40


def clean_line(value: str, what: str, limit: int) -> str:
    """Return `value` as one clean line of 1 to `limit` characters.

    Raises:
        InvalidRequest: Nothing of it is to be seen, or it is longer.
    """
    line = " ".join(plain_text(value).split())
    if is_blank(line):
        raise InvalidRequest(f"Give the {what} at least one character.", "empty_" + what)
    if len(line) > limit:
        raise InvalidRequest(
            f"The {what} has {len(line)} characters; shorten it to {limit} at most.", what + "_too_long"
        )
    return line


def clean_body(value: str, what: str = "description") -> str:
    """Return `value` without control characters and colours.

    Raises:
        InvalidRequest: It is longer than 64 KiB.
    """
    body = plain_text(value).strip("\n")
    if (size := len(body.encode())) > DESCRIPTION_BYTES:
        raise InvalidRequest(
            f"The {what} has {size:,} bytes; shorten it to {DESCRIPTION_BYTES:,} "
            f"({DESCRIPTION_BYTES >> 10} KiB) at most.",
            what + "_too_long",
        )
    return body


def clean_labels(values: Iterable[str]) -> list[str]:
    """Return the labels cleaned, each once, in the order given.

    Raises:
        InvalidRequest: There are more than 20, or one is longer than 40 characters.
    """
    labels = list(
        dict.fromkeys(clean_line(value, "label", LABEL_CHARS) for value in values if not is_blank(value))
    )
    if len(labels) > LABELS:
        raise InvalidRequest(f"A task can have {LABELS} labels at most; this one would have {len(labels)}.")
    return labels


def parse_priority(value: str) -> Priority:
    """Read a priority.

    Raises:
        InvalidRequest: There is none of this name.
    """
    try:
        return Priority(value)
    except ValueError:
        raise InvalidRequest(
            f"The priority must be one of {', '.join(Priority)}.", "invalid_priority"
        ) from None


def parse_status(value: str) -> TaskStatus:
    """Read a column's name.

    Raises:
        InvalidRequest: There is none of this name.
    """
    try:
        return TaskStatus(value)
    except ValueError:
        raise InvalidRequest(
            f"The status must be one of {', '.join(TaskStatus)}.", "invalid_status"
        ) from None


def parse_role(value: str) -> ProjectRole:
    """Read a role in a project.

    Raises:
        InvalidRequest: There is none of this name.
    """
    try:
        return ProjectRole(value)
    except ValueError:
        raise InvalidRequest(f"The role must be one of {', '.join(ProjectRole)}.", "invalid_role") from None


Name = Annotated[
    Str,
    AfterValidator(partial(clean_line, what="name", limit=NAME_CHARS)),
    documented(example="Ada", minLength=1, maxLength=NAME_CHARS),
]
Title = Annotated[
    Str,
    AfterValidator(partial(clean_line, what="title", limit=TITLE_CHARS)),
    documented(example="Add a README file", minLength=1, maxLength=TITLE_CHARS),
]
Body = Annotated[
    Str,
    AfterValidator(clean_body),
    documented(example="Say in a few lines what the project is for.", description="Markdown, to 64 KiB"),
]
Labels = Annotated[list[Str], AfterValidator(clean_labels), documented(example=["docs"], maxItems=LABELS)]
PriorityWord = Annotated[Priority, BeforeValidator(parse_priority), documented(example="normal")]
StatusWord = Annotated[TaskStatus, BeforeValidator(parse_status), documented(example="DONE")]
RoleWord = Annotated[ProjectRole, BeforeValidator(parse_role), documented(example="editor")]
