"""What the names of a project's cards begin with: `CAL` of `CAL-14`. Pure."""

from __future__ import annotations

import re
import unicodedata

from vibe_app.errors import InvalidRequest


def key_of(name: str) -> str:
    """Return the key of a project of this name.

    It is the first letters of several words, or the first three of one: two to five capitals in any case.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().upper()
    words = re.findall(r"[A-Z]+", plain)
    key = "".join(word[0] for word in words)[:5] if len(words) > 1 else "".join(words)[:3]
    return key if len(key) > 1 else (key + "PRJ")[:3]


def clean_key(value: str) -> str:
    """Return a key that somebody has chosen, in capitals.

    Raises:
        InvalidRequest: It is none.
    """
    key = value.strip().upper()
    if not re.fullmatch(r"[A-Z]{2,5}", key):
        raise InvalidRequest("A project's key has 2 to 5 letters from A to Z, such as CAL.", "invalid_key")
    return key


def ref_of(key: str, number: int | None) -> str:
    """Return a card's name for people; empty for one that an older server has just made, without a number."""
    return "" if number is None else f"{key}-{number}"
