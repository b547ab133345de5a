"""The Redis in which several workers keep the state of pages: whether it can be used.

Reflex alone works with what is in it. It would start without, and fail at the
first page; so a server asks before it starts.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit, urlunsplit

from vibe_app.cli.options import Fault

_SECONDS = 5


def check(url: str) -> str:
    """Return what answers at `url`.

    Raises:
        Fault: Nothing does, or it lets nobody in; says where and why, without the password.
    """
    from redis import Redis
    from redis.exceptions import RedisError

    try:
        # redis leaves further arguments of both without types.
        with Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            url, socket_timeout=_SECONDS, socket_connect_timeout=_SECONDS
        ) as redis:
            about: Any = redis.info("server")  # pyright: ignore[reportUnknownMemberType]
    except (RedisError, OSError, ValueError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise Fault(f"Redis cannot be used at {_shown(url)} ({reason}): check VIBE_REDIS_URL.") from error
    return f"Redis {about['redis_version']} at {_shown(url)}"


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
