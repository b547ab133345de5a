"""docs/security.md says of agents only what a test shows: each name in it is a test's or a probe's."""

from __future__ import annotations

import re
from pathlib import Path

from tests.wall.suite import wanted

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "security.md").read_text()


def _tests() -> set[str]:
    """The names of all tests."""
    sources = (path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    return {name for source in sources for name in re.findall(r"^\s*(?:async )?def (test_\w+)", source, re.M)}


def _probes() -> set[str]:
    """The names of all probes."""
    kinds = (True, False)
    return {each.name for root in kinds for each in wanted(root=root, network=True)}


def test_each_test_that_is_named_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    assert len(named) > 20
    assert named - _tests() == set()


def test_the_probes_that_are_named_are_those_that_are_there() -> None:
    named = {
        name
        for group in re.findall(r"probes ((?:`[a-z0-9-]+`(?:, )?)+)", TEXT)
        for name in re.findall(r"`([a-z0-9-]+)`", group)
    }
    assert named == _probes()


def test_each_sentence_on_what_an_agent_cannot_do_behind_the_wall_names_what_shows_it() -> None:
    section = TEXT.partition("### One machine, with the wall")[2].partition("**Not protected.**")[0]
    points = [line for line in section.splitlines() if line.startswith("- ")]
    assert len(points) > 6
    assert [point for point in points if not re.search(r"\((?:probes )?`", point)] == []
