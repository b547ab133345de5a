"""What an address, a name, a role and a password may be."""

from __future__ import annotations

import re
import unicodedata

from vibe_app.accounts.roles import UserRole
from vibe_app.errors import InvalidRequest
from vibe_app.wire import is_blank, plain_text

PASSWORD_CHARS = 10

# Letters and symbols by their category, but drawn as nothing.
_BLANKS = "\u115f\u1160\u2800\u3164\uffa0\u034f\u17b4\u17b5"


def clean_address(email: str) -> str:
    """Return an address as it is compared."""
    return plain_text(email).strip().lower()


def new_address(email: str) -> str:
    """Return the address of a new account.

    Raises:
        InvalidRequest: It is none.
    """
    address = clean_address(email)
    if len(address) > 254 or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
        raise InvalidRequest("Give an e-mail address such as ada@example.org.", "invalid_email")
    return address


def clean_name(value: str) -> str:
    """Return a name on one line.

    Raises:
        InvalidRequest: Nothing of it is to be seen, or it is longer than 100 characters.
    """
    name = " ".join(plain_text(value).split())
    if is_blank(name) or len(name) > 100:
        raise InvalidRequest("The name must have 1 to 100 characters.", "invalid_name")
    return name


def parse_role(value: str) -> UserRole:
    """Return the role of this name.

    Raises:
        InvalidRequest: There is none.
    """
    try:
        return UserRole(value)
    except ValueError:
        raise InvalidRequest("The role must be admin or member.", "invalid_role") from None


def strong(password: str) -> str:
    """Return a password as it was typed, if it may be one.

    What cannot be seen at its ends does not count: spaces, control characters, and what is drawn as nothing.

    Raises:
        InvalidRequest: It is too short or too long.
    """
    seen = [index for index, char in enumerate(password) if not _unseen(char)]
    counted = seen[-1] - seen[0] + 1 if seen else 0
    if counted < PASSWORD_CHARS or len(password) > 200:
        raise InvalidRequest(
            f"The password must have {PASSWORD_CHARS} to 200 characters; spaces at its ends do not count.",
            "weak_password",
        )
    return password


def _unseen(char: str) -> bool:
    return unicodedata.category(char)[0] in "ZC" or char in _BLANKS or "\ufe00" <= char <= "\ufe0f"
