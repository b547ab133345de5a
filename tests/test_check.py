"""What `make test` makes of tests that fail: repeated once, and told apart at the end."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "tools" / "check.py"
TESTS = """
from pathlib import Path

def test_good():
    pass

def test_flaky():
    tried = Path("tried")
    before = tried.exists()
    tried.touch()
    assert before

def test_bad():
    assert Path("mended").exists()
"""


@pytest.mark.parametrize("workers", [0, 2])
def test_a_failed_test_is_repeated_once_and_named(
    workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("check", SOURCE)
    assert spec
    assert spec.loader
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "test_these.py").write_text(TESTS)
    named = "Passed on the second try:\n  test_these.py::test_flaky\n"

    [(failed, verdict)] = check.run_tests([check.Lane("some", ["test_these.py"], workers)])
    said = capsys.readouterr().out
    assert failed
    assert verdict.startswith("✗ pytest")
    assert named in said
    assert "\n2 passed, 1 failed, 0 skipped\n" in said

    (tmp_path / "tried").unlink()
    (tmp_path / "mended").touch()
    [(failed, verdict)] = check.run_tests([check.Lane("some", ["test_these.py"], workers)])
    said = capsys.readouterr().out
    assert not failed
    assert verdict.startswith("✓ pytest")
    assert named in said
    assert "\n3 passed, 0 failed, 0 skipped\n" in said

    [(failed, _)] = check.run_tests([check.Lane("some", ["test_these.py"], workers)])
    assert not failed
    assert "second try" not in capsys.readouterr().out
