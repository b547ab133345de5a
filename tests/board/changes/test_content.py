from __future__ import annotations

from random import Random

import pytest

from vibe_app.board.changes import content
from vibe_app.board.changes.content import Patches, find_file, pack_files, pack_patches, paths, unpack_files
from vibe_app.wire.git import ChangedFile


def test_texts_are_kept_whatever_their_paths_and_characters_are():
    given = {"a.py": "+1\n", "Ä\n\t.txt": "+\u2028 \x00\n", "": "", "dir/ü": "-\U0001f600" * 1000}
    kept = Patches(pack_patches(given))
    assert dict(kept) == given
    assert kept.get("a") is None


@pytest.mark.parametrize("packed", [None, b"", pack_patches({})])
def test_nothing_kept_is_no_text(packed: bytes | None):
    assert dict(Patches(packed)) == {}


def test_what_does_not_fit_is_left_out_and_what_comes_after_it_is_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(content, "LARGEST_PATCHES", 1000)
    dice = Random(7)
    noise = "".join(chr(dice.randrange(33, 127)) for _ in range(5000))
    packed = pack_patches({"a": "+a\n", "b": noise, "c": "+c\n"})
    assert dict(Patches(packed)) == {"a": "+a\n", "c": "+c\n"}
    assert len(packed) < 1200


def test_one_text_is_read_without_the_others():
    packed = bytearray(pack_patches({"a": "+a\n", "b": "+b\n" * 100}))
    packed[-4:] = bytes(4)
    kept = Patches(bytes(packed))
    assert kept["a"] == "+a\n"
    assert list(kept) == ["a", "b"]


def test_the_list_of_files_is_kept():
    given = [ChangedFile(path="a", status="modified", additions=3), ChangedFile(path="b", status="added")]
    assert unpack_files(pack_files(given)) == given
    assert [find_file(pack_files(given), each.path) for each in given] == given
    assert find_file(pack_files(given), "c") is None
    assert paths(pack_files(given)) == ["a", "b"]
    assert unpack_files(None) == []
    assert find_file(None, "a") is None
