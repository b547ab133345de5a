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

from vibe_app.addresses import Address
from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest
from vibe_app.clients.hosts.pulls import Pull, Pulls
from vibe_app.errors import Conflict
from vibe_app.networks import Network
from vibe_app.shapes import shaped

RIGHTS = "to write the repository and issues (scopes write:repository and write:issue)"


class _Branch(TypedDict, total=False):
    ref: str
    label: str


class _Pull(Pull, total=False):
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
        api = Api(address, address.host, "/api/v1", headers, token, RIGHTS, private)
        self._pulls = Pulls(api, owner, name)

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, the newest first."""
        query = {"state": "all", "sort": "recentupdate", "limit": "50"}
        found = shaped(list[_Pull], await self._pulls.api.ask("GET", self._pulls.path, query))
        ours = [
            self._pulls.read(each)
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
        try:
            return await self._pulls.open(branch, target, title, body)
        except Conflict as error:
            raise Conflict(error.message, "request_exists") from error

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return await self._pulls.look(number)
