"""Pull requests at GitHub and at GitHub Enterprise Server.

docs.github.com/rest/pulls/pulls: `POST /repos/{owner}/{repo}/pulls` with `title`, `head`, `base`, `body`
answers 201, or 422 where there is an open one, no such branch, or nothing between the two; `GET` of it takes
`head` as `owner:branch`, `base` and `state`; `GET …/pulls/{pull_number}` tells `merged`. At an Enterprise
Server the API is below `/api/v3` of the same host (docs.github.com/enterprise-server/rest), for github.com
at api.github.com. A fine-grained token needs "Pull requests" and "Contents", both read and write.
"""

from __future__ import annotations

from vibe_app.addresses import Address
from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest
from vibe_app.clients.hosts.pulls import Pull, Pulls
from vibe_app.errors import Conflict, InvalidRequest
from vibe_app.networks import Network
from vibe_app.shapes import shaped

RIGHTS = "to read and write contents and pull requests (a classic token: the scope repo)"
_HEADERS = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}


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
        api = Api(address, host, "" if public else "/api/v3", headers, token, RIGHTS, private)
        self._pulls = Pulls(api, owner, name)

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, the newest first."""
        query = {"head": f"{self._owner}:{branch}", "base": target, "state": "all", "per_page": "20"}
        found = shaped(list[Pull], await self._pulls.api.ask("GET", self._pulls.path, query))
        return [self._pulls.read(each) for each in found]

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request.

        Raises:
            Conflict: There is an open one already.
        """
        try:
            return await self._pulls.open(branch, target, title, body)
        except InvalidRequest as error:
            if "already exists" in error.message:
                raise Conflict(error.message, "request_exists") from error
            raise

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return await self._pulls.look(number)
