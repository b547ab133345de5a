"""How the services of a local workspace are asked before anybody relies on them. Blocking: for threads."""

from __future__ import annotations

import base64
import http.client
import json
import secrets

from vibe_app.shapes import shaped
from vibe_app.wire import Refusal, proof

_ANSWER = 5.0


def ask(port: int, path: str, password: str = "") -> tuple[int, str]:
    """Ask a service on loopback and return the status and its sentence; status 0 means no answer.

    It blocks for up to 5 s and is meant for a thread.

    Args:
        port: Where it listens.
        path: What it is asked for.
        password: Of OpenCode: its refusal is no JSON, and has no sentence.
    """
    credentials = base64.b64encode(f"opencode:{password}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER)
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {credentials}"} if password else {})
        response = connection.getresponse()
        body = response.read(65_536)
    except (OSError, http.client.HTTPException):
        return 0, "its services do not answer"
    finally:
        connection.close()
    if password:
        return response.status, ""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return 0, "something else answers at its port"
    return response.status, shaped(Refusal, answer).get("error", "")


def proves(port: int, token: str) -> bool:
    """Tell whether the service that listens at a port of loopback knows a token; it is not told it.

    It blocks for up to 5 s and is meant for a thread.
    """
    nonce = secrets.token_hex(32)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER)
    try:
        connection.connect()
        ends = connection.sock.getsockname(), connection.sock.getpeername()
        connection.request("GET", f"{proof.PATH}?nonce={nonce}")
        given = shaped(proof.Proof, json.loads(connection.getresponse().read(65_536)))["proof"]
    except (OSError, http.client.HTTPException, ValueError, KeyError, RecursionError):
        return False
    finally:
        connection.close()
    return secrets.compare_digest(given.encode(), proof.proof_of(token, nonce, *ends).encode())
