"""Finds a Redis for the tests, or brings one; prints where it is."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.redis_server import RedisMissing, bring


def main() -> int:
    """Bring Redis; return the exit status."""
    try:
        print(f"✓ Redis: {bring()}", flush=True)
    except RedisMissing as error:
        print(f"✗ {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
