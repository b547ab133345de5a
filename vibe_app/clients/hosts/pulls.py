"""Pull requests below `/repos/{owner}/{repo}/pulls`: what GitHub's API and Gitea's have alike.

`POST` takes `title`, `head`, `base` and `body` and answers with the request; `GET …/{number}` tells how it is
(the documentation is named in `github` and `gitea`). How an open one is found, and how it is said that there
is one already, is each host's own.
"""

from __future__ import annotations

from typing import TypedDict
from urllib.parse import quote

from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest, RequestState, strange, told
from vibe_app.shapes import shaped


class Pull(TypedDict, total=False):
    """A request, as far as it is read."""

    number: int
    html_url: str
    state: str
    merged: bool
    merged_at: str


class Pulls:
    """The requests of one repository.

    Args:
        api: The host's.
        owner: Whose repository it is.
        name: Its name.
    """

    def __init__(self, api: Api, owner: str, name: str) -> None:
        self.api = api
        self.path = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/pulls"

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request."""
        asked = {"title": title, "head": branch, "base": target, "body": body}
        return self.read(shaped(Pull, await self.api.ask("POST", self.path, body=asked)))

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return self.read(shaped(Pull, await self.api.ask("GET", f"{self.path}/{number}")))

    def read(self, pull: Pull) -> PullRequest:
        """Make what is known of a request from an answer.

        Raises:
            Unavailable: It is not what a host answers.
        """
        state: RequestState
        if pull.get("merged") or pull.get("merged_at"):
            state = "merged"
        elif pull.get("state") in ("open", "closed"):
            state = "open" if pull.get("state") == "open" else "closed"
        else:
            raise strange(self.api.host)
        return told(self.api.host, pull.get("number"), pull.get("html_url"), state)
