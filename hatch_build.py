"""Puts into the wheel what a server needs beside the package: see `vibe_app/frontend.py: home`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SHIPPED = "vibe_app/shipped"
FILES = ("alembic", "alembic.ini", "build/frontend", "rxconfig.py")


class Shipped(BuildHookInterface[Any]):
    """Adds the compiled pages, the migrations and Reflex's configuration."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name what comes along; a clone's own environment (`editable`) finds it where it is."""
        if version == "editable":
            return
        root = Path(self.root)
        if not (root / "build" / "frontend" / "stamp").is_file():
            raise RuntimeError("The pages are not compiled: build the wheel with `make wheel`, in a clone.")
        for name in FILES:
            build_data["force_include"][str(root / name)] = f"{SHIPPED}/{name}"
