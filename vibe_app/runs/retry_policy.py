"""How long and how often the engine tries, in one place. Tests pass their own; nothing else sets it."""

from __future__ import annotations

from dataclasses import dataclass

TRIES = 3
"""Times that a sidecar is asked to accept a session."""
MAX_REPEATS = 3
"""Further attempts of a session that was accepted and then lost."""
MAX_CRASHES = 3
"""Times that a session may end the process that runs it."""
WAITS = 12
"""Times its time limit that a session may wait for its model's provider in all: 24 h unless set otherwise."""
FRUITLESS = 6
"""Times in a row that a sidecar may withhold events that it says it has."""


@dataclass(frozen=True)
class RetryPolicy:
    """For how many seconds a run waits for what.

    Args:
        notice: For the workspace, until the card says that it is starting.
        answer: For a sidecar to accept the session, each of the `TRIES` times.
        pause: Between the first two of these times; twice as long before the third. All together
            stays below the 10 s in which Execute answers.
        lost: For an answer in mid-run, until the session counts as lost.
        reconnect: Before asking again in mid-run, at first; up to ten times as long later.
        stop: For a silent sidecar, once a person wants the end.
        stopping: For one that answers but does not stop.
        compare: Between two comparisons of a stream with what the sidecar says of the session.
        count: Between two looks at what a run has spent.
        repeat: Before the second attempt, doubled with each further one, and up to half as much
            again by chance, so that many runs that failed together do not come back together.
    """

    notice: float = 0.1
    answer: float = 2.2
    pause: float = 0.4
    lost: float = 30.0
    reconnect: float = 0.2
    stop: float = 5.0
    stopping: float = 30.0
    compare: float = 30.0
    count: float = 1.0
    repeat: float = 2.0
