"""A gateway that is killed knows everything again, and what it journals stays small and its own."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workspace_services.gateway.gate import KEY, Gate, Reply, Upstream, openai, provider, sse
from vibe_app.catalogue import catalogue
from vibe_app.errors import Unavailable
from vibe_app.wire.gateway import Budget, Limits, Provider, Spent, Tokens
from vibe_app.workspace_services.gateway import journal as journals
from vibe_app.workspace_services.gateway import ledger as ledgers
from vibe_app.workspace_services.gateway.journal import Journal
from vibe_app.workspace_services.gateway.ledger import Ledger

GPT = Provider(id="openai", dialect="openai", base_url="http://x", catalogue="openai")


async def test_killed_in_mid_stream_it_knows_all_limits_and_sums_and_counts_nothing_twice(
    gate: Gate, upstream: Upstream
) -> None:
    start = {"type": "message_start", "message": {"usage": {"input_tokens": 10, "output_tokens": 1}}}
    await gate.session("s", "ses_1", requests=4, nanodollars=10**9)
    await gate.session("idle", "ses_7", tokens=5)
    assert (await gate.ask()).status_code == 200
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    before = await gate.spending("s")
    upstream.script = lambda _: Reply([*sse(start), asyncio.Event()])
    asked = gate.asking(provider="anthropic", model="claude-sonnet-4-5", path="messages")
    answer = await gate.opencode.send(asked, stream=True)
    assert await anext(answer.aiter_raw())
    gate.kill()
    await answer.aclose()
    await gate.start()
    await gate.configure(provider(upstream))
    # The request under way was noted before it left, and counts with what was seen of it.
    found = await gate.spending("s")
    assert found.limits == before.limits
    assert (found.spent.requests, found.spent.cut_off) == (3, 1)
    assert (found.spent.input, found.spent.output) == (before.spent.input + 10, before.spent.output + 1)
    assert found.spent.nanodollars == before.spent.nanodollars + 45_000
    assert (await gate.spending("idle")).limits == Limits(tokens=5)
    upstream.script = lambda _: Reply(openai())
    # Conversations are known, sub-agents' too; the limit of four requests holds.
    assert (await gate.ask("ses_2", parent="ses_1")).status_code == 200
    assert (await gate.ask()).status_code == 402
    page = await gate.usage()
    assert [entry.seq for entry in page.entries] == [1, 2, 3, 4]
    assert [entry.usage for entry in page.entries] == ["whole", "whole", "part", "whole"]
    for _ in range(2):
        gate.kill()
        await gate.start()
        assert await gate.usage() == page
        assert (await gate.spending("s")).spent.requests == 4


async def test_a_torn_line_is_dropped_and_a_broken_one_left_out(gate: Gate, upstream: Upstream) -> None:
    await gate.session("s", "ses_1", requests=9)
    await gate.ask()
    gate.kill()
    file = gate.folder / "journal" / "gateway.jsonl"
    file.write_bytes(
        file.read_bytes()
        + b'{"kind":"used","request":1}\nnonsense\n[]\n{"kind":"session"}\n{"kind":"gone","id":"s"'
    )
    await gate.start()
    assert (await gate.spending("s")).spent.requests == 1
    await gate.configure(provider(upstream))
    await gate.ask()
    gate.kill()
    await gate.start()
    assert (await gate.spending("s")).spent.requests == 2


@pytest.mark.parametrize("kind", ["link", "folder", "pipe"])
async def test_what_was_planted_in_the_journal_s_place_is_not_followed(
    bare: Gate, tmp_path: Path, kind: str
) -> None:
    bare.kill()
    file, outside = bare.folder / "journal" / "gateway.jsonl", tmp_path / "outside"
    file.unlink()
    outside.write_text("not yours\n")
    if kind == "link":
        file.symlink_to(outside)
    elif kind == "folder":
        file.mkdir()
    else:
        os.mkfifo(file)
    run = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "vibe_app.workspace_services.gateway"],
        env=bare.env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 3
    assert "cannot start" in run.stderr
    assert outside.read_text() == "not yours\n"


def filled(ledger: Ledger, count: int) -> None:
    for _ in range(count):
        held = ledger.admit("ses_1", "", GPT, "gpt-4o-mini")
        ledger.settle(held, 200, Tokens(input=1000, output=10), whole=True)


def test_what_is_confirmed_goes_and_all_else_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledgers, "_COMPACT_FROM", 20_000)
    first = Ledger(journal := Journal(tmp_path), catalogue())
    first.register("s", Budget(limits=Limits(requests=1000), spent=Spent(requests=5)))
    first.belongs("ses_1", "s")
    open_request = first.admit("ses_1", "", GPT, "gpt-4o-mini")
    first.saw(open_request, Tokens(input=7))
    filled(first, 200)
    assert first.last == 200
    grown = journal.size
    kept = first.page(first.journal_id, 190)
    assert [entry.seq for entry in kept.entries] == list(range(191, 201))
    assert journal.size < grown / 5
    assert first.find("s").spent.requests == 205
    filled(first, 1)
    journal.close()
    second = Ledger(journal := Journal(tmp_path), catalogue())
    spent = second.find("s").spent
    # The request that was under way is settled with what was seen.
    assert (spent.requests, spent.cut_off, spent.input) == (207, 1, 201 * 1000 + 7)
    page = second.page(second.journal_id, 195)
    assert (second.journal_id, page.last) == (first.journal_id, 202)
    assert [entry.seq for entry in page.entries] == list(range(196, 203))
    held = second.admit("ses_1", "", GPT, "gpt-4o-mini")
    assert held.number > open_request.number
    second.release(held)
    assert second.find("s").under_way == 0
    journal.close()


def test_what_is_said_again_and_again_does_not_fill_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "_COMPACT_FROM", 20_000)
    ledger = Ledger(journal := Journal(tmp_path), catalogue())
    for number in range(1000):
        ledger.register("s", Budget(limits=Limits(requests=number)))
        ledger.page(ledger.journal_id, 0)
    assert journal.size < 21_000
    assert ledger.find("s").limits == Limits(requests=999)
    journal.close()


def test_a_journal_that_nobody_fetches_is_bounded_and_nothing_is_asked_uncounted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journals, "LARGEST", 10_000)
    ledger = Ledger(journal := Journal(tmp_path), catalogue())
    ledger.register("s", Budget())
    ledger.belongs("ses_1", "s")
    with pytest.raises(Unavailable, match="journal is full"):
        filled(ledger, 100)
    assert journal.size <= 10_000
    journal.close()


def test_its_folder_and_file_are_its_user_s_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "journal" / "gateway.jsonl").stat().st_mode & 0o777 == 0o600
    journal.close()


SPY = """
import json, os, sys
ways = {"environ": 0, "mem": 0, "maps": 0, "root": os.readlink, "fd/0": os.readlink}
found = {}
for name, way in ways.items():
    try:
        path = f"/proc/{sys.argv[1]}/{name}"
        way(path) if way else open(path, "rb").close()
        found[name] = "open"
    except OSError as error:
        found[name] = "shut"
print(json.dumps(found))
"""


def ordinary(*words: str) -> list[str]:
    """A command as an ordinary user's: where the tests run as root, without any of its powers."""
    powerless = ("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--")
    return [*(powerless if os.geteuid() == 0 else ()), *words]


def spied(pid: int) -> dict[str, str]:
    """What another process of the same user may see of one."""
    words = ordinary(sys.executable, "-c", SPY, str(pid))
    run = subprocess.run(words, capture_output=True, text=True, timeout=30, check=True)
    return json.loads(run.stdout)


async def test_nobody_of_the_same_user_looks_into_it(tmp_path: Path) -> None:
    """As an ordinary user, and the same look at a process that does not hide succeeds."""
    gate = Gate(tmp_path)
    gate.before = ordinary()
    plain = await asyncio.create_subprocess_exec(
        *ordinary(sys.executable, "-c", "input()"), stdin=asyncio.subprocess.PIPE
    )
    try:
        await gate.start()
        await gate.configure(GPT.model_copy(update={"key": KEY}))
        assert gate.process is not None
        found = [await asyncio.to_thread(spied, pid) for pid in (plain.pid, gate.process.pid)]
        assert set(found[0].values()) == {"open"}
        assert set(found[1].values()) == {"shut"}
    finally:
        plain.kill()
        await plain.wait()
        gate.kill()
        await gate.close()
