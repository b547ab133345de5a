"""What the agent is told of a change and of comments on it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

_MOST_FILES = 200


class _Comment(Protocol):
    path: str
    side: str
    line: int
    line_end: int
    quote: str
    body: str


def follow_up_prompt(message: str, comments: Sequence[_Comment]) -> str:
    """Return the text of a follow-up: what a person wrote, and their comments with the lines they are on."""
    parts = [message] if message else []
    if comments:
        parts.append(
            "Comments on your change:" if message else "Please see to these comments on your change:"
        )
        parts += [_told(number, each) for number, each in enumerate(comments, 1)]
    return "\n\n".join(parts)


def _told(number: int, comment: _Comment) -> str:
    lines = (
        f"line {comment.line}"
        if comment.line == comment.line_end
        else (f"lines {comment.line} to {comment.line_end}")
    )
    before = " as it was before your change" if comment.side == "old" else ""
    quoted = "\n".join(f"> {line}" for line in comment.quote.splitlines())
    return "\n".join(filter(None, [f"{number}. `{comment.path}`{before}, {lines}:", quoted, comment.body]))


def lost_prompt(task: str, base: str, paths: Sequence[str], prompt: str) -> str:
    """Return what a new conversation is told that goes on where another is gone.

    Args:
        task: The card's title and description.
        base: The commit on which the change is founded.
        paths: The files of the change.
        prompt: What the follow-up says.
    """
    parts = ["An earlier conversation about this task is gone. This was the task:", task]
    if paths:
        shown = "\n".join(f"- {path}" for path in paths[:_MOST_FILES])
        rest = f"\n- and {len(paths) - _MOST_FILES} more" if len(paths) > _MOST_FILES else ""
        parts.append(
            f"Your work on it so far is in this folder (`git diff {base}` shows it). "
            f"It changed:\n{shown}{rest}"
        )
    parts += ["Now go on with this:", prompt]
    return "\n\n".join(parts)


INTERRUPTED = (
    "Your work was interrupted. Look at what is done already, and go on with what you were last asked."
)
"""What the conversation is told whose run was lost and is taken up again."""


def join_prompt(branch: str, ahead: int, behind: int) -> str:
    """Return what a card says that brings a branch together with its remote.

    Args:
        branch: The branch's name at the remote.
        ahead: Commits that the remote has not.
        behind: Commits that are only there.
    """
    return (
        f"The branch `{branch}` and the repository that it comes from have gone different ways: {ahead} "
        f"{'commit is' if ahead == 1 else 'commits are'} only here, {behind} only there, and they conflict. "
        f"Bring them together in this folder:\n\n"
        f"1. `git fetch origin refs/remotes/origin/{branch}` gets what is there. It needs no network.\n"
        f"2. `git merge --no-ff FETCH_HEAD`, and solve the conflicts so that what both sides wanted stays "
        f"true. Leave no conflict markers.\n"
        f"3. Finish the merge with a commit. Do not squash and do not rebase: the commits from there must "
        f"stay in the history.\n"
    )


def solve_prompt(branch: str, paths: Sequence[str]) -> str:
    """Return what the agent is told where its change does not fit on the base branch any more."""
    shown = "\n".join(f"- {path}" for path in paths[:_MOST_FILES])
    return (
        f"The branch `{branch}` has moved on since you began, and your change conflicts with it in:\n"
        f"{shown}\n\n"
        f"Bring it into this folder: commit what you have, then run `git fetch origin` and "
        f"`git merge origin/{branch}`, and solve the conflicts so that both what was asked of you and what "
        f"is new there stay true. Leave no conflict markers. Finish the merge with a commit."
    )
