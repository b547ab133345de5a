"""How a run ends, and what of it stands in the rows of its session and of its card's change. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vibe_app.board.lifecycle import SessionStatus
from vibe_app.changes.trees import Kept, columns_of
from vibe_app.wire import SessionState, Usage, clean_text

SUMMARY_CHARS = 64 << 10


@dataclass(frozen=True)
class Ending:
    """The end of a run, as it is to be written.

    Args:
        target: One of the final statuses.
        reason: Why it failed.
        failure: The kind of the failure.
        usage: What this attempt consumed.
        remark: An error of the engine's own to write before the last line.
        state: What the sidecar says of it at its end.
        kept: What it left in its tree.
        unkept: Whether that is still to be kept, as it could not be just now.
        unsettled: Whether it is not known yet if the agent had what it was to say.
    """

    target: SessionStatus
    reason: str | None = None
    failure: str | None = None
    usage: Usage | None = None
    remark: str = ""
    state: SessionState | None = None
    kept: Kept | None = None
    unkept: bool = False
    unsettled: bool = False

    def of_session(self, hide: Callable[[str], str]) -> dict[str, Any]:
        """Return what the agent said at the end, and what it left, as columns of the session.

        Args:
            hide: Takes secrets out of a text.
        """
        values: dict[str, Any] = {"asking": None}
        if self.state is not None:
            if self.target is SessionStatus.COMPLETED:
                values["asking"] = self.state.asking
            if self.state.summary:
                values["summary"] = hide(clean_text(self.state.summary))[:SUMMARY_CHARS]
            if self.state.steps:
                values["steps"] = self.state.steps.model_dump()
        if self.kept is not None:
            values["revision_after"] = self.kept.revision
            values["round_files"] = self.kept.round.count
            values["round_additions"] = self.kept.round.additions
            values["round_deletions"] = self.kept.round.deletions
        return values

    def of_change(self) -> dict[str, Any]:
        """Return what it made of the card's change, as columns of that."""
        values: dict[str, Any] = {}
        if self.state is not None and self.state.prepared:
            values["prepared"] = True
        if self.kept is not None:
            values |= columns_of(self.kept)
        return values
