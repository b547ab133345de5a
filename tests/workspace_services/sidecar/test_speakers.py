"""Labels before the lines of those who speak at the same time."""

from __future__ import annotations

import pytest

from vibe_app.workspace_services.sidecar.speakers import Speakers, labelled


@pytest.mark.parametrize(
    ("text", "begun", "shown"),
    [
        ("one\ntwo\n", False, "a › one\na › two\n"),
        ("one\ntwo\n", True, "one\na › two\n"),
        ("one\ntw", False, "a › one\na › tw"),
        ("rest", True, "rest"),
        ("\n", True, "\n"),
        ("\n\nx\n", False, "a › \na › \na › x\n"),
        ("a › quoted\n", True, "a › quoted\n"),
    ],
)
def test_a_label_stands_before_each_line(text: str, begun: bool, shown: str) -> None:
    assert labelled(text, "a › ", begun=begun) == shown


def test_one_that_runs_alone_has_no_label_and_two_have_different_ones() -> None:
    speakers = Speakers()
    assert speakers.begins("s", "p1", {"command": "npm test"}) == {}
    assert speakers.begins("another", "p9", {"command": "npm test"}) == {}
    assert speakers.begins("s", "p2", {"command": "npm test"}) == {"p1": "npm test", "p2": "npm test (2)"}
    speakers.ends("s", "p1")
    assert speakers.begins("s", "p2", {"command": "npm test"}) == {}


def test_a_long_command_is_named_by_what_it_is_for() -> None:
    speakers = Speakers()
    long = "cd packages/server && npm run test -- --watch=false"
    speakers.begins("s", "p1", {"command": long, "description": "Test the server"})
    labels = speakers.begins("s", "p2", {"command": long, "description": ""})
    assert labels == {"p1": "Test the server", "p2": "cd packages/server && npm r…"}
