"""A small app that shows the local components alone, for their browser tests."""

import reflex as rx

from vibe_app.web.front import door
from vibe_app.web.kit.markdown import markdown

from .board import board
from .parts import parts
from .stream import StreamState, stream

app = rx.App(head_components=[door()], stylesheets=["/vibe.css", "/board.css", "/card.css"])
app.add_page(stream, route="/stream", on_load=StreamState.arrive)
app.add_page(board, route="/board")
app.add_page(parts, route="/parts")


UNSAFE = """# Title

<script>window.pwned = 1</script><img src=x onerror="window.pwned = 1">

[link](javascript:window.pwned=1) ![picture](https://pictures.example/x.png)

- [x] done
"""
app.add_page(lambda: rx.el.main(rx.el.h1("Markdown"), markdown(UNSAFE)), route="/markdown")
