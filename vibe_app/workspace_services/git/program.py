"""Runs git as a program: nothing of this machine's user in it, and nothing that waits for a person.

Neither the user's settings nor keys, agents, `.netrc` or credential helpers reach it, no hook
runs, and no template is copied. What a call needs beyond that is given to it as a `Call`.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from vibe_app import addresses
from vibe_app.errors import Unavailable
from vibe_app.private import ORDINARY
from vibe_app.wire import plain_text

# Seconds. git reports progress every second while data comes, so this much silence means that none does.
SILENCE = 120.0
_LONGEST = 3600.0
# Bytes of an answer; 100,000 branches need about 8 MB.
_LARGEST_ANSWER = 16 << 20

SETTINGS = (
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("commit.gpgSign", "false"),
    # An empty name forgets the helpers that came before.
    ("credential.helper", ""),
    ("credential.interactive", "false"),
    # Also keeps a server without git's own protocol from naming other servers (http-alternates).
    ("http.followRedirects", "false"),
    ("submodule.recurse", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("user.name", "Vibe"),
    ("user.email", "vibe@localhost"),
)
"""What every git is told, whatever the configuration says that it reads."""
# Whom to trust is no credential: an installation may have a certificate authority of its own. A git that is
# built with GnuTLS, as Debian's, goes by its own names alone.
_AUTHORITIES = {"GIT_SSL_CAINFO": "SSL_CERT_FILE", "GIT_SSL_CAPATH": "SSL_CERT_DIR"}


@dataclass(frozen=True)
class Call:
    """What some calls of git have in common.

    Args:
        mark: Variables by which its processes are recognised if this one dies.
        config: Further settings of git, as name and value.
        env: Further variables; what is secret goes here and nowhere else.
        hidden: Secrets that are taken out of whatever git says.
        before: Words before git itself, such as those of `guard`.
        handed: What git inherits as files without a name, by the variables that say the descriptor of each.
    """

    mark: Mapping[str, str] = field(default_factory=dict[str, str])
    config: tuple[tuple[str, str], ...] = ()
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    hidden: tuple[str, ...] = field(default=(), repr=False)
    before: tuple[str, ...] = ()
    handed: Mapping[str, bytes] = field(default_factory=dict[str, bytes], repr=False)

    def complaint(self, errors: bytes) -> str:
        """What git said was wrong, without credentials, as a sentence."""
        lines = self.words(errors).splitlines()
        said = [line.strip() for line in lines if line.startswith(("fatal:", "ssh:", "error:", "ERROR:"))]
        words = " ".join(said[-2:]) or "git gave no reason"
        return f"{words.removeprefix('fatal: ').rstrip('. ')}."

    def words(self, said: bytes) -> str:
        """What git or a server said, as text without credentials."""
        return addresses.shown(addresses.hide(plain_text(said.decode("utf-8", "replace")), self.hidden))


class Failed(Exception):
    """git did not do what it was asked for; the message is its complaint, as a sentence.

    Args:
        message: The complaint.
        errors: The end of all that it complained of, with whatever secrets are in it.
    """

    def __init__(self, message: str, errors: bytes = b"") -> None:
        super().__init__(message)
        self.errors = errors
        self.out = b""


async def run(folder: Path, call: Call, *arguments: str) -> bytes:
    """Run git in a folder and return what it answers.

    Raises:
        Failed: It ended with a fault.
        Unavailable: git is missing, or gave no sign of life for too long.
    """
    answer = bytearray()

    async def take(stream: asyncio.StreamReader) -> None:
        while chunk := await stream.read(65_536):
            answer.extend(chunk)
            if len(answer) > _LARGEST_ANSWER:
                raise Failed("the answer is too long.")

    process = await _start(folder, call, arguments, asyncio.subprocess.PIPE)
    assert process.stdout is not None
    taking = asyncio.ensure_future(take(process.stdout))
    try:
        await _heard(process, call, None)
        await taking
    except Failed as error:
        with suppress(Failed):
            await taking
        error.out = bytes(answer)
        raise
    finally:
        taking.cancel()
        await kill(process)
    return bytes(answer)


async def run_long(
    folder: Path, call: Call, told: Callable[[bytes], Awaitable[None]] | None, *arguments: str
) -> None:
    """Run git in a folder for what may take long.

    Args:
        folder: Where.
        call: With what.
        told: Takes what git says of its progress, piece by piece.
        arguments: What to do.

    Raises:
        Failed: It ended with a fault.
        Unavailable: git is missing, or gave no sign of life for too long.
    """
    process = await _start(folder, call, arguments, asyncio.subprocess.DEVNULL)
    try:
        await _heard(process, call, told)
    finally:
        await kill(process)


async def _heard(
    process: asyncio.subprocess.Process, call: Call, told: Callable[[bytes], Awaitable[None]] | None
) -> None:
    assert process.stderr is not None
    tail = b""
    try:
        async with asyncio.timeout(_LONGEST):
            while chunk := await asyncio.wait_for(process.stderr.read(4096), SILENCE):
                tail = (tail + chunk)[-4096:]
                if told is not None:
                    await told(chunk)
            status = await process.wait()
    except TimeoutError as exc:
        raise Unavailable("The repository could not be cloned: its server stopped answering.") from exc
    if status != 0:
        raise Failed(call.complaint(tail), tail)


async def _start(
    folder: Path, call: Call, arguments: tuple[str, ...], stdout: int
) -> asyncio.subprocess.Process:
    settings = [part for name, value in (*SETTINGS, *call.config) for part in ("-c", f"{name}={value}")]
    env = environment() | {"GIT_CEILING_DIRECTORIES": str(folder.parent)}
    held = {name: _in_memory(content) for name, content in call.handed.items()}
    env |= {name: str(descriptor) for name, descriptor in held.items()}
    try:
        return await asyncio.create_subprocess_exec(
            *call.before,
            "git",
            "--no-pager",
            *settings,
            *arguments,
            cwd=folder,
            env=env | dict(call.env) | dict(call.mark),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            umask=ORDINARY,
            pass_fds=tuple(held.values()),
        )
    except FileNotFoundError as exc:
        raise Unavailable("git is not installed on this machine: install it, or run `make up`.") from exc
    finally:
        for descriptor in held.values():
            os.close(descriptor)


def _in_memory(content: bytes) -> int:
    """Return the descriptor of a file that is on no disk and that nobody else may open (Linux)."""
    descriptor = os.memfd_create("vibe", os.MFD_CLOEXEC)
    os.fchmod(descriptor, 0o600)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(content)
    return descriptor


def authorities() -> dict[str, str]:
    """The variables that say whose certificates are trusted, as far as this process has them."""
    found = {name: value for name in _AUTHORITIES.values() if (value := os.environ.get(name))}
    named = ((name, os.environ.get(name) or found.get(usual)) for name, usual in _AUTHORITIES.items())
    return found | {name: value for name, value in named if value}


def environment() -> dict[str, str]:
    """The variables of every git; of this process only how programs are found, and whom to trust."""
    found = {name: os.environ[name] for name in ("PATH", "TMPDIR") if name in os.environ}
    return (
        found
        | authorities()
        | {
            # No home: libcurl would take a user's own for want of a name, and find `.netrc` there.
            "HOME": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "SSH_ASKPASS": "",
            "SSH_ASKPASS_REQUIRE": "never",
            "GIT_EDITOR": "true",
            "GIT_PAGER": "cat",
            # No protocol, unless the call names one.
            "GIT_ALLOW_PROTOCOL": "none",
            "LC_ALL": "C",
        }
    )


async def kill(process: asyncio.subprocess.Process) -> None:
    """End git and its helpers if they still run, and collect it."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
