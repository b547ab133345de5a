"""What passes to OpenCode: a list of routes of its first API, and its web page. Pure.

What is not listed does not pass. Left out on purpose, as read and tried with
OpenCode 1.18.33:

- `/pty`, `/session/{id}/shell` and `/command`, `/experimental`, `POST /mcp`, `/tui`: run commands;
- `PATCH /config`, `/auth`, `/provider/{id}/oauth`: change settings and keys;
- `/global/dispose`, `/global/upgrade`, `/instance/dispose`, `/sync`: end or replace what sessions run in;
- `/session/{id}/share`: sends the talk to another host;
- `/api/*`: a second interface, which loads what a repository configures;
- `/log`, `/doc`: no use to anybody here.

`GET /config` and what tells of providers hold the model's key: they pass, as the
web page cannot do without them, with every such value taken out.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import unquote, urlsplit

from vibe_app.shapes import shaped

_ID = r"[A-Za-z0-9_-]{1,128}"
_NUMBER = re.compile(r"[1-9][0-9]{0,9}")

_ROUTES: dict[str, tuple[str, ...]] = {
    "GET": (
        *("/event", "/global/event", "/global/health", "/agent", "/command", "/skill", "/path", "/lsp"),
        *("/project", "/project/current", "/formatter", "/mcp", "/provider/auth"),
        *("/session", "/session/status", "/session/{id}", "/session/{id}/children", "/session/{id}/todo"),
        *("/session/{id}/diff", "/session/{id}/message", "/session/{id}/message/{id}"),
        *("/permission", "/question"),
        *("/file", "/file/content", "/file/status", "/find", "/find/file", "/find/symbol"),
        *("/vcs", "/vcs/status", "/vcs/diff", "/vcs/diff/raw"),
        *("/config", "/config/providers", "/global/config", "/provider"),
    ),
    "POST": (
        *("/session", "/session/{id}/message", "/session/{id}/prompt_async", "/session/{id}/abort"),
        *("/session/{id}/summarize", "/session/{id}/fork", "/session/{id}/revert", "/session/{id}/unrevert"),
        *("/session/{id}/permissions/{id}", "/permission/{id}/reply"),
        *("/question/{id}/reply", "/question/{id}/reject"),
    ),
    "PATCH": ("/session/{id}",),
    "DELETE": ("/session/{id}",),
}
_PATTERNS = {
    method: re.compile("|".join(re.escape(path).replace(r"\{id\}", _ID) for path in paths))
    for method, paths in _ROUTES.items()
}
# The first part of every route of OpenCode 1.18.33: what is below one of these is no file of its page.
_API = frozenset(
    (
        *("agent", "api", "auth", "command", "config", "doc", "event", "experimental"),
        *("file", "find", "formatter", "global", "instance", "log", "lsp", "mcp"),
        *("path", "permission", "project", "provider", "pty", "question", "session", "skill"),
        *("sync", "tui", "vcs"),
    )
)
_NAME = r"/[A-Za-z0-9_-]{1,400}"
_PAGE = re.compile(rf"/|/assets/[A-Za-z0-9._-]{{1,200}}|{_NAME}\.[a-z0-9]{{1,11}}|(?:{_NAME}){{1,4}}")

QUERY = frozenset(
    (
        *("before", "context", "dirs", "limit", "messageID", "mode", "path"),
        *("pattern", "query", "roots", "scope", "search", "start", "type"),
    )
)
"""Parameters that may pass. `directory` and `workspace` would open other folders."""

WITH_SECRETS = frozenset({"/config", "/config/providers", "/global/config", "/provider"})
"""Answers out of which `without_secrets` is to take what is secret."""

EVERYWHERE = frozenset({"/global/health", "/global/event", "/global/config"})
"""Calls that are the same in every folder, and begin no instance of one."""

STREAMS = frozenset({"/event", "/global/event"})
"""Answers that do not end."""

_SECRET = re.compile(
    r"key|token|secret|password|authorization|credential|cookie|headers|^env(ironment)?$", re.I
)
_HARMLESS = frozenset({"keybinds", "tokens"})
HIDDEN = "[hidden]"


def task(query: Mapping[str, str], headers: Mapping[str, str], workspace: str) -> str | None:
    """Return the number of the card that a call is about, None where it names none.

    OpenCode's own page names a folder: the tree of a card says its number.

    Args:
        query: The call's parameters.
        headers: The call's headers.
        workspace: The workspace's folder, as OpenCode sees it.
    """
    number = query.get("task")
    if number is None:
        named = query.get("directory") or unquote(headers.get("x-opencode-directory", ""))
        number = named.removeprefix(f"{workspace.rstrip('/')}/tasks/")
    return number if _NUMBER.fullmatch(number) else None


def is_route(method: str, path: str) -> bool:
    """Whether a call of OpenCode's interface may pass."""
    pattern = _PATTERNS.get("GET" if method == "HEAD" else method)
    return pattern is not None and pattern.fullmatch(path) is not None


def is_page(method: str, path: str) -> bool:
    """Whether a path is one of OpenCode's web page: a file of it, or a place in it."""
    if method not in ("GET", "HEAD") or path.split("/")[1] in _API:
        return False
    return _PAGE.fullmatch(path) is not None


def refusal(path: str, body: bytes, workspace: str) -> str | None:
    """Say what keeps the body of a call from passing, if anything does.

    Args:
        path: The call's.
        body: As it came; empty passes.
        workspace: The folder that OpenCode works in, as it sees it.
    """
    if not body:
        return None
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return "The body must be JSON."
    asked = shaped(dict[str, object], given)
    if not isinstance(given, dict):
        return "The body must be a JSON object."
    if re.fullmatch(rf"/session(?:/{_ID})?", path) and not asked.keys().isdisjoint(
        ("permission", "workspaceID")
    ):
        return "What the agent may do is set by this installation: leave the field permission out."
    for part in shaped(list[dict[str, object]], asked.get("parts")):
        if "url" in part and not _is_inside(part["url"], workspace):
            return "Attach what a data: address holds, or a file of the workspace by its file: address."
    return None


def _is_inside(url: object, workspace: str) -> bool:
    """Whether an attachment is in the request itself or in the tree. OpenCode would read any file."""
    if not isinstance(url, str):
        return False
    if url.startswith("data:"):
        return True
    try:
        found = urlsplit(url)
    except ValueError:
        return False
    path = posixpath.normpath(unquote(found.path))
    below = path.removeprefix(workspace.rstrip("/") + "/")
    return (found.scheme, found.netloc) == ("file", "") and below != path and "\0" not in path


def without_secrets(body: bytes) -> bytes:
    """Take keys, tokens and their like out of an answer in JSON.

    Raises:
        ValueError: It is no JSON.
    """
    return json.dumps(_clean(json.loads(body)), separators=(",", ":")).encode()


def _clean(value: object) -> object:
    if isinstance(value, list):
        return [_clean(inner) for inner in cast(list[object], value)]
    if not isinstance(value, dict):
        return value
    named = cast(dict[str, object], value).items()
    return {name: HIDDEN if _is_secret(name) and inner else _clean(inner) for name, inner in named}


def _is_secret(name: str) -> bool:
    return name not in _HARMLESS and _SECRET.search(name) is not None
