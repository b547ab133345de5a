"""The clients of hosts against hosts that answer as their documentation says, over TLS."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.hosts import KINDS, TOKEN, PlayedHost, Pull, played_host, said
from tests.workspace_services.git.rooms import own_git
from vibe_app.addresses import Address, Credential, parse
from vibe_app.clients.hosts import api
from vibe_app.clients.hosts.contract import Host, PullRequest
from vibe_app.clients.hosts.known import host_of
from vibe_app.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    TooMany,
    Unavailable,
    VibeError,
)
from vibe_app.networks import networks

LOOPBACK = networks("127.0.0.0/8")
BRANCH = "vibe/1-a-card"


@pytest.fixture(params=KINDS)
def played(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[PlayedHost]:
    source = tmp_path / "source"
    source.mkdir()
    own_git(source, "init", "--quiet", "--initial-branch=main")
    own_git(source, "commit", "--quiet", "--allow-empty", "--message=First")
    own_git(source, "branch", BRANCH)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    api._trusted.cache_clear()
    with played_host(request.param, tmp_path / "served", source, certificate) as host:
        yield host
    api._trusted.cache_clear()


def client(played: PlayedHost, token: str = TOKEN, **more: Any) -> Host:
    address = replace(parse(played.url), **more)
    found = host_of(address, played.kind, Credential("git", token), LOOPBACK)
    assert found is not None
    return found


async def refusal(asked: Any, kind: type[VibeError]) -> VibeError:
    with pytest.raises(kind) as caught:
        await asked
    assert TOKEN not in str(caught.value)
    return caught.value


async def test_a_request_is_opened_found_and_looked_up(played: PlayedHost) -> None:
    host = client(played)
    assert await host.find(BRANCH, "main") == []
    opened = await host.open(BRANCH, "main", "A card", "Its text")
    assert (opened.number, opened.state) == (1, "open")
    assert opened.url.startswith("https://127.0.0.1:")
    assert played.pulls == [Pull(1, BRANCH, "main", "A card", "Its text")]
    played.pulls.append(Pull(2, "another", "main", "", "", "closed"))
    assert await host.find(BRANCH, "main") == [opened]
    again = await refusal(host.open(BRANCH, "main", "A card", ""), Conflict)
    assert again.code == "request_exists"
    for state in ("closed", "merged"):
        played.pulls[0].state = state
        assert await host.look(1) == PullRequest(1, opened.url, state)
    # Its branch is deleted, as hosts do with what is merged.
    own_git(played.repository, "branch", "-D", BRANCH)
    assert [each.state for each in await host.find(BRANCH, "main")] == ["merged"]
    assert (await refusal(host.look(9), NotFound)).code == "host_not_found"
    await refusal(host.open("vibe/none", "main", "A card", ""), VibeError)


async def test_a_token_without_the_right_is_told_what_it_needs(played: PlayedHost) -> None:
    unknown = await refusal(client(played, "another-token").look(1), Forbidden)
    assert unknown.code == "host_unauthorized"
    assert "does not take the token" in unknown.message
    assert "another-token" not in unknown.message
    words = {"error": "insufficient_scope", "error_description": f"Not with {TOKEN}", "scope": "api"}
    played.fault = lambda method, path: said(403, words)
    forbidden = await refusal(client(played).open(BRANCH, "main", "A card", ""), Forbidden)
    assert forbidden.code == "host_forbidden"
    assert "Not with ***. It needs" in forbidden.message


@pytest.mark.parametrize(
    ("status", "headers", "kind", "code", "words"),
    [
        (301, {"Location": "https://127.0.0.1:9/"}, InvalidRequest, "host_redirects", "not followed"),
        (307, {"Location": "http://169.254.169.254/"}, InvalidRequest, "host_redirects", "not followed"),
        (422, {}, InvalidRequest, "host_refused", "does not take it (422): Words of the host."),
        (500, {}, Unavailable, "host_fault", "a fault of its own (500)"),
        (429, {"Retry-After": "150"}, TooMany, "too_many_requests", "Try again in 3 min."),
        (403, {"Retry-After": "5"}, TooMany, "too_many_requests", "Try again in 1 min."),
        (
            403,
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"},
            TooMany,
            "too_many_requests",
            "1 min",
        ),
    ],
)
async def test_what_a_host_refuses_is_a_sentence(
    played: PlayedHost,
    status: int,
    headers: dict[str, str],
    kind: type[VibeError],
    code: str,
    words: str,
) -> None:
    played.fault = lambda method, path: said(status, {"message": "Words of the host."}, **headers)
    refused = await refusal(client(played).look(1), kind)
    assert refused.code == code
    assert words in refused.message
    assert len(played.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"<html>Sign in</html>",
        b"[]",
        b'{"number": 1, "iid": 1, "state": "open"}',
        b'{"number": 1, "iid": 1, "state": "closed", "html_url": "javascript:alert(1)",'
        b' "web_url": "javascript:alert(1)"}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_answer_of_a_host_is_none(played: PlayedHost, body: bytes) -> None:
    played.fault = lambda method, path: (200, {}, body)
    assert (await refusal(client(played).look(1), Unavailable)).code == "host_strange"


async def test_an_endless_answer_and_one_that_never_comes_are_given_up(
    played: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    played.fault = lambda method, path: (200, {}, b" " * (9 << 20))
    assert (await refusal(client(played).look(1), Unavailable)).code == "host_strange"
    over = Event()

    def hang(method: str, path: str) -> None:
        over.wait(30)

    monkeypatch.setattr(api, "LONGEST", 0.3)
    played.fault = hang
    try:
        assert (await refusal(client(played).look(1), Unavailable)).code == "host_slow"
    finally:
        over.set()


async def test_a_private_network_is_reached_where_it_is_allowed_alone(played: PlayedHost) -> None:
    address = parse(played.url)
    host = host_of(address, played.kind, Credential("git", TOKEN), ())
    assert host is not None
    assert (await refusal(host.look(1), InvalidRequest)).code == "private_address"
    assert played.asked == []


async def test_a_name_is_looked_up_once_and_the_certificate_must_be_its(
    played: PlayedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def look_up(host: str, port: int, **_: object) -> list[Any]:
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    refused = await refusal(client(played, host="example.org").look(1), Unavailable)
    assert refused.code == "host_unreachable"
    assert "signed its certificate" in refused.message
    assert asked[0] == "example.org"
    assert set(asked[1:]) <= {"127.0.0.1"}
    assert played.asked == []


async def test_nobody_there_is_said(played: PlayedHost) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        assert (await refusal(client(played, port=port).look(1), Unavailable)).code == "host_unreachable"


@pytest.mark.parametrize(
    ("url", "kind", "found"),
    [
        ("https://github.com/team/app.git", "auto", "github"),
        ("https://gitlab.com/group/sub/app", "auto", "gitlab"),
        ("https://codeberg.org/team/app.git", "auto", "gitea"),
        ("https://git.example.org/team/app.git", "auto", None),
        ("https://git.example.org/team/app.git", "gitea", "gitea"),
        ("https://github.com/team/app.git", "none", None),
        ("https://github.com/team", "auto", None),
        ("https://github.com/a/b/c", "auto", None),
        ("git@github.com:team/app.git", "auto", None),
        ("file:///srv/git/app.git", "gitlab", None),
    ],
)
def test_which_host_it_is(url: str, kind: str, found: str | None) -> None:
    address: Address = parse(url)
    host = host_of(address, kind, Credential("git", TOKEN), ())
    assert (host.kind if host else None) == found
    assert host_of(address, kind, None, ()) is None


async def test_a_token_is_sent_unencrypted_to_no_public_host(monkeypatch: pytest.MonkeyPatch) -> None:
    async def look_up(host: str, port: int, **_: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
    host = host_of(parse("http://git.example.org/team/app"), "gitea", Credential("git", TOKEN), ())
    assert host is not None
    assert (await refusal(host.look(1), InvalidRequest)).code == "not_encrypted"
