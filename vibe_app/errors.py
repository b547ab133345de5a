"""The error tree of the domain, drawn once.

    VibeError
    ├─ NotFound         there is no such thing, or none that you may see
    ├─ Conflict         it is there, but in a state that does not allow this
    ├─ InvalidRequest          the request itself cannot be accepted as written
    ├─ Unavailable      a part this depends on does not answer
    │  ├─ DiskFull      it cannot, for want of room: trying again is of no use
    │  └─ Waking        it will by itself, in a moment
    ├─ Unauthenticated  nobody is signed in
    ├─ Forbidden        somebody is, but may not do this
    └─ TooMany          asked too often; try later

Every message is a sentence a person can act on. Nothing here knows HTTP: the
REST door maps kinds to status codes, the browser door shows the sentence.
"""

from collections.abc import Mapping
from typing import Any


class VibeError(Exception):
    """An expected failure whose message may be shown to the person who asked.

    Args:
        message: The sentence to show.
        code: A stable snake_case word for programs; by default the kind's own.
    """

    default_code = "error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class NotFound(VibeError):
    """There is no such thing, or none that the asker may see."""

    default_code = "not_found"


class Conflict(VibeError):
    """The thing exists in a state that does not allow what was asked."""

    default_code = "conflict"


class IllegalMove(Conflict):
    """A status was asked for that the table of moves does not allow from here."""

    default_code = "illegal_move"


class VersionChanged(Conflict):
    """What is to be changed was changed by somebody else since the caller read it. Nothing was written.

    Args:
        message: The sentence to show.
        yours: What the caller wanted to write, by field; no credential is among it.
        present: What is there now.
        noun: What that is: `task`, `project`, `member` or `user`.
    """

    default_code = "version_changed"

    def __init__(self, message: str, yours: Mapping[str, Any], present: Any, noun: str = "task") -> None:
        super().__init__(message)
        self.yours = yours
        self.present = present
        self.noun = noun


class RevisionChanged(Conflict):
    """What is decided about has moved on since the caller saw it. Nothing was done.

    Args:
        message: The sentence to show.
        present: How it is now.
    """

    default_code = "revision_changed"

    def __init__(self, message: str, present: Any) -> None:
        super().__init__(message)
        self.present = present


class LeaseLost(Conflict):
    """A run was written to by somebody who no longer owns it."""

    default_code = "lease_lost"


class InvalidRequest(VibeError):
    """The request cannot be accepted as written."""

    default_code = "invalid_request"


class TooLarge(InvalidRequest):
    """What was sent or asked for is larger than the limit."""

    default_code = "too_large"


class Unavailable(VibeError):
    """A part that this depends on does not answer."""

    default_code = "unavailable"


class CannotStart(Unavailable):
    """Something does not start, and will not by being asked again: somebody has to change something first."""

    default_code = "cannot_start"


class Waking(Unavailable):
    """A workspace that sleeps was woken for this and is not ready yet: ask again in a moment."""

    default_code = "workspace_starting"


class DiskFull(Unavailable):
    """There is no room left where this must be written."""

    default_code = "disk_full"


class Unauthenticated(VibeError):
    """Nobody is signed in, or the login has ended."""

    default_code = "unauthenticated"


class Forbidden(VibeError):
    """The person is known but may not do this."""

    default_code = "forbidden"


class TooMany(VibeError):
    """Asked too often.

    Args:
        message: The sentence to show.
        retry_after: Seconds until it is worth asking again.
        code: A stable snake_case word for programs.
    """

    default_code = "too_many_requests"

    def __init__(self, message: str, retry_after: int, code: str | None = None) -> None:
        super().__init__(message, code)
        self.retry_after = retry_after
