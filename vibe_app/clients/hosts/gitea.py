"""Pull requests at Gitea and at Forgejo, Codeberg among them.

docs.gitea.com/api, "repoCreatePullRequest": `POST /repos/{owner}/{repo}/pulls` with `title`, `head`, `base`,
`body` answers 201, or 409 where there is an open one, 404 without such a branch, 422, or 423 of an archived
repository. `GET` of it takes `state` and `sort`, and knows no filter by branch in older versions, so the 50
that changed last are looked through. `GET …/pulls/{index}` tells `state` and `merged`. `GET
…/pulls/{base}/{head}` finds one of any state, and not the newest of several, so it is not used. The token
needs to write repository and issue.
"""

from __future__ import annotations

from typing import TypedDict
from urllib.parse import quote

from vibe_app.addresses import Address
from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest, RequestState, strange, told
from vibe_app.errors import Conflict
from vibe_app.networks import Network
from vibe_app.shapes import shaped

RIGHTS = "to write the repository and issues (scopes write:repository and write:issue)"


class _Branch(TypedDict, total=False):
    ref: str
    label: str


class _Pull(TypedDict, total=False):
    number: int
    html_url: str
    state: str
    merged: bool
    head: _Branch
    base: _Branch


class Gitea:
    """A repository at Gitea.

    Args:
        address: The repository's.
        owner: Whose it is.
        name: Its name.
        token: What signs in.
        private: Networks of private addresses that may be reached.
    """

    kind = "gitea"

    def __init__(
        self, address: Address, owner: str, name: str, token: str, private: tuple[Network, ...]
    ) -> None:
        headers = {"Accept": "application/json", "Authorization": f"token {token}"}
        self._pulls = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}/pulls"
        self._api = Api(address, address.host, "/api/v1", headers, token, RIGHTS, private)

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, the newest first."""
        query = {"state": "all", "sort": "recentupdate", "limit": "50"}
        found = shaped(list[_Pull], await self._api.ask("GET", self._pulls, query))
        ours = [
            self._read(each)
            for each in found
            # Once its branch is deleted, a request's `ref` is that of the request, and `label` is the branch.
            if branch in (each.get("head", {}).get("ref"), each.get("head", {}).get("label"))
            and each.get("base", {}).get("ref") == target
        ]
        return sorted(ours, key=lambda each: -each.number)

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request.

        Raises:
            Conflict: There is an open one already.
        """
        asked = {"title": title, "head": branch, "base": target, "body": body}
        try:
            return self._read(shaped(_Pull, await self._api.ask("POST", self._pulls, body=asked)))
        except Conflict as error:
            raise Conflict(error.message, "request_exists") from error

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return self._read(shaped(_Pull, await self._api.ask("GET", f"{self._pulls}/{number}")))

    def _read(self, pull: _Pull) -> PullRequest:
        state: RequestState
        if pull.get("merged"):
            state = "merged"
        elif pull.get("state") in ("open", "closed"):
            state = "open" if pull.get("state") == "open" else "closed"
        else:
            raise strange(self._api.host)
        return told(self._api.host, pull.get("number"), pull.get("html_url"), state)
