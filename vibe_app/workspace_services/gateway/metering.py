"""Reads a provider's own figures of usage out of the bytes of its answer, which pass by untouched.

Kinds of tokens are made disjoint here, since each provider counts in its own way: OpenAI's and Google's
input holds what came from a cache, Anthropic's does not; OpenAI's output holds the reasoning, Google's
does not (platform.openai.com/docs/api-reference, docs.anthropic.com/en/api/messages-streaming,
ai.google.dev/api/generate-content#UsageMetadata).
"""

from __future__ import annotations

import json
from typing import Any, cast

from vibe_app.wire import number
from vibe_app.wire.gateway import Dialect, Tokens

_LONGEST_LINE = 4 * 1024 * 1024
_LONGEST_JSON = 16 * 1024 * 1024

Json = dict[str, Any]


class Meter:
    """Watches one answer.

    Args:
        dialect: The form of the provider's interface.
        content_type: What the answer says that it is.

    Attributes:
        tokens: The figures so far.
        seen: Whether there were any.
        final: Whether the provider has said its last word: they are the whole answer's.
    """

    def __init__(self, dialect: Dialect, content_type: str) -> None:
        self.tokens = Tokens()
        self.seen = self.final = False
        self._dialect = dialect
        self._streamed = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        self._rest = b""
        self._lost = False
        self._anthropic: Json = {}

    def feed(self, piece: bytes) -> None:
        """Take the next bytes."""
        if not self._streamed:
            self._collect(piece)
            return
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            self._rest = b""
        for line in lines:
            self._line(line)

    def end(self) -> None:
        """Nothing comes any more, and the answer is whole."""
        if self._streamed:
            self._line(self._rest)
        elif not self._lost:
            found = _json(self._rest)
            for each in cast(list[Any], found) if isinstance(found, list) else [found]:
                self._take(each)
        self._rest = b""
        self.final = True

    def _collect(self, piece: bytes) -> None:
        self._lost = self._lost or len(self._rest) + len(piece) > _LONGEST_JSON
        self._rest = b"" if self._lost else self._rest + piece

    def _line(self, line: bytes) -> None:
        if not line.startswith(b"data:"):
            return
        data = line[5:].strip()
        if data == b"[DONE]":
            self.final = True
        elif b'"usage' in data or (self._dialect == "anthropic" and b'"message_stop"' in data):
            self._take(_json(data))

    def _take(self, found: Any) -> None:
        if not isinstance(found, dict):
            return
        event = cast(Json, found)
        if self._dialect == "anthropic":
            self._take_anthropic(event)
        elif self._dialect == "google":
            self._take_google(event.get("usageMetadata"))
        else:
            self._take_openai(event)

    def _take_openai(self, event: Json) -> None:
        response, groq = event.get("response"), event.get("x_groq")
        for holder in (response, groq, event):
            usage = cast(Json, holder).get("usage") if isinstance(holder, dict) else None
            if isinstance(usage, dict):
                self._found(_openai(cast(Json, usage)))
                # The Responses API says it in its last event, which has no [DONE] behind it.
                self.final = self.final or holder is response
                return

    def _take_anthropic(self, event: Json) -> None:
        if event.get("type") == "message_stop":
            self.final = True
            return
        message = event.get("message")
        usage = (cast(Json, message) if isinstance(message, dict) else event).get("usage")
        if not isinstance(usage, dict):
            return
        # Each event tells the sums so far, and only those that changed.
        self._anthropic |= {name: value for name, value in cast(Json, usage).items() if value is not None}
        known = self._anthropic
        self._found(
            Tokens(
                input=number(known.get("input_tokens")),
                output=number(known.get("output_tokens")),
                cache_read=number(known.get("cache_read_input_tokens")),
                cache_write=number(known.get("cache_creation_input_tokens")),
            )
        )

    def _take_google(self, usage: Any) -> None:
        if not isinstance(usage, dict):
            return
        known = cast(Json, usage)
        cached = number(known.get("cachedContentTokenCount"))
        prompt = number(known.get("promptTokenCount")) + number(known.get("toolUsePromptTokenCount"))
        self._found(
            Tokens(
                input=max(prompt - cached, 0),
                output=number(known.get("candidatesTokenCount")),
                reasoning=number(known.get("thoughtsTokenCount")),
                cache_read=cached,
            )
        )

    def _found(self, tokens: Tokens) -> None:
        self.tokens, self.seen = tokens, True


def _openai(usage: Json) -> Tokens:
    """Read the usage of chat completions, or of responses."""
    inner = _object(usage.get("prompt_tokens_details") or usage.get("input_tokens_details"))
    outer = _object(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    given = number(usage.get("prompt_tokens") or usage.get("input_tokens"))
    made = number(usage.get("completion_tokens") or usage.get("output_tokens"))
    # DeepSeek says `prompt_cache_hit_tokens`; OpenRouter tells what was written as well.
    read = number(inner.get("cached_tokens") or usage.get("prompt_cache_hit_tokens"))
    wrote = number(inner.get("cache_write_tokens"))
    reasoning = number(outer.get("reasoning_tokens"))
    # xAI counts reasoning beside the completion; the total tells it.
    beside = reasoning > 0 and number(usage.get("total_tokens")) == given + made + reasoning
    return Tokens(
        input=max(given - read - wrote, 0),
        output=made if beside else max(made - reasoning, 0),
        reasoning=reasoning if beside else min(reasoning, made),
        cache_read=min(read, given),
        cache_write=wrote,
    )


def _object(value: Any) -> Json:
    return cast(Json, value) if isinstance(value, dict) else {}


def _json(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None
