"""What stands before the pages, asked without a browser."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from reflex.utils.precompressed_staticfiles import PrecompressedStaticFiles
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from vibe_app.web.front import LookedFor


@pytest.mark.parametrize("path", ["/p/%00", f"/{'x' * 300}", f"/p/{'é' * 200}", "/x" * 3000, "/nothing"])
async def test_what_no_file_can_be_called_has_the_page_of_what_is_not_there(
    tmp_path: Path, path: str
) -> None:
    (tmp_path / "404.html").write_text("There is no page here")
    routes = [
        Route("/api/{rest:path}", lambda _: PlainTextResponse("the API's own")),
        Mount("/", PrecompressedStaticFiles(directory=tmp_path, html=True)),
    ]
    transport = httpx.ASGITransport(LookedFor(Starlette(routes=routes)))
    async with httpx.AsyncClient(transport=transport, base_url="http://board.test") as client:
        found = await client.get(path)
        assert (found.status_code, found.text) == (404, "There is no page here")
        assert (await client.get(f"/api{path}")).text == "the API's own"
