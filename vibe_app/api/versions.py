"""How a request names the version that it read, and an answer says it: `version`, `If-Match` and `ETag`."""

from __future__ import annotations

from typing import Annotated, Protocol, TypeVar

from fastapi import Header, Response

from vibe_app.errors import InvalidRequest

IfMatch = Annotated[str, Header(description="The version that you read, as ETag has it")]


class _Versioned(Protocol):
    @property
    def version(self) -> int: ...


Versioned = TypeVar("Versioned", bound=_Versioned)


def named_version(version: int | None, if_match: str) -> int | None:
    """Return the version that a change is founded on, from its body or its header; None where neither is.

    Raises:
        InvalidRequest: The header names none that can be.
    """
    tag = if_match.strip().removeprefix("W/").strip('"')
    if version is not None or not tag:
        return version
    if not tag.isascii() or not tag.isdecimal() or len(tag) > 9:
        raise InvalidRequest(
            "If-Match must be the ETag of what you change, as you read it.", "invalid_version"
        )
    return int(tag)


def tagged(view: Versioned, response: Response) -> Versioned:
    """Say the version of what is answered."""
    response.headers["ETag"] = f'"{view.version}"'
    return view
