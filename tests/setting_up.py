"""The one-time right to make an installation's first account, as whoever started the server has it."""

from __future__ import annotations

import re
from pathlib import Path

from vibe_app.accounts.proof import Signer


def token_of(key: str) -> str:
    """Return the token of an installation that signs with this key."""
    return Signer(key).set_up_token()


def token_on(data: Path) -> str:
    """Return the token of a server on this data folder, which keeps its key there."""
    return token_of((data / "secret.key").read_text().strip())


def token_in(log: str) -> str:
    """Return the token of the link that a server has printed."""
    found = re.search(r"/setup\?token=([0-9a-f]+)", log)
    assert found, log
    return found[1]
