"""Setting a clone up: the bootstrap that has Python alone, and the steps of `vibe setup`."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from vibe_app.cli import npm, tools
from vibe_app.cli.setup import frontend_step
from vibe_app.cli.steps import Step, StepError, run_steps, show_fault
from vibe_app.settings import OPENCODE_VERSION, Settings

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def bootstrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`tools/setup.py` in a clone of its own."""
    spec = importlib.util.spec_from_file_location("bootstrap", ROOT / "tools" / "setup.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("uv.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "TOOLS", tmp_path / ".vibe" / "tools")
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    return module


@pytest.mark.parametrize(
    ("system", "machine", "libc", "tag"),
    [
        ("Linux", "x86_64", "glibc", "manylinux_2_17_x86_64.manylinux2014_x86_64"),
        ("Linux", "aarch64", "glibc", "aarch64"),
        ("Linux", "x86_64", "", "musllinux_1_1_x86_64"),
        ("Darwin", "arm64", "", "macosx_11_0_arm64"),
    ],
)
def test_the_lock_file_names_a_uv_for_each_machine(bootstrap, system, machine, libc, tag):
    wheel = bootstrap.wheel_for(bootstrap.locked_uv(ROOT / "uv.lock")["wheels"], system, machine, libc)
    assert wheel
    assert tag in wheel["url"]


def test_a_machine_without_a_uv_gets_none(bootstrap):
    wheels = bootstrap.locked_uv(ROOT / "uv.lock")["wheels"]
    assert bootstrap.wheel_for(wheels, "Plan9", "mips", "") is None


def make_wheel(folder: Path) -> dict[str, str]:
    """Write a wheel with a program in it, and describe it as uv.lock does."""
    path = folder / "uv-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("uv-1.data/scripts/uv", "#!/bin/sh\necho uv 1\n")
    return {"url": path.as_uri(), "hash": "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()}


def test_uv_comes_out_of_its_wheel_ready_to_run(bootstrap, tmp_path: Path):
    bootstrap.unpack_uv(make_wheel(tmp_path), tmp_path / "uv")
    assert subprocess.check_output([tmp_path / "uv"], text=True) == "uv 1\n"


def test_a_wheel_with_another_hash_is_refused(bootstrap, tmp_path: Path):
    wheel = make_wheel(tmp_path) | {"hash": "sha256:" + "0" * 64}
    with pytest.raises(bootstrap.SetupError, match=r"not the one that uv\.lock names"):
        bootstrap.unpack_uv(wheel, tmp_path / "uv")
    assert not (tmp_path / "uv").exists()


def test_a_machine_without_pip_gets_uv_from_the_locked_wheel(bootstrap, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    monkeypatch.setattr(bootstrap.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(bootstrap, "wheel_for", lambda *machine: make_wheel(tmp_path))
    uv = bootstrap.bring_uv(ROOT / "uv.lock")
    assert subprocess.check_output([uv], text=True) == "uv 1\n"
    assert bootstrap.bring_uv(ROOT / "uv.lock") == uv


def test_the_environment_is_made_once_for_each_lock_file(bootstrap, tmp_path: Path, monkeypatch, capsys):
    runs = tmp_path / "runs"
    uv = tmp_path / "uv"
    uv.write_text(
        f"#!/bin/sh\necho $UV_PYTHON_DOWNLOADS $* >> {runs}\nmkdir -p .venv/bin\n: > .venv/bin/vibe\n"
    )
    uv.chmod(0o755)
    monkeypatch.setattr(bootstrap, "bring_uv", lambda: str(uv))
    assert bootstrap.main() == 0
    assert bootstrap.main() == 0
    assert runs.read_text() == "never sync --frozen\n"
    assert "up to date" in capsys.readouterr().out
    (tmp_path / "uv.lock").write_text("changed")
    assert bootstrap.main() == 0
    assert len(runs.read_text().splitlines()) == 2


def test_a_failing_command_ends_with_a_sentence(bootstrap, tmp_path: Path, monkeypatch, capsys):
    uv = tmp_path / "uv"
    uv.write_text("#!/bin/sh\nexit 7\n")
    uv.chmod(0o755)
    monkeypatch.setattr(bootstrap, "bring_uv", lambda: str(uv))
    assert bootstrap.main() == 1
    said = capsys.readouterr().out
    assert "failed with status 7" in said
    assert "start again" in said


def test_an_old_python_hands_over_or_says_what_to_install(bootstrap, monkeypatch, capsys):
    monkeypatch.setattr(bootstrap.sys, "version_info", (3, 9))
    monkeypatch.setattr(bootstrap.shutil, "which", lambda name: None)
    assert bootstrap.main() == 1
    assert "3.11 or newer" in capsys.readouterr().out

    handed: list[str] = []

    def hand_over(path: str, arguments: list[str]) -> None:
        handed.append(path)
        raise SystemExit

    monkeypatch.setattr(bootstrap.os, "execv", hand_over)
    monkeypatch.setattr(
        bootstrap.shutil, "which", lambda name: sys.executable if name == "python3.12" else None
    )
    with pytest.raises(SystemExit):
        bootstrap.main()
    assert handed == [sys.executable]


def test_steps_that_are_done_are_skipped_and_a_failure_keeps_the_earlier_ones():
    done: list[str] = []

    def step(name: str, *, failing: bool = False) -> Step:
        def do() -> str:
            if failing:
                raise StepError("It broke.", "Mend it.", "the program's last words")
            done.append(name)
            return "now"

        return Step(name, "working", lambda: "already" if name in done else None, do)

    console = Console(record=True, width=100, file=None, force_terminal=False)
    steps = [step("first"), step("second", failing=True), step("third")]
    with pytest.raises(StepError) as failure:
        run_steps(steps, console)
    show_fault(failure.value, console)
    with pytest.raises(StepError):
        run_steps(steps, console)
    said = console.export_text()
    assert done == ["first"]
    assert "✓ first: now" in said
    assert "✓ first: already" in said
    assert "✗ It broke.\nthe program's last words\n  Mend it." in said


class NpmThatBrings:
    """Puts the package there that `npm ci` was asked for, if its lock file is the expected one."""

    def __init__(self, inside: str) -> None:
        self.inside = inside
        self.locks: list[dict] = []

    def __call__(self, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
        """Do what npm would."""
        assert arguments[:2] == ("ci", "--ignore-scripts")
        lock = json.loads((cwd / "package-lock.json").read_text())["packages"]
        self.locks.append(lock)
        program = cwd / next(name for name in lock if name) / self.inside
        program.parent.mkdir(parents=True)
        program.write_text("#!/bin/sh\n")
        return subprocess.CompletedProcess(arguments, 0, "", "")


def npm_that_fails(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Fail as npm does without a network."""
    return subprocess.CompletedProcess(arguments, 1, "", "npm error code ENOTFOUND")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings on an empty data folder."""
    return Settings(data=tmp_path / "data", opencode="")


def test_opencode_is_brought_once_in_the_pinned_version(settings: Settings, monkeypatch):
    brings = NpmThatBrings("bin/opencode")
    monkeypatch.setattr(npm, "_npm", brings)
    monkeypatch.setattr(tools, "machine_kinds", lambda: ["linux-x64"])
    step = tools.opencode_step(settings)
    assert step.found() is None
    assert step.do() == str(settings.opencode_binary)
    assert step.found() == str(settings.opencode_binary)
    package = brings.locks[0]["node_modules/opencode-linux-x64"]
    assert package["version"] == OPENCODE_VERSION
    assert package["integrity"].startswith("sha512-")
    assert sorted(path.name for path in settings.tools.iterdir()) == ["opencode", "opencode.version"]
    (settings.tools / "opencode.version").write_text("1.0.0")
    assert step.found() is None


def test_a_failed_download_leaves_nothing_half_done(settings: Settings, monkeypatch):
    monkeypatch.setattr(npm, "_npm", npm_that_fails)
    with pytest.raises(StepError, match="npm could not bring") as failure:
        tools.install(settings, tools.RIPGREP)
    assert "ENOTFOUND" in failure.value.details
    assert list(settings.tools.iterdir()) == []


def claimed_machines() -> list[str]:
    """The kinds of machine that docs/development.md says OpenCode is brought for."""
    text = (ROOT / "docs" / "development.md").read_text()
    return re.findall(r"^\| `((?:linux|darwin)-[\w-]+)` \|", text, re.MULTILINE)


def test_every_machine_that_the_docs_claim_has_its_packages_pinned_to_the_byte():
    claimed = claimed_machines()
    assert {"linux-x64", "linux-arm64", "darwin-x64", "darwin-arm64"} <= set(claimed)
    assert set(tools.OPENCODE.packages) == set(claimed)
    for program in (tools.OPENCODE, tools.BUN, tools.RIPGREP):
        for kind in claimed:
            assert kind in program.packages or kind.removesuffix("-baseline") in program.packages
        for package, integrity in program.packages.values():
            algorithm, _, digest = integrity.partition("-")
            assert (algorithm, len(base64.b64decode(digest, validate=True))) == ("sha512", 64), package


@pytest.mark.parametrize("kind", ["linux-x64-musl", "linux-arm64-musl", "plan9-mips"])
def test_opencode_for_another_kind_of_machine_is_refused(settings: Settings, monkeypatch, kind: str):
    monkeypatch.setattr(tools, "machine_kinds", lambda: [kind])
    with pytest.raises(StepError, match="There is no opencode for") as refused:
        tools.install(settings, tools.OPENCODE)
    assert "glibc" in refused.value.cure


def test_a_machine_without_a_package_is_told(settings: Settings, monkeypatch):
    monkeypatch.setattr(tools, "machine_kinds", lambda: ["plan9-mips"])
    with pytest.raises(StepError, match="There is no bun for"):
        tools.install(settings, tools.BUN)


@pytest.mark.parametrize(
    ("machine", "libc", "avx2", "kinds"),
    [
        ("x86_64", "glibc", True, ["linux-x64"]),
        ("x86_64", "glibc", False, ["linux-x64-baseline", "linux-x64"]),
        ("x86_64", "", True, ["linux-x64-musl"]),
        ("x86_64", "", False, ["linux-x64-musl-baseline", "linux-x64-musl"]),
        ("aarch64", "glibc", True, ["linux-arm64"]),
    ],
)
def test_the_kind_of_machine_decides_the_package(monkeypatch, machine, libc, avx2, kinds):
    monkeypatch.setattr(tools.platform, "system", lambda: "Linux")
    monkeypatch.setattr(tools.platform, "machine", lambda: machine)
    monkeypatch.setattr(tools.platform, "libc_ver", lambda: (libc, ""))
    monkeypatch.setattr(tools, "_has_avx2", lambda: avx2)
    assert tools.machine_kinds() == kinds


def test_an_opencode_that_was_named_and_is_missing_is_not_replaced(tmp_path: Path):
    step = tools.opencode_step(Settings(data=tmp_path, opencode=str(tmp_path / "none")))
    assert step.found() is None
    with pytest.raises(StepError, match="VIBE_OPENCODE names"):
        step.do()


def test_the_locked_npm_runs_and_tells_its_registry(tmp_path: Path):
    assert npm.registry(tmp_path).startswith("http")


def test_the_frontend_step_finds_a_build_of_these_sources(settings: Settings, tmp_path: Path):
    (tmp_path / "rxconfig.py").write_text("")
    assert frontend_step(settings, tmp_path).found() is None
