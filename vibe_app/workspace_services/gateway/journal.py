r"""What the gateway must not forget, on disk: append-only, one JSON object a line.

A request is noted before it goes to a provider, and what it used before its answer's end goes to OpenCode:
so a gateway that is killed in mid-stream finds at its next start which requests were under way, and
nothing is forgotten or counted twice. The kernel holds a line once it is written, so the death of the
process takes none; the newest are forced to the disk right after, off the requests' way, so a crash of the
whole machine can take those of the last moment.

The file lies where no agent can write, and is opened without following a link all the same.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from vibe_app import inside
from vibe_app.errors import Unavailable
from vibe_app.inside import Spot

LARGEST = 64 * 1024 * 1024
"""Bytes that it may have. Nobody has fetched what it holds for very long then, and nothing is asked."""

_LONGEST_LINE = 64 * 1024
_log = logging.getLogger(__name__)

Record = dict[str, Any]


class Journal:
    """The open journal of this workspace; one process has it at a time.

    Args:
        folder: Where it lies; made if need be.

    Raises:
        OSError: It cannot be opened, or another gateway has it (`BlockingIOError`).

    Attributes:
        id: Names this journal among those that there were of the workspace.
        size: Its bytes.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._spot = Spot(folder, ("gateway.jsonl",))
        self._lock = self._spot.named("gateway.lock").open(os.O_RDWR | os.O_CREAT)
        self._file = -1
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._file = self._spot.open(os.O_RDWR | os.O_APPEND | os.O_CREAT)
            os.fchmod(self._file, 0o600)
        except OSError:
            self.close()
            raise
        self.size = 0
        self.id = ""

    def replay(self) -> Iterator[Record]:
        """Yield what was written, oldest first; a last line that was torn is cut off."""
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.size += len(line)
                if (record := _record(line)) is None:
                    _log.warning("A line of the journal cannot be read and is left out")
                    continue
                if record.get("kind") == "journal":
                    self.id = str(record.get("id", ""))
                yield record
        os.ftruncate(self._file, self.size)
        if not self.id:
            self.id = uuid.uuid4().hex
            self.append({"kind": "journal", "id": self.id})

    def append(self, *records: Record) -> None:
        """Write records, all of them or none.

        Raises:
            Unavailable: They cannot be written, or the journal has become too large.
        """
        data = b"".join(_encode(record) for record in records)
        if self.size + len(data) > LARGEST:
            raise Unavailable(
                "The gateway's journal is full, since nobody fetches what it holds: is the board running?",
                "journal_full",
            )
        try:
            self._write(data)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, self.size)
            raise Unavailable(
                f"The gateway cannot write its journal: {error.strerror}. Nothing is asked uncounted.",
                "journal_unwritable",
            ) from error

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._file, view) :]
        self.size += len(data)

    def sync(self) -> None:
        """Force what was written to the disk; for a thread, and harmless after `close`."""
        with suppress(OSError):
            os.fdatasync(self._file)

    def rewrite(self, records: Iterable[Record]) -> None:
        """Put these records in the place of all that was written, at once or not at all.

        Raises:
            OSError: They cannot be written; the journal is as it was.
        """
        data = b"".join(_encode(record) for record in ({"kind": "journal", "id": self.id}, *records))
        draft = self._spot.named("gateway.jsonl.new")
        draft.remove()
        descriptor = draft.open(os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL)
        try:
            os.fchmod(descriptor, 0o600)
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
            with inside.folder(self._spot.root) as folder:
                os.replace(draft.way[-1], self._spot.way[-1], src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._file)
        self._file, self.size = descriptor, len(data)

    def close(self) -> None:
        """Let go of it."""
        for descriptor in (self._file, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._lock = -1


def _encode(record: Record) -> bytes:
    return json.dumps(record, separators=(",", ":")).encode("ascii") + b"\n"


def _record(line: bytes) -> Record | None:
    if len(line) > _LONGEST_LINE:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(Record, found) if isinstance(found, dict) else None
