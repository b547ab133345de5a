"""What `vibe doctor` finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Args:
        what: Its name.
        found: What is the case.
        cure: What to do about it; empty when it is well.
        essential: Whether nothing works without it.
    """

    what: str
    found: str
    cure: str = ""
    essential: bool = True
