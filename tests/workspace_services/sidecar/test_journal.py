"""The journal on a real disk: torn lines, taking up again, a full disk, a removed file."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from vibe_app.errors import Conflict, NotFound
from vibe_app.inside import Spot
from vibe_app.wire import Event, EventType, Failure, SidecarStatus, now
from vibe_app.workspace_services.sidecar import journal as journals
from vibe_app.workspace_services.sidecar.journal import End, Header, Journal, Line
from vibe_app.workspace_services.sidecar.sessions import Session, SessionStore

HEADER = Header(session_id="one", prompt_sha256="00", opencode_session="ses_1")


def header(session_id: str, prompt: str, opencode_session: str) -> Header:
    return Header(
        session_id=session_id,
        prompt_sha256=SessionStore.fingerprint(prompt),
        opencode_session=opencode_session,
    )


def line(seq: int, text: str = "text", end: End | None = None, **marks: object) -> Line:
    return Line(Event(seq=seq, type=EventType.OUTPUT, text=text, timestamp=now()), marks, end)


def test_what_was_written_is_read_again_with_its_marks(tmp_path: Path) -> None:
    spot = Spot(tmp_path, ("sessions", "one.jsonl"))
    journal = Journal.create(spot, HEADER)
    lines = [
        line(1, "a\u2028b\n", p={"n": 3}),
        line(2, "lone \ud83d".encode("utf-8", "replace").decode(), line="p"),
    ]
    journal.append(lines)
    journal.close()
    contents = journals.read(spot)
    assert contents.header == HEADER
    assert contents.events == [entry.event for entry in lines]
    assert contents.marks == {"p": {"n": 3}, "line": "p"}
    assert contents.end is None


@pytest.mark.parametrize(
    "torn", [b'{"seq":3,"type":"out', b'{"seq":3}\n', b"\xff\xfe\n", b'{"seq":9,"type":"output"}\n']
)
def test_a_torn_or_damaged_tail_is_cut_off_and_the_story_goes_on(tmp_path: Path, torn: bytes) -> None:
    spot = Spot(tmp_path, ("one.jsonl",))
    journal = Journal.create(spot, HEADER)
    journal.append([line(1), line(2)])
    journal.close()
    with spot.path.open("ab") as file:
        file.write(torn)
    contents = journals.read(spot)
    assert [event.seq for event in contents.events] == [1, 2]
    again = Journal.reopen(spot, contents)
    again.append([line(3, end=End(status=SidecarStatus.COMPLETED))])
    again.close()
    contents = journals.read(spot)
    assert [event.seq for event in contents.events] == [1, 2, 3]
    assert contents.end is not None


def test_a_journal_without_a_whole_header_is_nobodys(tmp_path: Path) -> None:
    store = SessionStore(tmp_path)
    folder = tmp_path / ".opencode" / "sessions"
    folder.mkdir(parents=True)
    (folder / "one.jsonl").write_bytes(b'{"version":1,"sess')
    assert store.unfinished() == []
    assert store.find("one") is None
    session = store.create(HEADER)  # the same id may start anew
    assert session.state().status is SidecarStatus.RUNNING


def test_a_full_disk_takes_all_of_a_batch_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spot = Spot(tmp_path, ("one.jsonl",))
    journal = Journal.create(spot, HEADER)
    journal.append([line(1)])
    write = os.write
    room = [40]

    def nearly_full(descriptor: int, data: bytes) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        count = write(descriptor, bytes(data)[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(OSError, match="No space left"):
        journal.append([line(2), line(3)])
    monkeypatch.undo()
    journal.append([line(2, "after room was made")])
    assert [event.text for event in journals.read(spot).events] == ["text", "after room was made"]


async def test_when_the_disk_is_full_the_end_is_still_told_to_readers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    session.append([(EventType.OUTPUT, "kept\n", {})])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        session.append([(EventType.OUTPUT, "lost\n", {})])
    session.finish(
        "Session failed: full", End(status=SidecarStatus.FAILED, error="full", failure=Failure.BROKEN)
    )
    told = [event.text async for batch in session.follow(0, 1) for event in batch]
    assert told == ["kept\n", "Session failed: full"]
    assert session.state().status is SidecarStatus.FAILED


def test_on_a_full_disk_the_end_goes_where_room_was_kept_and_is_found_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    session.append([(EventType.OUTPUT, "kept\n", {})])

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    end = End(status=SidecarStatus.FAILED, error="full", failure=Failure.BROKEN)
    session.finish("Session failed: full", end)
    monkeypatch.undo()
    again = SessionStore(tmp_path)
    assert again.unfinished() == []
    assert [event.text for event in again.get("one").events] == ["kept\n", "Session failed: full"]
    assert again.get("one").end == end


def test_an_ordinary_end_leaves_only_the_journal(tmp_path: Path) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    assert [path.name for path in (tmp_path / ".opencode" / "sessions").iterdir()] == ["one.jsonl"]


def test_a_journal_that_the_agent_removed_is_written_anew_at_the_end(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".git/info/exclude").write_text("/.opencode/\n")
    session = SessionStore(tmp_path).create(HEADER)
    session.append([(EventType.OUTPUT, "before\n", {})])
    subprocess.run(["git", "clean", "-fdxq"], cwd=tmp_path, check=True)
    session.append([(EventType.OUTPUT, "after\n", {})])
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    again = SessionStore(tmp_path).get("one")
    assert [event.text for event in again.events] == ["before\n", "after\n", "Session completed"]


async def test_readers_see_past_and_live_events_once_each_and_then_the_end(tmp_path: Path) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    session.append([(EventType.OUTPUT, str(n), {}) for n in range(3)])
    reader = session.follow(1, 5)
    assert [event.seq for event in await anext(reader)] == [2, 3]
    session.append([(EventType.OUTPUT, "live", {})])
    assert [event.text for event in await anext(reader)] == ["live"]
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    assert [event.type for event in await anext(reader)] == [EventType.DONE]
    with pytest.raises(StopAsyncIteration):
        await anext(reader)


async def test_silence_is_said(tmp_path: Path) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    assert await anext(session.follow(0, 0.01)) == []


def test_only_the_newest_finished_sessions_stay_in_memory_and_older_ones_are_read_again(
    tmp_path: Path,
) -> None:
    store = SessionStore(tmp_path)
    for number in range(20):
        session: Session = store.create(header(f"s{number}", "prompt", "ses_1"))
        session.append([(EventType.OUTPUT, str(number), {})])
        session.finish("Session completed", End(status=SidecarStatus.COMPLETED))
    assert [event.text for event in store.get("s0").events] == ["0", "Session completed"]


def ended(workspace: Path, session_id: str, text: str = "text") -> None:
    """A journal of a session that is over."""
    header = HEADER.model_copy(update={"session_id": session_id})
    journal = Journal.create(Spot(workspace, (".opencode", "sessions", f"{session_id}.jsonl")), header)
    journal.append([line(1, text), line(2)])
    journal.append_end(line(3, end=End(status=SidecarStatus.COMPLETED)))
    journal.close()


def test_a_start_reads_no_journal_of_a_session_that_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(200):
        ended(tmp_path, f"s{number}", "x" * 100_000)
    read: list[str] = []
    whole = journals.read
    monkeypatch.setattr(journals, "read", lambda spot: (read.append(spot.path.stem), whole(spot))[1])
    store = SessionStore(tmp_path)
    store.create(header("live", "Go on", "ses_2")).let_go()
    again = SessionStore(tmp_path)
    assert [session.id for session in again.unfinished()] == ["live"]
    assert read == ["live"]
    assert again.get("s7").events[0].text == "x" * 100_000, "read when it is asked for"
    for session in again.unfinished():
        session.let_go()


def test_an_end_of_uncommon_length_is_found_all_the_same(tmp_path: Path) -> None:
    header = HEADER.model_copy(update={"session_id": "one"})
    journal = Journal.create(Spot(tmp_path, (".opencode", "sessions", "one.jsonl")), header)
    journal.append_end(line(1, end=End(status=SidecarStatus.FAILED, error="why " * 20_000)))
    journal.close()
    assert SessionStore(tmp_path).unfinished() == []


def test_what_the_app_holds_is_deleted_and_a_live_session_is_not(tmp_path: Path) -> None:
    ended(tmp_path, "over")
    store = SessionStore(tmp_path)
    live = store.create(header("live", "Go on", "ses_2"))
    assert store.kept() == ["over"]
    for _ in range(2):
        store.drop("over")
    assert store.kept() == []
    with pytest.raises(NotFound):
        store.get("over")
    with pytest.raises(Conflict):
        store.drop("live")
    store.drop("../../etc/passwd")
    assert sorted(os.listdir(tmp_path / ".opencode" / "sessions")) == ["live.end", "live.jsonl"]
    live.discard()


def test_a_journal_of_an_earlier_version_is_still_read(tmp_path: Path) -> None:
    folder = tmp_path / ".opencode" / "sessions"
    folder.mkdir(parents=True)
    event = {"seq": 1, "type": "done", "text": "Session completed", "timestamp": "2026-01-01T00:00:00Z"}
    header = {"version": 1, "session_id": "one", "prompt_sha256": "00", "opencode_session": "ses_1"}
    lines = [header, event | {"end": {"status": "completed"}}]
    (folder / "one.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in lines))
    state = SessionStore(tmp_path).get("one").state()
    assert (state.status, state.conversation, state.prepared) == (SidecarStatus.COMPLETED, "ses_1", True)
    assert (state.steps, state.summary, state.began_anew) == (None, "", False)


def test_an_end_finds_room_on_a_full_disk_without_its_summary(tmp_path: Path) -> None:
    spot = Spot(tmp_path, ("one.jsonl",))
    journal = Journal.create(spot, HEADER)
    full = OSError(28, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Journal, "append", lambda *_: (_ for _ in ()).throw(full))
        end = End(status=SidecarStatus.COMPLETED, summary="x" * journals.LARGEST_SUMMARY)
        journal.append_end(Line(line(1).event, {}, end))
    journal.close()
    found = journals.read(spot).end
    assert found == End(status=SidecarStatus.COMPLETED)
    assert journals.is_over(spot) is False


def test_the_longest_summary_is_found_at_the_end_of_a_journal(tmp_path: Path) -> None:
    session = SessionStore(tmp_path).create(HEADER)
    summary = "\N{SNOWMAN}" * (journals.LARGEST_SUMMARY // 3)
    session.finish("Session completed", End(status=SidecarStatus.COMPLETED, summary=summary))
    assert journals.is_over(Spot(tmp_path, (".opencode", "sessions", "one.jsonl")))
    assert SessionStore(tmp_path).get("one").state().summary == summary
