"""`python -m bench`: measures everything, or what is named; prints a line for each figure."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import sys
from pathlib import Path

import httpx
from playwright.async_api import Error as BrowserError

from bench.figures import Figure, machine, table
from bench.server import NotReady

BENCHES = {
    "panel": "The output panel",
    "execute": "Execute",
    "beside": "Cards side by side",
    "commands": "The commands of an agent",
    "wall": "The wall around local agents",
    "trees": "A card's tree and its change",
    "gateway": "The gateway to the models",
    "serve": "The server by itself",
    "board": "A board with 5,000 cards",
    "review": "The review of a change",
    "explorer": "The page of files",
    "engine": "The engine",
    "takeover": "A server killed",
    "live": "Two hundred live sessions",
    "pods": "Workspaces as pods",
}
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
BEGIN, END = "<!-- figures: python -m bench --write -->", "<!-- end of figures -->"


def main() -> int:
    """Run benches; return the exit status: 1 where a figure misses its target, 2 where one is lacking."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of: {', '.join(BENCHES)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="fewer samples: to see that it works")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/performance.md")
    given = parser.parse_args()
    if unknown := set(given.names) - BENCHES.keys():
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    if given.write and (given.names or given.quick):
        parser.error("--write wants all of them at their full length")
    facts = machine()
    for name, value in facts:
        print(f"{name}: {value}")
    groups: list[tuple[str, list[Figure]]] = []
    broken = False
    for name in given.names or BENCHES:
        print(f"\n{BENCHES[name]}", flush=True)
        try:
            figures = asyncio.run(importlib.import_module(f"bench.{name}").run(given.quick))
        except NotReady as missing:
            print(missing)
            return 2
        except (TimeoutError, httpx.HTTPError, BrowserError) as error:
            print(f"It broke off, and has no figures: {type(error).__name__}: {error}", flush=True)
            broken = True
            continue
        print(*figures, sep="\n", flush=True)
        groups.append((BENCHES[name], figures))
    if broken:
        return 2
    if given.write:
        head, rest = PAGE.read_text().split(BEGIN)
        tail = rest.split(END)[1]
        PAGE.write_text(f"{head}{BEGIN}\n{table(facts, groups)}\n{END}{tail}")
    return int(any(figure.missed for _, figures in groups for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
