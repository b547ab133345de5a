"""The verbs of accounts: set up, sign in, sign out, people and their access tokens.

A login is a row and a signed token that names it: the signature proves that we
gave it out, the row that it has not ended. Passwords are argon2id hashes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from uuid import UUID, uuid4

import jwt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts.models import AccessToken, Login, LoginThrottle, User
from vibe_app.accounts.roles import Actor, UserRole
from vibe_app.db import Database
from vibe_app.errors import Conflict, Forbidden, NotFound, Refused, TooMany, Unauthenticated
from vibe_app.wire import now, plain_text

TOKEN_PREFIX = "vibe_"
PASSWORD_CHARS = 10
FREE_FAILURES = 5
"""Failed attempts before a wait; each further one doubles it, from 2 s to 15 min."""

_WRONG = "The address or the password is wrong."
_ENDED = "You are not signed in, or your login has ended. Sign in again."


@dataclass(frozen=True)
class Grant:
    """A fresh login: its token, and for how many seconds it is valid."""

    token: str
    expires_in: int
    user: UserView


@dataclass(frozen=True)
class UserView:
    """A person as others may see one."""

    id: UUID
    email: str
    name: str
    role: UserRole
    created_at: datetime


@dataclass(frozen=True)
class TokenView:
    """A personal access token without its secret, but for `token` right after it was made."""

    id: UUID
    name: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    token: str | None = None


class Accounts:
    """People, and the proof of who is asking.

    Args:
        database: Where they are kept.
        signing_key: Signs login tokens (HS256).
        login_days: Days until a login ends.
    """

    def __init__(self, database: Database, signing_key: str, login_days: int = 7) -> None:
        self._database = database
        self._key = signing_key
        self._lifetime = timedelta(days=login_days)
        self._hasher = PasswordHasher()

    async def is_empty(self) -> bool:
        """Tell whether there is no account yet, so that the first may be set up."""
        async with self._database.read() as db:
            return await db.scalar(select(col(User.id)).limit(1)) is None

    async def set_up(self, email: str, name: str, password: str) -> Grant:
        """Create the first account, an admin, and sign it in.

        Raises:
            Conflict: There is an account already.
            Refused: A value cannot be accepted.
        """
        user = await self._new_user(email, name, password, UserRole.ADMIN)
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            if await db.scalar(select(col(User.id)).limit(1)) is not None:
                raise Conflict("This installation is set up already. Sign in instead.", "already_set_up")
            db.add(user)
            await db.flush()
            return self._grant(db, user)

    async def login(self, email: str, password: str, host: str = "") -> Grant:
        """Sign a person in.

        Args:
            email: The address, in any case.
            password: As typed.
            host: From where, for the throttle.

        Raises:
            Unauthenticated: The same sentence for an unknown address and a wrong password.
            TooMany: Too many failures; says how long to wait.
        """
        email = _address(email)[:254]
        keys = [f"email:{email}", f"host:{host}"] if host else [f"email:{email}"]
        async with self._database.read() as db:
            await _check_throttle(db, keys)
            user = await db.scalar(select(User).where(col(User.email) == email))
        good = await asyncio.to_thread(self._is_right, user, password)
        async with self._database.transaction() as db:
            # Again and one at a time, since many attempts at once have all passed the first look.
            await self._database.lock_accounts(db)
            await _check_throttle(db, keys)
            if user is None or not good:
                await _count_failure(db, keys)
            else:
                await db.execute(delete(LoginThrottle).where(col(LoginThrottle.key) == keys[0]))
                await db.execute(delete(Login).where(col(Login.expires_at) < now()))
                return self._grant(db, user)
        raise Unauthenticated(_WRONG, "wrong_credentials")

    async def logout(self, token: str) -> None:
        """End the login that this token names; a token that is none changes nothing."""
        login_id = self._login_id(token)
        if login_id is None:
            return
        async with self._database.transaction() as db:
            await db.execute(delete(Login).where(col(Login.id) == login_id))
            db.announce(f"login:{login_id}")

    async def who(self, token: str | None) -> Actor:
        """Return the person who holds this login token or personal access token.

        Raises:
            Unauthenticated: It is none, or it has ended.
        """
        if not token:
            raise Unauthenticated(_ENDED)
        if token.startswith(TOKEN_PREFIX):
            return await self._who_by_access_token(token)
        login_id = self._login_id(token)
        if login_id is None:
            raise Unauthenticated(_ENDED)
        async with self._database.read() as db:
            user = await db.scalar(
                select(User)
                .join(Login, col(Login.user_id) == col(User.id))
                .where(col(Login.id) == login_id, col(Login.expires_at) > now())
            )
        if user is None:
            raise Unauthenticated(_ENDED)
        return _actor(user)

    async def _who_by_access_token(self, token: str) -> Actor:
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
            raise Unauthenticated("This access token is unknown or has ended. Make a new one in Settings.")
        user, kept = row
        if kept.last_used_at is None or moment - kept.last_used_at > timedelta(minutes=5):
            async with self._database.transaction() as db:
                await db.execute(
                    update(AccessToken).where(col(AccessToken.id) == kept.id).values(last_used_at=moment)
                )
        return _actor(user)

    async def me(self, actor: Actor) -> UserView:
        """Return the asker's own account."""
        async with self._database.read() as db:
            user = await db.get(User, actor.user_id)
        if user is None:
            raise Unauthenticated(_ENDED)
        return _user_view(user)

    async def change_me(
        self,
        actor: Actor,
        *,
        name: str | None = None,
        password: str | None = None,
        current_password: str = "",
    ) -> UserView:
        """Change one's own name or password; a new password ends every login of the account.

        Raises:
            Refused: A value cannot be accepted, or the current password is wrong.
        """
        async with self._database.read() as db:
            user = await db.get(User, actor.user_id)
        if user is None:
            raise Unauthenticated(_ENDED)
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = _clean_name(name)
        if password is not None:
            if not await asyncio.to_thread(self._verify, user.password_hash, current_password):
                raise Refused("The current password is wrong.", "wrong_password")
            values["password_hash"] = await asyncio.to_thread(self._hasher.hash, _strong(password))
        async with self._database.transaction() as db:
            await db.execute(update(User).where(col(User.id) == user.id).values(updated_at=now(), **values))
            if password is not None:
                await db.execute(delete(Login).where(col(Login.user_id) == user.id))
        return await self.me(actor)

    async def users(self, actor: Actor) -> list[UserView]:
        """Return everyone with an account.

        Raises:
            Forbidden: The asker is no admin.
        """
        _require_admin(actor)
        async with self._database.read() as db:
            return [_user_view(user) for user in await db.scalars(select(User).order_by(col(User.email)))]

    async def names(self, user_ids: Iterable[UUID]) -> dict[UUID, UserView]:
        """Return the people of these ids, for lists that the asker may see anyway."""
        async with self._database.read() as db:
            rows = await db.scalars(select(User).where(col(User.id).in_(list(user_ids))))
            return {user.id: _user_view(user) for user in rows}

    async def find(self, email: str) -> UserView:
        """Return the person with this address, to add to a project.

        Raises:
            NotFound: Nobody has it.
        """
        async with self._database.read() as db:
            user = await db.scalar(select(User).where(col(User.email) == _address(email)))
        if user is None:
            raise NotFound(
                "Nobody here has this address. An admin can create the account in Settings.", "user_not_found"
            )
        return _user_view(user)

    async def add_user(
        self, actor: Actor | None, email: str, name: str, password: str, role: str = "member"
    ) -> UserView:
        """Create an account.

        Args:
            actor: An admin; None from the command line, whose user owns the installation.
            email: The address to sign in with.
            name: 1 to 100 characters.
            password: At least 10 characters.
            role: `admin` or `member`.

        Raises:
            Conflict: The address has an account.
            Refused: A value cannot be accepted.
        """
        if actor is not None:
            _require_admin(actor)
        user = await self._new_user(email, name, password, _role(role))
        try:
            async with self._database.transaction() as db:
                db.add(user)
        except IntegrityError as error:
            raise Conflict("There is an account with this address already.", "email_taken") from error
        return _user_view(user)

    async def change_user(
        self,
        actor: Actor,
        user_id: UUID,
        *,
        name: str | None = None,
        role: str | None = None,
        password: str | None = None,
    ) -> UserView:
        """Change an account as an admin; a new password or role ends its logins.

        Raises:
            Conflict: It would leave the installation without an admin.
        """
        _require_admin(actor)
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = _clean_name(name)
        if role is not None:
            values["role"] = _role(role).value
        if password is not None:
            values["password_hash"] = await asyncio.to_thread(self._hasher.hash, _strong(password))
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN and values.get("role") == UserRole.MEMBER.value:
                await _keep_an_admin(db)
            await db.execute(update(User).where(col(User.id) == user_id).values(updated_at=now(), **values))
            if {"password_hash", "role"} & values.keys():
                await db.execute(delete(Login).where(col(Login.user_id) == user_id))
        return (await self.names([user_id]))[user_id]

    async def remove_user(self, actor: Actor, user_id: UUID) -> None:
        """Delete an account with its logins, tokens and memberships; what it made stays.

        Raises:
            Conflict: It is the last admin.
        """
        _require_admin(actor)
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN:
                await _keep_an_admin(db)
            await db.execute(delete(User).where(col(User.id) == user_id))
            db.announce("projects")

    async def tokens(self, actor: Actor) -> list[TokenView]:
        """Return one's own access tokens, newest first, without their secrets."""
        async with self._database.read() as db:
            rows = await db.scalars(
                select(AccessToken)
                .where(col(AccessToken.user_id) == actor.user_id)
                .order_by(col(AccessToken.created_at).desc())
            )
            return [_token_view(row) for row in rows]

    async def add_token(self, actor: Actor, name: str, days: int = 90) -> TokenView:
        """Make an access token; the answer is the only time that its secret is shown.

        Args:
            actor: Whose it will be.
            name: What it is for, 1 to 100 characters.
            days: Days until it ends, 1 to 365.
        """
        if not 1 <= days <= 365:
            raise Refused("A token can last between 1 and 365 days.", "invalid_days")
        secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
        kept = AccessToken(
            user_id=actor.user_id,
            name=_clean_name(name),
            token_hash=_digest(secret),
            expires_at=now() + timedelta(days=days),
        )
        async with self._database.transaction() as db:
            db.add(kept)
        return _token_view(kept, secret)

    async def rename_token(self, actor: Actor, token_id: UUID, name: str) -> TokenView:
        """Give one of one's own access tokens another name.

        Raises:
            NotFound: The asker has no such token.
            Refused: The name cannot be accepted.
        """
        new = _clean_name(name)
        async with self._database.transaction() as db:
            kept = await db.get(AccessToken, token_id)
            if kept is None or kept.user_id != actor.user_id:
                raise NotFound("You have no such access token.", "token_not_found")
            kept.name = new
            await db.flush()
        return _token_view(kept)

    async def remove_token(self, actor: Actor, token_id: UUID) -> None:
        """End one of one's own access tokens.

        Raises:
            NotFound: The asker has no such token.
        """
        async with self._database.transaction() as db:
            done = await db.execute(
                delete(AccessToken).where(
                    col(AccessToken.id) == token_id, col(AccessToken.user_id) == actor.user_id
                )
            )
            if not done.rowcount:  # type: ignore[attr-defined]
                raise NotFound("You have no such access token.", "token_not_found")

    async def _new_user(self, email: str, name: str, password: str, role: UserRole) -> User:
        address = _address(email)
        if len(address) > 254 or not re.fullmatch(r"[^@\s]+@[^@\s]+", address):
            raise Refused("Give an e-mail address such as ada@example.org.", "invalid_email")
        hashed = await asyncio.to_thread(self._hasher.hash, _strong(password))
        return User(email=address, name=_clean_name(name), password_hash=hashed, role=role.value)

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(16))

    def _is_right(self, user: User | None, password: str) -> bool:
        """Check a password; an unknown address takes as long as a wrong password."""
        decoy = self._decoy  # made on the first call, whoever it is for: it costs as much as a check
        return self._verify(user.password_hash if user else decoy, password) and user is not None

    def _verify(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (VerificationError, InvalidHashError):
            return False

    def _grant(self, db: AsyncSession, user: User) -> Grant:
        ends = now() + self._lifetime
        login = Login(id=uuid4(), user_id=user.id, expires_at=ends)
        db.add(login)
        token = jwt.encode({"jti": str(login.id), "exp": ends}, self._key, algorithm="HS256")
        return Grant(token, int(self._lifetime.total_seconds()), _user_view(user))

    def _login_id(self, token: str) -> UUID | None:
        try:
            return UUID(jwt.decode(token, self._key, algorithms=["HS256"])["jti"])
        except (jwt.InvalidTokenError, KeyError, ValueError):
            return None


async def _check_throttle(db: AsyncSession, keys: list[str]) -> None:
    rows = await db.scalars(select(LoginThrottle).where(col(LoginThrottle.key).in_(keys)))
    for row in rows:
        # A host may serve many people: it has ten times the patience of one address.
        counted = row.failures // 10 if row.key.startswith("host:") else row.failures
        left = _wait_after(counted) - (now() - row.last_failure_at).total_seconds()
        if left > 0:
            seconds = int(left) + 1
            raise TooMany(f"Too many failed attempts. Try again in {seconds} s.", retry_after=seconds)


async def _count_failure(db: AsyncSession, keys: list[str]) -> None:
    for key in keys:
        row = await db.get(LoginThrottle, key)
        if row is None:
            row = LoginThrottle(key=key)
            db.add(row)
        elif (now() - row.last_failure_at) > timedelta(hours=1):
            row.failures = 0
        row.failures += 1
        row.last_failure_at = now()
    await db.flush()
    await db.execute(
        delete(LoginThrottle).where(col(LoginThrottle.last_failure_at) < now() - timedelta(days=1))
    )


def _wait_after(failures: int) -> float:
    if failures < FREE_FAILURES:
        return 0.0
    return min(2.0 ** (failures - FREE_FAILURES + 1), 900.0)


def _require_admin(actor: Actor) -> None:
    if not actor.is_admin:
        raise Forbidden("Only an admin of this installation may do this.", "not_an_admin")


async def _keep_an_admin(db: AsyncSession) -> None:
    admins = await db.scalar(
        select(func.count()).select_from(User).where(col(User.role) == UserRole.ADMIN.value)
    )
    if (admins or 0) <= 1:
        raise Conflict("The installation needs an admin. Make somebody else an admin first.", "last_admin")


def _address(email: str) -> str:
    return plain_text(email).strip().lower()


def _role(value: str) -> UserRole:
    try:
        return UserRole(value)
    except ValueError:
        raise Refused("The role must be admin or member.", "invalid_role") from None


def _clean_name(value: str) -> str:
    name = " ".join(plain_text(value).split())
    if not 1 <= len(name) <= 100:
        raise Refused("The name must have 1 to 100 characters.", "invalid_name")
    return name


def _strong(password: str) -> str:
    if not PASSWORD_CHARS <= len(password) <= 200:
        raise Refused(f"The password must have {PASSWORD_CHARS} to 200 characters.", "weak_password")
    return password


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _actor(user: User) -> Actor:
    return Actor(user.id, UserRole(user.role), user.email, user.name)


def _user_view(user: User) -> UserView:
    return UserView(user.id, user.email, user.name, UserRole(user.role), user.created_at)


def _token_view(row: AccessToken, secret: str | None = None) -> TokenView:
    return TokenView(row.id, row.name, row.created_at, row.expires_at, row.last_used_at, secret)
