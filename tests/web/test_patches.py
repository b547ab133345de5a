"""Patches cut into pieces: nothing is lost, and each piece counts what is in it."""

from __future__ import annotations

import random

import pytest

from tests.seeding import changed
from vibe_app.web.changes.patches import (
    LONGEST_LINE,
    At,
    between,
    complete,
    lines_of,
    piece,
    quote_of,
    starts,
    told,
    within,
)
from vibe_app.web.changes.rows import CommentRow, FileRow, apart
from vibe_app.web.changes.texts import FIRST, MORE, begin, go_on
from vibe_app.web.changes.texts import changed as changed_lines
from vibe_app.web.kit.diff_viewer import PARTLY, DiffFile
from vibe_app.wire.git import FileDiff

PATCH = (
    "diff --git a/x b/x\n--- a/x\n+++ b/x\n"
    "@@ -1,3 +1,4 @@ def f\n a\n-b\n+c\n+d\n e\n"
    "@@ -10,0 +12,2 @@\n+x\n+y\n\\ No newline at end of file\n"
)


def counts_are_right(patch: str) -> bool:
    """Tell whether each hunk's header says how many lines are in it."""
    for hunk in ("\n" + patch).split("\n@@ ")[1:]:
        header, *lines = hunk.splitlines()
        old, new = (int(side.partition(",")[2]) for side in header.split(" @@")[0].split())
        marks = [line[0] for line in lines]
        if old != marks.count(" ") + marks.count("-") or new != marks.count(" ") + marks.count("+"):
            return False
    return True


def test_a_piece_that_is_large_enough_is_the_whole():
    whole = piece(PATCH, 10_000)
    assert whole.whole
    assert whole.text == PATCH[PATCH.index("@@") :]
    assert whole.end == At(11, 14)


@pytest.mark.parametrize("size", [1, 5, 9, 17])
def test_pieces_together_have_every_line_at_its_place(size: int):
    found, skip = [], 0
    while True:
        part = piece(PATCH, size, skip=skip)
        assert counts_are_right(part.text)
        found.append(part.text)
        if part.whole:
            break
        skip = part.lines
    for side in ("new", "old"):
        assert [line for text in found for line in lines_of(text, side)] == list(lines_of(PATCH, side))


def test_a_patch_that_begins_amid_a_hunk_is_numbered_from_there():
    part = piece("+c\n+d\n e\n", 1000, At(3, 2))
    assert part.text == "@@ -3,1 +2,3 @@\n+c\n+d\n e\n"
    assert part.end == At(4, 5)


def test_a_very_long_line_is_shown_in_part():
    part = piece(f"@@ -0,0 +1,1 @@\n+{'x' * 100_000}\n", 1000)
    assert len(part.text) < LONGEST_LINE + 100
    assert counts_are_right(part.text)
    assert "100,001 characters" in part.text


def test_what_would_turn_a_line_around_is_named_and_quoted_as_it_is():
    line = 'access = "user\u202e \u2066// only admins\u2069 \u2066";'
    shown = piece(f"@@ -0,0 +1 @@\n+{line}\n", 1000).text
    assert "⟨U+202E⟩ ⟨U+2066⟩// only admins⟨U+2069⟩ ⟨U+2066⟩" in shown
    assert not set(shown) & set("\u202e\u2066\u2069")
    assert quote_of(shown, "new", 1, 1) == line
    # A name that the text itself holds is told from those.
    named = "⟨U+202E⟩\u202e⟨U+27E8⟩ ⟨⟨U+2069⟩"
    shown = piece(f"@@ -0,0 +1 @@\n+{named}\n", 1000).text
    assert "\u202e" not in shown
    assert quote_of(shown, "new", 1, 1) == named
    # Marks that only join or part letters are what people write.
    assert told("a\u200db \u05d0\u200f") == "a\u200db \u05d0\u200f"


def test_what_looks_like_a_header_in_a_line_is_a_line():
    part = piece("@@ -1,1 +1,2 @@\n @@ -5,5 +5,5 @@\n+--- a/x\n", 1000)
    assert [text for _, text, _ in lines_of(part.text, "new")] == ["@@ -5,5 +5,5 @@", "--- a/x"]


def test_a_quote_is_the_text_of_the_lines():
    assert quote_of(PATCH, "new", 2, 3) == "c\nd"
    assert quote_of(PATCH, "old", 2, 2) == "b"
    assert quote_of("@@ -0,0 +1,1 @@\n+crlf\r\n", "new", 1, 1) == "crlf"
    assert quote_of(PATCH, "new", 100, 200) == ""


@pytest.mark.parametrize(
    ("start", "end", "lines"),
    [
        (("new", 5), ("new", 3), ("new", 3, 5)),
        (("old", 6), ("old", 6), ("old", 6, 6)),
        (("old", 2), ("new", 3), ("new", 2, 3)),
        (("new", 2), ("old", 1), ("new", 1, 2)),
        (("old", 1), ("new", 12), ("new", 1, 12)),
        (("old", 1), ("new", 7), None),
        (("old", 99), ("new", 1), None),
    ],
)
def test_lines_between_two_of_either_side(
    start: tuple[str, int], end: tuple[str, int], lines: tuple[str, int, int] | None
):
    patch = "@@ -1,3 +1,3 @@\n one\n-two\n+2\n three\n@@ -11,2 +11,2 @@\n-a\n+b\n c\n"
    assert between(patch, start, end) == lines


def test_a_comment_stands_apart_only_where_its_line_cannot_be_shown():
    patch = "@@ -1,2 +1,2 @@\n one\n-two\n+2\n"
    files = [DiffFile("a", "a", patch), DiffFile("long", "long", patch), DiffFile("pic", "pic", "")]
    gone, far, far_side = said("a", 0), said("a", 9), said("a", 9, "old")
    rows = [gone, far, far_side, said("a", 2), said("a", 2, "old"), said("long", 9), said("elsewhere", 9)]
    assert apart(files, [*rows, said("pic", 1)], {"long"}) == [gone, far, far_side, said("pic", 1)]


def said(path: str, line: int, side: str = "new") -> CommentRow:
    """A comment on a line, or on one that is gone."""
    rest = {
        "where": "",
        "quote": "",
        "body": "",
        "state": "open",
        "taken": False,
        "created": 0,
        "edited": False,
    }
    return CommentRow(id="", author="", mine=True, path=path, side=side, line=line, **rest)  # pyright: ignore


def test_changed_lines_come_in_the_order_in_which_they_are_shown():
    assert changed_lines(PATCH) == [
        ("old", 2, "b"),
        ("new", 2, "c"),
        ("new", 3, "d"),
        ("new", 12, "x"),
        ("new", 13, "y"),
    ]
    assert starts("no header") is None


def row(**values: object) -> FileRow:
    """A file in the list."""
    facts = {"path": "a.txt", "old": "", "mark": "M", "status": "Modified", "kind": ""}
    return FileRow(**(facts | {"additions": 1, "deletions": 0, "text": True, "picture": False} | values))


def test_a_long_text_goes_on_part_by_part_until_all_of_it_was_shown():
    seed = random.Random(7)
    text = "".join(f"{seed.random()}\n" for _ in range(40_000))
    _, patch = changed("a.txt", None, text)
    # The workspace tells it in two halves that end at a line.
    cut = patch.index("\n", len(patch) // 2) + 1
    halves = {0: FileDiff(path="a.txt", patch=patch[:cut], next_offset=cut)}
    halves[cut] = FileDiff(path="a.txt", patch=patch[cut:])
    file, fact, rest = begin(row(), patch, "/blob?v=1")
    assert fact is not None
    assert fact.more
    assert len(file.text) < FIRST + 100
    shown = [file]
    # Nothing can be shown between hunks of which some are missing.
    assert file.type == PARTLY
    while rest is not None:
        file, rest = go_on(file, rest, halves[rest.offset])
        assert len(file.text) < MORE + 100
        assert counts_are_right(file.text)
        assert file.type == PARTLY
        shown.append(file)
    assert [line for each in shown for _, line, _ in lines_of(each.text, "new")] == text.splitlines()
    assert [line for each in shown for line, *_ in lines_of(each.text, "new")] == list(range(1, 40_001))
    assert len({each.id for each in shown}) == len(shown)


def test_a_text_that_is_shown_whole_says_what_became_of_its_file():
    _, patch = changed("a.txt", "one\n", "two\n")
    assert begin(row(), patch, "/blob?v=1")[0].type == "change"
    late, _, rest = begin(row(), None, "/blob?v=1")
    assert rest is not None
    file, rest = go_on(late, rest, FileDiff(path="a.txt", patch=patch))
    assert (file.type, rest) == ("change", None)


@pytest.mark.parametrize(
    ("lines", "changed_line", "whole"),
    [(3, 2, True), (5, 3, True), (30, 1, False), (30, 29, False), (30, 15, False)],
)
def test_a_patch_that_leaves_nothing_out_is_known(lines: int, changed_line: int, whole: bool):
    before = [f"{number}\n" for number in range(1, lines + 1)]
    after = [*before[: changed_line - 1], "new\n", *before[changed_line:]]
    _, patch = changed("a.txt", "".join(before), "".join(after))
    assert complete(patch) is whole
    assert begin(row(), patch, "/blob?v=1")[0].whole is whole


def test_lines_between_hunks_are_in_none():
    before = [f"{number}\n" for number in range(1, 60)]
    _, patch = changed("a.txt", "".join(before), "".join(["new\n", *before[1:-1], "last\n"]))
    assert within(patch, "new", 1, 4)
    assert within(patch, "old", 59, 59)
    assert not within(patch, "new", 3, 30)
    assert not within(patch, "new", 30, 30)


@pytest.mark.parametrize(
    ("values", "text", "words"),
    [
        ({"kind": "binary", "text": False}, None, "A binary file"),
        ({"kind": "nested repository", "text": False}, None, "A repository inside"),
        ({"mark": "R", "old": "b.txt", "additions": 0}, "diff --git a/b.txt b/a.txt\n", "Renamed from b.txt"),
        (
            {"mark": "A", "status": "Added", "additions": 0},
            "diff --git a/a b/a\n",
            "Added: the file is empty",
        ),
        ({}, None, "This text is long"),
    ],
)
def test_what_has_no_lines_says_why(values: dict[str, object], text: str | None, words: str):
    file, fact, rest = begin(row(**values), text, "/blob?v=1")
    assert file.text == ""
    assert fact is not None
    assert fact.words.startswith(words)
    assert fact.more is (rest is not None) is (words == "This text is long")


@pytest.mark.parametrize(("mark", "sides"), [("A", [False, True]), ("D", [True, False]), ("M", [True, True])])
def test_a_picture_is_shown_before_and_after(mark: str, sides: list[bool]):
    picture = row(path="a b&c.png", mark=mark, text=False, picture=True, kind="binary")
    _, fact, _ = begin(picture, None, "/blob?v=1")
    assert fact is not None
    assert [bool(fact.old_picture), bool(fact.new_picture)] == sides
    assert "path=a%20b%26c.png" in fact.old_picture + fact.new_picture
    assert "since" not in fact.old_picture + fact.new_picture


def test_a_picture_since_a_checkpoint_is_that_of_the_checkpoint():
    picture = row(path="new.png", old="old.png", mark="R", text=False, picture=True, kind="binary")
    _, fact, _ = begin(picture, None, "/blob?v=1", "a" * 40)
    assert fact is not None
    assert fact.old_picture == "/blob?v=1&path=old.png&side=old&since=" + "a" * 40
    assert fact.new_picture == "/blob?v=1&path=new.png&side=new&since=" + "a" * 40
