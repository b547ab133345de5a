"""No path leads out of the workspace: hostile ones, links, special files, and folders exchanged meanwhile."""

from __future__ import annotations

import itertools
import os
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from vibe_app.errors import InvalidRequest, NotFound, VibeError
from vibe_app.workspace_services.common.names import raw, shown
from vibe_app.workspace_services.file_browser import reading, removing, writing
from vibe_app.workspace_services.file_browser.places import Workspace

PARTS = (
    *(
        "..",
        ".",
        "",
        "src",
        "deep",
        "up",
        "far",
        "out",
        "above",
        "root",
        "loop",
        "dangling",
        "hidden",
        "self",
    ),
    *("absolute", "neighbour", "chain", ".git", ".GIT", ".opencode", ".OpenCode", "pipe", "socket", "in"),
    *("\\x2e\\x2e", "\\x2e.", "a\\x2fb", "x\\x00y", "\\", "\udcff", "%2e%2e", "..\\\\", "..;", "workspace"),
)
LIMIT = 1024


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def paths() -> Iterator[str]:
    """Every path of up to three hostile parts, relative and absolute, to a file."""
    for length in (0, 1, 2, 3):
        for parts in itertools.product(PARTS, repeat=length):
            yield "/".join((*parts, "file"))
    for part in PARTS:
        yield f"/{part}/file"
        yield f"//{part}"
        yield part


def test_whatever_the_path_says_nothing_outside_is_read(workspace: Workspace) -> None:
    before, answers = descriptors(), set[str]()
    for path in paths():
        try:
            answers.add(reading.read_file(workspace, path, LIMIT).content)
        except VibeError as error:
            answers.add(error.code)
    assert answers == {
        *("inside\n", "outside_workspace", "not_found", "hidden", "invalid_path", "not_a_file"),
        "too_many_links",
    }
    assert descriptors() == before


@pytest.mark.parametrize("part", PARTS)
def test_whatever_the_path_says_nothing_outside_is_changed(
    folder: Path, workspace: Workspace, part: str
) -> None:
    def outside() -> dict[str, str]:
        kept = [folder.parent, folder.parent / "outside", folder / ".git", folder / ".opencode"]
        found = {path: path for top in kept for path in top.rglob("*") if path.is_file()}
        return {
            str(path): path.read_text()
            for path in found
            if "drafts" not in path.parts and (not path.is_relative_to(folder) or ".opencode" in path.parts)
        }

    before = outside()
    for path in (part, f"{part}/file", f"src/deep/{part}", f"src/deep/{part}/new", f"{part}/{part}/file"):
        verbs: tuple[Callable[[], object], ...] = (
            lambda path=path: write(workspace, path, b"changed"),
            lambda path=path: writing.make_folder(workspace, f"{path}-new", parents=True),
            lambda path=path: writing.move(workspace, "src/file", path, parents=True),
            lambda path=path: writing.move(workspace, path, "taken"),
            lambda path=path: removing.delete(workspace, path),
        )
        for verb in verbs:
            with suppress(VibeError):
                verb()
    assert outside() == before


def write(workspace: Workspace, path: str, content: bytes, parents: bool = True) -> None:
    draft = writing.Draft(workspace, LIMIT)
    try:
        draft.write(content)
        draft.put(path, overwrite=True, parents=parents)
    finally:
        draft.close()


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("in", "src/file"),
        ("chain", "src/file"),
        ("self/self/file", "file"),
        ("absolute/file", "src/file"),
        ("src/deep/up/src/file", "src/file"),
        ("./src//file", "src/file"),
    ],
)
def test_links_that_stay_inside_are_followed(workspace: Workspace, path: str, place: str) -> None:
    found = reading.read_file(workspace, path, LIMIT)
    assert (found.content, found.path) == ("inside\n", place)


@pytest.mark.parametrize("path", ["pipe", "socket", "src"])
def test_what_is_no_plain_file_is_never_opened(workspace: Workspace, path: str) -> None:
    for verb in (
        reading.open_file,
        lambda w, p: reading.read_file(w, p, LIMIT),
        lambda w, p: write(w, p, b"x"),
    ):
        with pytest.raises(InvalidRequest) as refusal:
            verb(workspace, path)
        assert refusal.value.code == "not_a_file"


def test_a_folder_below_a_file_is_not_there(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        reading.read_file(workspace, "file/x", LIMIT)


@contextmanager
def exchanging(folder: Path) -> Iterator[None]:
    """Exchange the folder `race` for a link that leads outside and back, as fast as can be."""
    real, link, name = folder / "race-real", folder / "race-link", folder / "race"
    real.mkdir()
    (real / "file").write_text("inside\n")
    link.symlink_to(folder.parent / "outside")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            for one in (real, link):
                os.rename(one, name)
                os.rename(name, one)

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_folder_that_is_exchanged_for_a_link_leads_nowhere(folder: Path, workspace: Workspace) -> None:
    answers: dict[str, int] = {}
    with exchanging(folder):
        for number in range(3000):
            try:
                answer = reading.read_file(workspace, "race/file", LIMIT).content
            except VibeError as error:
                answer = error.code
            answers[answer] = answers.get(answer, 0) + 1
            if number % 10 == 0:
                with suppress(VibeError):
                    write(workspace, "race/new", b"changed", parents=False)
                with suppress(VibeError):
                    removing.delete(workspace, "race/deep")
    assert set(answers) <= {"inside\n", "not_found", "outside_workspace"}, answers
    assert answers["inside\n"]
    assert sorted(path.name for path in (folder.parent / "outside").iterdir()) == ["deep", "file"]


def test_every_name_can_be_written_and_read_back() -> None:
    source = random.Random(20)
    alphabet = [bytes([byte]) for byte in range(1, 256)] + ["ü".encode(), "\u202e".encode(), b"\\", b"\\x41"]
    for _ in range(3000):
        name = b"".join(source.choices(alphabet, k=source.randint(0, 12)))
        text = shown(name)
        assert raw(text) == name
        assert all(character.isprintable() or character == " " for character in text) or not text.isascii()
        text.encode("utf-8")
    assert shown("grüße \\ \u202e".encode() + b"\xff\x1b") == "grüße \\\\ \\xe2\\x80\\xae\\xff\\x1b"


@pytest.mark.parametrize("text", ["\\", "a\\b", "\\x4", "\\xgg", "\ud800", "a\\x00", "x" * 4097])
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        raw(text)
