"""Finds a Chromium for the browser tests, or brings one; prints where it is.

Playwright's own download and Debian's package are both fit; where there is
neither, the script says what to do.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.chromium import ChromiumMissing, bring


def main() -> int:
    """Bring Chromium; return the exit status."""
    try:
        print(f"✓ Chromium: {bring()}", flush=True)
    except ChromiumMissing as error:
        print(f"✗ {error}", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
