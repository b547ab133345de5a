"""Files of the workspace that OpenCode is told to read: opened here, never through a link.

OpenCode reads what an attachment or a path names with its own rights, links followed: a
link that a repository or an agent planted would lead anywhere. So an attached file travels
in the request itself, and a path with a link on its way does not pass. What is attached is text, a
picture or a PDF, by what it holds and not by what it is called.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import stat
from pathlib import Path, PurePosixPath
from typing import cast
from urllib.parse import unquote, unquote_to_bytes, urlsplit

from vibe_app.errors import InvalidRequest, TooLarge
from vibe_app.inside import Spot

LARGEST = 8 * 1024 * 1024
"""Bytes of one attached file. OpenCode keeps several copies of each."""
_KINDS = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg", b"%PDF-": "application/pdf"}
_NOT_PLAIN = "is not a plain file of the workspace, or a link is on the way to it: links are not followed."


def enclosed(body: bytes, workspace: Path) -> bytes:
    """Return the body with the content of each attachment in it, in the place of an address.

    Args:
        body: A JSON object that `allowed.refusal` has let pass.
        workspace: The workspace's folder.

    Raises:
        InvalidRequest: A file is none, or only a link leads to it, or it is of another kind.
        TooLarge: A file is too large.
    """
    if b'"parts"' not in body or not (b"file:" in body or b"data:" in body or b"\\u" in body):
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
    if not isinstance(url, str) or not url.startswith(("file:", "data:")):
        return
    if url.startswith("data:"):
        name, content = str(part.get("filename") or "What is attached")[:200], _given(url)
        part["url"], part["mime"] = _address(name, content), _kind(name, content)
        return
    path = PurePosixPath(os.path.normpath(unquote(urlsplit(url).path)))
    spot = Spot(workspace, path.relative_to(workspace).parts)
    name = str(path.relative_to(workspace))
    try:
        with os.fdopen(spot.open(os.O_RDONLY), "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError):  # a name that cannot be one: half of a surrogate pair, a zero byte
        raise InvalidRequest(f"{name} {_NOT_PLAIN}") from None
    part["url"] = _address(name, content)
    part["mime"] = _kind(name, content)
    part.setdefault("filename", name)


def _given(url: str) -> bytes:
    """Return what a data: address holds (RFC 2397).

    Raises:
        InvalidRequest: It is none.
    """
    head, comma, text = url.removeprefix("data:").partition(",")
    try:
        content = unquote_to_bytes(text)
        if not comma:
            raise ValueError
        return base64.b64decode(content, validate=True) if head.endswith(";base64") else content
    except (ValueError, binascii.Error):
        raise InvalidRequest("What is attached is no data: address.") from None


def _address(name: str, content: bytes) -> str:
    """Return a data: address that holds an attachment.

    Raises:
        InvalidRequest: It is of another kind than those that are attached.
        TooLarge: It is too large.
    """
    if len(content) > LARGEST:
        raise TooLarge(f"{name} has more than {LARGEST >> 20} MiB: attach a smaller file.")
    return f"data:{_kind(name, content)};base64,{base64.b64encode(content).decode()}"


def _kind(name: str, content: bytes) -> str:
    """Return the media type of what is attached, by its first bytes.

    Raises:
        InvalidRequest: It is neither text nor a picture (PNG, JPEG) nor a PDF.
    """
    for start, kind in _KINDS.items():
        if content.startswith(start):
            return kind
    try:
        if "\0" in content.decode():
            raise ValueError
    except ValueError:
        raise InvalidRequest(f"{name} is neither text nor PNG, JPEG or PDF: it cannot be attached.") from None
    return "text/plain"


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
