"""How the REST API of a repository's host is asked.

The token goes along, so a call goes where the host's name led at its beginning, to an address that was
checked, and no redirect is followed. No proxy of the environment sees it. What comes back is outside input:
it has a largest size and a longest time, and the token is hidden in whatever words are shown of it.
"""

from __future__ import annotations

import asyncio
import functools
import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import certifi
import httpx

from vibe_app.addresses import Address, hide, shown
from vibe_app.clients import pool
from vibe_app.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    TooMany,
    Unavailable,
    VibeError,
)
from vibe_app.networks import Network, inner
from vibe_app.reachable import reachable
from vibe_app.wire import now, plain_text

LONGEST = 30.0
"""Seconds that a call may take in all."""
_CONNECT = 10.0
# A page of 50 requests of Gitea has some 600 KB: each tells the whole repository twice.
_LARGEST = 8 << 20
_MOST_WORDS = 300
_PORTS: Mapping[str, int] = {"https": 443, "http": 80}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_WORDS = ("message", "error_description", "error", "detail", "code")


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whom git trusts, and the usual authorities where the system knows none."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    # Authorities of a company's own often lack what this flag wants of them, and git does not ask for it.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


@dataclass(frozen=True)
class Api:
    """The API of one host, for one repository.

    Args:
        address: The repository's.
        host: The API's host, where that is another than the repository's.
        prefix: Path of the API.
        headers: With what it is asked; what signs in is among them.
        token: What is hidden in all that is shown.
        rights: What the token needs there, as the end of a sentence.
        private: Networks of private addresses that may be reached.
    """

    address: Address
    host: str
    prefix: str
    headers: Mapping[str, str] = field(repr=False)
    token: str = field(repr=False)
    rights: str
    private: tuple[Network, ...] = ()

    async def ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: object = None
    ) -> Any:
        """Return what the API answers, as JSON.

        Args:
            method: As HTTP has it.
            path: Below the prefix; what is not ours in it is quoted.
            query: Names and values.
            body: What is sent as JSON.

        Raises:
            VibeError: As the contract of `Host` has it; a 409 is a `Conflict`.
        """
        try:
            async with asyncio.timeout(LONGEST):
                status, headers, content = await self._answer(method, path, query, body)
        except (TimeoutError, httpx.TimeoutException) as error:
            raise Unavailable(
                f"{self.host} does not answer in time. Try again later.", "host_slow"
            ) from error
        except httpx.ConnectError as error:
            raise Unavailable(self._unreached(error), "host_unreachable") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"The connection to {self.host} was lost. Try again.", "host_lost") from error
        except ValueError as error:
            raise Unavailable(f"{self.host} sends more than is read of an answer.", "host_strange") from error
        if status >= 300:
            raise self._refusal(status, headers, content)
        return _json(content)

    async def _answer(
        self, method: str, path: str, query: Mapping[str, str] | None, body: object
    ) -> tuple[int, httpx.Headers, bytes]:
        port = self.address.port or _PORTS[self.address.scheme]
        numbers = await reachable(self.host, port, self.private, f"{self.host} could not be asked")
        if self.address.scheme == "http" and any(inner(number).is_global for number in numbers):
            raise InvalidRequest(
                "The repository's token would be sent unencrypted: use its https:// address.", "not_encrypted"
            )
        name = f"[{self.host}]" if ":" in self.host else self.host
        named = name if self.address.port is None else f"{name}:{port}"
        sent = {"Host": named, "User-Agent": "Vibe", "Accept-Encoding": "identity", **self.headers}
        # A new connection for each call: there are few, and each goes where the name leads by then.
        async with httpx.AsyncClient(
            trust_env=False,
            follow_redirects=False,
            verify=_trusted(),
            timeout=httpx.Timeout(LONGEST, connect=_CONNECT),
        ) as client:
            for left, number in enumerate(numbers, start=1 - len(numbers)):
                place = f"[{number}]" if number.version == 6 else str(number)
                request = client.build_request(
                    method,
                    f"{self.address.scheme}://{place}:{port}{self.prefix}{path}",
                    params=query,
                    headers=sent,
                    json=body,
                    extensions={"sni_hostname": self.host},
                )
                try:
                    answer = await client.send(request, stream=True)
                except httpx.ConnectError:
                    # Nothing was sent yet; the last one's fault is told.
                    if left == 0:
                        raise
                else:
                    content = await pool.together(answer.aiter_raw(), _LARGEST)
                    await answer.aclose()
                    return answer.status_code, answer.headers, content
        raise Unavailable(f"{self.host} cannot be reached.", "host_unreachable")

    def _unreached(self, error: Exception) -> str:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                f"{self.host} does not prove who it is: nobody whom this machine trusts has signed its"
                " certificate."
                " Whoever runs this board can name its authority with SSL_CERT_FILE."
            )
        return f"{self.host} cannot be reached from this board: check its address, and try again."

    def _refusal(self, status: int, headers: httpx.Headers, content: bytes) -> VibeError:
        said = self._said(content)
        if status in _REDIRECTS:
            return InvalidRequest(
                f"{self.host} leads to another address, which is not followed: give the repository's present"
                " one in the project's settings.",
                "host_redirects",
            )
        if (wait := _wait(status, headers)) is not None:
            return TooMany(
                f"{self.host} wants to be asked less often. Try again in {-(-wait // 60)} min.",
                retry_after=wait,
            )
        if status == 401:
            return Forbidden(
                f"{self.host} does not take the token{said} Give another in the project's settings; it needs"
                f" {self.rights}.",
                "host_unauthorized",
            )
        if status == 403:
            return Forbidden(
                f"The token may not do this at {self.host}{said} It needs {self.rights}.", "host_forbidden"
            )
        if status == 404:
            return NotFound(
                f"{self.host} knows nothing of the kind at {self.address.path}{said} Check the address, and"
                f" that the token may see it: it needs {self.rights}.",
                "host_not_found",
            )
        if status >= 500:
            return Unavailable(
                f"{self.host} has a fault of its own ({status}){said} Try again later.", "host_fault"
            )
        kind = Conflict if status == 409 else InvalidRequest
        return kind(f"{self.host} does not take it ({status}){said}", "host_refused")

    def _said(self, content: bytes) -> str:
        """What the host said, to stand after a statement: `: its words.`, or a stop alone."""
        words = _words(_json(content))
        words = shown(hide(plain_text(words), (self.token,)))
        words = re.sub(r"\s+", " ", words).strip().rstrip(".")[:_MOST_WORDS]
        return f": {words}." if words else "."


def _wait(status: int, headers: httpx.Headers) -> int | None:
    """Return for how many seconds a host wants to be left alone; None where it has not said that.

    docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: 403 or 429, with `retry-after` in
    seconds or `x-ratelimit-remaining: 0` and `x-ratelimit-reset` in seconds since 1970; else a minute.
    docs.gitlab.com/security/rate_limits: 429 with `Retry-After`.
    """
    if status == 403 and "retry-after" not in headers and headers.get("x-ratelimit-remaining") != "0":
        return None
    if status not in (403, 429):
        return None
    wait = _number(headers.get("retry-after"))
    if wait is None and headers.get("x-ratelimit-remaining") == "0":
        reset = _number(headers.get("x-ratelimit-reset"))
        wait = None if reset is None else reset - now().timestamp()
    return round(min(max(60.0, wait or 0.0), 3600.0))


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdecimal() and len(text) < 12 else None


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _words(answer: object) -> str:
    """Find the words in a refusal: hosts say `message`, `error`, a list of them, or lists by field."""
    if isinstance(answer, str):
        return answer
    if isinstance(answer, list):
        return "; ".join(filter(None, map(_words, cast("list[object]", answer)[:5])))
    if not isinstance(answer, dict):
        return ""
    said = cast("dict[str, object]", answer)
    first = next((words for name in _WORDS if (words := _words(said.get(name)))), "")
    more = _words(said.get("errors"))
    if first or more:
        return ": ".join(filter(None, (first, more)))
    return "; ".join(f"{name} {words}" for name, inner in said.items() if (words := _words(inner)))
