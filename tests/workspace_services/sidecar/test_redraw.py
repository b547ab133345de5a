"""Lines that are drawn again and again: what is shown of them, however the text is cut."""

from __future__ import annotations

import json
import random
import time

import pytest

from vibe_app.workspace_services.sidecar import tails
from vibe_app.workspace_services.sidecar.redraw import Redraw

PROGRESS = [f"progress {percent}%" for percent in range(401)]
ONE_LINE = "progress 0%\nprogress 7%\nprogress 63%\nprogress 400%\n"

CASES = {
    "carriage return before": ("".join(f"\r{state}" for state in PROGRESS) + "\ndone\n", ONE_LINE + "done\n"),
    "carriage return after": ("".join(f"{state}\r" for state in PROGRESS) + "\ndone\n", ONE_LINE + "done\n"),
    "erase and return (cargo)": (
        "".join(f"\x1b[2K\r{state}" for state in PROGRESS) + "\x1b[2K\rfinished\n",
        "progress 0%\nprogress 7%\nprogress 63%\nfinished\n",
    ),
    "column one": ("".join(f"\x1b[1G{state}\x1b[0K" for state in PROGRESS) + "\n", ONE_LINE),
    "left over (a spinner)": ("wait " + "|\b/\b-\b" * 3 + " \bdone\n", "wait |\nwait /\nwait done\n"),
    "a shorter text": ("a long text\rshort\x1b[K\n", "a long text\nshort\n"),
    "a shorter text over a longer one": ("12345\rab\n", "12345\nab345\n"),
    "never ended": ("5%\r6%", "5%\n6%\n"),
    "several lines (docker, npm)": (
        "a 0\nb 0\n" + "".join(f"\x1b[2Aa {n}\x1b[K\nb {n * 2}\x1b[K\n" for n in range(1, 101)) + "ready\n",
        "a 0\nb 0\na 8\nb 16\na 64\nb 128\na 100\nb 200\nready\n",
    ),
    "one of several lines (docker)": (
        "x: wait\ny: wait\n" + "".join(f"\x1b[2A\x1b[2K\rx: {n}\x1b[2B\r" for n in range(7)) + "end\n",
        "x: wait\ny: wait\nx: 6\nend\n",
    ),
    "two bars (tqdm)": (
        "".join(f"\rA {n}\n\rB {n}\x1b[A" for n in range(4)) + "\n\n",
        "A 0\nB 0\nA 3\nB 3\n",
    ),
    "erased upwards (ink)": (
        "".join(("\x1b[2K\x1b[1A" * 2 + "\x1b[2K\x1b[G") * (n > 0) + f"one {n}\ntwo {n}\n" for n in range(3)),
        "one 0\ntwo 0\none 2\ntwo 2\n",
    ),
    "colours": (
        "".join(f"\r\x1b[32m{n}\x1b[39m%" for n in range(5)) + "\n\x1b[1mbold\x1b[0m\n",
        "\x1b[32m0\x1b[39m%\x1b[32m\x1b[0m\n\x1b[32m4\x1b[0m%\n\x1b[1mbold\x1b[0m\n",
    ),
}
# What is not drawn again passes as it is, but for the sequences that erase nothing.
PLAIN = [
    "one\ntwo\n",
    "dos\r\nlines\r\n",
    "no newline at the end",
    "\n\n  indented \t\n",
    "\x1b[31mred\nstill red\x1b[0m\n",
    "",
]


def whole(text: str) -> str:
    reducer = Redraw()
    return reducer.feed(text) + reducer.close()


def cut(text: str, chance: random.Random) -> str:
    """EventLog a text in pieces, each to a reducer that only knows the last one's state."""
    state, shown, held = None, "", ""
    while text:
        size = chance.randint(1, 20)
        held, text = held + text[:size], text[size:]
        end = tails.complete(held)
        reducer = Redraw(json.loads(json.dumps(state)))
        shown += reducer.feed(held[:end])
        held, state = held[end:], reducer.state
    reducer = Redraw(state)
    return shown + reducer.feed(held) + reducer.close()


@pytest.mark.parametrize("case", CASES)
def test_a_redrawn_line_is_one_line_with_a_few_states_on_the_way(case: str) -> None:
    text, shown = CASES[case]
    assert whole(text) == shown


@pytest.mark.parametrize("text", [*(text for text, _ in CASES.values()), *PLAIN])
def test_it_is_the_same_however_the_text_is_cut_and_whoever_goes_on(text: str) -> None:
    chance = random.Random(7)
    assert {cut(text, chance) for _ in range(40)} == {whole(text)}


@pytest.mark.parametrize("text", PLAIN)
def test_plain_output_passes_at_once(text: str) -> None:
    reducer = Redraw()
    assert reducer.feed(text) == text.replace("\r\n", "\n")
    assert reducer.close() == ""


def test_erasing_nothing_is_no_redraw() -> None:
    assert whole("\x1b[01m\x1b[Kfoo.c:\x1b[m\x1b[K bad\x1b[K\n") == "\x1b[01mfoo.c:\x1b[m bad\n"


def test_lines_after_a_block_are_not_held_back_for_long() -> None:
    reducer = Redraw()
    reducer.feed("a 0\nb 0\n\x1b[2Aa 1\nb 1\n")
    shown = "".join(reducer.feed(f"line {n}\n") for n in range(20))
    assert shown.startswith("a 1\nb 1\nline 0\n")
    assert shown.endswith("line 19\n")


def test_a_long_silence_shows_the_present_state_a_few_times() -> None:
    reducer = Redraw()
    shown = ""
    for state in PROGRESS:
        shown += reducer.feed(f"\r{state}") + reducer.settle()
    shown += reducer.feed("\n")
    assert shown.count("\n") < 12
    assert shown.endswith("progress 400%\n")
    assert reducer.settle() == ""


def test_nothing_that_a_program_sends_takes_long_or_much_room() -> None:
    began = time.monotonic()
    for text in (
        "\x1b[99999A\x1b[99999B\x1b[99999C\x1b[99999D\x1b[99999GX\r" * 2000,
        "x" * 200_000 + "\r" + "y" * 200_000 + "\r",
        ("\x1b[60A" + "line\n" * 60) * 500,
        "\x1b[31m\x1b[44m\x1b[1m" * 20_000 + "\rx",
        "\x1b[38;2;1;2\x1b[38;5mx\r\x1b[;;;;999;1:2:3my",
        "\x1b[J\x1b[2J\x1b[1K\x1b[3K\b\b\b\r\r\n\x1b[A\x1b[A",
    ):
        reducer = Redraw()
        shown = reducer.feed(text) + reducer.close()
        assert len(shown) < 2 * len(text) + 10_000
        assert len(json.dumps(reducer.state)) < 20_000
    assert time.monotonic() - began < 30
