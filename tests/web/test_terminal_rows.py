"""What the terminal is given: nothing lost, words whole, colours that go on, and no escapes but our own."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from vibe_app.web.kit.terminal_rows import Rows, cells, zone_of
from vibe_app.wire import Event, EventType

AT = datetime(2026, 7, 1, 10, 0, 0, tzinfo=UTC)
COLUMNS = 40


def rows_of(columns: int = COLUMNS) -> Rows:
    return Rows(columns, UTC, re.compile("kept as (tool_[a-z0-9]+)"), "/outputs/")


def output(seq: int, text: str, kind: EventType = EventType.OUTPUT) -> Event:
    return Event(seq=seq, type=kind, text=text, timestamp=AT)


def plain(made: str) -> str:
    """What `PLAIN` makes of it in a browser."""
    text = re.sub(r"\x1b\[[\d;:]*m|\x1b\]8;[^\x1b]*\x1b\\", "", made)
    text = re.sub(r"\S+\x1b\[\d+D\x1b\[K\r\v", "", text)
    return text.replace("\r\v", "").replace("\v\r", " ").replace("\r\n", "\n")


def screen(made: str, columns: int = COLUMNS) -> list[str]:
    """What a terminal shows of it."""
    made = re.sub(r"\x1b\[[\d;:]*m|\x1b\]8;[^\x1b]*\x1b\\", "", made)
    rows, column = [""], 0
    for token in re.findall(r"\x1b\[\d+D|\x1b\[K|.", made, re.DOTALL):
        if token == "\r":
            column = 0
        elif token in "\n\v":
            rows.append("")
        elif token == "\x1b[K":
            rows[-1] = rows[-1][:column]
        elif token[0] == "\x1b":
            column = min(column, columns - 1) - int(token[2:-1])
        else:
            if column == columns:
                rows.append("")
                column = 0
            rows[-1] = rows[-1][:column] + token
            column += 1
    return rows


def chunks(text: str, dice: random.Random) -> list[str]:
    cuts = sorted(dice.sample(range(1, len(text)), min(len(text) - 1, 30)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@pytest.mark.parametrize("seed", range(30))
def test_however_it_comes_nothing_is_lost_and_no_word_that_fits_is_broken(seed: int):
    dice = random.Random(seed)
    words = ["x" * dice.randint(1, 20) + " " * dice.randint(1, 2) for _ in range(60)]
    text = "".join(word + "\n" * (dice.random() < 0.1) for word in words) + "end"
    rows = rows_of()
    made = ""
    for seq, chunk in enumerate(chunks(text, dice), 1):
        made += rows.of(output(seq, chunk))
        again = rows_of()  # whoever asks for what follows goes on from there
        again.resume(rows.carry)
        rows = again
    assert re.sub(r"^10:00:00 ", "", plain(made), flags=re.MULTILINE) == text
    shown = screen(made)
    assert max(map(len, shown)) <= COLUMNS
    on_screen = re.findall(r"x+", "\n".join(shown))
    assert on_screen == re.findall(r"x+", text)


def test_a_word_longer_than_a_row_is_broken_where_the_row_ends():
    made = rows_of().of(output(1, "y" * 100 + " after\n"))
    assert plain(made) == "10:00:00 " + "y" * 100 + " after"
    assert screen(made)[0] == "10:00:00 " + "y" * (COLUMNS - 9)


def test_the_colour_of_the_output_goes_on_after_an_interruption():
    rows = rows_of()
    made = rows.of(output(1, "red: \x1b[31mstill"))
    made += rows.of(output(2, "A status", EventType.STATUS))
    made += rows.of(output(3, " red\x1b[0m\n"))
    assert "\x1b[34mA status\x1b[m" in made
    assert made.endswith("\x1b[31m red\x1b[0m")
    assert rows.colours == ""


@pytest.mark.parametrize(
    ("kind", "text", "colour"),
    [
        (EventType.DONE, "Session completed", "\x1b[32m"),
        (EventType.DONE, "Session failed: The agent gave up.", "\x1b[31m"),
        (EventType.DONE, "Session cancelled", "\x1b[90m"),
        (EventType.ERROR, "no such file", "\x1b[31m"),
    ],
)
def test_each_type_has_its_colour(kind: EventType, text: str, colour: str):
    assert f"{colour}{text}" in rows_of(200).of(output(1, text, kind))


def test_what_a_terminal_would_obey_does_not_reach_it():
    made = rows_of().of(output(1, "\x1b[2J\x1b]0;title\x07\x1b[10;10Hkept\x1b]8;;http://x\x1b\\\n"))
    assert plain(made) == "10:00:00 kept"
    assert "\x1b[2J" not in made
    assert "http://x" not in made


def test_the_whole_of_what_is_left_out_is_a_link():
    made = rows_of(200).of(output(1, "[9 lines; kept as tool_22b]\n"))
    assert "\x1b]8;;/outputs/tool_22b\x1b\\tool_22b\x1b]8;;\x1b\\" in made


@pytest.mark.parametrize(
    "carry", ["", "{", "[1]", '[true, "x", 1, 2]', "[" * 3000, '[false, -5, "\\u001b[2J", ""]']
)
def test_a_browser_cannot_bring_what_breaks_it(carry: str):
    rows = rows_of()
    rows.resume(carry)
    assert plain(rows.of(output(9, "text\n"))).strip() == "10:00:00 text"
    assert "[2J" not in rows.colours


def test_times_are_those_of_the_browsers_zone():
    assert zone_of("Europe/Berlin", 0) == ZoneInfo("Europe/Berlin")
    assert zone_of("../etc/passwd", -90) == timezone(timedelta(minutes=90))
    assert zone_of("Nowhere/At all", 10**9) is UTC
    rows = Rows(80, zone_of("Europe/Berlin", 0))
    assert plain(rows.of(output(1, "noon\n"))) == "12:00:00 noon"


def test_wide_characters_take_two_cells():
    assert cells("漢字 ✅") == 7
    assert cells("é") == 1
