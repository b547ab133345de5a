"""Brings podman for the tests of the container image; says loudly where that cannot be.

With `--base` it has the base image at hand as well, which takes a minute where there is no registry.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.podman import Podman, PodmanMissing, bring


def main() -> int:
    """Bring what is asked for; return the exit status, which is 0 too where the tests will be skipped."""
    try:
        print(f"✓ podman: {bring()}", flush=True)
        if "--base" in sys.argv[1:]:
            print(f"✓ base image: {Podman().base()}", flush=True)
    except PodmanMissing as error:
        print(f"! THE CONTAINER IMAGE WILL NOT BE TESTED: {error}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
