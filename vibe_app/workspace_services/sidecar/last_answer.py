"""What the last words of an agent are: an answer, a question, or a call that was never made.

Pure text. How models write a call as text, where their endpoint does not turn it into one, is what
the chat templates of Hermes, Qwen, Llama, Mistral, DeepSeek, Kimi and the Anthropic models have.
"""

from __future__ import annotations

import json
import re
from typing import TypedDict

from vibe_app.shapes import shaped

_NAMES = "apply_patch|bash|edit|glob|grep|list|question|read|skill|task|todowrite|webfetch|websearch|write"
TOOLS = frozenset(_NAMES.split("|"))
"""The tools that OpenCode offers to a model: a call of anything else is only an example."""

_END = 8_000
"""Characters of an answer that are looked at: its end."""
_OPENED = re.compile(
    # <tool_call>{"name": "bash", …, <function=bash>…, <invoke name="bash">…, with or without their ends.
    rf"<(?:[a-z]+:)?(?:function=|invoke\s+name=|function\s+name=)[\"']?(?P<tag>{_NAMES})\b"
    rf"|<tool_call>\s*(?:\{{.{{0,80}}?\"name\"\s*:\s*\"(?P<json>{_NAMES})\"|(?P<bare>{_NAMES})\b)"
    # The marks that templates put before a call; no text has them.
    r"|(?P<mark>\[TOOL_CALLS\]|<\|tool_calls?(?:_section)?_begin\|>|<｜tool▁calls?▁begin｜>|<\|python_tag\|>)",
    re.DOTALL,
)
_CLOSING = re.compile(r"(?:</?[\w:=|▁｜-]+(?:\s[^<>]*)?>|<\|[^<>]*\|>|<｜[^<>]*｜>|```|\s)*\Z")
_FENCED = re.compile(r"^[ \t]*(`{3,}|~{3,})[^\n]*\n(.*?)^[ \t]*\1[`~]*[ \t]*$", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"^\s*(?:[-*+•]|\(?\w{1,2}[.)])\s+\S")
_SENTENCES = re.compile(r"(?<=[.!?…？！。؟])[\"'”’)*_`]*\s+")
_REQUEST = re.compile(r"(?:please|let me know|tell me|just (?:say|tell|let)|reply|confirm)\b", re.IGNORECASE)
_MARKUP = "*_`\"'”’)»> \t"


class _Wrapped(TypedDict, total=False):
    function: dict[str, object]


def unmade_call(text: str) -> str:
    """Return the tool that an answer calls in words at its end, or an empty text.

    A call in the middle of an answer, or in a fenced block before further words, is an example.
    """
    text = text[-_END:].rstrip()
    for found in _OPENED.finditer(_FENCED.sub(lambda block: " " * len(block.group()), text)):
        rest = text[found.end() :]
        name = next((value for key, value in found.groupdict().items() if value and key != "mark"), "a tool")
        if found.group("mark") or _is_over_with_the_call(rest):
            return name
    return _call_in_json(text)


def _is_over_with_the_call(rest: str) -> bool:
    """Tell whether nothing but the rest of the call follows: its arguments, and at most its closing tags."""
    last_tag = max(rest.rfind("</function>"), rest.rfind("</tool_call>"), rest.rfind("</invoke>"))
    if last_tag < 0:
        last_tag = max((found.start() for found in re.finditer(r"</[\w:]*invoke>", rest)), default=-1)
    return last_tag < 0 or _CLOSING.match(rest, last_tag) is not None


def _call_in_json(text: str) -> str:
    """Return the tool that a JSON object at the very end of a text calls."""
    bare = re.sub(r"\n?[ \t]*`{3,}[ \t]*\Z", "", text).rstrip()
    if not bare.endswith("}"):
        return ""
    for start in [found.start() for found in re.finditer(r"^[ \t]*\{", bare, re.MULTILINE)][-8:]:
        try:
            found = json.loads(bare[start:])
        except (ValueError, RecursionError):
            continue
        call = shaped(_Wrapped, found).get("function") or shaped(dict[str, object], found)
        name = call.get("name") or call.get("tool") or call.get("tool_name")
        arguments = next(
            (call[key] for key in ("arguments", "parameters", "input", "args") if key in call), None
        )
        if isinstance(name, str) and name in TOOLS and isinstance(arguments, (dict, str)):
            return name
    return ""


def asks(text: str) -> bool:
    """Tell whether an answer ends with a question to whoever reads it.

    The choices that a question offers may follow it as a list, and a request to answer it may.
    """
    lines = [line for line in _FENCED.sub("", text[-_END:]).splitlines() if line.strip()]
    while lines and _ITEM.match(lines[-1]) and not _is_question(lines[-1]):
        lines.pop()
    if not lines:
        return False
    sentences = [part for part in _SENTENCES.split(lines[-1].strip()) if part.strip(_MARKUP)]
    if len(sentences) == 1 and len(lines) > 1 and _REQUEST.match(sentences[0].lstrip(_MARKUP)):
        return _is_question(lines[-2]) or asks("\n".join(lines[:-1]))
    if len(sentences) > 1 and _REQUEST.match(sentences[-1].lstrip(_MARKUP)):
        sentences.pop()
    return bool(sentences) and _is_question(sentences[-1])


def _is_question(sentence: str) -> bool:
    return sentence.rstrip(_MARKUP).endswith(("?", "？", "؟"))
