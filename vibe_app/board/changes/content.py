"""What is kept of a change in its row: the list of its files and the beginning of their texts. Pure."""

from __future__ import annotations

import json
import zlib

from pydantic import TypeAdapter

from vibe_app.wire.git import ChangedFile

LARGEST_PATCHES = 4 << 20
"""Bytes of texts, compressed, that are kept with a change; more is read from its workspace."""

_FILES = TypeAdapter(list[ChangedFile])
_PATCHES = TypeAdapter(dict[str, str])


def pack_files(files: list[ChangedFile]) -> bytes:
    """Compress the list of a change's files."""
    return zlib.compress(_FILES.dump_json(files, exclude_defaults=True))


def unpack_files(packed: bytes | None) -> list[ChangedFile]:
    """Return what `pack_files` was given."""
    return _FILES.validate_json(zlib.decompress(packed)) if packed else []


def pack_patches(patches: dict[str, str]) -> bytes:
    """Compress patches by path, as many as fit into `LARGEST_PATCHES`."""
    packed = zlib.compress(json.dumps(patches).encode())
    while len(packed) > LARGEST_PATCHES and patches:
        patches = dict(list(patches.items())[: len(patches) // 2])
        packed = zlib.compress(json.dumps(patches).encode())
    return packed


def unpack_patches(packed: bytes | None) -> dict[str, str]:
    """Return what `pack_patches` was given, as far as it was kept."""
    return _PATCHES.validate_json(zlib.decompress(packed)) if packed else {}
