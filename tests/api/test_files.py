"""Files of a workspace through the API, with the real file browser behind it."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import Board, Connect, serving
from tests.fakes import FakeRuntime
from tests.waiting import eventually
from vibe_app.settings import Settings
from vibe_app.wiring import Services
from vibe_app.workspace_services.common.serving import Listening
from vibe_app.workspace_services.file_browser.app import Config, create_app
from vibe_app.workspace_services.sidecar import app as sidecar
from vibe_app.workspaces.usage import used

MIB = 1024 * 1024


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"upload_mib": 3})


@pytest.fixture
async def workspace(tmp_path: Path, runtime: FakeRuntime, service_token: str) -> AsyncIterator[Path]:
    """The folder of the workspace, with its file browser running."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    app = create_app(Config(folder, Listening(service_token), largest_upload=2 * MIB))
    async with serving(app) as url:
        runtime.files_url = url
        yield folder


async def test_a_file_from_creation_to_deletion(board: Board, workspace: Path) -> None:
    files = f"{board.path}/files"
    content, where = f"{files}/content", {"path": "docs/grüße.md"}
    made = await board.editor.post(f"{files}/folder", json={"path": "docs"})
    assert (made.status_code, made.json()) == (201, {"path": "docs"})
    written = await board.editor.put(content, params=where, content="hello\n")
    assert written.status_code == 201
    assert (workspace / "docs" / "grüße.md").read_text() == "hello\n"

    read = await board.viewer.get(content, params=where)
    assert read.json() | {"version": ""} == {
        "path": "docs/grüße.md",
        "size": 6,
        "offset": 0,
        "encoding": "utf-8",
        "content": "hello\n",
        "version": "",
    }
    assert read.headers["etag"] == written.headers["etag"] == f'"{read.json()["version"]}"'

    listed = (await board.viewer.get(files, params={"path": "docs"})).json()
    assert (listed["entries"][0]["name"], listed["total_count"]) == ("grüße.md", 1)

    moved = await board.editor.post(
        f"{files}/move", json={"path": "docs/grüße.md", "to": "a/b.md", "parents": True}
    )
    assert moved.json() == {"path": "a/b.md"}
    found = await board.viewer.get(f"{files}/search", params={"query": "hello", "text": True})
    assert found.json()["results"] == [{"path": "a/b.md", "type": "file", "line": 1, "text": "hello"}]
    os.utime(workspace / "a" / "b.md", (1_000_000_000, 1_000_000_000))
    for since, until, count in (
        ("2001-09-09T01:46:40Z", None, 1),
        ("2001-09-09T01:46:40", "2001-09-09T01:46:40Z", 1),
        ("2001-09-09T01:46:41Z", None, 0),
        ("1999-01-01T00:00:00+02:00", "2000-01-01T00:00:00Z", 0),
    ):
        span = {"since": since} | ({"until": until} if until else {})
        changed = (await board.viewer.get(f"{files}/changed", params=span)).json()
        assert (len(changed["results"]), changed["truncated"]) == (count, False), span
    refused = await board.viewer.get(f"{files}/changed", params={"since": "yesterday"})
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_request")
    assert (await board.editor.delete(files, params={"path": "a"})).status_code == 204
    assert not (workspace / "a").exists()


async def test_what_changed_meanwhile_is_not_overwritten(board: Board, workspace: Path) -> None:
    content, where = f"{board.path}/files/content", {"path": "a.txt"}
    first = await board.editor.put(content, params=where, content="one")
    (workspace / "a.txt").write_text("the agent's")
    for headers in ({}, {"If-Match": first.headers["etag"]}):
        refused = await board.editor.put(content, params=where, content="two", headers=headers)
        assert refused.status_code == 409
    assert refused.json()["code"] == "changed_meanwhile"
    assert (workspace / "a.txt").read_text() == "the agent's"
    newest = (await board.viewer.get(content, params=where)).headers["etag"]
    assert (
        await board.editor.put(content, params=where, content="two", headers={"If-Match": newest})
    ).status_code == 200
    assert (workspace / "a.txt").read_text() == "two"
    anyway = await board.editor.put(content, params=where | {"overwrite": True}, content="three")
    assert anyway.status_code == 200
    (workspace / "a.txt").unlink()
    gone = await board.editor.put(content, params=where, content="four", headers={"If-Match": newest})
    assert (gone.status_code, gone.json()["code"]) == (409, "deleted_meanwhile")
    assert (
        await board.editor.put(content, params=where, content="x", headers={"If-Match": "one"})
    ).status_code == 400


async def test_refusals_keep_their_sentences(board: Board, workspace: Path) -> None:
    content = f"{board.path}/files/content"
    (workspace / "large").write_bytes(b"x" * (5 * MIB + 1))
    (workspace / "out").symlink_to("/etc")
    for path, status, code in (
        ("../x", 400, "outside_workspace"),
        ("out/passwd", 400, "outside_workspace"),
        ("missing", 404, "not_found"),
        (".git/config", 404, "hidden"),
        ("large", 413, "too_large"),
    ):
        answer = await board.viewer.get(content, params={"path": path})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await board.viewer.get(content)).status_code == 400
    part = await board.viewer.get(content, params={"path": "large", "offset": 5 * MIB, "length": 10})
    assert (part.json()["content"], part.json()["version"]) == ("x", None)


async def test_an_upload_has_a_limit_of_its_own(board: Board, workspace: Path) -> None:
    content = f"{board.path}/files/content"
    large = b"x" * (2 * MIB)
    assert (await board.editor.put(content, params={"path": "a"}, content=large)).status_code == 201
    assert (workspace / "a").stat().st_size == 2 * MIB

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    for body in (large + b"x", b"x" * (3 * MIB + 1), endless()):
        answer = await board.editor.put(content, params={"path": "b"}, content=body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    other = await board.editor.post(f"{board.path}/files/move", content=b"x" * (MIB + 1))
    assert (other.status_code, other.json()["error"]) == (413, "The body is larger than 1 MiB. Send less.")
    assert set(os.listdir(workspace)) == {".opencode", "a"}
    await eventually(lambda: not os.listdir(workspace / ".opencode" / "drafts"))


async def test_an_upload_that_is_cut_leaves_nothing(board: Board, workspace: Path, address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"PUT /api{board.path}/files/content?path=a HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n"
        f"Authorization: Bearer {board.tokens['editor']}\r\n\r\n"
    )
    writer.write(head.encode() + b"x" * 300_000)
    await writer.drain()
    drafts = workspace / ".opencode" / "drafts"
    await eventually(lambda: drafts.is_dir() and os.listdir(drafts))
    writer.close()
    await eventually(lambda: not os.listdir(drafts))
    assert not (workspace / "a").exists()


async def test_downloads_are_inert_and_cut_to_measure(board: Board, workspace: Path) -> None:
    page = b"<script>alert(1)</script>"
    (workspace / "page.html").write_bytes(page)
    (workspace / "logo.svg").write_bytes(b"<svg xmlns='http://www.w3.org/2000/svg'/>")
    download = f"{board.path}/files/download"
    answer = await board.viewer.get(download, params={"path": "page.html", "inline": True})
    assert answer.content == page
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"].startswith('attachment; filename="page.html"')
    picture = await board.viewer.get(download, params={"path": "logo.svg", "inline": True})
    assert picture.headers["content-type"] == "image/svg+xml"
    assert picture.headers["content-disposition"] == "inline"
    for each in (answer, picture):
        assert each.headers["x-content-type-options"] == "nosniff"
        assert each.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    part = await board.viewer.get(download, params={"path": "page.html"}, headers={"Range": "bytes=1-6"})
    assert (part.status_code, part.content) == (206, b"script")
    assert part.headers["content-range"] == f"bytes 1-6/{len(page)}"
    # What no service of ours can read says nothing.
    odd = await board.viewer.get(download, params={"path": "page.html"}, headers={b"Range": b"bytes=0-\x80"})
    assert (odd.status_code, odd.content) == (200, page)
    far = {"path": "page.html", "offset": 2**62, "length": 2**62}
    nothing = await board.viewer.get(f"{board.path}/files/content", params=far)
    assert (nothing.status_code, nothing.json()["content"], nothing.json()["size"]) == (200, "", len(page))
    beyond = await board.viewer.get(download, params={"path": "page.html"}, headers={"Range": "bytes=99-"})
    assert (beyond.status_code, beyond.json()["code"]) == (416, "no_such_part")


async def test_an_archive_of_a_folder(board: Board, workspace: Path) -> None:
    (workspace / "src").mkdir()
    (workspace / "src" / "a.py").write_text("print()\n")
    answer = await board.viewer.get(f"{board.path}/files/archive", params={"path": "src"})
    assert answer.headers["content-disposition"].startswith('attachment; filename="src.tar.gz"')
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        assert archive.getnames() == ["src/a.py"]


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("PUT", "content?path=b", {"content": "x"}),
        ("GET", "download?path=a", {}),
        ("GET", "archive?path=", {}),
    ],
    ids=["upload", "download", "archive"],
)
async def test_what_may_last_counts_as_use_of_the_workspace(
    board: Board, workspace: Path, parts: Services, method: str, path: str, sent: dict[str, Any]
) -> None:
    """For how long it does: `tests/clients/test_files.py`."""
    (workspace / "a").write_text("x")
    assert (await board.viewer.get(f"{board.path}/files")).status_code == 200
    async with parts.database.read() as db:
        assert await used(db) == set()
    answer = await board.editor.request(method, f"{board.path}/files/{path}", **sent)
    assert answer.status_code in (200, 201)
    async with parts.database.read() as db:
        assert await used(db) == {UUID(board.project)}


async def test_a_write_with_the_cookie_comes_from_the_apps_own_pages(
    board: Board, workspace: Path, connect: Connect
) -> None:
    client = board.browse(connect(), "editor")
    content, where = f"{board.path}/files/content", {"path": "a"}
    for headers in ({}, {"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
        answer = await client.put(content, params=where, content="x", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    own = await client.put(content, params=where, content="x", headers={"Origin": "http://board.test"})
    assert own.status_code == 201


async def test_a_workspace_without_a_file_browser(
    board: Board, workspace: Path, runtime: FakeRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vibe_app.clients.services._PAUSE", 0.0)
    for url, code in (("", "no_such_service"), ("http://127.0.0.1:1", "unreachable")):
        runtime.files_url = url
        await board.restarted()
        answer = await board.viewer.get(f"{board.path}/files")
        assert (answer.status_code, answer.json()["code"]) == (502, code)


async def test_a_stranger_at_the_file_browsers_address(
    board: Board, workspace: Path, runtime: FakeRuntime
) -> None:
    async def stranger(scope: object, receive: object, send: object) -> None:
        for message in (
            {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]},
            {"type": "http.response.body", "body": b"<!doctype html>"},
        ):
            await send(message)  # type: ignore[operator]

    async with serving(stranger) as url:
        runtime.files_url = url
        answer = await board.viewer.get(f"{board.path}/files")
        assert (answer.status_code, answer.json()["code"]) == (502, "unreachable")


async def test_the_file_browser_wants_the_token(
    workspace: Path, runtime: FakeRuntime, service_token: str
) -> None:
    async with httpx.AsyncClient(base_url=runtime.files_url, trust_env=False) as client:
        for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {service_token}"}):
            answer = await client.get("/files", headers=header)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/ready")).status_code == 200


async def test_all_of_a_long_output_is_had_by_its_name(
    board: Board, tmp_path: Path, runtime: FakeRuntime, service_token: str
) -> None:
    folder = tmp_path / "home" / ".local" / "share" / "opencode" / "tool-output"
    folder.mkdir(parents=True)
    (folder / "tool_22142b51").write_text("<b>line 1</b>\nline 2\n")
    (folder / "tool_link").symlink_to("/etc/hostname")
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    config = sidecar.Config(
        workspace, "p", service_token, "http://127.0.0.1:1", opencode_home=tmp_path / "home"
    )
    async with serving(sidecar.create_app(config)) as url:
        runtime.sidecar_url = url
        outputs = f"{board.path}/files/outputs"
        answer = await board.viewer.get(f"{outputs}/tool_22142b51")
        assert (answer.status_code, answer.text) == (200, "<b>line 1</b>\nline 2\n")
        assert answer.headers["content-type"].startswith("text/plain")
        assert "attachment" in answer.headers["content-disposition"]
        assert "sandbox" in answer.headers["content-security-policy"]
        for name in ("tool_none", "tool_link", "..%2Fopencode.db", "x"):
            missing = await board.viewer.get(f"{outputs}/{name}")
            assert missing.status_code == 404, name
        assert missing.json()["code"] == "output_gone"


@pytest.mark.parametrize(
    ("method", "path", "more", "sentence"),
    [
        ("GET", "?page=0", {}, 'The field "page" is not right: input should be greater than or equal to 1.'),
        (
            "GET",
            "?page_size=5001",
            {},
            'The field "page_size" is not right: input should be less than or equal',
        ),
        ("GET", "/content", {}, 'The field "path" is missing.'),
        (
            "GET",
            "/content?path=a&length=x",
            {},
            'The field "length" is not right: input should be a valid int',
        ),
        (
            "GET",
            "/content?path=a&offset=1.5",
            {},
            'The field "offset" is not right: input should be a valid int',
        ),
        (
            "PUT",
            "/content?path=a&parents=perhaps",
            {},
            'The field "parents" is not right: input should be a val',
        ),
        ("GET", "/search?text=perhaps", {}, 'The field "query" is missing. (And 1 more.)'),
        ("GET", "/download?inline=1", {}, 'The field "path" is missing.'),
        (
            "GET",
            "/changed?since=1&until=x",
            {},
            'The field "until" is not right: input should be a valid date',
        ),
        ("POST", "/folder", {"json": {"path": "a", "mode": 7}}, 'There is no field "mode" here.'),
        (
            "POST",
            "/folder",
            {"json": {"path": 7}},
            'The field "path" is not right: input should be a valid str',
        ),
        ("POST", "/move", {"json": {"path": "a"}}, 'The field "to" is missing.'),
        ("POST", "/move", {"json": {"path": "a", "to": ""}}, 'The query parameter "to" is missing.'),
        (
            "POST",
            "/folder",
            {"content": b'{"path": "\\ud800"}', "headers": {"Content-Type": "application/json"}},
            'The field "path" is not right: it contains characters that are not Unicode text.',
        ),
    ],
)
async def test_what_cannot_be_asked_is_said_by_name(
    board: Board, workspace: Path, method: str, path: str, more: dict[str, Any], sentence: str
) -> None:
    answer = await board.editor.request(method, f"{board.path}/files{path}", **more)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(sentence)
