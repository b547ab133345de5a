"""The headers of safety: what a policy is made of, and when a browser is told to come by TLS alone."""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from vibe_app.api import headers
from vibe_app.api.headers import SafeHeaders, script_sources
from vibe_app.wiring import Services


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("planted")


def page(_: object) -> Response:
    return PlainTextResponse("words")


def cached(_: object) -> Response:
    return PlainTextResponse(
        "words", headers={"Cache-Control": "max-age=60", "Content-Security-Policy": "sandbox"}
    )


def leading(request: Request) -> Response:
    return RedirectResponse(request.query_params["where"])


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<script>first()</script>")
    return tmp_path


def client(pages: Path, scheme: str = "http") -> httpx.AsyncClient:
    routes = [
        Route("/", page),
        Route("/api/own", cached),
        Route("/api/docs/part.js", cached),
        Route("/api/bad", broken),
        Route("/to", leading),
    ]
    transport = httpx.ASGITransport(SafeHeaders(Starlette(routes=routes), pages), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://board.test")


def directives(answer: httpx.Response) -> dict[str, set[str]]:
    parts = [each.split() for each in answer.headers["content-security-policy"].split(";")]
    return {name: set(values) for name, *values in parts}


def test_each_inline_script_has_its_source_once():
    first, module = '<script>a("é")</script>', '<script type="module">\nb()\n</script>'
    html = f'{first}<script src="/x.js"></script>{module}{first}'
    assert script_sources(html) == sorted([source('a("é")'), source("\nb()\n")])


async def test_a_newer_build_brings_its_own_scripts(pages: Path) -> None:
    async with client(pages) as browser:
        before = directives(await browser.get("/"))["script-src"]
        (pages / "index.html").write_text("<script>second()</script>")
        (pages / "deep").mkdir()
        (pages / "deep" / "other.html").write_text("<script>third()</script>")
        os.utime(pages / "index.html", ns=(1, 1))
        after = directives(await browser.get("/"))["script-src"]
        (pages / "index.html").unlink()
        while_exchanged = directives(await browser.get("/"))["script-src"]
    assert before == {"'self'", "'unsafe-eval'", source("first()")}
    assert after == while_exchanged == {"'self'", "'unsafe-eval'", source("second()"), source("third()")}


async def test_tls_alone_is_asked_for_where_the_request_came_by_it(pages: Path) -> None:
    async with client(pages) as plain, client(pages, "https") as secure:
        assert "strict-transport-security" not in (await plain.get("/")).headers
        answer = await secure.get("/")
    assert answer.headers["strict-transport-security"] == "max-age=31536000"
    assert directives(answer)["connect-src"] == {"'self'", "wss://board.test"}


async def test_tls_alone_is_asked_for_where_the_cookie_goes_by_it_alone(
    parts: Services, pages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = replace(parts, settings=parts.settings.model_copy(update={"cookie_secure": True}))
    monkeypatch.setattr(headers, "services", lambda: secure)
    async with client(pages) as browser:
        assert "strict-transport-security" in (await browser.get("/")).headers


@pytest.mark.parametrize("host", ["board.test; script-src *", "board.test *", "a,b", ""])
async def test_a_host_that_is_none_comes_into_no_policy(pages: Path, host: str) -> None:
    async with client(pages) as browser:
        answer = await browser.get("/", headers={"Host": host})
    assert directives(answer)["connect-src"] == {"'self'"}
    assert directives(answer)["script-src"] == {"'self'", "'unsafe-eval'", source("first()")}


async def test_what_an_answer_says_itself_is_kept_and_nothing_private_is_stored(pages: Path) -> None:
    async with client(pages) as browser:
        own, part, bad = [await browser.get(f"/api/{path}") for path in ("own", "docs/part.js", "bad")]
    assert own.headers["content-security-policy"] == "sandbox"
    assert own.headers["cache-control"] == "max-age=60, no-store"
    assert part.headers["cache-control"] == "max-age=60"
    assert bad.status_code == 500
    assert bad.headers["cache-control"] == "no-store"
    assert bad.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("http://board.test/login/?next=/", "/login/?next=/"),
        ("/login", "/login"),
        ("https://board.test/login", "https://board.test/login"),
        ("http://other.test/login", "http://other.test/login"),
        ("http://board.test.other.test/", "http://board.test.other.test/"),
        ("http://board.test//other.test/", "http://board.test//other.test/"),
        ("http://board.test", "http://board.test"),
    ],
)
async def test_a_redirect_to_the_board_itself_names_no_host(pages: Path, where: str, told: str) -> None:
    async with client(pages) as browser:
        answer = await browser.get("/to", params={"where": where})
    assert answer.headers["location"] == told
