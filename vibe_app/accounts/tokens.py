"""Personal access tokens: make, list, rename, end, and find out whose one is.

A token is shown once and kept as a hash. It never has more than its owner's present
rights, and of those only what its scopes name, in one project or in all.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import col

from vibe_app.accounts.models import AccessToken, User
from vibe_app.accounts.roles import Actor, Scope
from vibe_app.accounts.rules import clean_name
from vibe_app.db import Database, rows_changed
from vibe_app.errors import InvalidRequest, NotFound, Unauthenticated
from vibe_app.wire import now

TOKEN_PREFIX = "vibe_"
NOTED_EVERY = timedelta(minutes=5)
"""How old the note of a last use may be before it is written again."""

_UNKNOWN = "This access token is unknown or has ended. Make a new one in Settings."


@dataclass(frozen=True)
class TokenView:
    """A personal access token without its secret, but for `token` right after it was made."""

    id: UUID
    name: str
    scopes: list[Scope]
    project_id: UUID | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    token: str | None = None


class Tokens:
    """Access tokens, each its owner's own affair.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, actor: Actor) -> list[TokenView]:
        """Return one's own access tokens, newest first, without their secrets; a token sees itself alone."""
        query = select(AccessToken).where(col(AccessToken.user_id) == actor.user_id)
        if actor.token_id is not None:
            query = query.where(col(AccessToken.id) == actor.token_id)
        async with self._database.read() as db:
            rows = await db.scalars(query.order_by(col(AccessToken.created_at).desc()))
            return [_view(row) for row in rows]

    async def add(
        self,
        actor: Actor,
        name: str,
        days: int = 90,
        scopes: Iterable[str] = (Scope.READ,),
        project_id: UUID | None = None,
    ) -> TokenView:
        """Make an access token; the answer is the only time that its secret is shown.

        Args:
            actor: Whose it will be.
            name: What it is for, 1 to 100 characters.
            days: Days until it ends, 1 to 365.
            scopes: What it may be used for; `read` is always among them.
            project_id: The only project that it is for, which the asker must be known to see; None for all.

        Raises:
            InvalidRequest: A value cannot be accepted.
            NotFound: There is no such project.
            Forbidden: An access token asks for another one.
        """
        actor.need_login()
        if not 1 <= days <= 365:
            raise InvalidRequest("A token can last between 1 and 365 days.", "invalid_days")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        kept = AccessToken(
            user_id=actor.user_id,
            name=clean_name(name),
            token_hash=_digest(secret),
            scopes=" ".join(_parse_scopes(scopes)),
            project_id=project_id,
            expires_at=now() + timedelta(days=days),
        )
        try:
            async with self._database.transaction() as db:
                db.add(kept)
        except IntegrityError as error:
            raise NotFound(
                "There is no such project. It may have been deleted.", "project_not_found"
            ) from error
        return _view(kept, secret)

    async def rename(self, actor: Actor, token_id: UUID, name: str) -> TokenView:
        """Give one of one's own access tokens another name.

        Raises:
            NotFound: The asker has no such token.
            InvalidRequest: The name cannot be accepted.
            Forbidden: An access token asks.
        """
        actor.need_login()
        new = clean_name(name)
        async with self._database.transaction() as db:
            kept = await db.get(AccessToken, token_id)
            if kept is None or kept.user_id != actor.user_id:
                raise NotFound("You have no such access token.", "token_not_found")
            kept.name = new
            await db.flush()
        return _view(kept)

    async def remove(self, actor: Actor, token_id: UUID) -> None:
        """End one of one's own access tokens.

        Raises:
            NotFound: The asker has no such token.
            Forbidden: An access token asks.
        """
        actor.need_login()
        async with self._database.transaction() as db:
            done = await db.execute(
                delete(AccessToken).where(
                    col(AccessToken.id) == token_id, col(AccessToken.user_id) == actor.user_id
                )
            )
            if not rows_changed(done):
                raise NotFound("You have no such access token.", "token_not_found")
            db.announce(f"rights:{actor.user_id}")

    async def owner(self, token: str) -> tuple[User, AccessToken]:
        """Return whose access token this is, and note that it was used.

        Raises:
            Unauthenticated: It is none, or it has ended.
        """
        moment = now()
        async with self._database.read() as db:
            row = (
                await db.execute(
                    select(User, AccessToken)
                    .join(AccessToken, col(AccessToken.user_id) == col(User.id))
                    .where(
                        col(AccessToken.token_hash) == _digest(token), col(AccessToken.expires_at) > moment
                    )
                )
            ).one_or_none()
        if row is None:
            raise Unauthenticated(_UNKNOWN)
        user, kept = row
        if kept.last_used_at is None or moment - kept.last_used_at > NOTED_EVERY:
            async with self._database.transaction() as db:
                await db.execute(
                    update(AccessToken).where(col(AccessToken.id) == kept.id).values(last_used_at=moment)
                )
        return user, kept


def scopes_of(row: AccessToken) -> list[Scope]:
    """Return what a token is for, in the order of the words."""
    return [Scope(word) for word in row.scopes.split()]


def _parse_scopes(words: Iterable[str]) -> list[Scope]:
    given = set(words)
    if unknown := given - set(Scope):
        raise InvalidRequest(
            f"There is no scope {sorted(unknown)[0]!r}. The scopes are {', '.join(Scope)}.", "invalid_scope"
        )
    if not given:
        raise InvalidRequest(f"Give at least one scope of {', '.join(Scope)}.", "invalid_scope")
    return [scope for scope in Scope if scope is Scope.READ or scope in given]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _view(row: AccessToken, secret: str | None = None) -> TokenView:
    return TokenView(
        row.id,
        row.name,
        scopes_of(row),
        row.project_id,
        row.created_at,
        row.expires_at,
        row.last_used_at,
        secret,
    )
