"""How far an agent is, read from its own list of things to do. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from hashlib import blake2b

from vibe_app.wire import Steps
from vibe_app.workspace_services.sidecar.opencode_json import Todo
from vibe_app.workspace_services.sidecar.wording import one_line


def steps(todos: Sequence[Todo]) -> Steps | None:
    """Count the steps; what the agent gave up does not count. None where it has no list."""
    kept = [todo for todo in todos if todo.get("status") != "cancelled"]
    if not kept:
        return None
    done = sum(todo.get("status") == "completed" for todo in kept)
    current = next((todo for todo in kept if todo.get("status") == "in_progress"), Todo())
    return Steps(done=done, total=len(kept), current=one_line(current.get("content") or "", 200))


def fingerprint(todos: Sequence[Todo]) -> str:
    """What tells a list from another; empty for an empty one."""
    return blake2b(json.dumps(todos).encode(), digest_size=16).hexdigest() if todos else ""
