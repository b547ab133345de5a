"""The build of the frontend: what makes it stale, where it may fail, and the addresses in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vibe_app import frontend

# What Reflex 0.10.1 and its bundler write, in each way of quoting that bundlers use.
COMPILED = (
    "var e={PING:`http://localhost:8000/ping`,EVENT:`ws://localhost:8000/_event`,"
    'UPLOAD:"http://localhost:8000/_upload",TRANSPORT:`websocket`,TEST_MODE:!1};export{e as t};'
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A clone with a page, a service behind the command line, and a stamp of nothing."""
    for name in ("rxconfig.py", "assets/logo.svg", "reflex.lock/package.json", "vibe_app/web/page.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    return tmp_path


def test_addresses_become_those_of_the_page(tmp_path: Path):
    script = tmp_path / "assets" / "reflex-env-BVGF6eGS.js"
    script.parent.mkdir()
    script.write_text(COMPILED)
    frontend.relative_origin(tmp_path)
    assert script.read_text() == (
        'var e={PING:location.origin+"/ping",EVENT:location.origin.replace(/^http/,"ws")+"/_event",'
        'UPLOAD:location.origin+"/_upload",TRANSPORT:`websocket`,TEST_MODE:!1};export{e as t};'
    )


@pytest.mark.parametrize("compiled", ["var e={};", "var e={PING:'//localhost:8000/ping'};"])
def test_addresses_that_cannot_be_found_stop_the_build(tmp_path: Path, compiled: str):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "reflex-env-x.js").write_text(compiled)
    with pytest.raises(frontend.BuildError, match="could not be made relative"):
        frontend.relative_origin(tmp_path)


def test_a_build_without_the_file_of_addresses_stops(tmp_path: Path):
    with pytest.raises(frontend.BuildError, match="Expected one"):
        frontend.relative_origin(tmp_path)


# What Radix Themes 3.3 and the bundler write.
STYLES = (
    ":where(.rt-SegmentedControlItem:where([data-state=on],:focus-visible))"
    "+* .rt-SegmentedControlItemSeparator{opacity:0}.a+*{color:red}"
)


def test_a_rule_asks_after_one_kind_of_neighbour(tmp_path: Path):
    styles = tmp_path / "assets" / "styles.css"
    styles.parent.mkdir()
    styles.write_text(STYLES)
    frontend.closer_sibling(tmp_path)
    assert styles.read_text() == STYLES.replace("+* .rt", "+.rt-SegmentedControlItem .rt")


def test_styles_without_that_rule_stop_the_build(tmp_path: Path):
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "styles.css").write_text(".a+*{color:red}")
    with pytest.raises(frontend.BuildError, match="found 0"):
        frontend.closer_sibling(tmp_path)


@pytest.mark.parametrize(
    ("name", "stale"),
    [
        ("vibe_app/web/page.py", True),
        ("vibe_app/web/new.jsx", True),
        ("vibe_app/board/lifecycle.py", True),
        ("rxconfig.py", True),
        ("assets/logo.svg", True),
        ("reflex.lock/package.json", True),
        ("vibe_app/cli/run.py", False),
        ("vibe_app/workspace_services/sidecar/app.py", False),
        ("vibe_app/web/__pycache__/page.pyc", False),
        ("assets/external/link.js", False),
        ("tests/test_page.py", False),
    ],
)
def test_what_makes_a_build_stale(root: Path, name: str, stale: bool):
    before = frontend.digest(root)
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text("changed")
    assert (frontend.digest(root) != before) is stale


def test_a_file_that_moves_makes_a_build_stale(root: Path):
    before = frontend.digest(root)
    shutil.move(root / "vibe_app/web/page.py", root / "vibe_app/web/other.py")
    assert frontend.digest(root) != before


def test_a_failed_build_says_why_and_leaves_the_last_good_one(root: Path):
    served = frontend.published(root)
    served.mkdir(parents=True)
    (served / "stamp").write_text("an older one")
    (root / "rxconfig.py").write_text("raise RuntimeError('a fault in the configuration')")
    with pytest.raises(frontend.BuildError, match="a fault in the configuration"):
        frontend.build(root, {"REFLEX_DIR": str(root / "reflex"), "HOME": str(root)})
    assert frontend.is_built(root)
    assert not frontend.is_current(root)


def test_every_package_of_the_pages_is_locked():
    root = frontend.home()
    assert frontend.is_built(root), "The frontend is not compiled: run `make test`, or `vibe setup`"
    assert frontend.was_locked(root), "The last build added packages: commit reflex.lock and run `vibe setup`"


def test_a_build_that_is_current_is_not_made_again(root: Path):
    served = frontend.published(root)
    served.mkdir(parents=True)
    (served / "stamp").write_text(frontend.digest(root))
    frontend.build(root, {"PATH": ""})
    assert not (root / ".web").exists()


def test_shipped_pages_are_current_whatever_is_beside_them(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(frontend, "SHIPPED", root)
    assert frontend.home() == root
    assert not frontend.is_current(root)
    frontend.published(root).mkdir(parents=True)
    (frontend.published(root) / "stamp").write_text("of the build")
    assert frontend.is_current(root)
