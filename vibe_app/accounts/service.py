"""The verbs of one's own account: set up, sign in, sign out, change; and who is asking.

A login is a row and a signed token that names it: the signature proves that we
gave it out, the row that it has not ended. Passwords are argon2id hashes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlmodel import col

from vibe_app.accounts import links, throttle
from vibe_app.accounts.logins import Logins, Marks, browser_name
from vibe_app.accounts.models import AccessToken, Login, User
from vibe_app.accounts.passwords import Passwords
from vibe_app.accounts.proof import Proof, Signer
from vibe_app.accounts.roles import ALL_SCOPES, Actor, UserRole
from vibe_app.accounts.rows import UserView, end_everything, is_admin, new_user, user_view, write
from vibe_app.accounts.rules import clean_address, clean_name, strong
from vibe_app.accounts.tokens import TOKEN_PREFIX, Tokens, scopes_of
from vibe_app.db import Database
from vibe_app.errors import Conflict, Forbidden, InvalidRequest, Unauthenticated
from vibe_app.wire import now

_SET_UP = "This installation is set up already. Sign in instead."
_WRONG = "The address or the password is wrong."
_ENDED = "You are not signed in, or your login has ended. Sign in again."
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


class Accounts:
    """People, and the proof of who is asking.

    Args:
        database: Where they are kept.
        signing_key: Signs login tokens (HS256); the keys of origins are derived from it.
        login_days: Days until a login ends.
        admins_only: Why members who are no admins may not make agents work; empty where they may.
        passwords: Hashes them.
    """

    def __init__(
        self,
        database: Database,
        signing_key: str,
        login_days: int = 7,
        admins_only: str = "",
        passwords: Passwords | None = None,
    ) -> None:
        self._database = database
        self._signer = Signer(signing_key)
        self._admins_only = admins_only
        self._lifetime = timedelta(days=login_days)
        self._passwords = passwords or Passwords()
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
        user = await new_user(self._passwords, email, name, password, UserRole.ADMIN)
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
            can_create_projects=is_admin(user) or user.can_create_projects,
            can_execute=is_admin(user) or user.can_execute,
            scopes=ALL_SCOPES if token is None else frozenset(scopes_of(token)),
            project_id=None if token is None else token.project_id,
            token_id=None if token is None else token.id,
            login_id=login_id,
            kept_from="" if is_admin(user) else self._admins_only,
        )

    async def me(self, actor: Actor) -> UserView:
        """Return the asker's own account."""
        async with self._database.read() as db:
            user = await db.get(User, actor.user_id)
        if user is None:
            raise Unauthenticated(_ENDED)
        return user_view(user)

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
            await write(db, user.id, values, version)
            if password is not None:
                await end_everything(db, user.id, keep_tokens=keep_tokens)
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

    async def link_owner(self, token: str) -> UserView:
        """Return whose password a link is for; nothing else is told to who has none.

        Raises:
            NotFound: It was used, it has ended, or it is none.
        """
        async with self._database.read() as db:
            return user_view(await links.owner(db, token))

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
            await end_everything(db, user.id, keep_tokens=False)
            return self._grant(db, user, host, user_agent)

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
            user_view(user),
            self._marks.make(user.email, known),
        )
