"""What a repository's host is asked for, and what it answers, whichever host it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from vibe_app.errors import Unavailable

RequestState = Literal["open", "merged", "closed"]
LONGEST_URL = 2000
"""Characters that the address of a request may have."""


@dataclass(frozen=True)
class PullRequest:
    """A request to take a branch in.

    Args:
        number: As people call it at the host.
        url: Where people look at it: `https://` or `http://`.
        state: `closed` is closed without being taken in.
    """

    number: int
    url: str
    state: RequestState


class Host(Protocol):
    """A repository at its host. Each verb is one call, or two, with a limit of time and of size.

    Each raises `InvalidRequest` where the host may not be reached or refuses what is asked, `Forbidden` where
    the token is not taken or may not do it, `NotFound` where the repository or the request is not there,
    `TooMany` where the host wants to be asked less often, and `Unavailable` where it does not answer. No
    message has the token in it.
    """

    @property
    def kind(self) -> str:
        """What it is called in a project's settings."""
        ...

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, whatever their state, the newest first."""
        ...

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request to take `branch` into `target`.

        Raises:
            Conflict: There is an open one already (`request_exists`).
        """
        ...

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        ...


def told(host: str, number: Any, url: Any, state: RequestState) -> PullRequest:
    """Make what is known of a request from an answer.

    Args:
        host: Whose answer, for the sentence.
        number: Its number, as far as there was one.
        url: Its address. A page makes a link of it, so nothing but a web address is one.
        state: How it is.

    Raises:
        Unavailable: It is not what a host answers.
    """
    web = isinstance(url, str) and url.startswith(("https://", "http://")) and url.isprintable()
    if not web or len(url) > LONGEST_URL or not isinstance(number, int) or number < 1:
        raise strange(host)
    return PullRequest(number, url, state)


def strange(host: str) -> Unavailable:
    """What is raised where an answer is not one of the API that was meant."""
    return Unavailable(
        f"{host} answers as no host of this kind does: choose another kind in the project's settings.",
        "host_strange",
    )
