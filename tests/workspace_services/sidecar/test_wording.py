"""Sentences about what tools did, from what OpenCode reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vibe_app.wire import MEMORY_NOTICE
from vibe_app.workspace_services.sidecar.wording import (
    begun,
    command_end,
    tool_error,
    tool_result,
    within,
)

REFUSED = (
    "The user has specified a rule which prevents you from using this specific tool call. "
    "Here are some of the relevant rules "
)
ANY = {"permission": "*", "action": "allow", "pattern": "*"}


def refused(given: dict[str, Any], *rules: dict[str, str]) -> dict[str, Any]:
    return {"status": "error", "input": given, "error": REFUSED + json.dumps([ANY, *rules])}


OUTSIDE = {"permission": "external_directory", "action": "deny", "pattern": "*"}
TMP = {"permission": "external_directory", "action": "allow", "pattern": "/tmp/*"}


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("cat /etc/passwd", "/etc/passwd"),
        ("ls /workspace/a /tmp/b '/etc' /etc", "/etc"),
        ("cp ~/.netrc . && cat ../other/x", "~/.netrc, ../other/x"),
        ("cd $ELSEWHERE", "cd $ELSEWHERE"),
    ],
)
def test_a_command_that_is_refused_names_its_paths_outside(command: str, named: str) -> None:
    words = tool_error("bash", refused({"command": command}, OUTSIDE, TMP), "/workspace")
    assert words == (
        f"{named} is outside the card's tree; agents may use files in it and below /tmp only "
        "(rule: external_directory *: deny)"
    )


def test_another_rule_is_named_as_it_is() -> None:
    rule = {"permission": "edit", "action": "deny", "pattern": "secret/*"}
    words = tool_error("edit", refused({"filePath": "secret/a"}, rule), "/workspace")
    assert words == "secret/a is not allowed by the rules of this workspace (rule: edit secret/*: deny)"


@pytest.mark.parametrize("end", ["", "[", "[1]", "[{}]", '{"a": 1}', "[" + "x" * 9])
def test_a_refusal_whose_rules_cannot_be_read_is_a_sentence_all_the_same(end: str) -> None:
    state = {"input": {"filePath": "a"}, "error": REFUSED + end}
    assert tool_error("edit", state, "/workspace") == "a is not allowed by the rules of this workspace"


def test_any_other_error_is_told_as_it_is() -> None:
    assert tool_error("edit", {"error": "oldString not found"}, "/workspace") == "oldString not found"
    assert tool_error("edit", {}, "/workspace") == "failed"


@pytest.mark.parametrize(
    ("code", "output", "words", "bad"),
    [
        (0, "", "", False),
        (3, "", "bash: exit status 3", True),
        (137, "x\n", "bash: was killed (SIGKILL)", True),
        (137, f"x\n{MEMORY_NOTICE}\n", "bash: was killed by the memory limit (SIGKILL)", True),
        (139, "", "bash: was killed (SIGSEGV)", True),
        (129, "usage: git", "bash: exit status 129", True),
        (143, "", "bash: was killed (SIGTERM)", True),
        (255, "", "bash: exit status 255", True),
        (None, "User aborted the command", "bash: stopped", False),
        (None, "terminated command after exceeding timeout 5 ms", "bash: stopped at its time limit", True),
    ],
)
def test_how_a_command_ended(code: int | None, output: str, words: str, bad: bool) -> None:
    assert command_end({"metadata": {"exit": code}, "output": output}) == (words, bad)


DIFF = """Index: /srv/trees/card-1/src/a.py
===================================================================
--- /srv/trees/card-1/src/a.py
+++ /srv/trees/card-1/src/a.py
@@ -1,2 +1,2 @@
 same
-old
+new
"""


def test_an_edit_shows_coloured_lines_and_no_path_of_the_server() -> None:
    state: Any = {"metadata": {"diff": DIFF}}
    assert tool_result("edit", state, "/srv/trees/card-1") == (
        "\x1b[90m--- src/a.py\x1b[0m\n\x1b[90m+++ src/a.py\x1b[0m\n\x1b[36m@@ -1,2 +1,2 @@\x1b[0m\n"
        " same\n\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n"
    )


def test_a_command_keeps_its_lines() -> None:
    command = "cat > /w/a <<'END'\n  two\tlines  \n\nEND\n"
    assert begun("bash", {"command": command}, "/w") == "bash: cat > a <<'END'\n  two\tlines\n\nEND"
    assert begun("bash", {"command": "x\n" * 2_000}, "/w").count("\n") < 1_100
    assert begun("bash", {"command": " ls \n"}, "/w") == "bash: ls"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/w/tree/src/a.py:3: x", "src/a.py:3: x"),
        ("cd /w/tree && ls", "cd . && ls"),
        ("/w/tree-2/a and /w/trees", "/w/tree-2/a and /w/trees"),
    ],
)
def test_paths_are_those_of_the_workspace(text: str, shown: str) -> None:
    assert within(text, "/w/tree") == shown
    assert tool_result("grep", {"output": text}, "/w/tree") == shown
