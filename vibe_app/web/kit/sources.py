"""The JavaScript and CSS files of this folder, as the pages' build finds them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import reflex as rx
from reflex.assets import AssetPathStr


def source(name: str) -> AssetPathStr:
    """Have a file of this folder take part in the build; return where.

    Reflex looks through everything that called it, with the lines of each, for
    the one module that counts: under the many imports of the app that is half of
    a server's start. In a thread nothing has called it but this.

    Raises:
        FileNotFoundError: There is no such file.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: rx.asset(name, shared=True)).result()
