"""What OpenCode's tools do, in words for people. Pure text, no state."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from vibe_app.shapes import shaped
from vibe_app.wire import MEMORY_NOTICE, plain_text
from vibe_app.workspace_services.sidecar.opencode_json import Request, Rule, Status, Todo, ToolState

_LONGEST_LINE = 300
_LONGEST_COMMAND = 2_000
_DIFF_COLOURS = {"+": "\x1b[32m", "-": "\x1b[31m", "@": "\x1b[36m"}
# The argument of each tool that says best what it is about.
_SUBJECTS: Mapping[str, str] = {
    "bash": "command",
    "read": "filePath",
    "write": "filePath",
    "edit": "filePath",
    "glob": "pattern",
    "grep": "pattern",
    "list": "path",
    "task": "description",
    "webfetch": "url",
    "websearch": "query",
    "skill": "name",
}
_PATHS = re.compile(r"(?<![\w./~-])(?:/|~/|\.\./)[^\s'\"|&;<>()`$]*")
# A shell says 128 and the number of the signal that ended a command. Others of these numbers have a
# meaning of their own to some programs: 129 is wrong usage to git.
_DEADLY = frozenset(
    {
        signal.SIGILL,
        signal.SIGABRT,
        signal.SIGBUS,
        signal.SIGFPE,
        signal.SIGKILL,
        signal.SIGSEGV,
        signal.SIGTERM,
    }
)
_TODO_MARKS: Mapping[str, str] = {"completed": "x", "in_progress": ">", "cancelled": "-"}


def one_line(text: str, limit: int = _LONGEST_LINE) -> str:
    """Return `text` as one printable line of at most `limit` characters."""
    line = " ".join(plain_text(text[: 4 * limit]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def relative(path: str, workspace: str) -> str:
    """Return a path as people in the workspace name it."""
    pure = PurePosixPath(path)
    return str(pure.relative_to(workspace)) if pure.is_relative_to(workspace) else path


def tool_start(name: str, arguments: Mapping[str, object], workspace: str) -> str:
    """Say which tool starts on what, for example `bash: ls -la`."""
    subject = str(arguments.get(_SUBJECTS.get(name, ""), "") or "")
    if _SUBJECTS.get(name) in ("filePath", "path") and subject:
        subject = relative(subject, workspace)
    return one_line(f"{name}: {within(subject, workspace)}" if subject else name)


def begun(name: str, arguments: Mapping[str, object], workspace: str) -> str:
    """Say which tool starts on what: as `tool_start`, but a command has the lines that it was written in."""
    command = str(arguments.get("command") or "")
    if name != "bash" or "\n" not in command.strip():
        return tool_start(name, arguments, workspace)
    text = plain_text(command[:_LONGEST_COMMAND]).strip("\n")
    more = "…" if len(command) > _LONGEST_COMMAND else ""
    return "bash: " + "\n".join(line.rstrip() for line in within(text, workspace).split("\n")) + more


def within(text: str, workspace: str) -> str:
    """Return a text with the paths of a workspace as people in it name them: never where it lies."""
    if workspace in ("", "/"):
        return text
    below = text.replace(f"{workspace}/", "")
    return re.sub(rf"{re.escape(workspace)}(?![\w.-])", ".", below)


def changed_file(name: str, state: ToolState, workspace: str) -> str:
    """Say which file a finished `write` or `edit` changed, or return an empty text."""
    path = str((state.get("input") or {}).get("filePath") or "")
    if name not in ("write", "edit") or not path:
        return ""
    created = name == "write" and (state.get("metadata") or {}).get("exists") is False
    return one_line(f"{'Created' if created else 'Changed'} {relative(path, workspace)}")


def tool_error(name: str, state: ToolState, workspace: str) -> str:
    """Return why a tool failed; a refusal by a permission rule names what was refused and the rule.

    The form of OpenCode's own sentence, a list of rules in JSON at its end, is that of version 1.18.33.
    """
    error = str(state.get("error") or "failed")
    if not error.startswith("The user has specified a rule which prevents"):
        return within(error, workspace)
    given = state.get("input") or {}
    what = str(given.get("path") or given.get(_SUBJECTS.get(name, ""), "") or "")
    rule = _refusing_rule(error)
    if rule.get("permission") != "external_directory":
        why = f" (rule: {rule.get('permission')} {rule.get('pattern')}: deny)" if rule else ""
        return f"{what or 'this call'} is not allowed by the rules of this workspace{why}"
    if name == "bash":
        what = ", ".join(_outside(what, str(given.get("workdir") or ""), workspace)) or what
    return one_line(
        f"{what} is outside the card's tree; agents may use files in it and below /tmp only "
        f"(rule: external_directory {rule.get('pattern')}: deny)"
    )


def _refusing_rule(error: str) -> Rule:
    """The rule that refused, which is the last denial among those that OpenCode lists."""
    try:
        rules = shaped(list[Rule], json.loads(error[error.index("[") :]))
    except (ValueError, RecursionError):
        return {}
    denials = [rule for rule in rules if rule.get("action") == "deny"]
    return denials[-1] if denials and denials[-1].keys() >= {"permission", "pattern"} else {}


def _outside(command: str, folder: str, workspace: str) -> list[str]:
    """The absolute paths in a command that lie outside the workspace."""
    found = [folder, *_PATHS.findall(command)]
    return [
        path
        for path in dict.fromkeys(found)
        if path and not PurePosixPath(path).is_relative_to(workspace) and not path.startswith("/tmp/")
    ]


def command_end(state: ToolState) -> tuple[str, bool]:
    """Say how a finished bash command ended, and whether that is an error; nothing where it went well."""
    code, output = (state.get("metadata") or {}).get("exit"), state.get("output") or ""
    if code is None:
        late = "exceeding timeout" in output[-600:]
        return "bash: stopped" + " at its time limit" * late, late
    if not code:
        return "", False
    if code - 128 not in _DEADLY:
        return f"bash: exit status {code}", True
    name = signal.Signals(code - 128).name
    why = " by the memory limit" if name == "SIGKILL" and MEMORY_NOTICE in output[-200:] else ""
    return f"bash: was killed{why} ({name})", True


def coloured_diff(diff: str, workspace: str) -> str:
    """Return an edit's diff as people read it: coloured, without the server's paths."""
    made, head = list[str](), True
    for line in diff.split("\n"):
        head = head and not line.startswith("@@")
        if head and (line.startswith(("Index: ", "===")) or not line):
            continue
        if head and line.startswith(("--- ", "+++ ")):
            mark, path = line[:4], line[4:].partition("\t")[0]
            made.append(f"\x1b[90m{mark}{relative(path, workspace)}\x1b[0m")
        elif colour := _DIFF_COLOURS.get(line[:1]):
            made.append(f"{colour}{line}\x1b[0m")
        else:
            made.append(line)
    return "\n".join(made)


def tool_result(name: str, state: ToolState, workspace: str) -> str:
    """Return what a finished tool other than bash has to show."""
    metadata = state.get("metadata") or {}
    if name == "write":
        return ""
    if name == "edit":
        return coloured_diff(metadata.get("diff") or "", workspace)
    if name == "read":
        more = "\n…" if metadata.get("truncated") else ""
        return (metadata.get("preview") or "") + more
    if name == "todowrite":
        given = (state.get("input") or {}).get("todos")
        return _todos(metadata.get("todos") or shaped(list[Todo], given))
    output = state.get("output") or ""
    if name == "task":
        return output.partition("<task_result>\n")[2].partition("\n</task_result>")[0] or output
    return within(output, workspace) if name in ("glob", "grep", "list") else output


def _todos(todos: Sequence[Todo]) -> str:
    return "\n".join(
        f"[{_TODO_MARKS.get(todo.get('status', ''), ' ')}] {todo.get('content', '')}" for todo in todos
    )


def retry(status: Status, now_ms: float) -> str:
    """Say that the model is asked again, why and when."""
    wait = max(0, round((status.get("next", 0) - now_ms) / 1000))
    reason = one_line(status.get("message") or "no reason given", 160)
    attempt = status.get("attempt")
    return f"The model did not answer ({reason}); trying again in {wait} s (attempt {attempt} failed)"


def request(kind: str, properties: Request) -> str:
    """Say that OpenCode asked for something, and that nobody was asked."""
    if kind == "question":
        questions = " / ".join(question.get("question", "") for question in properties.get("questions") or [])
        return one_line(
            f"The agent asked: {questions} (nobody can be asked during a run; it decides by itself)"
        )
    what = " ".join([properties.get("permission", ""), *(properties.get("patterns") or [])])
    return one_line(f"InvalidRequest: {what} (nobody can be asked for permission during a run)")
