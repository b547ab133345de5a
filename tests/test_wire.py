"""The messages between app and sidecar: what they keep out of the database and off the screen."""

from __future__ import annotations

import pytest

from vibe_app.wire import Usage, clean_text, plain_text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
        ("\x1b[2J\x1b[Hgone", "gone"),
        ("\x1b]0;a title\x07shown", "shown"),
        ("\x1b]52;c;c2VjcmV0\x1b\\shown", "shown"),
        ("a\r\nb\rc", "a\nb\nc"),
        ("nul\x00 bell\x07 c1\x9b", "nul bell c1"),
        ("\u202ereversed", "reversed"),
        ("half \ud800 a pair", "half ? a pair"),
    ],
)
def test_text_is_made_safe_and_keeps_its_colours(raw: str, clean: str):
    assert clean_text(raw) == clean
    assert clean_text(clean) == clean


def test_plain_text_has_no_colours_either():
    assert plain_text("\x1b[1;31mred\x1b[0m") == "red"


def test_an_unfinished_sequence_takes_no_further_line_with_it():
    assert clean_text("\x1b]0;never ended\nthe next line").endswith("the next line")


def test_absurd_counts_stay_within_what_a_database_keeps():
    usage = Usage(tokens_input=2**40, tokens_output=-1)
    assert (usage.tokens_input, usage.tokens_output) == (2**31 - 1, 0)
