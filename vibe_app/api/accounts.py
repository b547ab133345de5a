"""Routes of people: setting up, signing in and out, accounts, access tokens."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response

from vibe_app.accounts import schemas
from vibe_app.accounts.service import Grant
from vibe_app.api.access import MARK_COOKIE, Asker, Shown, clear_cookie, own_page, set_cookie, set_mark
from vibe_app.api.errors import errors, public_errors
from vibe_app.api.schemas import Message, Page, PageSize
from vibe_app.wiring import services

auth = APIRouter(prefix="/auth", tags=["auth"])
users = APIRouter(prefix="/users", tags=["users"])
tokens = APIRouter(prefix="/tokens", tags=["tokens"])

Item = TypeVar("Item")


@auth.post(
    "/setup",
    status_code=201,
    dependencies=[Depends(own_page)],
    responses=public_errors(400, 403, 409, 413),
)
async def set_up(request: Request, response: Response, body: schemas.SetUp) -> schemas.LoginOut:
    """Create the first account, an admin, and sign it in. Only while there is none, with the link's token."""
    await services().accounts.may_set_up(body.setup_token)
    grant = await services().accounts.set_up(
        body.email, body.name, body.password, _host(request), user_agent=_user_agent(request)
    )
    return _signed_in(request, response, grant)


@auth.post("/login", dependencies=[Depends(own_page)], responses=public_errors(400, 401, 403, 413, 429))
async def login(request: Request, response: Response, body: schemas.Credentials) -> schemas.LoginOut:
    """Sign in: answers with a token and sets the browser's cookie."""
    grant = await services().accounts.login(
        body.email,
        body.password,
        _host(request),
        user_agent=_user_agent(request),
        mark=request.cookies.get(MARK_COOKIE, ""),
    )
    return _signed_in(request, response, grant)


@auth.post("/reset", dependencies=[Depends(own_page)], responses=public_errors(400, 403, 404, 413, 429))
async def reset_password(
    request: Request, response: Response, body: schemas.ResetPassword
) -> schemas.LoginOut:
    """Set the password that a one-time link is for, and sign in; every other login and token ends."""
    grant = await services().accounts.reset(
        body.token, body.password, _host(request), user_agent=_user_agent(request)
    )
    return _signed_in(request, response, grant)


@auth.post("/logout", responses=public_errors(403))
async def logout(request: Request, response: Response, shown: Shown) -> Message:
    """End the login that the request carries and take the cookie back."""
    await services().accounts.logout(shown)
    clear_cookie(request, response)
    return Message(message="Signed out")


@auth.get("/me", responses=errors())
async def me(actor: Asker) -> schemas.UserOut:
    """Return one's own account."""
    return schemas.UserOut.of(await services().accounts.me(actor))


@auth.get("/logins", responses=errors(400))
async def list_logins(actor: Asker, page: Page = 1, page_size: PageSize = 20) -> schemas.LoginList:
    """List one's own logins, the newest first. Not with an access token."""
    views = await services().accounts.logins.list(actor)
    return schemas.LoginList(
        logins=schemas.LoginEntry.all(_cut(views, page, page_size)), total_count=len(views)
    )


@auth.delete("/logins", status_code=204, responses=errors())
async def end_other_logins(actor: Asker) -> None:
    """End every login of one's own but the one that asks. Not with an access token."""
    await services().accounts.logins.end_others(actor)


@auth.delete("/logins/{login_id}", status_code=204, responses=errors(400, 404))
async def end_login(actor: Asker, login_id: UUID) -> None:
    """End one of one's own logins. Not with an access token."""
    await services().accounts.logins.end(actor, login_id)


@auth.patch("/me", responses=errors(400, 409, 413, 429))
async def change_me(
    request: Request, response: Response, actor: Asker, body: schemas.ChangeMe
) -> schemas.UserOut:
    """Change one's own name or password. A new password ends every login of the account, this one too.

    With the version that you read, what somebody else has changed since stays: 409 `version_changed`.
    """
    view = await services().accounts.change_me(
        actor,
        name=body.name,
        password=body.password,
        current_password=body.current_password,
        keep_tokens=body.keep_tokens,
        version=body.version,
    )
    if body.password is not None:
        clear_cookie(request, response)
    return schemas.UserOut.of(view)


@users.get("", responses=errors(400))
async def list_users(actor: Asker, page: Page = 1, page_size: PageSize = 20) -> schemas.UserList:
    """List every account, by address. For admins."""
    views = await services().users.everyone(actor)
    return schemas.UserList(users=schemas.UserOut.all(_cut(views, page, page_size)), total_count=len(views))


@users.post("", status_code=201, responses=errors(400, 409, 413))
async def create_user(actor: Asker, body: schemas.NewUser) -> schemas.UserOut:
    """Create an account. For admins."""
    return schemas.UserOut.of(
        await services().users.add(
            actor,
            body.email,
            body.name,
            body.password,
            body.role,
            can_create_projects=body.can_create_projects,
            can_execute=body.can_execute,
        )
    )


@users.post("/invite", status_code=201, responses=errors(400, 404, 409, 413))
async def invite_user(actor: Asker, body: schemas.Invite) -> schemas.InvitedOut:
    """Create an account, and a link by which its person sets the password within a day. For admins.

    The person belongs to the projects that are named; where one of them is gone, no account is made.
    """
    user, link = await services().users.invite(
        actor,
        body.email,
        body.name,
        body.role,
        can_create_projects=body.can_create_projects,
        can_execute=body.can_execute,
        projects={each.project_id: each.role for each in body.projects},
    )
    return schemas.InvitedOut(user=schemas.UserOut.of(user), link=schemas.PasswordLinkOut.of(link))


@users.post("/{user_id}/password-reset", status_code=201, responses=errors(400, 404))
async def make_reset_link(actor: Asker, user_id: UUID) -> schemas.PasswordLinkOut:
    """Make a link by which a person sets another password within a day; one before it ends. For admins.

    Until it is used, nothing changes. Not with an access token.
    """
    return schemas.PasswordLinkOut.of(await services().users.reset_link(actor, user_id))


@users.patch("/{user_id}", responses=errors(400, 404, 409, 413))
async def change_user(actor: Asker, user_id: UUID, body: schemas.ChangeUser) -> schemas.UserOut:
    """Change an account. A new role ends its logins, a new password its access tokens as well. For admins.

    With the version that you read, what somebody else has changed since stays: 409 `version_changed`.
    """
    return schemas.UserOut.of(
        await services().users.change(
            actor,
            user_id,
            name=body.name,
            role=body.role,
            password=body.password,
            can_create_projects=body.can_create_projects,
            can_execute=body.can_execute,
            version=body.version,
        )
    )


@users.delete("/{user_id}", status_code=204, responses=errors(400, 404, 409))
async def delete_user(actor: Asker, user_id: UUID) -> None:
    """Delete an account with its logins, tokens and memberships; what it made stays. For admins."""
    await services().users.remove(actor, user_id)


@tokens.get("", responses=errors(400))
async def list_tokens(actor: Asker, page: Page = 1, page_size: PageSize = 20) -> schemas.TokenList:
    """List one's own access tokens, newest first, without their secrets. A token sees itself alone."""
    views = await services().accounts.tokens.list(actor)
    return schemas.TokenList(
        tokens=schemas.TokenOut.all(_cut(views, page, page_size)), total_count=len(views)
    )


@tokens.post("", status_code=201, responses=errors(400, 404, 413))
async def create_token(actor: Asker, body: schemas.NewToken) -> schemas.NewTokenOut:
    """Make an access token. Its secret is in this answer and never shown again. Not with an access token."""
    if body.project_id is not None:
        await services().projects.read(actor, body.project_id)
    made = await services().accounts.tokens.add(actor, body.name, body.days, body.scopes, body.project_id)
    return schemas.NewTokenOut.of(made)


@tokens.patch("/{token_id}", responses=errors(400, 404, 413))
async def rename_token(actor: Asker, token_id: UUID, body: schemas.ChangeToken) -> schemas.TokenOut:
    """Give one of one's own tokens another name."""
    return schemas.TokenOut.of(await services().accounts.tokens.rename(actor, token_id, body.name))


@tokens.delete("/{token_id}", status_code=204, responses=errors(400, 404))
async def delete_token(actor: Asker, token_id: UUID) -> None:
    """End one of one's own access tokens."""
    await services().accounts.tokens.remove(actor, token_id)


def _signed_in(request: Request, response: Response, grant: Grant) -> schemas.LoginOut:
    set_cookie(request, response, grant)
    set_mark(request, response, grant)
    return schemas.LoginOut(access_token=grant.token, key=grant.key, expires_in=grant.expires_in)


def _host(request: Request) -> str:
    return request.client.host if request.client else ""


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _cut(items: list[Item], page: int, page_size: int) -> list[Item]:
    return items[(page - 1) * page_size : page * page_size]
