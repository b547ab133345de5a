"""Uploads: which files wait, which one is on its way and how far, and what became of the others."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.web.auth import acts
from vibe_app.web.files.listings import Where
from vibe_app.web.files.paths import joined, size_words, spelled
from vibe_app.web.files.state import FilesState, here, put, rest_url, where
from vibe_app.web.files.watching import WatchState
from vibe_app.web.kit.parts import icon_button
from vibe_app.web.kit.upload import file_door, send, stop
from vibe_app.wiring import services

MOST = 2000
"""Files of one drop."""
SHOWN = 200
"""Uploads that the panel shows."""
_OVER = ("done", "failed", "skipped")
_STOPPED = "Stopped; nothing was written."
_BROKEN = "The upload broke off; nothing was written."


@dataclass(frozen=True)
class Upload:
    """A file on its way. `state` is `waiting`, `sending`, `done`, `exists`, `failed` or `skipped`."""

    id: int
    name: str
    size: int
    state: str
    words: str


@dataclass(frozen=True)
class _Sent:
    id: int
    place: Where
    path: str
    folder: str
    size: int
    state: str
    error: str = ""
    overwrite: bool = False

    def row(self) -> Upload:
        words = {
            "waiting": "Waiting",
            "done": size_words(self.size),
            "skipped": "Kept what is there",
            "exists": "There is a file of this name already",
            "failed": self.error,
        }
        name = self.path.removeprefix(self.folder).lstrip("/")
        return Upload(self.id, name, self.size, self.state, words.get(self.state, ""))


class UploadsState(rx.State):
    """The files that a tab sends."""

    rows: list[Upload] = []
    sent: int = 0
    """Bytes of the one that is on its way."""
    sent_words: str = ""
    running: bool = False
    title: str = ""
    _items: dict[int, Any] = {}

    @rx.event
    def begin(self):
        """Forget what an earlier page was sending: its files went with it."""
        self.reset()

    @acts
    async def chosen(self, actor: Actor, files: list[dict[str, Any]]):
        """Put files into the line, for the folder that is shown."""
        state = await self.get_state(FilesState)
        place = where(state, here(self))
        await services().projects.check(actor, place.project, ProjectRole.EDITOR)
        limit = services().settings.upload_mib
        new = [each for told in _known(files) if (each := _item(told, place, state.folder, limit))]
        kept = {id: item for id, item in self._items.items() if item.state not in _OVER}
        room = MOST - len(kept)
        self._items = kept | {each.id: each for each in new[: max(0, room)]}
        events = [self._next()]
        if len(new) > room or len(new) >= MOST:
            events.append(rx.toast(f"At most {MOST:,} files are uploaded at once: the others were left out."))
        return [each for each in events if each is not None]

    @acts
    async def progress(self, actor: Actor, id: int, sent: int):
        """Show how much of a file has gone."""
        item = self._items.get(id)
        if item is not None and item.state == "sending":
            self.sent = max(0, min(sent, item.size))
            self.sent_words = f"{size_words(self.sent)} of {size_words(item.size)}"

    @acts
    async def through(self, actor: Actor, id: int, status: int, error: str, code: str):
        """Note what became of a file, and send the next one."""
        item = self._items.get(id)
        if item is None or item.state != "sending":
            return self._next()
        if code == "exists":
            self._set(item, "exists")
        elif error or not 200 <= status < 300:
            self._set(item, "failed", error[:1000] or _BROKEN)
        else:
            self._set(item, "done")
        events = [self._next()]
        if self._items[id].state == "done" and (not self.running or len(self._items) < 20):
            events.append(WatchState.look)
        return [each for each in events if each is not None]

    @acts
    async def replace(self, actor: Actor, id: int):
        """Send a file in the place of the one that is there."""
        item = self._items.get(id)
        if item is None or item.state != "exists":
            return None
        self._items = self._items | {id: replace(item, state="waiting", overwrite=True)}
        return self._next()

    @acts
    async def stop(self, actor: Actor, id: int):
        """Do not send a file, or no more of it; keep what is there."""
        item = self._items.get(id)
        if item is None or item.state in _OVER:
            return None
        sending = item.state == "sending"
        self._set(item, "skipped" if item.state == "exists" else "failed", _STOPPED)
        events = [stop(id) if sending else None, self._next()]
        return [each for each in events if each is not None]

    def _set(self, item: Any, state: str, error: str = "") -> None:
        self._items = self._items | {item.id: replace(item, state=state, error=error)}

    def _next(self) -> Any:
        """Send the next one, unless one is on its way; show how far all are."""
        event = None
        if all(each.state != "sending" for each in self._items.values()):
            item = next((each for each in self._items.values() if each.state == "waiting"), None)
            if item is not None:
                self._set(item, "sending")
                self.sent, self.sent_words = 0, f"0 B of {size_words(item.size)}"
                more = {"parents": "true"} | ({"overwrite": "true"} if item.overwrite else {})
                event = send(item.id, rest_url(item.place, "content", item.path, **more))
        items = list(self._items.values())
        running = any(each.state in ("waiting", "sending") for each in items)
        arrived = sum(each.state == "done" for each in items)
        some = f"{arrived} of {len(items)}"
        put(
            self,
            running=running,
            title=f"Uploading, {some} done" if running else f"{some} uploaded" if items else "",
            rows=[each.row() for each in items[:SHOWN]],
        )
        return event


def _known(files: Any) -> list[dict[str, Any]]:
    return [each for each in files if isinstance(each, dict)][:MOST] if isinstance(files, list) else []


def _item(told: dict[str, Any], place: Where, folder: str, limit: int) -> _Sent | None:
    """Read what a browser says of a file."""
    id, names, size = told.get("id"), told.get("path"), told.get("size")
    if not (isinstance(id, int) and isinstance(size, int) and isinstance(names, list) and names):
        return None
    path = joined(folder, "/".join(spelled(str(name)) for name in names))[:4096]
    if size > limit * 2**20:
        return _Sent(id, place, path, folder, size, "failed", _too_large(limit))
    return _Sent(id, place, path, folder, max(0, size), "waiting")


def _too_large(limit: int) -> str:
    return f"It is larger than {limit} MiB, which is the limit here."


def door(*children: Any, **props: Any) -> rx.Component:
    """What takes the files that are dropped in it."""
    return file_door(
        *children,
        label="Files to upload",
        most=MOST,
        every=200,
        takes=FilesState.can_edit,
        on_mount=UploadsState.begin,
        on_chosen=UploadsState.chosen,
        on_progress=UploadsState.progress,
        on_sent=UploadsState.through,
        **props,
    )


def _row(row: Any) -> rx.Component:
    sending = row.state == "sending"
    waits = (row.state == "waiting") | sending | (row.state == "exists")
    words = rx.cond(row.state == "failed", "v-error", "v-quiet v-digits")
    return rx.el.li(
        rx.el.span(row.name, class_name="ve-name", title=row.name, dir="auto"),
        rx.el.span(rx.cond(sending, UploadsState.sent_words, row.words), class_name=words),
        rx.cond(
            sending,
            rx.el.progress(
                aria_label=f"Upload of {row.name}",
                max=rx.cond(row.size > 0, row.size, 1),
                value=UploadsState.sent,
            ),
        ),
        rx.cond(
            row.state == "exists",
            rx.button("Replace", on_click=UploadsState.replace(row.id), size="1", variant="soft"),
        ),
        rx.cond(
            waits,
            rx.button(
                rx.cond(row.state == "exists", "Skip", "Stop"),
                on_click=UploadsState.stop(row.id),
                size="1",
                variant="soft",
                color_scheme="gray",
            ),
        ),
        custom_attrs={"data-state": row.state},
    )


def panel() -> rx.Component:
    """How far the uploads are."""
    close = icon_button("x", "Close", on_click=UploadsState.begin)
    return rx.cond(
        UploadsState.title != "",
        rx.el.section(
            rx.el.header(
                rx.el.h2(UploadsState.title, role="status"),
                rx.cond(~UploadsState.running, close),
                class_name="v-row v-between",
            ),
            rx.el.ul(rx.foreach(UploadsState.rows, _row)),
            aria_label="Uploads",
            class_name="ve-uploads",
        ),
    )
