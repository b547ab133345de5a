"""Merge requests at GitLab.

docs.gitlab.com/api/merge_requests: `POST /projects/{id}/merge_requests` with `source_branch`,
`target_branch`, `title`, `description` answers 201, or 409 where there is an open one for these branches;
`GET` of it takes `source_branch`, `target_branch` and `state`, the newest first; `GET …/{iid}` tells one.
Its `state` is `opened`, `closed`, `merged`, or `locked` while it is being merged. The id may be the path of
the project, quoted as one (docs.gitlab.com/api/rest, "Namespaced paths"). The token needs the scope `api`:
one for repositories alone, or a deploy token, cannot open requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import quote

from vibe_app.addresses import Address
from vibe_app.clients.hosts.api import Api
from vibe_app.clients.hosts.contract import PullRequest, RequestState, strange, told
from vibe_app.errors import Conflict
from vibe_app.networks import Network
from vibe_app.shapes import shaped

RIGHTS = "the scope api, of somebody who is at least Developer in the project"
_STATES: Mapping[str, RequestState] = {
    "opened": "open",
    "locked": "open",
    "closed": "closed",
    "merged": "merged",
}


class _Merge(TypedDict, total=False):
    iid: int
    web_url: str
    state: str


class GitLab:
    """A repository at GitLab.

    Args:
        address: The repository's.
        path: Its groups and its name.
        token: What signs in.
        private: Networks of private addresses that may be reached.
    """

    kind = "gitlab"

    def __init__(self, address: Address, path: str, token: str, private: tuple[Network, ...]) -> None:
        headers = {"Authorization": f"Bearer {token}"}
        self._merges = f"/projects/{quote(path, safe='')}/merge_requests"
        self._api = Api(address, address.host, "/api/v4", headers, token, RIGHTS, private)

    async def find(self, branch: str, target: str) -> list[PullRequest]:
        """Return the requests to take `branch` into `target`, the newest first."""
        query = {"source_branch": branch, "target_branch": target, "state": "all", "per_page": "20"}
        found = shaped(list[_Merge], await self._api.ask("GET", self._merges, query))
        return [self._read(each) for each in found]

    async def open(self, branch: str, target: str, title: str, body: str) -> PullRequest:
        """Open a request.

        Raises:
            Conflict: There is an open one already.
        """
        asked = {
            "source_branch": branch,
            "target_branch": target,
            "title": title,
            "description": body,
            "remove_source_branch": True,
        }
        try:
            return self._read(shaped(_Merge, await self._api.ask("POST", self._merges, body=asked)))
        except Conflict as error:
            raise Conflict(error.message, "request_exists") from error

    async def look(self, number: int) -> PullRequest:
        """Return how a request is now."""
        return self._read(shaped(_Merge, await self._api.ask("GET", f"{self._merges}/{number}")))

    def _read(self, merge: _Merge) -> PullRequest:
        state = _STATES.get(merge.get("state", ""))
        if state is None:
            raise strange(self._api.host)
        return told(self._api.host, merge.get("iid"), merge.get("web_url"), state)
