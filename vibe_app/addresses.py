"""Addresses of repositories: the one place where they are read.

Pure text. A credential that stands in an address is taken apart from it at once, so that
nothing else of Vibe ever holds an address with one. Whether a host may be reached is
decided where git is started.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

from vibe_app.errors import InvalidRequest

LONGEST = 2000
"""Characters that an address may have."""

_URL = re.compile(
    r"(?P<scheme>https|http|ssh|file)://"
    r"(?:(?P<user>[^/?#]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*)(?::(?P<port>[0-9]{1,5}))?(?P<path>/[^?#]*)?",
    re.IGNORECASE,
)
# git's short form for ssh: [user@]host:path. A double colon would name a transport that runs a command.
_SHORT = re.compile(
    r"(?:(?P<user>[\w.+][\w.+-]*)@)?(?P<host>[A-Za-z0-9_][\w.-]*):(?P<path>[^:-].*)", re.ASCII
)
_SCHEMES = frozenset(("http", "https", "ssh", "git", "file", "ftp", "ftps"))
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?)*", re.ASCII)
_NUMERIC = re.compile(r"(?:[0-9]+|0x[0-9a-f]*)", re.ASCII)
_USER = re.compile(r"[\w.+][\w.+-]*", re.ASCII)
# What stands between the slashes and the last `@` before the path, in text that may be no address at all.
_BEFORE_HOST = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/?#\s\"'<>]*@", re.IGNORECASE)
_HIDDEN = "***"
# A shorter secret would be hidden in words that have nothing to do with it.
_SHORTEST_HIDDEN = 6


@dataclass(frozen=True)
class Credential:
    """What signs in to a server: never in a log, an address or the text of an exception.

    Args:
        username: The name; may be anything where the server only looks at the token.
        token: The secret; for an ssh address a private key, as OpenSSH writes it.
        host_keys: By what an ssh server is recognised: `type key` each.
    """

    username: str = field(repr=False)
    token: str = field(repr=False)
    host_keys: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def unpacked(cls, words: Sequence[str]) -> Credential:
        """Return what `packed` made a list of."""
        username, token, *host_keys = words
        return cls(username, token, tuple(host_keys))

    @property
    def packed(self) -> list[str]:
        """This as a list, to be kept or sent."""
        return [self.username, self.token, *self.host_keys]

    @property
    def secrets(self) -> tuple[str, ...]:
        """What is to be hidden wherever it turns up: of a name without a token, the name is the secret."""
        return (self.token,) if self.token else (self.username,)


@dataclass(frozen=True)
class Address:
    """Where a repository is.

    Args:
        scheme: `https`, `http`, `ssh` or `file`.
        user: The name at an ssh server, which is no secret; empty elsewhere.
        host: Lower-case; an IPv6 address without brackets; empty for `file`.
        port: None for the scheme's own.
        path: From the host's root, as written.
        short: Whether it was written in git's short form for ssh.
        credential: What stood in it before the host; not part of `str()`.
    """

    scheme: str
    user: str
    host: str
    port: int | None
    path: str
    short: bool = False
    credential: Credential | None = field(default=None, repr=False)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        if self.short:
            return f"{user}{self.host}:{self.path}"
        return f"{self.origin}{self.path}"

    @property
    def origin(self) -> str:
        """Scheme, host and port: a credential belongs to these."""
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{user}{host}{port}"


def parse(text: str) -> Address:
    """Read the address of a repository.

    Raises:
        InvalidRequest: It is none, one that could run commands, or that nobody can clone unasked.
    """
    text = text.strip()
    if len(text) > LONGEST or not text.isprintable() or re.search(r"\s", text):
        raise _refusal()
    if (short := _SHORT.fullmatch(text)) and "://" not in text:
        host = _clean_host(short["host"])
        if "@" in short["path"] or host in _SCHEMES:
            # An address whose scheme is missing or mistyped: what stands before the `@` may be a token.
            raise InvalidRequest(
                "Write the whole address, such as https://host/path, and a token in its own field.",
                "invalid_repo_url",
            )
        return Address("ssh", short["user"] or "", host, None, short["path"], short=True)
    found = _URL.fullmatch(text)
    if found is None:
        raise _refusal()
    scheme, path = found["scheme"].lower(), found["path"] or ""
    port = int(found["port"]) if found["port"] else None
    if scheme == "file":
        if found["user"] is not None or found["host"] or port is not None or len(path) < 2:
            raise _refusal()
        return Address("file", "", "", None, path)
    if port is not None and not 1 <= port <= 65535:
        raise _refusal()
    user, _, password = (found["user"] or "").partition(":")
    user, password = _decoded(user), _decoded(password)
    host = _clean_host(found["host"])
    if scheme == "ssh":
        if (user and not _USER.fullmatch(user)) or password:
            raise InvalidRequest(
                "An ssh:// address takes no password: leave it out, or use https:// with a token.",
                "invalid_repo_url",
            )
        return Address("ssh", user, host, port, path)
    return Address(
        scheme, "", host, port, path, credential=Credential(user, password) if user or password else None
    )


def is_ssh(text: str) -> bool:
    """Whether an address is one of a repository that is reached by ssh."""
    try:
        return parse(text).scheme == "ssh"
    except InvalidRequest:
        return False


def shown(text: str) -> str:
    """Return text in which addresses may stand without what stands before their hosts, valid or not.

    The name at an ssh server stays, as it is no secret.
    """

    def without(found: re.Match[str]) -> str:
        name = found[0][len(found[1]) : -1]
        return found[0] if found[1].lower() == "ssh://" and ":" not in name else found[1]

    return _BEFORE_HOST.sub(without, text)


def bare(stored: str) -> str:
    """Return one stored address, valid or not, without what may be a credential in it."""
    if "://" in stored:
        return shown(stored)
    short = _SHORT.fullmatch(stored)
    sound = short and "@" not in short["path"] and short["host"].lower() not in _SCHEMES
    return stored if sound else stored.rpartition("@")[2]


def hide(text: str, secrets: Iterable[str]) -> str:
    """Return `text` without these secrets, as they are and as they stand in addresses."""
    for secret in secrets:
        if len(secret) < _SHORTEST_HIDDEN:
            continue
        for form in {secret, quote(secret, safe=""), quote(secret)}:
            text = text.replace(form, _HIDDEN)
    return text


def _clean_host(text: str) -> str:
    """Return a host's name or number in its one form, so that what is checked is what is reached."""
    host = text.lower()
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        if _HOST.fullmatch(host) and not _NUMERIC.fullmatch(host.rpartition(".")[2]):
            return host
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        raise _refusal() from None


def _decoded(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise _refusal() from None
    if not decoded.isprintable():
        raise _refusal()
    return decoded


def _refusal() -> InvalidRequest:
    return InvalidRequest(
        "The repository's address must start with https://, http:// or ssh:// and name a host, "
        "or look like git@host:path.",
        "invalid_repo_url",
    )
