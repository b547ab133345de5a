"""What passes to OpenCode and what does not; what is taken out of its answers."""

from __future__ import annotations

import json

import pytest

from vibe_app.workspace_services.session_proxy import allowed


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/session/ses_1/shell"),
        ("POST", "/session/ses_1/command"),
        ("POST", "/session/ses_1/init"),
        ("POST", "/session/ses_1/share"),
        ("GET", "/pty"),
        ("POST", "/pty"),
        ("GET", "/pty/pty_1/connect"),
        ("POST", "/mcp"),
        ("POST", "/mcp/x/connect"),
        ("PATCH", "/config"),
        ("PATCH", "/global/config"),
        ("POST", "/global/dispose"),
        ("POST", "/global/upgrade"),
        ("POST", "/instance/dispose"),
        ("PUT", "/auth/anthropic"),
        ("POST", "/provider/x/oauth/authorize"),
        ("GET", "/api/session"),
        ("GET", "/api"),
        ("POST", "/api/session/ses_1/prompt"),
        ("POST", "/tui/execute-command"),
        ("POST", "/sync/start"),
        ("GET", "/experimental/worktree"),
        ("POST", "/experimental/workspace"),
        ("POST", "/vcs/apply"),
        ("POST", "/project/git/init"),
        ("POST", "/log"),
        ("GET", "/doc"),
        ("CONNECT", "/session"),
        ("OPTIONS", "/session"),
        ("GET", "/session/../config"),
        ("GET", "/session/%2e%2e/config"),
        ("GET", "//session"),
        ("GET", "/session/"),
        ("GET", "/session/a/b/c"),
        ("GET", "/assets/../config"),
    ],
)
def test_what_does_not_pass(method: str, path: str) -> None:
    assert not allowed.is_route(method, path)
    assert not allowed.is_page(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/event"),
        ("HEAD", "/session"),
        ("GET", "/session/ses_1/message/msg_1"),
        ("POST", "/session/ses_1/prompt_async"),
        ("POST", "/session/ses_1/permissions/per_1"),
        ("DELETE", "/session/ses_1"),
        ("GET", "/file/content"),
    ],
)
def test_what_passes(method: str, path: str) -> None:
    assert allowed.is_route(method, path)
    assert not allowed.is_page(method, path)


def test_the_page_and_its_files() -> None:
    for path in (
        "/",
        "/assets/index-jmcwmLQ6.js",
        "/favicon-v3.svg",
        "/site.webmanifest",
        "/L3dvcms/session/s_1",
    ):
        assert allowed.is_page("GET", path)
        assert not allowed.is_page("POST", path)
        assert not allowed.is_route("GET", path)


def test_parameters_that_would_open_other_folders_do_not_pass() -> None:
    assert not {"directory", "workspace", "auth_token", "location[directory]"} & allowed.QUERY


@pytest.mark.parametrize(
    ("query", "header", "number"),
    [
        ({"task": "7"}, "", "7"),
        ({"task": "7"}, "/w/tasks/8", "7"),
        ({"directory": "/w/tasks/8"}, "", "8"),
        ({}, "%2Fw%2Ftasks%2F9", "9"),
        ({"directory": "/w/tasks/8/below"}, "", None),
        ({"directory": "/w/tasks/"}, "", None),
        ({"directory": "/w"}, "", None),
        ({"directory": "/elsewhere/tasks/8"}, "", None),
        ({"task": "07"}, "", None),
        ({"task": "7\n"}, "", None),
        ({}, "", None),
    ],
)
def test_the_card_that_a_call_is_about(query: dict[str, str], header: str, number: str | None) -> None:
    assert allowed.task(query, {"x-opencode-directory": header} if header else {}, "/w") == number


def test_secrets_are_taken_out_wherever_they_are() -> None:
    answer = {
        "provider": {"x": {"options": {"apiKey": "S", "headers": {"X-Auth": "S"}, "baseURL": "http://x"}}},
        "mcp": [{"environment": {"A": "S"}, "oauth": {"clientSecret": "S"}}],
        "all": [{"key": "S", "env": ["ANTHROPIC_API_KEY"], "models": {"m": {"limit": {"context": 1}}}}],
        "keybinds": {"leader": "ctrl+x"},
        "tokens": {"input": 3},
    }
    cleaned = allowed.without_secrets(json.dumps(answer).encode())
    assert b'"S"' not in cleaned
    found = json.loads(cleaned)
    assert found["provider"]["x"]["options"]["baseURL"] == "http://x"
    assert found["provider"]["x"]["options"]["apiKey"] == allowed.HIDDEN
    assert (found["keybinds"], found["tokens"]) == (answer["keybinds"], answer["tokens"])
    assert found["all"][0]["models"] == answer["all"][0]["models"]


@pytest.mark.parametrize(
    ("url", "passes"),
    [
        ("data:text/plain;base64,eA==", True),
        ("file:///workspace/src/a.py", True),
        ("file:///workspace/src/a%20b.py?start=1&end=2", True),
        ("file:///etc/passwd", False),
        ("file:///proc/self/environ", False),
        ("file:///workspace/../proc/self/environ", False),
        ("file:///workspace/%2e%2e/proc/self/environ", False),
        ("file:///workspace-other/file", False),
        ("file:///workspace", False),
        ("file:///workspace/.opencode/config.json", True),
        ("file://host/workspace/a", False),
        ("FILE:///etc/passwd", False),
        ("/etc/passwd", False),
        ("http://169.254.169.254/", False),
        ("https://example.org/x", False),
        ("", False),
        (7, False),
        (None, False),
    ],
)
def test_attachments_come_from_the_request_or_the_workspace(url: object, passes: bool) -> None:
    body = json.dumps({"parts": [{"type": "text", "text": "x"}, {"type": "file", "url": url}]}).encode()
    assert (allowed.refusal("/session/ses_1/message", body, "/workspace") is None) == passes


def test_what_the_agent_may_do_is_not_changed() -> None:
    rules = b'{"permission": [{"permission": "external_directory", "pattern": "*", "action": "allow"}]}'
    for path in ("/session", "/session/ses_1"):
        assert "permission" in (allowed.refusal(path, rules, "/workspace") or "")
    for body, sentence in ((b"[]", "object"), (b"{", "JSON"), (b"\xff", "JSON")):
        assert sentence in (allowed.refusal("/session", body, "/workspace") or "")
    assert allowed.refusal("/session", b"", "/workspace") is None
    assert allowed.refusal("/session", b'{"title": "x"}', "/workspace") is None
