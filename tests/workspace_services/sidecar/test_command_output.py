"""What is shown of a command's output, from reports as OpenCode sends them."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import pytest

from vibe_app.workspace_services.sidecar.command_output import (
    END_SHOWN,
    LONGEST_LOST_MS,
    CommandOutput,
    shortened,
)

CAP = 20_000
LINES = "".join(f"line {number} of a long output\n" for number in range(1, 4001))


def report(text: str, *, over: bool = False, **more: Any) -> dict[str, Any]:
    """bash's state once a command has printed a text: its last 30,000 characters, all of it in a file."""
    tail = text if len(text) <= 30_000 else "...\n\n" + text[-30_000:]
    metadata = {"output": tail} | more
    if over and len(text) > 51_200:
        metadata |= {"truncated": True, "outputPath": "/home/tool-output/tool_1a"}
    return {"metadata": metadata, "output": text[-51_200:] if over else None}


def follow(reports: list[dict[str, Any]], *, restarts: bool = False) -> str:
    """What is shown after reports, the last of them final; with restarts, by a new reader for each."""
    output, shown = CommandOutput({}, CAP), ""
    for number, state in enumerate(reports, 1):
        for each in output.report(state, over=number == len(reports)):
            shown += each.text
        if restarts:
            output = CommandOutput(json.loads(json.dumps(output.mark)), CAP)
    return shown


def left_out(shown: str) -> tuple[str, int, str]:
    """The beginning, the number of lines that are left out, and the end."""
    found = re.fullmatch(
        r"(.*?)(?:\[the output goes on[^\n]*\n)?\[([0-9,]+) lines are left out here[^\n]*\]\n(.*)",
        shown,
        re.DOTALL,
    )
    assert found, shown[-200:]
    return found[1], int(found[2].replace(",", "")), found[3]


def test_an_output_within_the_cap_is_shown_whole() -> None:
    text = LINES[:CAP]
    assert follow([report(text[:500]), report(text[:9000]), report(text, over=True)]) == text


def test_a_gush_keeps_both_ends_and_counts_what_is_between() -> None:
    shown = follow([report(LINES), report(LINES, over=True, whole=LINES)])
    begin, lines, end = left_out(shown)
    assert LINES.startswith(begin)
    assert LINES.endswith(end)
    assert begin.count("\n") + lines + end.count("\n") == 4000
    assert CAP - 100 < len(begin) <= CAP
    assert END_SHOWN - 100 < len(end) <= END_SHOWN
    assert "all of it is kept as tool_1a]" in shown


@pytest.mark.parametrize("restarts", [False, True])
def test_one_that_comes_bit_by_bit_does_the_same(restarts: bool) -> None:
    chance = random.Random(3)
    ends = [0]
    while ends[-1] < len(LINES):
        ends.append(ends[-1] + chance.randint(1, 3000))
    reports = [report(LINES[:end]) for end in ends[1:]] + [report(LINES, over=True, whole=LINES)]
    begin, lines, end = left_out(follow(reports, restarts=restarts))
    assert LINES.startswith(begin)
    assert LINES.endswith(end)
    assert abs(begin.count("\n") + lines + end.count("\n") - 4000) <= 1


def test_without_the_file_a_gush_says_that_a_part_is_missing() -> None:
    shown = follow([report(LINES[:1000]), report(LINES, over=True)])
    assert shown.startswith(LINES[:900])
    assert "[a part of the output came too fast and is left out here]\n" in shown
    assert "[more than " in shown
    assert shown.endswith(LINES[-500:])


def gush(every_ms: float) -> tuple[str, list[str]]:
    """What is shown of a command whose beginning was gone before it was reported, and when: by report."""
    output, told = CommandOutput({}, CAP), list[str]()
    for number, end in enumerate(range(40_000, len(LINES), 1_000)):
        now = number * every_ms
        shown = output.report(report(LINES[:end]), over=False, now_ms=now)
        told.append("".join(each.text for each in shown))
    last = output.report(report(LINES, over=True, whole=LINES), over=True, now_ms=now)
    return "".join(each.text for each in last), told


def test_a_gush_of_a_moment_is_waited_for_in_however_many_reports_it_comes() -> None:
    shown, before = gush(every_ms=2)
    assert len(before) > 40
    assert set(before) == {""}
    begin, lines, end = left_out(shown)
    assert LINES.startswith(begin)
    assert LINES.endswith(end)
    assert begin.count("\n") + lines + end.count("\n") == 4000


def test_what_goes_on_is_shown_without_its_beginning_after_a_while() -> None:
    _, before = gush(every_ms=500)
    assert set(before[: LONGEST_LOST_MS // 500 + 1]) == {""}
    assert before[LONGEST_LOST_MS // 500 + 1].startswith("[a part of the output came too fast")


def test_of_a_file_that_is_too_long_the_beginning_is_used() -> None:
    shown = follow([report(LINES, over=True, whole=LINES[:60_000], cut=True)])
    begin, _, end = left_out(shown.replace("more than ", ""))
    assert LINES.startswith(begin)
    assert LINES.endswith(end)


def test_one_endless_line_is_cut_and_counted_in_characters() -> None:
    text = "x" * 100_000
    shown = follow([report(text, over=True, whole=text)])
    assert f"[{100_000 - CAP - END_SHOWN:,} characters are left out here; " in shown
    assert len(shown) < CAP + END_SHOWN + 200


def test_redrawn_lines_take_no_room_from_what_follows() -> None:
    progress = "".join(f"\rdownloading part {number} of 4000" for number in range(4001)) + "\n"
    text = progress + LINES[:10_000]
    shown = follow([report(text[:1000]), report(text, over=True, whole=text)])
    assert shown.endswith("downloading part 4000 of 4000\n" + LINES[:10_000])
    assert shown.count("downloading") < 8


def test_a_held_back_line_is_shown_after_a_silence() -> None:
    output = CommandOutput({}, CAP)
    told = [each.text for each in output.report(report("1%\r2%\r3%"), over=False)]
    told += [each.text for each in output.settle()]
    assert "".join(told) == "1%\n3%\n"


def test_a_long_result_of_another_tool_keeps_both_ends() -> None:
    begin, lines, end = left_out(shortened(LINES, CAP))
    assert begin.count("\n") + lines + end.count("\n") == 4000
    assert shortened(LINES[:CAP], CAP) == LINES[:CAP]
