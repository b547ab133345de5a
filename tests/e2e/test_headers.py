"""What every answer of the real server tells a browser, and that no page of the board breaks its policy."""

from __future__ import annotations

import base64
import re

import httpx
import pytest
from playwright.async_api import expect

from tests.e2e.conftest import People, Project, Visit
from tests.e2e.explorer import START, Explorer
from tests.e2e.installation import PASSWORD, Installation
from vibe_app import frontend

pytestmark = pytest.mark.timeout(180)
# Chromium itself says nothing of an `eval` that was refused and whose error somebody caught.
TELL = """
document.addEventListener("securitypolicyviolation", ({violatedDirective, blockedURI}) =>
  console.error(`the policy was broken: ${violatedDirective} ${blockedURI}`));
"""
PICTURE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def is_safe(answer: httpx.Response) -> None:
    """Check what no answer may lack."""
    headers = answer.headers
    assert headers["x-content-type-options"] == "nosniff", answer.url
    assert headers["referrer-policy"] == "same-origin", answer.url
    assert "frame-ancestors 'none'" in headers["content-security-policy"], answer.url
    assert "strict-transport-security" not in headers, answer.url


@pytest.fixture
def asset() -> str:
    """The address of a compiled script."""
    folder = frontend.pages(frontend.home())
    return "/" + next((folder / "assets").glob("*.js")).relative_to(folder).as_posix()


async def test_pages_load_from_their_own_origin_alone(server: Installation, asset: str) -> None:
    port = server.url.rpartition(":")[2]
    async with httpx.AsyncClient(base_url=server.url) as browser:
        found = {path: await browser.get(path) for path in ("/", "/login", "/p/x", "/nowhere/at/all", asset)}
        tag = found["/"].headers["etag"]
        known = await browser.get("/", headers={"If-None-Match": tag})
    assert [answer.status_code for answer in found.values()] == [200, 307, 200, 404, 200]
    assert known.status_code == 304
    for answer in (*found.values(), known):
        is_safe(answer)
        policy = answer.headers["content-security-policy"]
        scripts = re.search(r"script-src ([^;]*)", policy)
        assert scripts is not None
        allowed = scripts[1].split()
        assert allowed[:2] == ["'self'", "'unsafe-eval'"]
        assert all(each.startswith("'sha256-") for each in allowed[2:])
        assert len(allowed) > 5
        for rule in ("object-src 'none'", "base-uri 'none'", "form-action 'self'", f"ws://127.0.0.1:{port}"):
            assert rule in policy


async def test_answers_of_the_api_are_kept_nowhere(
    server: Installation, people: People, project: Project
) -> None:
    await project.api("GET", f"{project.path}/files")
    (server.base(project.id) / "notes.txt").write_text("a line\n")
    task = await project.task("Say it", "rehearse: say hello")
    session = await project.api("POST", f"{project.path}/tasks/{task}/execute")
    files = f"{project.path}/files"
    login = {"email": "eve@example.org", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=f"{server.url}/api", timeout=60) as eve:
        token = (await eve.post("/auth/login", json=login)).json()["access_token"]
        eve.cookies.clear()
        eve.headers["Authorization"] = f"Bearer {token}"
        answers = {
            "json": await eve.get(project.path),
            "error": await eve.get("/projects/nothing"),
            "no route": await eve.get("/nothing"),
            "empty": await eve.post("/auth/logout", headers={"Authorization": ""}),
            "stream": await eve.get(
                f"{project.path}/tasks/{task}/output", params={"session_id": session["session_id"]}
            ),
            "content": await eve.get(f"{files}/content", params={"path": "notes.txt"}),
            "download": await eve.get(f"{files}/download", params={"path": "notes.txt"}),
            "archive": await eve.get(f"{files}/archive"),
            "document": await eve.get("/openapi.json"),
            "docs": await eve.get("/docs"),
            "metrics": await eve.get(f"{server.url}/metrics"),
            "no login": await eve.get(project.path, headers={"Authorization": ""}),
        }
        part = await eve.get("/docs/swagger-ui.css")
    for answer in answers.values():
        is_safe(answer)
        assert "no-store" in answer.headers["cache-control"], answer.url
    assert answers["stream"].headers["cache-control"] == "no-cache, no-transform, no-store"
    for name in ("json", "error", "no route", "stream", "metrics", "no login"):
        assert answers[name].headers["content-security-policy"].startswith("default-src 'none'; "), name
    for name in ("download", "archive"):
        policy = answers[name].headers["content-security-policy"]
        assert policy.startswith("sandbox; default-src 'none'"), name
    assert "'unsafe-eval'" not in answers["docs"].headers["content-security-policy"]
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code >= 400} == {
        "error": 400,
        "no route": 404,
        "no login": 401,
    }
    is_safe(part)
    assert part.headers["cache-control"] == "max-age=86400"


async def test_a_proxy_that_speaks_tls_is_believed(server: Installation) -> None:
    async with httpx.AsyncClient(base_url=server.url, headers={"X-Forwarded-Proto": "https"}) as browser:
        for path in ("/", "/api/health", "/api/nothing"):
            answer = await browser.get(path)
            assert answer.headers["strict-transport-security"] == "max-age=31536000"


async def test_no_page_breaks_its_policy(project: Project, visit: Visit, server: Installation) -> None:
    await project.api("GET", f"{project.path}/files")
    folder = server.base(project.id)
    (folder / "README.md").write_text("# Shown\n\n```python\nprint(1)\n```\n")
    (folder / "app.py").write_text("def answer():\n    return 42\n")
    (folder / "dot.png").write_bytes(PICTURE)
    task = await project.task(
        "Told in Markdown", "rehearse: say hello\n\n**Bold**\n\n| a | b |\n|---|---|\n| 1 | 2 |"
    )
    outside = await visit(None, refused=(401, 404))
    await outside.page.context.add_init_script(TELL)
    shown = {"/setup": "account", "/login": "Sign in", "/nowhere/at/all": "no page here"}
    for address, words in shown.items():
        await outside.page.goto(server.url + address)
        await expect(outside.page.get_by_text(words).first).to_be_visible()
    await outside.page.goto(f"{server.url}/api/docs")
    await expect(outside.page.locator(".opblock").first).to_be_visible()
    board = await visit("ada", project)
    page = board.page
    await page.context.add_init_script(TELL)
    await board.open()
    await page.get_by_role("button", name="Dark theme").click()
    await expect(page.locator("html")).to_have_class(re.compile("dark"))
    await board.write("Written by hand")  # the server then has the tab forget the draft, by `eval`
    await board.open("t", task)
    await board.drawer.get_by_role("button", name="Execute").click()
    await expect(board.terminal).to_contain_text("hello", timeout=START)
    await board.output()
    await page.goto(f"{server.url}/settings/tokens")
    await expect(page.get_by_role("heading", name="Access tokens")).to_be_visible()
    await page.goto(server.url)
    await expect(page.get_by_role("heading", name=project.name)).to_be_visible()
    explorer = Explorer(board, project, server)
    await explorer.open()
    await explorer.row("README.md").click()
    await expect(page.get_by_role("heading", name="Shown")).to_be_visible()
    await explorer.row("dot.png").click()
    await expect(page.get_by_role("img", name="dot.png", exact=True)).to_be_visible()
    await explorer.row("app.py").click()
    await expect(explorer.text).to_contain_text("return 42")
    await explorer.type("# begins\n")
    await page.keyboard.press("Control+s")
    await expect(explorer.button("Save")).to_be_disabled()
    assert (folder / "app.py").read_text().startswith("# begins\n")
