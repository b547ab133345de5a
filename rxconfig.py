"""What Reflex reads before it compiles the pages; the app's own settings live in `vibe_app/settings.py`."""

from typing import Any

import reflex as rx

from vibe_app.frontend import closer_sibling, relative_origin


class Finished(rx.plugins.Plugin):
    """Makes the build work on whatever host and port it is published, and its styles quick to apply."""

    def post_build(self, **context: Any) -> None:
        """Change what is compiled, before Reflex compresses it."""
        relative_origin(context["static_dir"])
        closer_sibling(context["static_dir"])


config = rx.Config(
    app_name="vibe_app",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    # Nothing of a tab lies on the disk. Processes that share the tabs have them in Redis: `frontend.py`.
    state_manager_mode=rx.constants.StateManagerMode.MEMORY,
    # No other origin may read an answer that comes with the login cookie. The socket has its own check.
    cors_allowed_origins=[],
    plugins=[
        rx.plugins.RadixThemesPlugin(
            theme=rx.theme(accent_color="iris", gray_color="slate", radius="medium")
        ),
        Finished(),
    ],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
