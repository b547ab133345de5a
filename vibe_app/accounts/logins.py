"""A person's own logins: which there are, where they came from, when they were last used; and ending them.

With them goes the mark of a browser that has signed in, which frees it from what others do to an address
(https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies). It opens nothing.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import jwt
from sqlalchemy import ColumnElement, delete, select, update
from sqlmodel import col

from vibe_app.accounts.models import Login
from vibe_app.accounts.roles import Actor
from vibe_app.db import Database
from vibe_app.errors import NotFound
from vibe_app.wire import now

NOTED_EVERY = timedelta(minutes=5)
"""How old the note of a last use may be before it is written again."""

_MARK = "browser"
# The first that is found counts: most browsers also name those whose pages they want to be served.
_BROWSERS = (
    *(("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox", "Firefox")),
    *(("FxiOS", "Firefox"), ("CriOS", "Chrome"), ("HeadlessChrome", "Chrome"), ("Chrome", "Chrome")),
    *(("Safari", "Safari"), ("curl", "curl"), ("python", "Python")),
)
_SYSTEMS = (
    *(("Android", "Android"), ("iPhone", "iPhone"), ("iPad", "iPad"), ("Windows", "Windows")),
    *(("Mac OS X", "macOS"), ("CrOS", "ChromeOS"), ("Linux", "Linux")),
)


@dataclass(frozen=True)
class LoginView:
    """One of a person's logins; `current` is the one that asks."""

    id: UUID
    host: str
    browser: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    current: bool


class Logins:
    """Logins, each its owner's own affair.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, actor: Actor) -> list[LoginView]:
        """Return one's own logins that have not ended, the newest first.

        Raises:
            Forbidden: An access token asks.
        """
        actor.need_login()
        async with self._database.read() as db:
            rows = await db.scalars(
                select(Login)
                .where(col(Login.user_id) == actor.user_id, col(Login.expires_at) > now())
                .order_by(col(Login.created_at).desc())
            )
            return [
                LoginView(
                    id=row.id,
                    host=row.host,
                    browser=row.browser,
                    created_at=row.created_at,
                    expires_at=row.expires_at,
                    last_used_at=row.last_used_at,
                    current=row.id == actor.login_id,
                )
                for row in rows
            ]

    async def end(self, actor: Actor, login_id: UUID) -> None:
        """End one of one's own logins.

        Raises:
            NotFound: The asker has no such login.
            Forbidden: An access token asks.
        """
        actor.need_login()
        if not await self._end(actor, col(Login.id) == login_id):
            raise NotFound("You have no such login. It may have ended already.", "login_not_found")

    async def end_others(self, actor: Actor) -> int:
        """End every login of one's own but the one that asks; return how many there were.

        Raises:
            Forbidden: An access token asks.
        """
        actor.need_login()
        return await self._end(actor, col(Login.id) != actor.login_id)

    async def _end(self, actor: Actor, which: ColumnElement[bool]) -> int:
        async with self._database.transaction() as db:
            ended = list(
                await db.scalars(
                    delete(Login).where(col(Login.user_id) == actor.user_id, which).returning(col(Login.id))
                )
            )
            if ended:
                db.announce(f"rights:{actor.user_id}", *[f"login:{login}" for login in ended])
        return len(ended)

    async def note_use(self, login: Login) -> None:
        """Note that a login is in use, unless that was noted a moment ago."""
        moment = now()
        if login.last_used_at is None or moment - login.last_used_at > NOTED_EVERY:
            async with self._database.transaction() as db:
                await db.execute(update(Login).where(col(Login.id) == login.id).values(last_used_at=moment))


class Marks:
    """Makes and reads the marks of browsers.

    Args:
        key: The installation's signing key.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def make(self, email: str, known: str = "") -> str:
        """Return the mark of a browser that has signed in to this address.

        Args:
            email: The address, as it is compared.
            known: What `read` knows the browser by already.
        """
        claims = {"aud": _MARK, "sub": _digest(email), "jti": known or secrets.token_urlsafe(16)}
        return jwt.encode(claims, self._key, algorithm="HS256")

    def read(self, mark: str, email: str) -> str:
        """Return what a browser is known by that has signed in to this address; nothing for another one."""
        try:
            claims = jwt.decode(mark, self._key, algorithms=["HS256"], audience=_MARK)
            return str(claims["jti"]) if claims["sub"] == _digest(email) else ""
        except (jwt.InvalidTokenError, KeyError):
            return ""


def browser_name(user_agent: str) -> str:
    """Return a short name of what signed in, such as `Firefox on Linux`; what it says of itself, no proof."""
    browser = next((name for word, name in _BROWSERS if word in user_agent), "")
    system = next((name for word, name in _SYSTEMS if word in user_agent), "")
    return " on ".join(word for word in (browser, system) if word)


def _digest(email: str) -> str:
    return hashlib.sha256(email.encode()).hexdigest()
