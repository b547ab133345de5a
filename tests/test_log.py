"""The log: whatever somebody sends, it is one line, and nobody's words look like a line of ours."""

from __future__ import annotations

import io
import logging
import subprocess
import sys

import pytest

from vibe_app.log import LONGEST, OneLine, Seldom, visible

FORGED = "2026-01-01 00:00:00,000 INFO vibe_app.accounts: somebody signed in"


@pytest.fixture
def written() -> tuple[logging.Logger, io.StringIO]:
    """A log, and what is written to it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(OneLine("%(levelname)s %(name)s: %(message)s"))
    logger = logging.Logger("ours")
    logger.addHandler(handler)
    return logger, text


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_foreign_words_begin_no_line(written: tuple[logging.Logger, io.StringIO], end: str) -> None:
    logger, text = written
    logger.warning("no such address: %s", f"/x{end}{FORGED}")
    assert len(text.getvalue().splitlines()) == 1


def test_an_escape_sequence_is_written_out(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, text = written
    logger.warning("a title: %s", "\x1b[2J\x1b]0;x\x07 \x9b1m \u202e \ud800 Größe\t漢字")
    assert text.getvalue() == (
        "WARNING ours: a title: \\x1b[2J\\x1b]0;x\\x07 \\x9b1m \\u202e \\ud800 Größe\t漢字\n"
    )


def test_a_traceback_is_set_in_whatever_its_exception_says(
    written: tuple[logging.Logger, io.StringIO],
) -> None:
    logger, text = written
    try:
        raise ValueError(f"bad\n{FORGED}\x1b[1m")
    except ValueError:
        logger.exception("it broke")
    first, *others = text.getvalue().splitlines()
    assert first == "ERROR ours: it broke"
    assert all(line.startswith("    ") for line in others)
    assert others[0].strip() == "Traceback (most recent call last):"
    assert "\x1b" not in text.getvalue()


def test_a_line_has_an_end(written: tuple[logging.Logger, io.StringIO]) -> None:
    logger, text = written
    try:
        raise ValueError("x" * 1_000_000)
    except ValueError:
        logger.exception("%s", "y" * 1_000_000)
    assert max(len(line) for line in text.getvalue().splitlines()) < LONGEST + 50


def test_text_without_such_characters_stays_as_it_is() -> None:
    assert visible("C:\\new [x] – ok") == "C:\\new [x] – ok"


def test_every_process_logs_in_this_form() -> None:
    script = (
        "import logging; from vibe_app.log import set_up; set_up('info');"
        "import socketio; socketio.AsyncServer(async_mode='asgi');"
        "logging.getLogger('socketio.server').error('one\\ntwo');"
        "logging.getLogger('engineio.server').error('three');"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    first, second = done.stderr.splitlines()
    assert first.endswith("ERROR socketio.server: one\\ntwo")
    assert second.endswith("ERROR engineio.server: three")


def test_what_anybody_can_cause_is_logged_a_few_times_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    seldom = Seldom(most=2, seconds=60, clock=lambda: now)
    logger = logging.getLogger("anybody")
    for _ in range(5):
        seldom.log(logger, logging.WARNING, "again")
    now = 61.0
    seldom.log(logger, logging.WARNING, "later")
    said = [record.getMessage() for record in caplog.records]
    assert said == ["again", "again", "3 more lines of this kind were left out", "later"]
