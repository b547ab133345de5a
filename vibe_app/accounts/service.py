"""The verbs of accounts: set up, sign in, sign out, people and their access tokens.

A login is a row and a signed token that names it: the signature proves that we
gave it out, the row that it has not ended. Passwords are argon2id hashes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts import links, throttle
from vibe_app.accounts.links import LinkView
from vibe_app.accounts.logins import Logins, Marks, browser_name
from vibe_app.accounts.models import AccessToken, Login, User
from vibe_app.accounts.passwords import Passwords
from vibe_app.accounts.proof import Proof, Signer
from vibe_app.accounts.roles import ALL_SCOPES, Actor, UserRole
from vibe_app.accounts.rules import clean_address, clean_name, new_address, parse_role, strong
from vibe_app.accounts.schemas import UserOut
from vibe_app.accounts.tokens import TOKEN_PREFIX, Tokens, scopes_of
from vibe_app.db import Database, Transaction
from vibe_app.errors import Conflict, Forbidden, InvalidRequest, NotFound, Unauthenticated, VersionChanged
from vibe_app.wire import now

_SET_UP = "This installation is set up already. Sign in instead."
_WRONG = "The address or the password is wrong."
_ENDED = "You are not signed in, or your login has ended. Sign in again."
_CHANGED = (
    "Somebody changed this account since you read it. Nothing was saved: look at both, and save again if "
    "yours is to stay."
)
_NO_KEY = (
    "The login cookie came without the key that the board's own pages keep beside it, so it proves nothing. "
    "Sign in again on the board's own page."
)


@dataclass(frozen=True)
class Grant:
    """A fresh login: its token for programs, a browser's cookie and key, and how many seconds they hold."""

    token: str
    cookie: str
    key: str
    expires_in: int
    user: UserView
    mark: str


@dataclass(frozen=True)
class UserView:
    """A person as others may see one."""

    id: UUID
    email: str
    name: str
    role: UserRole
    can_create_projects: bool
    can_execute: bool
    version: int
    created_at: datetime


class Accounts:
    """People, and the proof of who is asking.

    Args:
        database: Where they are kept.
        signing_key: Signs login tokens (HS256); the keys of origins are derived from it.
        login_days: Days until a login ends.
        admins_only: Why members who are no admins may not make agents work; empty where they may.
    """

    def __init__(
        self, database: Database, signing_key: str, login_days: int = 7, admins_only: str = ""
    ) -> None:
        self._database = database
        self._signer = Signer(signing_key)
        self._admins_only = admins_only
        self._lifetime = timedelta(days=login_days)
        self._passwords = Passwords()
        self._marks = Marks(signing_key)
        self.tokens = Tokens(database)
        self.logins = Logins(database)

    async def is_empty(self) -> bool:
        """Tell whether there is no account yet, so that the first may be set up."""
        async with self._database.read() as db:
            return await db.scalar(select(col(User.id)).limit(1)) is None

    @property
    def set_up_token(self) -> str:
        """What the one-time link carries; the same in every process of an installation."""
        return self._signer.set_up_token()

    async def may_set_up(self, token: str) -> None:
        """Return if this is the one-time link's token, and there is no account yet.

        Raises:
            Conflict: There is an account already.
            Forbidden: It is not: whoever reaches the port is not whoever started the server.
        """
        if not await self.is_empty():
            raise Conflict(_SET_UP, "already_set_up")
        if not self._signer.is_set_up_token(token):
            raise Forbidden(
                "The first account is made with the one-time link that Vibe printed when it started: it is "
                "in the terminal or the log, and `vibe doctor` says it again.",
                "set_up_link_needed",
            )

    async def set_up(
        self, email: str, name: str, password: str, host: str = "", *, user_agent: str = ""
    ) -> Grant:
        """Create the first account, an admin, and sign it in.

        Raises:
            Conflict: There is an account already.
            InvalidRequest: A value cannot be accepted.
        """
        user = await self._new_user(email, name, password, UserRole.ADMIN)
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            if await db.scalar(select(col(User.id)).limit(1)) is not None:
                raise Conflict(_SET_UP, "already_set_up")
            db.add(user)
            await db.flush()
            return self._grant(db, user, host, user_agent)

    async def login(
        self, email: str, password: str, host: str = "", *, user_agent: str = "", mark: str = ""
    ) -> Grant:
        """Sign a person in.

        Args:
            email: The address, in any case.
            password: As typed.
            host: From where, for the throttle and the person's list of logins.
            user_agent: What the browser says of itself, for that list.
            mark: What `Grant.mark` gave this browser when it signed in before.

        Raises:
            Unauthenticated: The same sentence for an unknown address and a wrong password.
            TooMany: Too many failures; says how long to wait.
        """
        email = clean_address(email)[:254]
        known = self._marks.read(mark, email)
        attempt = throttle.Attempt(email, host, known)
        async with self._database.read() as db:
            await throttle.check(db, attempt)
            user = await db.scalar(select(User).where(col(User.email) == email))
        good = await self._passwords.is_right(user.password_hash if user else None, password)
        async with self._database.transaction() as db:
            # Again and one at a time, since many attempts at once have all passed the first look.
            await self._database.lock_accounts(db)
            await throttle.check(db, attempt)
            if user is None or not good:
                await throttle.failed(db, attempt)
            else:
                await throttle.succeeded(db, attempt)
                await db.execute(delete(Login).where(col(Login.expires_at) < now()))
                return self._grant(db, user, host, user_agent, known)
        raise Unauthenticated(_WRONG, "wrong_credentials")

    async def logout(self, proof: Proof) -> None:
        """End the login that is proved; where none is, nothing changes."""
        login_id = self._signer.login(proof)
        if login_id is None:
            return
        async with self._database.transaction() as db:
            user_id = await db.scalar(
                delete(Login).where(col(Login.id) == login_id).returning(col(Login.user_id))
            )
            if user_id is not None:
                db.announce(f"login:{login_id}", f"rights:{user_id}")

    async def who(self, token: str | None, key: str | None = None) -> Actor:
        """Return the person who holds this.

        Args:
            token: A login's bearer token, a personal access token, or the login cookie.
            key: With the cookie alone: what came beside it, empty where nothing did.

        Raises:
            Unauthenticated: It is none, or it has ended.
        """
        if not token:
            raise Unauthenticated(_ENDED)
        if key is None and token.startswith(TOKEN_PREFIX):
            return self._actor(*await self.tokens.owner(token))
        login_id = self._signer.login(Proof(token, key))
        if login_id is None:
            raise Unauthenticated(_NO_KEY if key == "" else _ENDED)
        async with self._database.read() as db:
            row = (
                await db.execute(
                    select(User, Login)
                    .join(Login, col(Login.user_id) == col(User.id))
                    .where(col(Login.id) == login_id, col(Login.expires_at) > now())
                )
            ).one_or_none()
        if row is None:
            raise Unauthenticated(_ENDED)
        user, login = row
        await self.logins.note_use(login)
        return self._actor(user, login_id=login_id)

    def _actor(self, user: User, token: AccessToken | None = None, login_id: UUID | None = None) -> Actor:
        """Make the one who asks, with the rights of this moment."""
        return Actor(
            user_id=user.id,
            role=UserRole(user.role),
            email=user.email,
            name=user.name,
            can_create_projects=_is_admin(user) or user.can_create_projects,
            can_execute=_is_admin(user) or user.can_execute,
            scopes=ALL_SCOPES if token is None else frozenset(scopes_of(token)),
            project_id=None if token is None else token.project_id,
            token_id=None if token is None else token.id,
            login_id=login_id,
            kept_from="" if _is_admin(user) else self._admins_only,
        )

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
        keep_tokens: bool = False,
        version: int | None = None,
    ) -> UserView:
        """Change one's own name or password; a new password ends every login of the account.

        Args:
            actor: Who asks, signed in.
            name: 1 to 100 characters; None leaves it.
            password: The new one; None leaves it.
            current_password: The one until now, needed for a new one.
            keep_tokens: With a new password: one's access tokens stay. Else they end, too.
            version: That of the account on which a new name is founded; None writes over any.

        Raises:
            VersionChanged: Somebody else has changed the account since that version.
            InvalidRequest: A value cannot be accepted, or the current password is wrong.
            TooMany: It was wrong too often; says how long to wait.
            Forbidden: An access token asks.
        """
        actor.need_login()
        async with self._database.read() as db:
            user = await db.get(User, actor.user_id)
        if user is None:
            raise Unauthenticated(_ENDED)
        values: dict[str, object] = {}
        if name is not None:
            values["name"] = clean_name(name)
        if password is not None:
            await self._check_password(actor, user, current_password)
            values["password_hash"] = await self._passwords.hash(strong(password))
        async with self._database.transaction() as db:
            await _write(db, user.id, values, version)
            if password is not None:
                await _end_everything(db, user.id, keep_tokens=keep_tokens)
        return await self.me(actor)

    async def _check_password(self, actor: Actor, user: User, password: str) -> None:
        """Return if it is the person's password; throttled like a sign-in, for this login alone."""
        key = throttle.password_key(actor.login_id, user.id)
        async with self._database.read() as db:
            await throttle.check_keys(db, key)
        good = await self._passwords.is_right(user.password_hash, password)
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            await throttle.check_keys(db, key)
            if good:
                await throttle.forget(db, key)
            else:
                await throttle.count(db, key)
        if not good:
            raise InvalidRequest("The current password is wrong.", "wrong_password")

    async def users(self, actor: Actor) -> list[UserView]:
        """Return everyone with an account.

        Raises:
            Forbidden: The asker is no admin.
        """
        actor.need_admin()
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
            user = await db.scalar(select(User).where(col(User.email) == clean_address(email)))
        if user is None:
            raise NotFound(
                "Nobody here has this address. An admin can create the account in Settings.", "user_not_found"
            )
        return _user_view(user)

    async def add_user(
        self,
        actor: Actor | None,
        email: str,
        name: str,
        password: str,
        role: str = "member",
        *,
        can_create_projects: bool = True,
        can_execute: bool = True,
    ) -> UserView:
        """Create an account.

        Args:
            actor: An admin; None from the command line, whose user owns the installation.
            email: The address to sign in with.
            name: 1 to 100 characters.
            password: At least 10 characters.
            role: `admin` or `member`.
            can_create_projects: Whether a member may make projects; an admin always may.
            can_execute: Whether a member may make agents work; an admin always may.

        Raises:
            Conflict: The address has an account.
            InvalidRequest: A value cannot be accepted.
        """
        if actor is not None:
            actor.need_admin()
        user = await self._new_user(email, name, password, parse_role(role))
        user.can_create_projects, user.can_execute = can_create_projects, can_execute
        if not (can_create_projects and can_execute):
            _member_only(user.role)
        try:
            async with self._database.transaction() as db:
                db.add(user)
        except IntegrityError as error:
            raise Conflict("There is an account with this address already.", "email_taken") from error
        return _user_view(user)

    async def invite(
        self,
        actor: Actor,
        email: str,
        name: str,
        role: str = "member",
        *,
        can_create_projects: bool = True,
        can_execute: bool = True,
    ) -> tuple[UserView, LinkView]:
        """Create an account whose person sets the password by a link, which is shown this once.

        The arguments are those of `add_user`.

        Raises:
            Conflict: The address has an account.
            InvalidRequest: A value cannot be accepted.
            Forbidden: The asker is no admin.
        """
        # Nobody knows it: until the link is used, nobody signs in.
        unknown = secrets.token_urlsafe(32)
        rights = {"can_create_projects": can_create_projects, "can_execute": can_execute}
        made = await self.add_user(actor, email, name, unknown, role, **rights)
        async with self._database.transaction() as db:
            return made, await links.make(db, made.id)

    async def reset_link(self, actor: Actor, user_id: UUID) -> LinkView:
        """Make a link by which a person sets another password; until it is used, nothing changes.

        Raises:
            NotFound: There is no such account.
            Forbidden: The asker is no admin, or an access token asks.
        """
        actor.need_admin()
        actor.need_login()
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            if await db.get(User, user_id) is None:
                raise NotFound("There is no such account.", "user_not_found")
            return await links.make(db, user_id)

    async def link_owner(self, token: str) -> UserView:
        """Return whose password a link is for; nothing else is told to who has none.

        Raises:
            NotFound: It was used, it has ended, or it is none.
        """
        async with self._database.read() as db:
            return _user_view(await links.owner(db, token))

    async def reset(self, token: str, password: str, host: str = "", *, user_agent: str = "") -> Grant:
        """Set the password that a link is for, and sign its person in. Other logins and tokens end.

        Raises:
            NotFound: The link was used, it has ended, or it is none.
            InvalidRequest: The password cannot be accepted; the link can be used again.
        """
        await self.link_owner(token)  # before anything costly is done for whoever comes
        hashed = await self._passwords.hash(strong(password))
        async with self._database.transaction() as db:
            user = await links.use(db, token)
            values = {"password_hash": hashed, "updated_at": now()}
            await db.execute(update(User).where(col(User.id) == user.id).values(values))
            await _end_everything(db, user.id, keep_tokens=False)
            return self._grant(db, user, host, user_agent)

    async def change_user(
        self,
        actor: Actor,
        user_id: UUID,
        *,
        name: str | None = None,
        role: str | None = None,
        password: str | None = None,
        can_create_projects: bool | None = None,
        can_execute: bool | None = None,
        version: int | None = None,
    ) -> UserView:
        """Change an account as an admin; what is None stays.

        A new role ends its logins, a new password its access tokens as well. `version` is that of the account
        on which the change is founded; None writes over any.

        Raises:
            VersionChanged: Somebody else has changed the account since that version.
            Conflict: It would leave the installation without an admin.
            InvalidRequest: A value cannot be accepted; an admin may always create projects and execute.
            Forbidden: The asker is no admin, or an access token gives a password.
        """
        actor.need_admin()
        if password is not None:
            actor.need_login()
        given = {"can_create_projects": can_create_projects, "can_execute": can_execute}
        values: dict[str, object] = {right: may for right, may in given.items() if may is not None}
        if name is not None:
            values["name"] = clean_name(name)
        if role is not None:
            values["role"] = parse_role(role).value
        if password is not None:
            values["password_hash"] = await self._passwords.hash(strong(password))
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN and values.get("role") == UserRole.MEMBER.value:
                await _keep_an_admin(db)
            if False in (can_create_projects, can_execute):
                _member_only(role or user.role)
            await _write(db, user_id, values, version)
            if {"password_hash", "role"} & values.keys():
                await _end_everything(db, user_id, keep_tokens=password is None)
            db.announce(f"rights:{user_id}")
        return (await self.names([user_id]))[user_id]

    async def remove_user(self, actor: Actor, user_id: UUID) -> None:
        """Delete an account with its logins, tokens and memberships; what it made stays.

        Raises:
            Conflict: It is the last admin.
        """
        actor.need_admin()
        async with self._database.transaction() as db:
            await self._database.lock_accounts(db)
            user = await db.get(User, user_id)
            if user is None:
                raise NotFound("There is no such account.", "user_not_found")
            if user.role == UserRole.ADMIN:
                await _keep_an_admin(db)
            await db.execute(delete(User).where(col(User.id) == user_id))
            db.announce("projects", f"rights:{user_id}")

    async def _new_user(self, email: str, name: str, password: str, role: UserRole) -> User:
        address = new_address(email)
        hashed = await self._passwords.hash(strong(password))
        return User(email=address, name=clean_name(name), password_hash=hashed, role=role.value)

    def _grant(self, db: AsyncSession, user: User, host: str, user_agent: str, known: str = "") -> Grant:
        ends = now() + self._lifetime
        login = Login(
            id=uuid4(),
            user_id=user.id,
            expires_at=ends,
            host=host[:64],
            browser=browser_name(user_agent),
            last_used_at=now(),
        )
        db.add(login)
        return Grant(
            self._signer.bearer(login.id, ends),
            self._signer.cookie(login.id, ends),
            self._signer.origin_key(login.id),
            int(self._lifetime.total_seconds()),
            _user_view(user),
            self._marks.make(user.email, known),
        )


async def _end_everything(db: Transaction, user_id: UUID, *, keep_tokens: bool) -> None:
    """End a person's logins, and access tokens unless they are to be kept."""
    await db.execute(delete(Login).where(col(Login.user_id) == user_id))
    if not keep_tokens:
        await db.execute(delete(AccessToken).where(col(AccessToken.user_id) == user_id))
    db.announce(f"rights:{user_id}")


async def _write(db: Transaction, user_id: UUID, values: dict[str, object], version: int | None) -> None:
    """Write what is given and differs into an account.

    Raises:
        VersionChanged: It is not of the version any more on which that is founded.
    """
    user = await db.get(User, user_id, populate_existing=True)
    changed = {name: value for name, value in values.items() if value != getattr(user, name, value)}
    if not changed:
        return
    where = [col(User.id) == user_id, *([] if version is None else [col(User.version) == version])]
    # Of a password nobody is told: another one makes no other version.
    grown = col(User.version) + (0 if changed.keys() == {"password_hash"} else 1)
    done = update(User).where(*where).values(updated_at=now(), version=grown, **changed)
    if await db.scalar(done.returning(col(User.id))) is None:
        yours = {name: value for name, value in values.items() if name != "password_hash"}
        if (user := await db.get(User, user_id, populate_existing=True)) is not None:
            raise VersionChanged(_CHANGED, yours, UserOut.of(_user_view(user)), "user")


def _member_only(role: str) -> None:
    if role == UserRole.ADMIN:
        raise InvalidRequest(
            "An admin may always create projects and execute. Make this person a member first.",
            "admin_may_all",
        )


async def _keep_an_admin(db: AsyncSession) -> None:
    admins = await db.scalar(
        select(func.count()).select_from(User).where(col(User.role) == UserRole.ADMIN.value)
    )
    if (admins or 0) <= 1:
        raise Conflict("The installation needs an admin. Make somebody else an admin first.", "last_admin")


def _user_view(user: User) -> UserView:
    return UserView(
        id=user.id,
        email=user.email,
        name=user.name,
        role=UserRole(user.role),
        can_create_projects=_is_admin(user) or user.can_create_projects,
        can_execute=_is_admin(user) or user.can_execute,
        version=user.version,
        created_at=user.created_at,
    )


def _is_admin(user: User) -> bool:
    return user.role == UserRole.ADMIN
