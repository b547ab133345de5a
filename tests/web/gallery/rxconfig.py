from typing import Any

import reflex as rx

from vibe_app.frontend import relative_origin


class RelativeOrigin(rx.plugins.Plugin):
    """Makes the build work on whatever port it is served."""

    def post_build(self, **context: Any) -> None:
        """Replace the compiled-in addresses."""
        relative_origin(context["static_dir"])


config = rx.Config(
    app_name="gallery",
    telemetry_enabled=False,
    show_built_with_reflex=False,
    plugins=[
        rx.plugins.RadixThemesPlugin(
            theme=rx.theme(accent_color="iris", gray_color="slate", radius="medium", scaling="95%")
        ),
        RelativeOrigin(),
    ],
    disable_plugins=[rx.plugins.SitemapPlugin],
)
