"""The secrets of a workspace's services. They derive from the installation's key and are kept nowhere.

Every process of an installation knows them from the project's id and the epoch in its row, and a
start with a new epoch makes those of before worthless.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class ServiceKeys:
    """The secrets of one workspace in one epoch.

    Args:
        token: What each service wants as `Bearer` from the app.
        password: Of OpenCode's HTTP interface; known to OpenCode, proxy and sidecar.
        rehearsal_key: Of the sidecar's rehearsal model; known to the gateway alone.
        model_token: What OpenCode sends to the gateway as its providers' key.
    """

    token: str
    password: str
    rehearsal_key: str
    model_token: str = ""

    @classmethod
    def of(cls, key: str, project_id: UUID, epoch: int) -> ServiceKeys:
        """Derive them.

        Args:
            key: The installation's signing key.
            project_id: Whose workspace.
            epoch: Which start of it. Number 0 stands for versions that did not count.
        """
        start = f" {epoch}" if epoch else ""

        def derive(purpose: str) -> str:
            message = f"vibe workspace {project_id} {purpose}{start}"
            digest = hmac.digest(key.encode(), message.encode(), "sha256")
            return base64.urlsafe_b64encode(digest).decode().rstrip("=")

        return cls(derive("token"), derive("password"), derive("rehearsal"), derive("model"))

    @property
    def mark(self) -> str:
        """A fingerprint that tells them apart and gives nothing of them away."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:16]
