"""Programs from npm: the right file, or none and a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from vibe_app.cli import npm
from vibe_app.cli.steps import StepError

RIPGREP = npm.Package("no-such-scope-and-package-of-vibe", "1.0.0", "sha512-AAAA")


def test_without_npm_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(npm, "find_spec", lambda name: None)
    with pytest.raises(StepError, match="npm is missing") as missing:
        npm.bring(RIPGREP, "bin/rg", tmp_path)
    assert "extra `npm`" in missing.value.cure
    assert "VIBE_OPENCODE" in missing.value.cure


def test_what_cannot_be_brought_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", "http://127.0.0.1:1/")
    monkeypatch.setenv("NPM_CONFIG_FETCH_RETRIES", "0")
    with pytest.raises(StepError, match=f"npm could not bring {RIPGREP}") as broken:
        npm.bring(RIPGREP, "bin/rg", tmp_path)
    assert "start again" in broken.value.cure
