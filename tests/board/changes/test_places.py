from __future__ import annotations

import pytest

from vibe_app.board.changes.places import place

PATCH = """\
--- a/app.py
+++ b/app.py
@@ -1,4 +1,5 @@
 one
-two
+2
+new
 three
 again
@@ -20,3 +21,4 @@ def later
 again
+last
 end
\\ No newline at end of file
"""


@pytest.mark.parametrize(
    ("quote", "side", "line", "found"),
    [
        ("2", "new", 2, 2),
        ("two", "old", 2, 2),
        ("two", "new", 2, None),
        ("2\nnew\nthree", "new", 9, 2),
        ("one\nthree", "old", 1, None),
        ("again", "new", 4, 5),
        ("again", "new", 30, 21),
        ("again", "old", 4, 4),
        ("three\nagain", "new", 1, 4),
        ("again\nagain", "new", 5, None),
        ("end", "new", 1, 23),
        ("\\ No newline at end of file", "new", 23, None),
        ("gone", "new", 2, None),
        ("", "new", 2, None),
    ],
)
def test_lines_are_found_where_their_text_still_is_and_nowhere_else(
    quote: str, side: str, line: int, found: int | None
):
    assert place(quote, side, line, PATCH) == found


def test_lines_that_look_like_heads_are_lines():
    patch = "--- a/x\n+++ b/x\n@@ -1,2 +1,3 @@\n ++ b\n+-- a\n@@ not a head\n+@@ -1 +1 @@\n"
    assert place("-- a", "new", 1, patch) == 2
    assert place("@@ -1 +1 @@", "new", 1, patch) is not None


def test_line_ends_of_windows_are_no_difference():
    assert place("one\ntwo", "new", 1, "@@ -0,0 +1,2 @@\n+one\r\n+two\r\n") == 1
