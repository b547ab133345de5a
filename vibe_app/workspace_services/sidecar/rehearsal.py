"""The rehearsal model: what the agent says and does when no AI provider is configured. Pure.

It plays a language model for the real OpenCode: from the conversation so far it decides
the next answer, always the same for the same conversation. It looks around, writes the
file that the task names, checks it and sums up, and says plainly what it is. Told to bring another branch
in (`git merge origin/main`), or what was fetched (`git merge --no-ff FETCH_HEAD`), it does, and keeps both
sides of what conflicts.

A task may also direct it, one line each, in plain words; the steps are played in order:

    rehearse: say <text>                        stream the text (or a JSON string) as the answer
    rehearse: print 3000 lines at 200 per second   (without a rate: as fast as they go)
    rehearse: run <command>                     call bash
    rehearse: call <tool> <JSON arguments>      call any tool
    rehearse: beside <tool> <JSON arguments>    call it together with the one before
    rehearse: fail 429 [2 times]                answer with that HTTP status
    rehearse: hang                              say a word, then nothing more
    rehearse: rubbish                           send what is not JSON
    rehearse: cut [2 times]                     break the connection in the middle

`vibe_app.workspace_services.sidecar.rehearsal_api` serves it over HTTP.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vibe_app.shapes import shaped

NAME = "rehearsal"
_HELLO = "This is the rehearsal model: no AI provider is configured, so a script plays the agent. "
_FILE = re.compile(
    r"(?<![\w/.-])((?:[\w-][\w.-]*/)*[\w-][\w.-]*"
    r"\.(?:md|txt|py|json|html|css|js|ts|sh|ya?ml|toml|csv|sql|rs|go|java|c|h|cpp|rb))(?![\w/-])"
)
_FETCH = re.compile(r"`git fetch (origin refs/remotes/(origin/[\w./+-]+))`")
_MERGE = re.compile(r"`git merge (origin/[\w./+-]+|--no-ff FETCH_HEAD)`")
_DIRECTIVE = re.compile(r"^\s*rehearse:\s*(.+?)\s*$", re.MULTILINE | re.IGNORECASE)
# Files that people name by their purpose.
_WORDS: Mapping[str, str] = {
    "readme": "README.md",
    "changelog": "CHANGELOG.md",
    "contributing": "CONTRIBUTING.md",
    "hello world": "hello.py",
}
_COMMENTS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys(("py", "sh", "yaml", "yml", "toml", "rb"), ("# ", "")),
    **dict.fromkeys(("js", "ts", "rs", "go", "java", "c", "h", "cpp"), ("// ", "")),
    "css": ("/* ", " */"),
    "sql": ("-- ", ""),
    "html": ("<!-- ", " -->"),
}


@dataclass(frozen=True)
class Lines:
    """Numbered lines to print; `per_second` 0 is as fast as they go."""

    count: int
    per_second: float = 0


@dataclass(frozen=True)
class Answer:
    """One answer of the model: texts, then at most one tool call, or a way to go wrong."""

    texts: tuple[str | Lines, ...] = ()
    tool: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: tuple[Answer, ...] = ()
    """Further tool calls of the same answer."""
    status: int = 0
    times: int = 0
    """How often a `status` or `fault` is played before the model answers; 0 is always."""
    fault: str = ""
    """`hang`, `rubbish` or `cut`, after the texts."""

    joins: bool = False
    """Whether it belongs to the answer before."""

    @property
    def only_text(self) -> bool:
        """Whether the agent would take it for its last word, since it asks for nothing."""
        return not (self.tool or self.status or self.fault)


def answer(messages: Sequence[Mapping[str, Any]]) -> Answer:
    """Decide the next answer in a conversation (the `messages` of a chat completion)."""
    system = next((_text(message) for message in messages if message.get("role") == "system"), "")
    if system.startswith("You are a title generator"):
        return Answer(("Rehearsal",))
    last = max((index for index, message in enumerate(messages) if message.get("role") == "user"), default=-1)
    task = _text(messages[last]) if last >= 0 else ""
    since = messages[last + 1 :]
    turn = sum(message.get("role") == "assistant" for message in since)
    results = [_text(message) for message in since if message.get("role") == "tool"]
    if not (directives := _DIRECTIVE.findall(task)):
        fetch, merge = _FETCH.search(task), _MERGE.search(task)
        if merge is None:
            return _story(task, turn, results)
        fetched, branch = (fetch[1], fetch[2]) if fetch else ("origin", merge[1])
        return _merging(fetched, branch, merge[1], turn)
    steps = _steps(map(_directive, directives))
    return steps[turn] if turn < len(steps) else Answer(("The rehearsal is over.",))


def _steps(answers: Iterable[Answer]) -> list[Answer]:
    """Put texts before the tool call that follows them: an answer of text alone would end the run."""
    steps: list[Answer] = []
    for step in answers:
        if steps and steps[-1].only_text:
            step = replace(step, texts=(*steps.pop().texts, *step.texts))
        if steps and step.joins:
            step = replace(steps[-1], beside=(*steps.pop().beside, step))
        steps.append(step)
    return steps


def _text(message: Mapping[str, Any]) -> str:
    content: object = message.get("content")
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in shaped(list[dict[str, object]], content))


def _directive(words: str) -> Answer:
    verb, _, rest = words.partition(" ")
    verb, rest = verb.lower(), rest.strip()
    if verb == "say":
        return Answer((_unquoted(rest) + "\n",))
    if verb == "print" and (found := re.match(r"(\d+) lines?(?: at (\d+))?", rest)):
        return Answer((Lines(int(found[1]), float(found[2] or 0)),))
    if verb == "run" and rest:
        return _bash(rest)
    if verb == "call" and (found := re.match(r"(\w+)\s+(\{.*\})$", rest)):
        return Answer(tool=found[1], arguments=_json(found[2]))
    if verb == "beside" and (found := re.match(r"(\w+)\s+(\{.*\})$", rest)):
        return Answer(tool=found[1], arguments=_json(found[2]), joins=True)
    if verb == "fail" and (found := re.match(r"(\d{3})(?: (\d+) times?)?", rest)):
        return Answer(status=int(found[1]), times=int(found[2] or 0))
    if verb in ("hang", "rubbish", "cut"):
        found = re.match(r"(\d+) times?", rest)
        return Answer(("part",), fault=verb, times=int(found[1]) if found else 0)
    return Answer((f"The rehearsal model does not understand: {words}",))


def _unquoted(text: str) -> str:
    if text.startswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _json(text: str) -> dict[str, Any]:
    try:
        return shaped(dict[str, object], json.loads(text))
    except (ValueError, RecursionError):
        return {}


def _bash(command: str, why: str = "Rehearsal") -> Answer:
    return Answer(tool="bash", arguments={"command": command, "description": why})


def _story(task: str, turn: int, results: Sequence[str]) -> Answer:
    """Look around, write, check, sum up: one step for each turn."""
    path = target(task)
    listing = [line for line in (results[0] if results else "").splitlines() if _is_name(line)]
    exists = path in listing
    if turn == 0:
        look = _bash(
            "git ls-files --cached --others --exclude-standard 2>/dev/null | head -50", "Look around"
        )
        return replace(look, texts=(_HELLO, "I start by looking around the workspace.\n"))
    if turn == 1:
        count = "is 1 file" if len(listing) == 1 else f"are {len(listing)} files"
        said = f"There {count} here. " if listing else "The workspace is empty. "
        if exists:
            addition = _bash(
                f"cat >> {path} <<'REHEARSAL'\n{_addition(path, task)}REHEARSAL", f"Add to {path}"
            )
            return replace(addition, texts=(f"{said}{path} exists, so I add to its end.\n",))
        arguments = {"filePath": path, "content": content(path, task, listing)}
        return Answer((f"{said}I write {path}.\n",), "write", arguments)
    if turn == 2:
        return replace(_bash(_check(path), f"Check {path}"), texts=(f"Now I check {path}.\n",))
    done = f"added to {path}" if exists else f"written {path}"
    return Answer(
        (
            f"Done: I looked around the workspace, have {done} and checked it.\n",
            "I am only the rehearsal model, so the words in it are a sample. ",
            "Configure an AI provider (VIBE_MODEL) to have the task done in earnest.",
        )
    )


def _merging(fetched: str, branch: str, merged: str, turn: int) -> Answer:
    """Bring a branch in, keep both sides of what conflicts, finish: one step for each turn."""
    if turn == 0:
        kept = "git add --all && git commit --quiet --message 'What I have so far'"
        bring = _bash(f"{kept}; git fetch {fetched} && git merge --no-edit {merged}", f"Bring {branch} in")
        return replace(bring, texts=(_HELLO, f"I commit what I have, and bring {branch} in.\n"))
    if turn == 1:
        solve = _bash(
            "git diff --name-only --diff-filter=U | while read -r file; do\n"
            "  sed '/^<<<<<<< /d; /^=======$/d; /^>>>>>>> /d' \"$file\" > .git/solved\n"
            '  cat .git/solved > "$file"\n'
            "done\n"
            "git diff",
            "Keep both sides",
        )
        return replace(solve, texts=("Where two have changed the same lines I keep what both wrote.\n",))
    if turn == 2:
        finish = _bash(
            "git add --all && git commit --no-edit; git status --short --branch", "Finish the merge"
        )
        return replace(finish, texts=("Now I finish the merge.\n",))
    return Answer(
        (
            f"Done: {branch} is in, and of lines that two have changed both versions stand.\n",
            "I am only the rehearsal model: whether they make sense together is for you to see.",
        )
    )


def _is_name(line: str) -> bool:
    return bool(line.strip()) and line != "(no output)" and not line.startswith(("<", "fatal:"))


def target(task: str) -> str:
    """The file that a task names: a relative path, or the usual name of what it speaks of."""
    for found in _FILE.finditer(task):
        if ".." not in found[1].split("/"):
            return found[1]
    lowered = task.lower()
    return next((path for word, path in _WORDS.items() if word in lowered), "NOTES.md")


def _summary(task: str) -> str:
    first = next((line.strip("#* \t") for line in task.splitlines() if line.strip("#* \t")), "a task")
    return first if len(first) <= 100 else first[:99] + "…"


def content(path: str, task: str, listing: Sequence[str]) -> str:
    """A modest first version of a file, made of the task's words and what lies in the workspace."""
    stem, _, kind = path.rpartition("/")[2].rpartition(".")
    summary = _summary(task)
    note = "A sample by Vibe's rehearsal model."
    if kind == "md":
        files = "".join(f"- `{name}`\n" for name in listing[:20]) or "Nothing yet.\n"
        return f"# {stem}\n\n{note}\n\n## Task\n\n> {summary}\n\n## Files in this project\n\n{files}"
    if kind == "json":
        return json.dumps({"name": stem, "task": summary, "note": note}, indent=2, ensure_ascii=False) + "\n"
    if kind == "html":
        title, shown = html.escape(stem), html.escape(summary)
        return (
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
            f"<h1>{title}</h1>\n<p>{shown}</p>\n<!-- {note} -->\n</html>\n"
        )
    if kind == "py":
        return (
            f"# {note}\n# Task: {summary}\n\n\ndef main() -> None:\n"
            f'    print("Hello from {path}")\n\n\nif __name__ == "__main__":\n    main()\n'
        )
    if kind == "sh":
        return f"#!/bin/sh\n# {note}\n# Task: {summary}\necho 'Hello from {path}'\n"
    return _addition(path, task, note)


def _addition(path: str, task: str, note: str = "Added by Vibe's rehearsal model.") -> str:
    kind = path.rpartition(".")[2]
    if kind == "md":
        return f"\n## {_summary(task)}\n\n{note}\n"
    before, after = _COMMENTS.get(kind, ("", ""))
    return f"{before}{note}{after}\n{before}Task: {_summary(task)}{after}\n"


def _check(path: str) -> str:
    if path.endswith(".py"):
        return f"python3 -m py_compile {path} && echo '{path} compiles' && wc -l {path}"
    if path.endswith(".json"):
        return f"python3 -m json.tool {path} > /dev/null && echo '{path} is valid JSON' && wc -l {path}"
    return f"wc -l {path} && head -n 12 {path}"


def pieces(text: str, size: int = 24) -> Iterator[str]:
    """Cut a text into the small pieces in which a model streams it."""
    for start in range(0, len(text), size):
        yield text[start : start + size]
