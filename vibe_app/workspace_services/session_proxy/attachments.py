"""Files of the workspace that OpenCode is told to read: opened here, never through a link.

OpenCode reads what an attachment or a path names with its own rights, links followed: a
link that a repository or an agent planted would lead anywhere. So an attached file travels
in the request itself, and a path with a link on its way does not pass.
"""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import unquote, urlsplit

from vibe_app.errors import InvalidRequest, TooLarge
from vibe_app.inside import Spot

LARGEST = 8 * 1024 * 1024
"""Bytes of one attached file. OpenCode keeps several copies of each."""
_NOT_PLAIN = "is not a plain file of the workspace, or a link is on the way to it: links are not followed."


def enclosed(body: bytes, workspace: Path) -> bytes:
    """Return the body with the content of each attached file in the place of its address.

    Args:
        body: A JSON object that `allowed.refusal` has let pass.
        workspace: The workspace's folder.

    Raises:
        InvalidRequest: A file is none, or only a link leads to it.
        TooLarge: A file is too large.
    """
    if b'"parts"' not in body or b"file:" not in body:
        return body
    asked = json.loads(body)
    parts: object = asked.get("parts")
    for part in cast(list[object], parts) if isinstance(parts, list) else []:
        if isinstance(part, dict):
            _enclose(cast(dict[str, object], part), workspace)
    return json.dumps(asked).encode()


def _enclose(part: dict[str, object], workspace: Path) -> None:
    """Put a file's content in the place of its address, in the part itself."""
    url = part.get("url")
    if not isinstance(url, str) or not url.startswith("file:"):
        return
    path = PurePosixPath(os.path.normpath(unquote(urlsplit(url).path)))
    spot = Spot(workspace, path.relative_to(workspace).parts)
    name = str(path.relative_to(workspace))
    try:
        with os.fdopen(spot.open(os.O_RDONLY), "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError):  # a name that cannot be one: half of a surrogate pair, a zero byte
        raise InvalidRequest(f"{name} {_NOT_PLAIN}") from None
    if len(content) > LARGEST:
        raise TooLarge(f"{name} has more than {LARGEST >> 20} MiB: attach a smaller file.")
    kind = str(part.get("mime") or "text/plain")
    part["url"] = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    part.setdefault("filename", name)


def check_path(path: str, workspace: Path) -> None:
    """Return if no link is on the way to a path of the workspace; what is not there, OpenCode says itself.

    Raises:
        InvalidRequest: A link is.
    """
    names = PurePosixPath(os.path.normpath(path.lstrip("/") or ".")).parts
    if not names or ".." in names or "\0" in path:
        return
    for end in range(1, len(names) + 1):
        try:
            found = Spot(workspace, names[:end]).stat()
        except OSError:
            return
        if stat.S_ISLNK(found.st_mode):
            raise InvalidRequest(f"{path[:200]}: a link is on the way, and links are not followed.")
