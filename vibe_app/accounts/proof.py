"""What proves a login, and the one-time right to set an installation up. Pure; all of it comes of one key.

A login has three proofs, each of use in its own place alone. A program sends the
bearer token. A browser holds the cookie, which goes to every port of its host, and
the origin key, which its pages keep for the board's own origin (scheme, host and
port): neither opens anything without the other.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import jwt

_BEARER, _COOKIE = "bearer", "cookie"


class Proof(NamedTuple):
    """What a request or a socket shows of itself.

    Attributes:
        token: A bearer token or the value of the cookie; None where there is neither.
        key: What came beside the cookie, empty where nothing did; None with a bearer token.
    """

    token: str | None = None
    key: str | None = None


class Signer:
    """Makes and reads proofs.

    Args:
        key: The installation's signing key.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def bearer(self, login: UUID, ends: datetime) -> str:
        """Return a login's token for programs."""
        return self._token(login, ends, _BEARER)

    def cookie(self, login: UUID, ends: datetime) -> str:
        """Return a login's token for a browser's cookie."""
        return self._token(login, ends, _COOKIE)

    def origin_key(self, login: UUID) -> str:
        """Return what must come beside a login's cookie. It is kept nowhere but in the browser."""
        return self._derived(f"origin:{login}")

    def set_up_token(self) -> str:
        """Return the right to make the first account; the same in every process of an installation."""
        return self._derived("setup")

    def is_set_up_token(self, given: str) -> bool:
        """Tell whether it is that."""
        return _same(self.set_up_token(), given)

    def login(self, proof: Proof) -> UUID | None:
        """Return the login that is proved, or None: a token in the other's place proves nothing."""
        audience = _BEARER if proof.key is None else _COOKIE
        try:
            claims = jwt.decode(proof.token or "", self._key, algorithms=["HS256"], audience=audience)
            login = UUID(claims["jti"])
        except (jwt.InvalidTokenError, KeyError, ValueError):
            return None
        return login if proof.key is None or _same(self.origin_key(login), proof.key) else None

    def _token(self, login: UUID, ends: datetime, audience: str) -> str:
        return jwt.encode({"jti": str(login), "exp": ends, "aud": audience}, self._key, algorithm="HS256")

    def _derived(self, purpose: str) -> str:
        return hmac.new(self._key.encode(), purpose.encode(), hashlib.sha256).hexdigest()


def _same(right: str, given: str) -> bool:
    return hmac.compare_digest(right.encode(), given.encode(errors="replace"))
