"""The rehearsal model's script: deterministic, modest, and directed by plain words."""

from __future__ import annotations

import ast
import json
from typing import Any

import pytest

from vibe_app.board.changes.wording import join_prompt, solve_prompt
from vibe_app.workspace_services.sidecar.rehearsal import Answer, Lines, answer, content, target
from vibe_app.workspace_services.sidecar.rehearsal_api import Rehearsal


def play(task: str, results: list[str]) -> list[Answer]:
    """The answers in a conversation in which the tools answer `results`."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You are"},
        {"role": "user", "content": task},
    ]
    told = []
    for result in [*results, None]:
        told.append(answer(messages))
        messages += [{"role": "assistant", "content": "x"}, {"role": "tool", "content": result or ""}]
    return told


@pytest.mark.parametrize(
    ("task", "path"),
    [
        ("Add a README file", "README.md"),
        ("Write docs/setup/install.md for newcomers.", "docs/setup/install.md"),
        ("Create hello.py", "hello.py"),
        ("Please keep a changelog", "CHANGELOG.md"),
        ("Overwrite ../../etc/passwd.txt", "NOTES.md"),
        ("Overwrite /etc/hosts.txt", "NOTES.md"),
        ("Think about life", "NOTES.md"),
    ],
)
def test_the_task_names_the_file(task: str, path: str) -> None:
    assert target(task) == path


def test_it_looks_around_writes_checks_and_sums_up() -> None:
    look, write, check, done = play("Add a README file", ["app.py\nsrc/x.py\n", "ok", "ok"])
    assert "no AI provider is configured" in look.texts[0]
    assert look.tool == "bash"
    assert write.tool == "write"
    assert write.arguments["filePath"] == "README.md"
    assert "- `app.py`\n- `src/x.py`" in write.arguments["content"]
    assert (check.tool, "README.md" in check.arguments["command"]) == ("bash", True)
    assert done.only_text
    assert play("Add a README file", ["app.py\nsrc/x.py\n", "ok", "ok"])[1] == write


def test_a_file_that_exists_is_added_to_and_never_overwritten() -> None:
    _, write, _, done = play("Add a README file", ["README.md\napp.py\n", "ok", "ok"])
    assert write.tool == "bash"
    assert write.arguments["command"].startswith("cat >> README.md <<'REHEARSAL'\n")
    assert "added to README.md" in "".join(map(str, done.texts))


def test_told_to_solve_a_conflict_it_brings_the_branch_in_and_keeps_both_sides() -> None:
    bring, solve, finish, done = play(solve_prompt("release/2.x", ["greeting.txt"]), ["CONFLICT", "ok", "ok"])
    assert bring.arguments["command"].endswith("git fetch origin && git merge --no-edit origin/release/2.x")
    assert "--diff-filter=U" in solve.arguments["command"]
    assert "git commit --no-edit" in finish.arguments["command"]
    assert done.only_text


def test_told_to_bring_a_branch_together_with_its_remote_it_merges_what_was_fetched() -> None:
    bring, solve, finish, done = play(join_prompt("release/2.x", 1, 2), ["CONFLICT", "ok", "ok"])
    fetched = "git fetch origin refs/remotes/origin/release/2.x && git merge --no-edit --no-ff FETCH_HEAD"
    assert bring.arguments["command"].endswith(fetched)
    assert "--diff-filter=U" in solve.arguments["command"]
    assert "git commit --no-edit" in finish.arguments["command"]
    assert "origin/release/2.x is in" in "".join(map(str, done.texts))
    assert done.only_text


def test_what_it_writes_is_well_formed_whatever_the_task_says() -> None:
    task = "Create \"it\" </script> {{x}} '''quotes''' \\ now\nsecond line"
    ast.parse(content("a.py", task, []))
    assert json.loads(content("a.json", task, []))["name"] == "a"
    assert "</script>" not in content("a.html", task, [])


def test_directives_are_played_in_order_and_text_waits_for_the_next_call() -> None:
    task = "\n".join(
        [
            "Do this",
            'rehearse: say "a\\u001b[31mb"',
            "rehearse: print 20 lines at 10 per second",
            "rehearse: run ls",
            "rehearse: hang",
        ]
    )
    first, second, _ = play(task, ["ok", "ok"])
    assert first.texts == ("a\x1b[31mb\n", Lines(20, 10))
    assert first.arguments["command"] == "ls"
    assert second.fault == "hang"


def test_a_failing_step_fails_as_often_as_it_says() -> None:
    model = Rehearsal(0)
    messages = [{"role": "user", "content": "rehearse: fail 429 2 times"}]
    assert [model.decide("s", messages)[0] for _ in range(4)] == [429, 429, 200, 200]
    assert model.decide("another", messages)[0] == 429


def test_words_it_does_not_know_are_named() -> None:
    assert "does not understand: dance" in str(answer([{"role": "user", "content": "rehearse: dance"}]).texts)


def test_titles_are_answered_too() -> None:
    told = answer(
        [{"role": "system", "content": "You are a title generator."}, {"role": "user", "content": "x"}]
    )
    assert told == Answer(("Rehearsal",))
