"""Somebody else's JSON: what has the shape stays, whatever else there is does not."""

from __future__ import annotations

import json
from typing import Any, TypedDict

import pytest

from vibe_app.shapes import shaped
from vibe_app.wire import HUGE, number


class Inner(TypedDict, total=False):
    word: str
    count: int


class Outer(TypedDict, total=False):
    inner: Inner
    inners: list[Inner]
    by_name: dict[str, Inner]
    pair: tuple[int, str]
    rows: list[str | None]
    yes: bool
    seconds: float
    anything: object


WHOLE: dict[str, Any] = {
    "inner": {"word": "a", "count": 1},
    "inners": [{"word": "b"}, {}],
    "by_name": {"x": {"count": 2}},
    "pair": [1, "c"],
    "rows": ["d", None],
    "yes": True,
    "seconds": 1.5,
    "anything": [None, {"e": 10**5000}],
}
ODD = [None, True, 1, 1.5, 10**5000, -(10**400), float("inf"), float("nan"), "word", [], [None], {}, {"x": 1}]


def test_what_has_the_shape_stays_as_a_copy():
    found = shaped(Outer, WHOLE)
    assert found == {**WHOLE, "pair": (1, "c")}
    assert found["inners"] is not WHOLE["inners"]


def test_what_has_another_shape_is_left_out_and_nothing_else():
    odd = {
        "inner": {"word": 1, "count": "2", "other": 3},
        "inners": [None, {"word": "b"}, "c"],
        "by_name": {"x": None, "y": {"count": 2.5}},
        "pair": [1, "c", "too many"],
        "rows": ["d", 1, None],
        "yes": 1,
        "seconds": "soon",
        "unknown": 1,
    }
    assert shaped(Outer, odd) == {
        "inner": {},
        "inners": [{"word": "b"}],
        "by_name": {"y": {}},
        "rows": ["d", None],
    }


def kind_of(value: object) -> str:
    """Name an example: numbers of thousands of digits cannot be written."""
    return type(value).__name__


@pytest.mark.parametrize("kind", [str, bool, int, float, Outer, list[Inner], dict[str, Inner]])
@pytest.mark.parametrize("value", ODD, ids=kind_of)
def test_whatever_comes_the_answer_is_of_the_kind(kind: Any, value: object):
    found = shaped(kind, value)
    assert found == kind() or found == value


@pytest.mark.parametrize("value", [True, "1", 2**63, 10**5000, float("inf"), float("nan")], ids=kind_of)
def test_no_number_is_one_that_cannot_be_reckoned_with(value: object):
    assert shaped(dict[str, float], {"x": value}) == {}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        *((0, 0), (7, 7), (-7, 0), (2**70, HUGE), (10**5000, HUGE), (12.9, 12), (-0.5, 0), (1e300, HUGE)),
        *((float("inf"), HUGE), (float("-inf"), 0), (float("nan"), 0), ("12", 12), ("9" * 5000, HUGE)),
        *((" 1", 0), ("1.5", 0), ("٣", 0), ("", 0), (None, 0), (True, 0), ([1], 0), ({}, 0)),
    ],
    ids=kind_of,
)
def test_a_whole_number_is_read_within_bounds(value: object, read: int):
    assert number(value) == read


def test_json_that_python_alone_understands_does_no_harm():
    said = json.loads('{"seconds": Infinity, "pair": [NaN, "c"], "yes": true}')
    assert shaped(Outer, said) == {"yes": True}
