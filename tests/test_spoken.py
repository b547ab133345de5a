"""What `make lint` reads of the scripts that handlers send: as they stand in the sources, values aside."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
WEB = ROOT / "vibe_app" / "web"
HANDLER = """
import reflex as rx
from there import GO, asked
OWN = "window.{}()"

def leave(id):
    then = "elsewhere"
    return [rx.call_script(GO), rx.call_script(f"take({id})"), rx.call_script(OWN.format(id))]

def ask(url):
    then, done = f"{asked(url)}.then({done})", "end"
    return rx.call_script(f"(() => {then})()", callback=leave)
"""
THERE = """
GO = "window.go()"
done = "not this one"

def asked(url):
    read = "(got) => got.status"
    return f"fetch({url}).then({read})"
"""


@pytest.fixture(scope="module")
def spoken() -> ModuleType:
    """`tools/spoken.py`."""
    spec = importlib.util.spec_from_file_location("spoken", ROOT / "tools" / "spoken.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_script_is_read_with_what_its_names_stand_for(spoken: ModuleType, tmp_path: Path):
    (tmp_path / "handler.py").write_text(HANDLER)
    (tmp_path / "there.py").write_text(THERE)
    said = {each.split("\n")[2].strip() for each in spoken.scripts(tmp_path)}
    assert said == {
        "window.go();",
        "take(window.value);",
        "window.window.value();",
        "(() => fetch(window.value).then((got) => got.status).then(end))();",
    }


def test_every_script_of_the_pages_is_found_and_says_something(spoken: ModuleType):
    calls = [
        node
        for path in WEB.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("rx.call_script", "rx.run_script")
    ]
    found = [each.split("\n")[2].strip() for each in spoken.scripts(WEB)]
    assert len(found) == len(calls)
    assert f"{spoken.VALUE};" not in found
