"""Deploy keys of repositories: made, read, and written the one way that ssh takes. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from itertools import pairwise

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from vibe_app.errors import InvalidRequest

LONGEST = 16_000
"""Characters that a pasted key may have."""
COMMENT = "vibe"
MOST_HOST_KEYS = 20
HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
_SHORTEST_RSA = 2048
_Private = ed25519.Ed25519PrivateKey | ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def make() -> str:
    """Make a key (ed25519) and return its private half, as OpenSSH writes it."""
    return _written(ed25519.Ed25519PrivateKey.generate())


def clean(text: str) -> str:
    """Return a private key that was pasted, as OpenSSH writes it.

    Raises:
        InvalidRequest: It is none, asks for a passphrase, or is of a kind that ssh servers refuse.
    """
    pasted = text.strip().replace("\r\n", "\n").encode() + b"\n"
    if len(pasted) > LONGEST:
        raise _refusal("This is longer than any private key.")
    load = load_ssh_private_key if b"BEGIN OPENSSH" in pasted else load_pem_private_key
    try:
        key = load(pasted, None)
    except TypeError as error:
        raise _refusal(
            "This key asks for a passphrase, which nobody could type later: make one without "
            "(ssh-keygen -p takes it away), or have a new one made here."
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refusal(
            "This is no private key that can be read: paste the whole file, from its BEGIN to its END line."
        ) from error
    if not isinstance(key, _Private) or (isinstance(key, rsa.RSAPrivateKey) and key.key_size < _SHORTEST_RSA):
        raise _refusal("ssh servers do not take a key of this kind: use ed25519, ECDSA, or RSA of 2048 bits.")
    return _written(key)


def public_half(private: str) -> str:
    """Return what a server is given of a key: one line."""
    key = load_ssh_private_key(private.encode(), None)
    line = key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return f"{line} {COMMENT}"


def host_keys(lines: Sequence[str]) -> tuple[str, ...]:
    """Return a server's keys as `type key`, from lines of `known_hosts`, of `ssh-keyscan` or of a web page.

    Raises:
        InvalidRequest: A line holds none.
    """
    found = list[str]()
    for line in (each.strip() for text in lines for each in text.splitlines()):
        if line and not line.startswith("#"):
            found.append(_host_key(line))
    if len(found) > MOST_HOST_KEYS:
        raise _refusal(f"A server has at most {MOST_HOST_KEYS} keys here.")
    return tuple(dict.fromkeys(found))


def fingerprint(line: str) -> str:
    """Return the fingerprint of a line `type key`, as ssh shows it: `SHA256:…`."""
    digest = hashlib.sha256(base64.b64decode(line.split()[1])).digest()
    return f"SHA256:{base64.b64encode(digest).decode().rstrip('=')}"


def _host_key(line: str) -> str:
    words = line.split()
    for kind, key in pairwise(words):
        if kind in HOST_KEY_TYPES:
            try:
                blob = base64.b64decode(key, validate=True)
            except (binascii.Error, ValueError):
                break
            # The blob begins with the kind's own name (RFC 4253, 6.6).
            if blob[4 : 4 + len(kind)] == kind.encode():
                return f"{kind} {key}"
    raise _refusal(f"This is no host key: {line[:60]}. A line looks like: ssh-ed25519 AAAA…")


def _written(key: _Private) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()).decode()


def _refusal(words: str) -> InvalidRequest:
    return InvalidRequest(words, "invalid_key")
