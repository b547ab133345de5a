"""What the sessions of a soak do, and how each must end. Pure.

A plan travels in its card's description, so that the workspace that plays it,
in another process, finds it in the prompt.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from random import Random

from tests.scripted import Script
from vibe_app.runs.retry_policy import MAX_REPEATS
from vibe_app.wire import Failure, SidecarStatus

REASON = "the script says so"
_MARK = "soak plan: "
_WORDS = ("plain", "\x1b[32mgreen\x1b[0m", "größer", "日本語", "tab\there", "🙂", "</b>", 'a "quoted" word')


@dataclass(frozen=True)
class Plan:
    """What one session does.

    Args:
        lines: How many events it says.
        rate: How many a second; 0 for as fast as they can be written.
        silence: Seconds without a word in the middle.
        outcome: `completed`, `failed`, or `never`: it goes on until it is stopped.
        lost: How many attempts are lost, each after some lines, before the one that comes to the outcome.
        stop_after: Seconds after which a person stops it; None for nobody does.
        prompt: For a real agent: what it is asked to do.
    """

    lines: int
    rate: float = 0.0
    silence: float = 0.0
    outcome: str = "completed"
    lost: int = 0
    stop_after: float | None = None
    prompt: str = ""

    @property
    def expected(self) -> str:
        """How a session ends that nobody stops and that does not crash its process again and again."""
        return "failed" if self.lost > MAX_REPEATS else self.outcome

    @property
    def description(self) -> str:
        """What to write on the card."""
        return self.prompt or _MARK + json.dumps(asdict(self))

    @classmethod
    def of(cls, prompt: str) -> Plan:
        """Read the plan out of a prompt.

        Raises:
            ValueError: There is none in it.
        """
        _, mark, text = prompt.partition(_MARK)
        if not mark:
            raise ValueError("the prompt carries no plan")
        return cls(**json.loads(text))

    def script(self, sidecar_id: str, attempt: int) -> Script:
        """Return what the session's `attempt` says, each text unlike every other of the soak."""
        if attempt <= self.lost:
            events = self._events(sidecar_id, max(1, self.lines // 2))
            kind = (Failure.AGENT_LOST, Failure.PROVIDER_BUSY)[attempt % 2]
            return Script(events, SidecarStatus.FAILED, REASON, kind)
        events = self._events(sidecar_id, self.lines)
        if self.outcome == "failed":
            return Script(events, SidecarStatus.FAILED, REASON, Failure.BROKEN)
        return Script(events, SidecarStatus.COMPLETED if self.outcome == "completed" else None)

    def _events(self, sidecar_id: str, count: int) -> Iterator[tuple[str, str, float]]:
        pause = 1 / self.rate if self.rate else 0.0
        for number in range(1, count + 1):
            kind = {0: "status", 7: "error"}.get(number % 20, "output")
            word = _WORDS[number % len(_WORDS)] * (40 if number % 50 == 0 else 1)
            end = "\n" if kind == "output" else ""
            silence = self.silence if number == count // 2 + 1 else 0.0
            yield kind, f"{sidecar_id} {number} of {count} {word}{end}", pause + silence


def scripted(dice: Random, slow: float = 1.0) -> Plan:
    """Throw the dice for a scripted session.

    Args:
        dice: Decide.
        slow: Factor on what takes long: less for a short soak.
    """
    kind = dice.choices(
        ("talk", "burst", "quiet", "fails", "lost", "endless"), weights=(40, 15, 12, 10, 13, 10)
    )[0]
    lines, rate = dice.randint(1, 150), dice.choice((10.0, 25.0, 50.0, 100.0))
    stop = dice.uniform(0, 10) * slow if dice.random() < 0.15 else None
    if kind == "burst":
        return Plan(dice.randint(300, 1500), stop_after=stop)
    if kind == "quiet":
        return Plan(dice.randint(2, 20), 10.0, silence=dice.uniform(15, 45) * slow, stop_after=stop)
    if kind == "fails":
        return Plan(lines, 100.0, outcome="failed", stop_after=stop)
    if kind == "lost":
        lost = dice.choices((1, 2, 3, 4), weights=(6, 2, 1, 1))[0] if slow == 1 else 1
        return Plan(lines, 100.0, lost=lost, stop_after=stop)
    if kind == "endless":
        return Plan(lines, 50.0, outcome="never", stop_after=dice.uniform(0.5, 12) * slow)
    return Plan(lines, rate, stop_after=stop)


def rehearsed(dice: Random) -> Plan:
    """Throw the dice for a session of the real agent with the rehearsal model."""
    kind = dice.choices(("print", "run", "file", "fails", "long"), weights=(4, 3, 2, 1, 4))[0]
    stop = dice.uniform(0, 8) if dice.random() < 0.15 else None
    count = dice.randint(50, 400)
    if kind == "fails":
        return Plan(
            0, outcome="failed", prompt="rehearse: say One word.\nrehearse: fail 400", stop_after=stop
        )
    prompt = {
        "print": f"rehearse: print {count} lines at {dice.choice((50, 100, 200))} per second",
        "run": f"rehearse: run for n in $(seq {count // 4}); do echo step $n; sleep 0.02; done",
        "file": "Add a README file",
        "long": f"rehearse: run sleep {dice.randint(3, 20)}\nrehearse: print {count} lines at 30 per second",
    }[kind]
    return Plan(0, prompt=prompt, stop_after=stop)
