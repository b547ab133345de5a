"""How a run ended, read from OpenCode's transcript. Pure: no network, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vibe_app.sidecar.wording import one_line
from vibe_app.wire import Failure, SidecarStatus, Usage

Json = Mapping[str, Any]

_BUSY_STATUSES = frozenset({408, 409, 425, 429})


class Verdict(NamedTuple):
    """A session's end: its final status and, when it failed, why in both senses."""

    status: SidecarStatus
    error: str | None = None
    failure: Failure | None = None

    @property
    def words(self) -> str:
        """The last line of the session's output."""
        if self.status is SidecarStatus.FAILED:
            return f"Session failed: {self.error}"
        return f"Session {self.status}"


COMPLETED = Verdict(SidecarStatus.COMPLETED)
CANCELLED = Verdict(SidecarStatus.CANCELLED)


def failed(failure: Failure, error: str) -> Verdict:
    """A failed end with its sentence."""
    return Verdict(SidecarStatus.FAILED, error, failure)


def judge(messages: Sequence[Json], stray_error: Json | None) -> Verdict | None:
    """Decide how an idle OpenCode session ended, or return None while its transcript is incomplete.

    Args:
        messages: The transcript of `GET /session/{id}/message`.
        stray_error: The last error that OpenCode reported for the session, for the
            cases in which it leaves none in the transcript (an unknown model).
    """
    last: Json = messages[-1]["info"] if messages else {}
    if last.get("role") != "assistant":
        return explain(stray_error) if stray_error else None
    if last.get("error"):
        return explain(last["error"])
    if not last.get("time", {}).get("completed"):
        return None
    finish = last.get("finish")
    if finish in ("stop", "length", "unknown", "other"):
        return COMPLETED
    if finish == "content-filter":
        return failed(Failure.PROVIDER_REFUSED, "The model provider's content filter stopped the answer.")
    if stray_error:
        return explain(stray_error)
    return failed(Failure.BROKEN, "The agent ended in the middle of its work, without a last answer.")


def explain(error: Json) -> Verdict:
    """Turn an error of OpenCode into a failed end with a sentence a person can act on."""
    data = error.get("data") or {}
    name = str(error.get("name", ""))
    message = one_line(str(data.get("message") or name or "no reason given"))
    status = data.get("statusCode")
    if name == "MessageAbortedError":
        return failed(Failure.BROKEN, "The run was stopped from outside the board.")
    if name == "ContextOverflowError":
        return failed(Failure.PROVIDER_REFUSED, f"The task is too long for the model's context: {message}")
    if name == "ProviderAuthError" or status in (401, 403):
        return failed(
            Failure.PROVIDER_REFUSED,
            f"The model provider refused the key ({status or name}: {message}). Check the model's API key.",
        )
    if name == "APIError":
        return _api_error(data, status, message)
    if "model not found" in message.lower():
        return failed(
            Failure.PROVIDER_REFUSED, f"OpenCode does not know the model: {message}. Check VIBE_MODEL."
        )
    return failed(Failure.BROKEN, f"The model's answer could not be used: {message}")


def _api_error(data: Json, status: int | None, message: str) -> Verdict:
    if status is None or status in _BUSY_STATUSES or status >= 500:
        if status is not None and data.get("isRetryable") is False:
            return failed(
                Failure.PROVIDER_REFUSED, f"The model provider refused the request ({status}): {message}"
            )
        shown = f" ({status})" if status else ""
        return failed(
            Failure.PROVIDER_BUSY,
            f"The model provider did not answer after several attempts{shown}: {message}",
        )
    return failed(Failure.PROVIDER_REFUSED, f"The model provider refused the request ({status}): {message}")


def usage_of(sessions: Sequence[Json]) -> Usage:
    """Add up what OpenCode sessions (a run's own and its sub-agents') consumed.

    Cached input counts as input and reasoning as output, as providers bill them.
    """
    total = Usage()
    for session in sessions:
        tokens = session.get("tokens") or {}
        cache = tokens.get("cache") or {}
        total.tokens_input += sum(
            int(part or 0) for part in (tokens.get("input"), cache.get("read"), cache.get("write"))
        )
        total.tokens_output += int(tokens.get("output") or 0) + int(tokens.get("reasoning") or 0)
        total.cost += float(session.get("cost") or 0)
    return total


def usage_words(usage: Usage) -> str:
    """Say what a run consumed."""
    cost = f"; cost ${usage.cost:.4f}" if usage.cost else ""
    return f"Tokens: {usage.tokens_input:,} in, {usage.tokens_output:,} out{cost}"
