"""What is attached to a prompt: plain files of the workspace and data, of known kinds, within bounds."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from vibe_app.errors import InvalidRequest, TooLarge
from vibe_app.workspace_services.session_proxy.attachments import LARGEST, enclosed

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
JPEG = b"\xff\xd8\xff\xe0" + b"\0" * 20
PDF = b"%PDF-1.7\n\x80\x81"


def body(*parts: dict[str, Any]) -> bytes:
    return json.dumps({"parts": list(parts)}).encode()


def sent(given: bytes, workspace: Path) -> list[dict[str, Any]]:
    return json.loads(enclosed(given, workspace))["parts"]


def data(content: bytes, kind: str = "text/plain") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"print(1)\n", "text/plain"),
        ("ä€\n".encode(), "text/plain"),
        (b"", "text/plain"),
        (PNG, "image/png"),
        (JPEG, "image/jpeg"),
        (PDF, "application/pdf"),
    ],
)
def test_a_file_travels_as_what_it_is_and_not_as_it_is_called(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "a.bin").write_bytes(content)
    asked = {"type": "file", "mime": "application/x-directory", "url": f"file://{tmp_path}/a.bin"}
    expected = {"type": "file", "mime": kind, "url": data(content, kind), "filename": "a.bin"}
    assert sent(body(asked), tmp_path) == [expected]
    asked |= {"url": data(content, "text/html")}
    assert sent(body(asked), tmp_path) == [{"type": "file", "mime": kind, "url": data(content, kind)}]


@pytest.mark.parametrize("content", [b"\0", b"GIF89a\xff", b"\x7fELF\x02\x80", b"\xff\xfe\x00"])
def test_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    for url in (f"file://{tmp_path}/a.txt", data(content)):
        with pytest.raises(InvalidRequest, match="neither text nor PNG, JPEG or PDF"):
            enclosed(body({"type": "file", "mime": "text/plain", "url": url}), tmp_path)


def test_what_is_too_large_is_refused(tmp_path: Path) -> None:
    content = b"a" * (LARGEST + 1)
    (tmp_path / "a.txt").write_bytes(content)
    for url in (f"file://{tmp_path}/a.txt", data(content)):
        with pytest.raises(TooLarge, match="8 MiB"):
            enclosed(body({"type": "file", "mime": "text/plain", "url": url}), tmp_path)


@pytest.mark.parametrize("url", ["data:text/plain;base64,???", "data:text/plain", "data:;base64,a"])
def test_an_address_that_holds_nothing_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidRequest, match="no data: address"):
        enclosed(body({"type": "file", "mime": "text/plain", "url": url}), tmp_path)


def test_text_in_an_address_is_read_as_well(tmp_path: Path) -> None:
    asked = {"type": "file", "mime": "text/plain", "url": "data:,a%20b"}
    assert sent(body(asked), tmp_path)[0]["url"] == data(b"a b")


@pytest.mark.parametrize("kind", ["link", "hard pipe", "folder", "device", "link on the way"])
def test_what_is_no_plain_file_of_the_workspace_is_refused(tmp_path: Path, kind: str) -> None:
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (outside / "secret").write_text("secret")
    path = workspace / "a"
    if kind == "link":
        path.symlink_to(outside / "secret")
    elif kind == "hard pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.symlink_to(outside)
        path = path / "secret"
    with pytest.raises(InvalidRequest, match="is not a plain file"):
        enclosed(body({"type": "file", "mime": "text/plain", "url": f"file://{path}"}), workspace)


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes devices")
def test_a_device_is_refused_and_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    os.mknod(path, stat.S_IFCHR | 0o644, os.makedev(1, 5))  # /dev/zero's own number
    with pytest.raises(InvalidRequest, match="is not a plain file"):
        enclosed(body({"type": "file", "mime": "text/plain", "url": f"file://{path}"}), tmp_path)


def test_a_file_of_holes_is_read_no_further_than_it_may_be_large(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="8 MiB"):
        enclosed(body({"type": "file", "mime": "text/plain", "url": f"file://{path}"}), tmp_path)


@pytest.mark.parametrize("whole", ["file", "folder"])
def test_what_is_exchanged_for_a_link_at_any_moment_leads_nowhere(tmp_path: Path, whole: str) -> None:
    """What is opened is what is looked at: there is no moment between the two."""
    workspace, outside = tmp_path / "workspace", tmp_path / "outside"
    for folder in (workspace / "plain", outside):
        folder.mkdir(parents=True)
        (folder / "a").write_text("secret" if folder == outside else "ours")
    (workspace / "link").symlink_to(outside / "a" if whole == "file" else outside)
    shown = workspace / "shown"
    plain = workspace / ("plain/a" if whole == "file" else "plain")
    shown.symlink_to("link")
    over = Event()

    def exchange() -> None:
        while not over.is_set():
            for target in (plain, workspace / "link"):
                draft = workspace / "draft"
                if whole == "file" and target == plain:
                    os.link(plain, draft)
                    os.replace(draft, shown)
                elif target == plain:
                    shown.unlink()
                    plain.rename(shown)
                    shown.rename(plain)
                else:
                    draft.symlink_to(os.readlink(target))
                    os.replace(draft, shown)

    thread = Thread(target=exchange)
    thread.start()
    path = shown if whole == "file" else shown / "a"
    got: set[str] = set()
    try:
        # Until both were met, and as often again as a mistake would need.
        for attempt in range(100_000):
            if attempt > 2000 and len(got) > 1:
                break
            try:
                parts = sent(body({"type": "file", "mime": "text/plain", "url": f"file://{path}"}), workspace)
                got.add(parts[0]["url"])
            except InvalidRequest:
                got.add("refused")
    finally:
        over.set()
        thread.join()
    assert got == {"refused", data(b"ours")}


def test_an_address_that_is_written_with_escapes_is_read_as_well(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("/etc/hostname")
    url = f"file://{tmp_path}/a".replace("f", "\\u0066", 1)
    with pytest.raises(InvalidRequest):
        enclosed(f'{{"parts": [{{"type": "file", "url": "{url}"}}]}}'.encode(), tmp_path)
