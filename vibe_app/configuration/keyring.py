"""The keys under which secrets are encrypted: one that writes, and those of before, which still read.

Each purpose has a key of its own, derived from the installation's key (HKDF, RFC 5869), and each
ciphertext is bound to what it is the secret of: moved to another row it cannot be opened. The id of
the derived key stands beside it, and says nothing of the key.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Bytes. NIST SP 800-38D: a random nonce of 96 bits serves 2^32 messages of one key.
_NONCE = 12


class Purpose(Enum):
    """What a key is derived for: the context that keeps it apart from whatever else is derived."""

    PROJECT = b"vibe secrets 1"
    PROVIDER = b"vibe provider keys 1"


class Unreadable(Exception):
    """It was sealed under a key that is not here, for something else, or is damaged."""


@dataclass(frozen=True)
class Sealed:
    """An encrypted secret.

    Args:
        key_id: The id of the derived key that it was encrypted with.
        data: Nonce and ciphertext.
    """

    key_id: str
    data: bytes


class Keyring:
    """Seals with the installation's key, and opens with that one and those of before.

    Args:
        keys: The installation's key, then those that it had before. What is empty or there twice does
            no harm.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._ciphers: dict[Purpose, dict[str, AESGCM]] = {purpose: {} for purpose in Purpose}
        for key in filter(None, keys):
            for purpose, ciphers in self._ciphers.items():
                derived = HKDF(SHA256(), 32, salt=None, info=purpose.value).derive(key.encode())
                name = hashlib.sha256(purpose.value + derived).hexdigest()[:16]
                ciphers.setdefault(name, AESGCM(derived))

    def key_id(self, purpose: Purpose) -> str:
        """Return the id of the key that seals."""
        return next(iter(self._ciphers[purpose]))

    @property
    def key_ids(self) -> set[str]:
        """The ids of all keys that open something."""
        return {name for ciphers in self._ciphers.values() for name in ciphers}

    def seal(self, purpose: Purpose, identity: str, value: str) -> Sealed:
        """Encrypt a secret.

        Args:
            purpose: What kind of secret it is.
            identity: What it is the secret of; it opens for the same alone.
            value: The secret.
        """
        key_id, nonce = self.key_id(purpose), os.urandom(_NONCE)
        encrypted = self._ciphers[purpose][key_id].encrypt(nonce, value.encode(), identity.encode())
        return Sealed(key_id, nonce + encrypted)

    def open(self, purpose: Purpose, identity: str, sealed: Sealed) -> str:
        """Decrypt a secret; `purpose` and `identity` as it was sealed.

        Raises:
            Unreadable: It cannot be.
        """
        nonce, encrypted = sealed.data[:_NONCE], sealed.data[_NONCE:]
        try:
            return self._ciphers[purpose][sealed.key_id].decrypt(nonce, encrypted, identity.encode()).decode()
        except (KeyError, InvalidTag, ValueError):
            raise Unreadable from None
