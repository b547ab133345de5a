"""Hosts of repositories, played as their documentation says, beside git's own server.

Sources: docs.github.com/rest/pulls/pulls, docs.gitlab.com/api/merge_requests, and the "swagger" of Gitea
(docs.gitea.com/api).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from tests.workspace_services.git.git_server import GitServer, git_server
from tests.workspace_services.git.rooms import own_git

KINDS = ("github", "gitlab", "gitea")
TOKEN = "glpat-s%cret/0123456789"
OWNER, NAME = "team", "app"

Answer = tuple[int, Mapping[str, str], bytes]


def said(status: int, body: Any, **headers: str) -> Answer:
    """An answer in JSON."""
    return status, {"Content-Type": "application/json", **headers}, json.dumps(body).encode()


@dataclass
class Pull:
    """A request as the host keeps it. `state` is `open`, `closed` or `merged`."""

    number: int
    head: str
    base: str
    title: str
    body: str
    state: str = "open"


@dataclass
class PlayedHost:
    """A host with one repository, `team/app`.

    Args:
        kind: Of `KINDS`.
        server: Git's own server, at the same address.
        fault: Answers in place of the API, or stops it; None lets it answer.
    """

    kind: str
    server: GitServer
    fault: Callable[[str, str], Answer | None] = lambda method, path: None
    pulls: list[Pull] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    signed: set[str] = field(default_factory=set)

    @property
    def repository(self) -> Path:
        """Where its repository lies."""
        return self.server.root / OWNER / f"{NAME}.git"

    @property
    def url(self) -> str:
        """The repository's address."""
        return self.server.url(f"{OWNER}/{NAME}.git")

    def branches(self) -> dict[str, str]:
        """Its branches and their commits."""
        listed = own_git(self.repository, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)")
        return dict(line.split(" ") for line in listed.splitlines())

    def merge(self, number: int) -> None:
        """Merge a request as a person does at the host, by a merge commit."""
        pull = self.pulls[number - 1]
        tree = own_git(self.repository, "merge-tree", "--write-tree", pull.base, pull.head)
        parents = ("-p", pull.base, "-p", pull.head)
        commit = own_git(self.repository, "commit-tree", tree, *parents, "-m", f"Merge #{number}")
        own_git(self.repository, "update-ref", f"refs/heads/{pull.base}", commit)
        pull.state = "merged"

    def posted(self) -> int:
        """How many requests it was asked to open."""
        return sum(line.startswith("POST ") for line in self.asked)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Answer a request to the API."""
        self.asked.append(f"{method} {path}")
        sent = headers.get("Authorization", "")
        self.signed.add(sent)
        if (instead := self.fault(method, path)) is not None:
            return instead
        if sent != ("token " if self.kind == "gitea" else "Bearer ") + TOKEN:
            words = {"github": "Bad credentials", "gitlab": "401 Unauthorized", "gitea": "invalid token"}
            return said(401, {"message": words[self.kind]})
        place = urlsplit(path)
        query = dict(parse_qsl(place.query))
        below = place.path.removeprefix(self._prefix())
        if below == place.path:
            return said(404, {"message": "Not Found"})
        if method == "POST" and not below:
            given = json.loads(body)
            self.bodies.append(given)
            return self._open(given)
        if method == "GET" and not below:
            return said(200, [self._shown(pull) for pull in self._listed(query)])
        number = int(below.removeprefix("/"))
        found = next((pull for pull in self.pulls if pull.number == number), None)
        return said(404, {"message": "Not Found"}) if found is None else said(200, self._shown(found))

    def _prefix(self) -> str:
        if self.kind == "gitlab":
            return f"/api/v4/projects/{quote(f'{OWNER}/{NAME}', safe='')}/merge_requests"
        version = "v3" if self.kind == "github" else "v1"
        return f"/api/{version}/repos/{OWNER}/{NAME}/pulls"

    def _listed(self, query: Mapping[str, str]) -> list[Pull]:
        assert query["state"] == "all"
        newest = self.pulls[::-1]
        if self.kind == "gitea":
            return newest
        head, base = query.get("head"), query.get("base")
        if self.kind == "gitlab":
            head, base = f"{OWNER}:{query['source_branch']}", query["target_branch"]
        return [pull for pull in newest if (f"{OWNER}:{pull.head}", pull.base) == (head, base)]

    def _open(self, given: Mapping[str, Any]) -> Answer:
        if self.kind == "gitlab":
            given = {
                "head": given["source_branch"],
                "base": given["target_branch"],
                "title": given["title"],
                "body": given["description"],
            }
        pull = Pull(len(self.pulls) + 1, given["head"], given["base"], given["title"], given["body"])
        if pull.head not in self.branches():
            return self._no_branch(pull)
        if any((each.head, each.base, each.state) == (pull.head, pull.base, "open") for each in self.pulls):
            return self._exists(pull)
        self.pulls.append(pull)
        return said(201, self._shown(pull))

    def _no_branch(self, pull: Pull) -> Answer:
        if self.kind == "github":
            error = {"resource": "PullRequest", "field": "head", "code": "invalid"}
            return said(422, {"message": "Validation Failed", "errors": [error]})
        if self.kind == "gitlab":
            return said(422, {"message": [f'Source branch "{pull.head}" does not exist']})
        return said(404, {"message": "The target couldn't be found.", "errors": []})

    def _exists(self, pull: Pull) -> Answer:
        if self.kind == "github":
            words = f"A pull request already exists for {OWNER}:{pull.head}."
            error = {"resource": "PullRequest", "code": "custom", "message": words}
            return said(422, {"message": "Validation Failed", "errors": [error]})
        if self.kind == "gitlab":
            words = "Another open merge request already exists for this source branch: !1"
            return said(409, {"message": [words]})
        return said(409, {"message": "pull request already exists for these targets [id: 1]"})

    def _shown(self, pull: Pull) -> dict[str, Any]:
        place = f"https://127.0.0.1:{self.server.port}/{OWNER}/{NAME}"
        if self.kind == "gitlab":
            return {
                "id": 7000 + pull.number,
                "iid": pull.number,
                "state": {"open": "opened"}.get(pull.state, pull.state),
                "source_branch": pull.head,
                "target_branch": pull.base,
                "web_url": f"{place}/-/merge_requests/{pull.number}",
            }
        merged = pull.state == "merged"
        gone = self.kind == "gitea" and pull.head not in self.branches()
        return {
            "id": 7000 + pull.number,
            "number": pull.number,
            "html_url": f"{place}/pull/{pull.number}",
            "state": "open" if pull.state == "open" else "closed",
            "merged_at": "2020-01-01T00:00:00Z" if merged else None,
            **({"merged": merged} if self.kind == "gitea" else {}),
            "head": {"label": pull.head, "ref": f"refs/pull/{pull.number}/head" if gone else pull.head},
            "base": {"label": pull.base, "ref": pull.base},
        }


@contextmanager
def played_host(kind: str, root: Path, source: Path, certificate: tuple[Path, Path]) -> Iterator[PlayedHost]:
    """Serve a copy of a repository, and the API of a host beside it, over TLS.

    Args:
        kind: Of `KINDS`.
        root: An empty folder.
        source: The repository that is copied.
        certificate: Of the server, and its key.
    """
    (root / OWNER).mkdir(parents=True)
    own_git(root, "clone", "--quiet", "--bare", str(source), f"{OWNER}/{NAME}.git")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with git_server(root, f"git:{TOKEN}", context) as server:
        host = PlayedHost(kind, server)
        server.api = host.answer
        yield host
