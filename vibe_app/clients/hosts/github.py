"""Pull requests at GitHub and at GitHub Enterprise Server.

docs.github.com/rest/pulls/pulls: `POST /repos/{owner}/{repo}/pulls` with `title`, `head`, `base`, `body`
answers 201, or 422 where there is an open one, no such branch, or nothing between the two; `GET` of it takes
`head` as `owner:branch`, `base` and `state`; `GET …/pulls/{pull_number}` tells `merged`. At an Enterprise
Server the API is below `/api/v3` of the same host (docs.github.com/enterprise-server/rest), for github.com
at api.github.com. A fine-grained token needs "Pull requests" and "Contents", both read and write.
"""

from __future__ import annotations

from typing import TypedDict
from urllib.parse import quote

from vibe_app.addresses import Address
from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest, RequestState, strange, told
from vibe_app.errors import Conflict, InvalidRequest
from vibe_app.networks import Network
from vibe_app.shapes import shaped

RIGHTS = "to read and write contents and pull requests (a classic token: the scope repo)"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


class _Pull(TypedDict, total=False):
    number: int
    html_url: str
    state: str
    merged: bool
    merged_at: str


class GitHub:
    """A repository at GitHub.

    Args:
        address: The repository's.
        owner: Whose it is.
        name: Its name.
        token: What signs in.
        private: Networks of private addresses that may be reached.
    """

    kind = "github"

    def __init__(
        self, address: Address, owner: str, name: str, token: str, private: tuple[Network, ...]
    ) -> None:
        public = address.host == "github.com"
        headers = {**_HEADERS, "Authorization": f"Bearer {token}"}
        host = "api.github.com" if public else address.host
        self._owner = owner
        self._pulls = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/pulls"
        self._api = Api(address, host, "" if public else "/api/v3", headers, token, RIGHTS, private)

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, the newest first."""
        query = {"head": f"{self._owner}:{branch}", "base": target, "state": "all", "per_page": "20"}
        found = shaped(list[_Pull], await self._api.ask("GET", self._pulls, query))
        return [self._read(each) for each in found]

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request.

        Raises:
            Conflict: There is an open one already.
        """
        asked = {"title": title, "head": branch, "base": target, "body": body}
        try:
            return self._read(shaped(_Pull, await self._api.ask("POST", self._pulls, body=asked)))
        except InvalidRequest as error:
            if "already exists" in error.message:
                raise Conflict(error.message, "request_exists") from error
            raise

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return self._read(shaped(_Pull, await self._api.ask("GET", f"{self._pulls}/{number}")))

    def _read(self, pull: _Pull) -> PullRequest:
        state: RequestState
        if pull.get("merged") or pull.get("merged_at"):
            state = "merged"
        elif pull.get("state") in ("open", "closed"):
            state = "open" if pull.get("state") == "open" else "closed"
        else:
            raise strange(self._api.host)
        return told(self._api.host, pull.get("number"), pull.get("html_url"), state)
