"""How a run ended, read from OpenCode's transcript. Pure: no network, no clock."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from vibe_app.disk import means_full
from vibe_app.shapes import shaped
from vibe_app.wire import Failure, SidecarStatus, Usage, number, plain_text
from vibe_app.workspace_services.sidecar.last_answer import asks, unmade_call
from vibe_app.workspace_services.sidecar.opencode_json import (
    Error,
    ErrorData,
    GatewayRefusal,
    Message,
    MessageInfo,
    Part,
    SessionInfo,
)
from vibe_app.workspace_services.sidecar.wording import one_line

_BUSY_STATUSES = frozenset({408, 409, 425, 429})
# The words and codes of OpenAI, Anthropic, Google, OpenRouter, DeepSeek and xAI.
_FINAL = re.compile(
    r"insufficient[_ ](?:quota|credits?|balance|funds)|exceeded your current quota"
    r"|billing[_ ](?:hard|error|not)|billing details|check your (?:plan|billing)"
    r"|credit balance is too low|out of credits|payment required"
    r"|(?:requires more|used all available|purchase more|add more) credits|(?:spending|spend|key) limit"
    r"|specified API usage limits|(?:incorrect|invalid)[_ ]api[_ ]key|API key (?:not valid|expired)"
    r"|account[_ ](?:is[_ ])?(?:deactivated|suspended|disabled)|enable billing",
    re.IGNORECASE,
)
_SOON = re.compile(r"retry in \d|retryDelay|per ?minute|try again in \d", re.IGNORECASE)
# What Effect, on which OpenCode is built, calls the end of work that nobody asked to end and in which nothing
# failed: its `Cause` holds interruptions alone (https://effect.website/docs/data-types/cause).
_INTERRUPTED = "All fibers interrupted without error"
_SAID = ("stop", "length", "other", "unknown")
_KEPT = "What it changed so far is kept in the workspace."
_CUT = (
    f"The last answer was cut off at the model's length limit. {_KEPT} "
    "Split the task into smaller ones, or choose a model that may answer at greater length."
)
_EMPTY = f"The agent ended without a word: its last answer is empty. {_KEPT}"
_FILTERED = (
    "The model provider's content filter stopped the answer. "
    "Put the task in other words, or choose another model."
)


class Verdict(NamedTuple):
    """A session's end: its final status and, when it failed, why in both senses.

    `asking` tells of one that completed that its last answer ends with a question,
    `retry_at` of one that failed as `provider_wait` when it is worth trying again.
    """

    status: SidecarStatus
    error: str | None = None
    failure: Failure | None = None
    asking: bool = False
    retry_at: datetime | None = None

    @property
    def words(self) -> str:
        """The last line of the session's output."""
        if self.status is SidecarStatus.FAILED:
            return f"Session failed: {self.error}"
        return f"Session {self.status}"


CANCELLED = Verdict(SidecarStatus.CANCELLED)
DISK_FULL = Verdict(
    SidecarStatus.FAILED,
    "The workspace's disk is full, and the agent could not go on. What it wrote so far is kept. "
    "Free some space, then execute the task again.",
    Failure.DISK_FULL,
)


def failed(failure: Failure, error: str) -> Verdict:
    """A failed end with its sentence."""
    return Verdict(SidecarStatus.FAILED, error, failure)


BROKEN_OFF = failed(Failure.AGENT_LOST, "OpenCode broke off by itself what it was doing.")
"""The end of a run in which OpenCode interrupted its own work: neither the model nor anybody else did."""


def unwritable(error: OSError) -> Verdict:
    """End a run whose output cannot be written."""
    if means_full(error):
        return DISK_FULL
    return failed(
        Failure.BROKEN,
        f"The session's output cannot be written to the workspace ({error.strerror}). "
        "The output so far is kept.",
    )


def judge(messages: Sequence[Message], stray_error: Error | None) -> Verdict | None:
    """Decide how an idle OpenCode session ended, or return None while its transcript is incomplete.

    Only an agent that has said that it is done has completed: a last answer with words in it,
    which its model ended by itself and in which no call waits.

    Args:
        messages: The transcript of `GET /session/{id}/message`.
        stray_error: The last error that OpenCode reported for the session, for the
            cases in which it leaves none in the transcript (an unknown model).
    """
    last: MessageInfo = messages[-1].get("info") or {} if messages else {}
    if last.get("role") != "assistant":
        return None if stray_error is None else explain(stray_error)
    if (error := last.get("error")) is not None:
        return explain(error)
    if not (last.get("time") or {}).get("completed"):
        return None
    if stray_error is not None and last.get("finish") not in _SAID:
        return explain(stray_error)
    return _judge_answer(last.get("finish"), messages[-1].get("parts") or [])


def _judge_answer(finish: str | None, parts: Sequence[Part]) -> Verdict:
    """Decide by the last answer, of which it is known that it is complete."""
    said = "\n".join(str(part.get("text") or "") for part in parts if part.get("type") == "text").strip()
    call = next((str(part.get("tool")) for part in parts if _is_open_call(part)), "") or unmade_call(said)
    if finish == "length":
        return failed(Failure.BROKEN, _CUT)
    if finish == "content-filter":
        return failed(Failure.PROVIDER_REFUSED, _FILTERED)
    if finish not in _SAID:
        return failed(Failure.BROKEN, "The agent ended in the middle of its work, without a last answer.")
    if call:
        return failed(
            Failure.BROKEN,
            f"The last answer ends with a call of {call} that was never made: what the agent wanted to do "
            "with it is not done. Choose a model and an endpoint that support tool calls.",
        )
    if not said:
        return failed(Failure.BROKEN, _EMPTY)
    if finish != "stop":
        return failed(
            Failure.BROKEN, f"The model's last answer was broken off by its provider ({finish}). {_KEPT}"
        )
    return Verdict(SidecarStatus.COMPLETED, asking=asks(said))


def _is_open_call(part: Part) -> bool:
    state = part.get("state") or {}
    return part.get("type") == "tool" and state.get("status") in ("pending", "running")


def explain(error: Error) -> Verdict:
    """Turn an error of OpenCode into a failed end with a sentence a person can act on."""
    data = error.get("data") or {}
    name = str(error.get("name", ""))
    message = one_line(str(data.get("message") or name or "no reason given"))
    status = data.get("statusCode")
    if status == 402 and (refused := _by_the_gateway(data)) is not None:
        return refused
    if name == "APIError" and (status == 402 or is_final(f"{message} {data.get('responseBody') or ''}")):
        return out_of_credit(f"{status}: {message}" if status else message)
    if name == "MessageAbortedError":
        return failed(Failure.BROKEN, "The run was stopped from outside the board.")
    if name == "ContentFilterError":
        return failed(Failure.PROVIDER_REFUSED, _FILTERED)
    if name == "ContextOverflowError":
        return failed(Failure.PROVIDER_REFUSED, f"The task is too long for the model's context: {message}")
    if name == "ProviderAuthError" or status in (401, 403):
        return failed(
            Failure.PROVIDER_REFUSED,
            f"The model provider refused the key ({status or name}: {message}). Check the model's API key.",
        )
    if name == "APIError":
        return _api_error(data, status, message)
    if _INTERRUPTED in message:
        return BROKEN_OFF
    if "model not found" in message.lower():
        return failed(
            Failure.PROVIDER_REFUSED, f"OpenCode does not know the model: {message}. Check VIBE_MODEL."
        )
    return failed(Failure.BROKEN, f"The model's answer could not be used: {message}")


def _by_the_gateway(data: ErrorData) -> Verdict | None:
    """Return the end of a run that its workspace's gateway refused; None where the provider did."""
    try:
        refusal = shaped(GatewayRefusal, json.loads(data.get("responseBody") or ""))
    except (ValueError, RecursionError):
        return None
    sentence = one_line((refusal.get("error") or {}).get("message") or "")
    match refusal.get("code"):
        case Failure.BUDGET_EXHAUSTED:
            return failed(Failure.BUDGET_EXHAUSTED, sentence or "A limit of this session is reached.")
        case "come_back_later":
            try:
                moment = datetime.fromisoformat(refusal.get("retry_at") or "")
            except ValueError:
                return None
            moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
            return wait_until(moment, sentence)
        case _:
            return None


def wait_until(moment: datetime, message: str) -> Verdict:
    """The end of an attempt whose provider wants to be asked again at a moment."""
    return Verdict(
        SidecarStatus.FAILED,
        f"The model's provider lets it wait until {moment:%H:%M} UTC ({message.rstrip('.')}).",
        Failure.PROVIDER_WAIT,
        retry_at=moment,
    )


def is_final(words: str) -> bool:
    """Tell whether a provider's words mean that waiting cannot help, whatever the status was.

    A quota that comes back by itself is not meant: Google says "exceeded your current quota" of one
    for a minute as well, and then when to retry.
    """
    return _FINAL.search(words) is not None and ("limit: 0" in words or _SOON.search(words) is None)


def out_of_credit(message: str) -> Verdict:
    """The end of a run for which the provider wants money or another key."""
    return failed(
        Failure.PROVIDER_REFUSED,
        f"The model provider's credit or quota is used up, or its key is not good for this ({message}). "
        "See to the provider's account or key, then execute the task again.",
    )


def _api_error(data: ErrorData, status: int | None, message: str) -> Verdict:
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


def usage_of(sessions: Sequence[SessionInfo]) -> Usage:
    """Add up what OpenCode sessions (a run's own and its sub-agents') consumed.

    Cached input counts as input and reasoning as output, as providers bill them.
    """
    read = written = 0
    cost = 0.0
    for session in sessions:
        tokens = session.get("tokens") or {}
        cache = tokens.get("cache") or {}
        read += sum(number(part) for part in (tokens.get("input"), cache.get("read"), cache.get("write")))
        written += number(tokens.get("output")) + number(tokens.get("reasoning"))
        cost += session.get("cost") or 0
    return Usage(tokens_input=read, tokens_output=written, cost=cost)


def since(spent: Usage, usage: Usage) -> Usage:
    """Return what was consumed beyond what had been before."""
    return Usage(
        tokens_input=usage.tokens_input - spent.tokens_input,
        tokens_output=usage.tokens_output - spent.tokens_output,
        cost=max(usage.cost - spent.cost, 0.0),
    )


def last_words(messages: Sequence[Message], limit: int) -> str:
    """Return what an agent said last, as Markdown that is safe to show.

    Args:
        messages: The transcript.
        limit: Bytes of it at most.
    """
    for message in reversed(messages):
        info, parts = message.get("info") or {}, message.get("parts") or []
        said = "\n\n".join(part.get("text") or "" for part in parts if part.get("type") == "text").strip()
        if info.get("role") == "assistant" and info.get("summary") is not True and said:
            return plain_text(said).encode()[:limit].decode(errors="ignore")
    return ""


def usage_words(usage: Usage) -> str:
    """Say what a run consumed."""
    cost = f"; cost ${usage.cost:.4f}" if usage.cost else ""
    return f"Tokens: {usage.tokens_input:,} in, {usage.tokens_output:,} out{cost}"
