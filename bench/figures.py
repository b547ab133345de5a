"""What a bench says: figures with their targets, as lines and as a table."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from vibe_app.settings import OPENCODE_VERSION


@dataclass(frozen=True)
class Figure:
    """One number.

    Args:
        name: What was measured, in words.
        value: How much it was.
        unit: Of what; empty for a ratio or a count.
        limit: What it may be at the most; None where that is not promised.
        note: How it came about: the two sides of a ratio, how many samples.
        least: What it must be at the least; None where that is not promised.
    """

    name: str
    value: float
    unit: str = ""
    limit: float | None = None
    note: str = ""
    least: float | None = None

    @property
    def missed(self) -> bool:
        """Whether it is more than it may be, or less than it must be."""
        too_much = self.limit is not None and self.value > self.limit
        return too_much or (self.least is not None and self.value < self.least)

    @property
    def verdict(self) -> str:
        """`ok`, `missed`, or a dash where nothing is promised."""
        return "missed" if self.missed else "–" if self.limit is None and self.least is None else "ok"

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return f"{_number(self.value)} {self.unit}".rstrip()

    @property
    def target(self) -> str:
        """The limit with its unit."""
        if self.least is not None:
            return f"≥ {_number(self.least)} {self.unit}".rstrip()
        if self.limit is None:
            return "–"
        return f"{'≤ ' if self.limit else ''}{_number(self.limit)} {self.unit}".rstrip()

    def __str__(self) -> str:
        line = f"{self.name:<58} {self.shown:>12}   {self.target:>12}   {self.verdict}"
        return f"{line}   ({self.note})" if self.note else line


def _number(value: float) -> str:
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def percentile(values: Iterable[float], share: float = 95) -> float:
    """Return the value that `share` per cent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(1, math.ceil(len(ordered) * share / 100)) - 1]


def spread(values: Sequence[float], unit: str = "ms") -> str:
    """Say how values lie: how many, median and p95."""
    middle, high = _number(percentile(values, 50)), _number(percentile(values))
    return f"{len(values)} samples, p50 {middle}, p95 {high} {unit}"


def machine() -> list[tuple[str, str]]:
    """Return what one must know of this machine to compare, as names and values."""
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        ("When", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("Processor", f"{models[0] if models else platform.processor()}, {os.cpu_count()} cores"),
        ("Memory", f"{memory:.0f} GiB"),
        ("System", f"{platform.system()} {platform.release()}"),
        ("Python", platform.python_version()),
        ("Reflex, OpenCode", f"{version('reflex')}, {OPENCODE_VERSION}"),
        ("Load average at the start", " ".join(f"{load:.1f}" for load in os.getloadavg())),
    ]


def table(facts: Sequence[tuple[str, str]], groups: Sequence[tuple[str, Sequence[Figure]]]) -> str:
    """Return machine and figures as Markdown."""
    lines = [*(f"- {name}: {value}" for name, value in facts), ""]
    for title, figures in groups:
        lines += [f"### {title}", "", "| What | Figure | Target | |", "|---|---|---|---|"]
        for each in figures:
            what = f"{each.name}<br>{each.note}" if each.note else each.name
            lines.append(f"| {what} | {each.shown} | {each.target} | {each.verdict} |")
        lines.append("")
    return "\n".join(lines)
