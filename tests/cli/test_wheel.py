"""The wheel alone, as `pipx install` leaves it: no clone, no Node, and a board all the same."""

from __future__ import annotations

import asyncio
import os
import runpy
import shutil
import signal
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.setting_up import token_on
from tests.waiting import eventually
from vibe_app import frontend
from vibe_app.cli.server import Running
from vibe_app.settings import load_settings

ROOT = Path(__file__).parents[2]
BUILD = runpy.run_path(str(ROOT / "tools" / "wheel.py"))
NOT_INSTALLED = ("vibe_board", "_editable_impl_vibe", "_virtualenv", "__pycache__")
"""What a clone's environment has and an installed wheel's has not."""
pytestmark = pytest.mark.timeout(180)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, as `make wheel` builds it."""
    assert frontend.is_built(frontend.home()), "The frontend is not compiled: run `vibe setup` first"
    return BUILD["build"](tmp_path_factory.mktemp("dist"))


@dataclass
class Installed:
    """A wheel in an environment of its own, and an empty folder to run it in."""

    bin: Path
    packages: Path
    folder: Path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `vibe` in the empty folder, with nothing of the clone on any path."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VIBE_", "PYTHON"))}
        tools = load_settings().tools
        environment = {
            **kept,
            # Brought before, as these would be fetched: tests/cli/test_npm.py does it.
            "VIBE_OPENCODE": str(load_settings().opencode_binary),
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}{os.pathsep}{tools}",
            "COLUMNS": "200",
        }
        return subprocess.Popen(
            [self.bin / "vibe", *arguments],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def vibe(self, *arguments: str) -> str:
        """Run a command to its end, which must be a good one, and return what it said."""
        process = self.start(*arguments)
        try:
            said, _ = process.communicate(timeout=90)
        finally:
            process.kill()
        assert process.returncode == 0, said
        return said

    def files(self) -> set[Path]:
        """Return the files of the package, but for what Python compiled."""
        return {path for path in (self.packages / "vibe_app").rglob("*") if "__pycache__" not in path.parts}


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel installed in a fresh environment; what it depends on is that of the tests' own."""
    home = tmp_path_factory.mktemp("installed")
    venv.create(home / "venv", symlinks=True)
    packages = (
        home / "venv" / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    )
    for entry in Path(sysconfig.get_path("purelib")).iterdir():
        if not entry.name.startswith(NOT_INSTALLED) and not entry.name.endswith(".pth"):
            (packages / entry.name).symlink_to(entry)
    python = home / "venv" / "bin" / "python"
    install = ["pip", "install", "--quiet", "--offline", "--no-deps", "--python", str(python), str(wheel)]
    subprocess.run([BUILD["UV"], *install], check=True, cwd=home)
    (home / "empty").mkdir()
    return Installed(python.parent, packages, home / "empty")


@pytest.fixture
async def url(installed: Installed) -> AsyncIterator[str]:
    """The address of `vibe up` in the empty folder."""
    process = installed.start("up", "--no-browser", "--port", "0")
    data = installed.folder / ".vibe"
    try:
        await eventually(lambda: Running.on(data) or process.poll() is not None, seconds=60)
        running = Running.on(data)
        assert running, process.communicate()[0]
        yield running.url
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
        sys.stdout.write(said)  # shown with a failure
    assert process.returncode == 0
    assert "✓ frontend: up to date" in said
    assert "Traceback" not in said


def test_the_wheel_holds_the_pages_and_every_migration_and_nothing_of_a_clone(wheel: Path):
    names = zipfile.ZipFile(wheel).namelist()
    shipped = {
        name.removeprefix("vibe_app/shipped/") for name in names if name.startswith("vibe_app/shipped/")
    }
    migrations = {f"alembic/versions/{path.name}" for path in (ROOT / "alembic" / "versions").glob("*.py")}
    assert migrations | {"alembic.ini", "alembic/env.py", "rxconfig.py"} <= shipped
    assert "build/frontend/build/client/index.html" in shipped
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    outside = [name for name in names if not name.startswith(("vibe_app/", "vibe_board-"))]
    assert outside == []
    assert [name for name in names if "__pycache__" in name] == []


async def test_an_installed_wheel_serves_a_board_from_an_empty_folder(installed: Installed, url: str):
    before = installed.files()
    async with httpx.AsyncClient(base_url=url, follow_redirects=True) as browser:
        page = await browser.get("/setup")
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]

        async def ready() -> bool:
            return (await browser.get("/api/ready")).json() == {"status": "ready"}

        await eventually(ready)
        person = {"email": "ada@example.org", "name": "Ada", "password": "correct-horse-9"}
        person["setup_token"] = token_on(installed.folder / ".vibe")
        assert (await browser.post("/api/auth/setup", json=person)).status_code == 201

    found = await asyncio.to_thread(installed.vibe, "doctor")
    assert str(installed.packages / "vibe_app" / "shipped") in found
    assert str(ROOT / "build") not in found
    said = await asyncio.to_thread(installed.vibe, "run", "Add a README file")
    assert "Session completed" in said.splitlines()
    assert installed.files() == before


def test_constraints_name_what_the_wheel_was_tested_with(tmp_path: Path):
    lines = BUILD["constraints"](tmp_path).read_text().splitlines()
    assert any(line.startswith("reflex==") for line in lines)
    assert [line for line in lines if "==" not in line or "vibe" in line] == []


def test_without_compiled_pages_there_is_no_wheel(tmp_path: Path):
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    (tmp_path / "vibe_app").mkdir()
    (tmp_path / "vibe_app" / "__init__.py").touch()
    build = [BUILD["UV"], "build", "--wheel", "--out-dir", str(tmp_path / "dist")]
    refused = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode != 0
    assert "The pages are not compiled: build the wheel with `make wheel`" in refused.stderr
    assert list((tmp_path / "dist").glob("*.whl")) == []
