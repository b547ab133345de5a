"""Brings the OpenSSH server that the tests of deploy keys need."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.sshd import SshdMissing, bring


def main() -> int:
    """Bring it and say where it is."""
    try:
        print(f"✓ OpenSSH server: {bring()}", flush=True)
    except SshdMissing as error:
        print(f"✗ {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
