"""What the last words of an agent are taken for."""

from __future__ import annotations

import pytest

from vibe_app.workspace_services.sidecar.last_answer import asks, unmade_call


@pytest.mark.parametrize(
    ("text", "tool"),
    [
        ('<tool_call>\n{"name": "bash", "arguments": {"command": "ls"}}\n</tool_call>', "bash"),
        ('I look first.\n<tool_call>{"name":"read","arguments":{"filePath":"a"}}', "read"),
        ("<tool_call>\n<function=bash><parameter=command>ls</parameter>\n</function>\n</tool_call>", "bash"),
        ("Now the file:\n<function=write>\n<parameter=filePath>a.py</parameter>", "write"),
        ('<function_calls>\n<invoke name="edit">\n<parameter name="f">a</parameter>\n</invoke>', "edit"),
        ("[TOOL_CALLS][{\"name\": \"bash\", \"arguments\": {}}]", "a tool"),
        ('<|python_tag|>{"name": "bash", "parameters": {"command": "ls"}}', "a tool"),
        ("<｜tool▁calls▁begin｜>bash", "a tool"),
        ('I will run it.\n\n```json\n{"name": "bash", "arguments": {"command": "npm test"}}\n```', "bash"),
        ('{"tool": "write", "input": {"filePath": "a", "content": "{}"}}', "write"),
        ('{"type":"function","function":{"name":"grep","arguments":"{\\"pattern\\":\\"x\\"}"}}', "grep"),
    ],
)  # fmt: skip
def test_a_call_that_was_only_written_is_seen(text: str, tool: str) -> None:
    assert unmade_call(text) == tool


@pytest.mark.parametrize(
    "text",
    [
        "Done. I ran `bash` and wrote the file.",
        'The hook is called as <invoke name="bash"> … </invoke>, and I documented that.',
        'Models write:\n```xml\n<tool_call>{"name": "bash"}</tool_call>\n```\nThe parser now reads that.',
        '```json\n{"name": "my-package", "version": "1.0.0"}\n```',
        '```json\n{"name": "bash", "version": "5.2"}\n```',
        '{"name": "deploy", "arguments": {"to": "production"}}',
        "",
    ],
)
def test_an_example_of_a_call_is_no_call(text: str) -> None:
    assert unmade_call(text) == ""


@pytest.mark.parametrize(
    "text",
    [
        "Which database should I use?",
        "I found two ways.\n\n**Which one do you want?**",
        "Which one?\n\n- SQLite\n- PostgreSQL",
        "Which one?\n1. SQLite\n2. PostgreSQL\n\nPlease let me know.",
        "Should I delete the old files? Please confirm.",
        "どちらにしますか？",
        'Did you mean "all of them?"',
    ],
)
def test_a_question_at_the_end_asks(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "Done.",
        "Why did it fail? The path was wrong. I changed it.",
        "What changed?\n\nThe path is right now.",
        "All done:\n- the README\n- the tests",
        "I called the address:\n```\nhttps://example.com/?\n```\n",
        "",
    ],
)
def test_a_statement_at_the_end_does_not(text: str) -> None:
    assert not asks(text)
