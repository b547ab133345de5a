"""Which host a repository is at."""

from __future__ import annotations

from collections.abc import Mapping

from vibe_app.addresses import Address, Credential
from vibe_app.clients.hosts.contract import Host
from vibe_app.clients.hosts.gitea import Gitea
from vibe_app.clients.hosts.github import GitHub
from vibe_app.clients.hosts.gitlab import GitLab
from vibe_app.networks import Network

_WELL_KNOWN: Mapping[str, str] = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "codeberg.org": "gitea",
}


def host_of(
    address: Address, kind: str, credential: Credential | None, private: tuple[Network, ...]
) -> Host | None:
    """Return the host of a repository; None where none is known, or where nothing signs in by its API.

    Args:
        address: The repository's.
        kind: What the project's settings say: `auto`, `github`, `gitlab`, `gitea` or `none`.
        credential: What signs in to its server, if anything.
        private: Networks of private addresses that may be reached.
    """
    if address.scheme not in ("https", "http") or credential is None:
        return None
    if kind == "auto":
        kind = _WELL_KNOWN.get(address.host, "none")
    path = address.path.strip("/").removesuffix(".git").rstrip("/")
    owner, _, name = path.rpartition("/")
    token = credential.token or credential.username
    if not owner or not name:
        return None
    if kind == "gitlab":
        return GitLab(address, path, token, private)
    # Both know owners without groups.
    if "/" in owner:
        return None
    if kind == "github":
        return GitHub(address, owner, name, token, private)
    return Gitea(address, owner, name, token, private) if kind == "gitea" else None
