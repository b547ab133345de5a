"""The Chromium that browser tests run in: the one on PATH, Playwright's own, or Debian's package.

Chromium without a window comes as a program of its own, the headless shell. It is what Playwright starts by
default, and takes about half of the processor time for the same pages, so it is preferred.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from vibe_app.cli.tools import apt_install

SHELL = "chromium-headless-shell"
NAMES = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
DEBIANS = "/usr/bin/chromium"


class ChromiumMissing(Exception):
    """There is no Chromium and none could be brought; the message says what to do."""


def find() -> str | None:
    """Return the path of a Chromium on this machine: `CHROMIUM_PATH`, one on PATH, or Playwright's own."""
    given = os.environ.get("CHROMIUM_PATH")
    if given:
        return given
    for name in NAMES:
        if path := shutil.which(name):
            return path
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def bring() -> str:
    """Return the path of a Chromium, installing one if there is none.

    Debian's package comes first where it can be installed without asking, as it
    brings the libraries that Playwright's own download expects to be there.

    Raises:
        ChromiumMissing: None could be brought.
    """
    path = find()
    if path in (None, DEBIANS) and apt_install(SHELL):
        path = find()
    if path:
        return path
    if apt_install("chromium") and (path := find()):
        return path
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], timeout=600, check=False)
    if path := find():
        return path
    raise ChromiumMissing(
        "There is no Chromium for the browser tests, and neither Debian's package nor Playwright's own\n"
        "  download could be had. Install one (sudo apt install chromium) and start again, or name one\n"
        "  in CHROMIUM_PATH."
    )
