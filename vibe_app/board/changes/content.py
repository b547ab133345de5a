"""What is kept of a change in its row: the list of its files and the beginning of their texts. Pure.

Each text is compressed by itself behind a list of where it is: one of them is read without the others.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from vibe_app.wire.git import ChangedFile

LARGEST_PATCHES = 4 << 20
"""Bytes of texts, compressed, that are kept with a change; more is read from its workspace."""

_FILES = TypeAdapter(list[ChangedFile])
# A path, and the bytes between which its compressed patch is, after the list.
_PLACES = TypeAdapter(dict[str, tuple[int, int]])
_LENGTH = 4


def pack_files(files: list[ChangedFile]) -> bytes:
    """Compress the list of a change's files."""
    return zlib.compress(_FILES.dump_json(files, exclude_defaults=True))


def unpack_files(packed: bytes | None) -> list[ChangedFile]:
    """Return what `pack_files` was given."""
    return _FILES.validate_json(zlib.decompress(packed)) if packed else []


def find_file(packed: bytes | None, path: str) -> ChangedFile | None:
    """Return one file of the list, None where it is not in it: without making all of it anew."""
    found = next((each for each in _listed(packed) if each["path"] == path), None)
    return None if found is None else ChangedFile.model_validate(found)


def paths(packed: bytes | None) -> list[str]:
    """Return the paths of the list."""
    return [each["path"] for each in _listed(packed)]


def _listed(packed: bytes | None) -> list[dict[str, Any]]:
    return json.loads(zlib.decompress(packed)) if packed else []


def pack_patches(patches: Mapping[str, str]) -> bytes:
    """Compress patches by path, in their order, as many as fit into `LARGEST_PATCHES`."""
    places: dict[str, tuple[int, int]] = {}
    texts: list[bytes] = []
    end = 0
    for path, patch in patches.items():
        text = zlib.compress(patch.encode())
        if end + len(text) <= LARGEST_PATCHES:
            places[path] = (end, end + len(text))
            texts.append(text)
            end += len(text)
    listed = zlib.compress(_PLACES.dump_json(places))
    return b"".join((len(listed).to_bytes(_LENGTH), listed, *texts))


class Patches(Mapping[str, str]):
    """The patches that `pack_patches` has kept, by path. Each is unpacked when it is asked for.

    Args:
        packed: What that returned; None is none.
    """

    def __init__(self, packed: bytes | None) -> None:
        self._packed = packed or b""
        begin = _LENGTH + int.from_bytes(self._packed[:_LENGTH])
        listed = self._packed[_LENGTH:begin]
        self._places = _PLACES.validate_json(zlib.decompress(listed)) if listed else {}
        self._begin = begin

    def __getitem__(self, path: str) -> str:
        begin, end = self._places[path]
        return zlib.decompress(self._packed[self._begin + begin : self._begin + end]).decode()

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
