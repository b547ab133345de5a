"""`vibe serve`: its first page, what it says about a taken port, and how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
from pathlib import Path

import httpx
import pytest

from tests.cli.conftest import Installation, Served
from tests.setting_up import token_on
from tests.waiting import eventually
from vibe_app.cli import ports
from vibe_app.cli.options import Fault
from vibe_app.cli.server import Running, address, claimed, recorded
from vibe_app.private import exposed
from vibe_app.settings import load_settings


async def test_serves_pages_and_the_api_and_ends_with_an_open_page(served: Served):
    async with httpx.AsyncClient(base_url=served.url) as browser:
        page = await browser.get("/")
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        assert (await browser.get("/api/health")).status_code == 200
        script = re.search(r"/assets/reflex-env-[^\"']+\.js", page.text)
        assert script
        assert "localhost" not in (await browser.get(script[0])).text

    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as tab:
        tab.sendall(
            b"GET /_event/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Version: 13\r\n\r\n"
        )
        assert tab.recv(12) == b"HTTP/1.1 101"
        served.process.send_signal(signal.SIGTERM)
        said, _ = served.process.communicate(timeout=15)
    assert served.process.returncode == 0
    assert "Traceback" not in said
    assert Running.on(served.installation.data) is None


@pytest.mark.parametrize(
    "planted", ["", "[]", "[" * 100_000, '{"pid": 1}', '{"pid": 1e999, "started": 1, "url": ""}']
)
def test_what_is_no_server_s_note_is_none(tmp_path: Path, planted: str) -> None:
    (tmp_path / "run" / "servers").mkdir(parents=True)
    (tmp_path / "run" / "servers" / "1.json").write_text(planted)
    assert Running.all(tmp_path) == []


async def test_a_second_server_on_the_same_folder_is_refused(served: Served):
    second = served.installation.vibe("serve", "--port", "0")
    assert second.returncode == 2
    assert served.url in second.stdout


def test_a_taken_port_is_explained_with_the_next_free_one(installation: Installation):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = installation.vibe("serve", "--port", str(port))
    assert refused.returncode == 2
    assert f"process {os.getpid()}" in refused.stdout
    free = re.search(r"vibe serve --port (\d+)", refused.stdout)
    assert free
    assert int(free[1]) > port


def test_serve_says_what_is_missing(installation: Installation):
    refused = installation.vibe("serve", "--port", "0")
    assert refused.returncode == 1
    assert "vibe db upgrade" in refused.stdout


async def test_a_server_keeps_its_data_private_also_what_was_not(installation: Installation):
    installation.vibe("db", "upgrade")
    (installation.data / "logs").mkdir(exist_ok=True)
    for path in (installation.data, installation.data / "vibe.db", installation.data / "logs"):
        path.chmod(0o755)
    process = installation.start("serve", "--port", "0")
    try:
        await eventually(lambda: Running.on(installation.data), seconds=60)
        assert exposed(installation.data) == []
    finally:
        process.terminate()
        process.communicate(timeout=15)


async def test_the_first_account_needs_the_link_that_is_printed(installation: Installation):
    installation.vibe("db", "upgrade")
    process = installation.start("serve", "--port", "0")
    try:
        await eventually(lambda: Running.on(installation.data), seconds=60)
        running = Running.on(installation.data)
        assert running
        person = {"email": "ada@example.org", "name": "Ada", "password": "correct horse battery"}
        link = f"{running.url}/setup?token={token_on(installation.data)}"
        assert link in installation.vibe("doctor").stdout
        async with httpx.AsyncClient(base_url=f"{running.url}/api") as client:
            for host in ("127.0.0.1", "board.example.org"):
                refused = await client.post("/auth/setup", json=person, headers={"Host": host})
                assert (refused.status_code, refused.json()["code"]) == (403, "set_up_link_needed")
            person["setup_token"] = token_on(installation.data)
            assert (await client.post("/auth/setup", json=person)).status_code == 201
            assert (await client.post("/auth/setup", json=person)).status_code == 409
        assert "/setup?token=" not in installation.vibe("doctor").stdout
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=15)
    assert link in said


async def test_serve_migrates_an_empty_folder_when_told_to(installation: Installation):
    process = installation.start("serve", "--port", "0", "--migrate")
    try:
        await eventually(lambda: Running.on(installation.data), seconds=60)
        running = Running.on(installation.data)
        assert running
        async with httpx.AsyncClient(base_url=running.url) as client:

            async def ready() -> bool:
                return (await client.get("/api/ready")).status_code == 200

            await eventually(ready)
    finally:
        process.terminate()
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "The database is at revision" in said


def test_nothing_is_migrated_in_a_folder_that_another_server_has_claimed(installation: Installation):
    with claimed(load_settings(data=installation.data)):
        refused = installation.vibe("serve", "--port", "0", "--migrate")
    assert refused.returncode == 2
    assert not (installation.data / "vibe.db").exists()


def test_the_next_free_port_is_bound():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ports.PortTaken, match=str(port)):
            ports.bind("127.0.0.1", port)
        with ports.bind_next("127.0.0.1", port) as listener:
            assert listener.getsockname()[1] > port


def test_an_address_of_another_machine_is_explained():
    with pytest.raises(Fault, match="not an address of this machine"):
        ports.bind("203.0.113.7", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("0.0.0.0", "http://127.0.0.1:8000"),
        ("::", "http://[::1]:8000"),
        ("::1", "http://[::1]:8000"),
    ],
)
def test_the_address_is_one_that_a_browser_here_can_open(host: str, url: str):
    assert address(host, 8000) == url


def test_a_server_that_died_is_not_taken_for_running(tmp_path):
    with recorded(tmp_path, "http://127.0.0.1:1"):
        running = Running.on(tmp_path)
        assert running
        assert running.pid == os.getpid()
        (record,) = (tmp_path / "run" / "servers").iterdir()
        kept = record.read_text()
    assert Running.all(tmp_path) == []
    record.write_text(kept.replace(str(running.started), "1.0"))
    assert Running.on(tmp_path) is None
    record.write_text("rubbish")
    assert Running.on(tmp_path) is None


def test_a_database_in_a_file_has_one_server_and_one_on_postgresql_has_many(tmp_path):
    on_file = load_settings(data=tmp_path)
    shared = load_settings(data=tmp_path, database_url="postgresql://u@h/d")
    with claimed(on_file) as first, claimed(on_file) as second:
        assert (first, second) == (True, False)
    with claimed(shared) as first, claimed(shared) as second, claimed(on_file) as third:
        assert (first, second, third) == (True, True, False)
