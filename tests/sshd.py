"""A real OpenSSH server, on loopback or where a pod reaches it, which lets in one key and runs git alone."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_SBIN = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
_CONFIG = """\
ListenAddress {host}
Port {port}
{host_keys}
AuthorizedKeysFile {folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserEnvironment no
LogLevel ERROR
"""
# Ed25519 and no more, unless a test wants others.
_KINDS = ("ed25519",)


class SshdMissing(Exception):
    """There is no OpenSSH server on this machine; the message says what to do."""


def find() -> str | None:
    """Return where the server is, if it is anywhere."""
    return shutil.which("sshd", path=_SBIN)


def bring() -> str:
    """Return where the server is, installing Debian's if there is none.

    As root, who alone runs pods, it brings nss_wrapper too: their users have no name on this machine.

    Raises:
        SshdMissing: It cannot be had.
    """
    from vibe_app.cli.tools import apt_install

    if find() is None or shutil.which("ssh") is None:
        apt_install("openssh-server")
    if os.geteuid() == 0 and not _nss_wrapper():
        apt_install("libnss-wrapper")
    if (found := find()) is None or shutil.which("ssh") is None:
        raise SshdMissing(
            "There is no OpenSSH server, which the tests of deploy keys need.\n"
            "  (Debian and Ubuntu: sudo apt install openssh-server)\n"
        )
    return found


def _nss_wrapper() -> bool:
    """Whether ssh can be given a name for a user without one; the loader complains where it cannot."""
    environment = {**os.environ, "LD_PRELOAD": "libnss_wrapper.so"}
    return not subprocess.run(["true"], env=environment, check=True, capture_output=True).stderr


@dataclass
class Sshd:
    """A server that runs.

    Args:
        host: Its address.
        port: Its port there.
        folder: Where its keys and its repositories are.
    """

    host: str
    port: int
    folder: Path

    def url(self, name: str) -> str:
        """The address of a repository, as the user who runs the tests."""
        return f"ssh://{getpass.getuser()}@{self.host}:{self.port}{self.folder / name}"

    def host_keys(self) -> list[str]:
        """Its host keys, as `type key`."""
        return [" ".join(path.read_text().split()[:2]) for path in sorted(self.folder.glob("host_*.pub"))]

    def let_in(self, public: str) -> None:
        """Let a key in, and no other, for git alone."""
        command = 'command="git shell -c \\"$SSH_ORIGINAL_COMMAND\\"",restrict'
        (self.folder / "authorized_keys").write_text(f"{command} {public}\n")


@contextmanager
def sshd(
    folder: Path, port: int = 0, kinds: tuple[str, ...] = _KINDS, host: str = "127.0.0.1"
) -> Iterator[Sshd]:
    """Run a server, with host keys that are made where there are none in its folder."""
    port = port or _free(host)
    if os.geteuid() == 0:
        # Where it goes to before somebody has signed in.
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    for kind in kinds:
        key = folder / f"host_{kind}"
        if not key.exists():
            made = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(key)]
            subprocess.run(made, check=True, capture_output=True)
    named = "\n".join(f"HostKey {folder / f'host_{kind}'}" for kind in kinds)
    (folder / "sshd_config").write_text(_CONFIG.format(host=host, port=port, host_keys=named, folder=folder))
    found = find()
    assert found is not None, "make test brings it: python tools/sshd.py"
    command = [found, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, start_new_session=True)
    try:
        _until_it_answers(process, (host, port), folder)
        yield Sshd(host, port, folder)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(10)


def _free(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        return listener.getsockname()[1]


def _until_it_answers(process: subprocess.Popen[bytes], place: tuple[str, int], folder: Path) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        assert process.poll() is None, (folder / "log").read_text()
        with suppress(OSError), socket.create_connection(place, 1):
            return
        time.sleep(0.02)
    raise AssertionError((folder / "log").read_text())
