"""What a repository says to agents, as text: copied to where OpenCode is told to read it.

OpenCode would follow a link to any file that it can read, its own secrets included. So it is
given a copy that the agent cannot reach into, and only plain files of the workspace's own
folder are copied, refreshed before each prompt. Guidance in folders below is read by OpenCode
itself when it reads a file beside it.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

# The first that is there is the one: many repositories have the other as a link to it.
_NAMES = ("AGENTS.md", "CLAUDE.md")
# What other programs read; it is only named.
_OTHERS = (".cursorrules", ".github/copilot-instructions.md", "GEMINI.md", ".windsurfrules")
# Bytes. It goes along with each request to the model.
_LARGEST = 64 << 10
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def refresh(workspace: Path, copy: Path) -> list[str]:
    """Copy the workspace's guidance; return sentences on what of it is not read.

    Args:
        workspace: The workspace.
        copy: Where OpenCode reads it; its folder is made if need be.

    Raises:
        OSError: The copy cannot be written.
    """
    text, said = _read(workspace)
    if not text:
        copy.unlink(missing_ok=True)
        return said
    copy.parent.mkdir(parents=True, exist_ok=True)
    draft = copy.with_name(f"{copy.name}.new")
    draft.unlink(missing_ok=True)
    draft.write_text(text)
    # OpenCode's container has another user where the cluster says so.
    draft.chmod(0o644)
    draft.replace(copy)
    return said


def _read(workspace: Path) -> tuple[str, list[str]]:
    said: list[str] = []
    try:
        folder = os.open(workspace, _FOLDER)
    except OSError:
        return "", said
    try:
        for name in _NAMES:
            try:
                text = _text(folder, name, said)
            except FileNotFoundError:
                continue
            except OSError as error:
                said.append(f"{name} is not read: {error.strerror or error}.")
                continue
            if text is not None:
                return f"From {name} of this repository:\n\n{text}" if text.strip() else "", said
    finally:
        os.close(folder)
    others = [name for name in _OTHERS if os.path.lexists(workspace / name)]
    if others and not said:
        said.append(f"{', '.join(others)} is not read: guidance for the agent belongs into AGENTS.md.")
    return "", said


def _text(folder: int, name: str, said: list[str]) -> str | None:
    """Return what a file says; None where it is not to be read, which is said.

    Raises:
        OSError: There is none, or it cannot be read.
    """
    found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(found.st_mode):
        if os.path.normpath(os.readlink(name, dir_fd=folder)) not in _NAMES:
            said.append(f"{name} is a link and is not read: put the text itself there.")
        return None
    if not stat.S_ISREG(found.st_mode):
        said.append(f"{name} is no file and is not read.")
        return None
    with os.fdopen(os.open(name, _FILE, dir_fd=folder), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        raw = file.read(_LARGEST + 1)
    if b"\0" in raw:
        said.append(f"{name} is not text and is not read.")
        return None
    if len(raw) > _LARGEST:
        said.append(f"Only the first {_LARGEST >> 10} KiB of {name} are read.")
        raw = raw[:_LARGEST]
        with suppress(ValueError):
            raw = raw[: raw.rindex(b"\n") + 1]
    return raw.decode("utf-8", "replace")
