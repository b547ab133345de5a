"""Files at `/p/<project>/files/<path>`, and of a card at `/p/<project>/trees/<number>/files/<path>`.

The parts of the page lie beside this, each with its State: `tree`, `folder`, `file`, `editor`, `search`,
`uploads`, `naming`. `watching` reads what they show.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.board.bar import project_tabs
from vibe_app.web.board.workspace import workspace_chip
from vibe_app.web.files import editor, uploads
from vibe_app.web.files.file import FileState, file_view
from vibe_app.web.files.folder import LINK, FolderState, crumbs, folder_view, notice, tool
from vibe_app.web.files.naming import NamingState, dialogs
from vibe_app.web.files.search import SearchState, search_bar, search_view
from vibe_app.web.files.state import BASE, FilesState
from vibe_app.web.files.tree_view import tree
from vibe_app.web.files.uploads import UploadsState
from vibe_app.web.files.watching import WatchState
from vibe_app.web.kit.ahead import OPENS
from vibe_app.web.kit.frame import Shortcuts
from vibe_app.web.kit.moment import elapsed
from vibe_app.web.kit.parts import empty_state, skeleton
from vibe_app.web.kit.status import missing_chip
from vibe_app.web.kit.upload import PICK
from vibe_app.web.layout import RailState, framed, top_bar

ROUTE = "/p/[in_project]/files/[[...splat]]"
# With the card's number in it, the route of the board would be more specific to Reflex.
TREE_ROUTE = "/p/[in_project]/trees/[[...splat]]"
TITLE = rx.cond(FilesState.name != "", f"Files · {FilesState.name} · Vibe", "Files · Vibe")
ON_LOAD = [FilesState.arrive, WatchState.watch, SearchState.run, RailState.watch]


def _whose() -> rx.Component:
    """The choice of whose files are shown, where there is one."""
    return rx.cond(
        FilesState.trees,
        rx.select.root(
            rx.select.trigger(aria_label="Whose files are shown"),
            rx.select.content(
                rx.select.item("Base branch", value=BASE),
                rx.foreach(FilesState.trees, lambda each: rx.select.item(each["words"], value=each["value"])),
            ),
            value=FilesState.whose,
            on_change=FilesState.look_at,
        ),
    )


def _bar() -> rx.Component:
    return top_bar(
        rx.cond(FilesState.name != "", FilesState.name, "Files"),
        rx.cond(FilesState.missing == "", project_tabs(FilesState.project_id, "files")),
        rx.cond(
            FilesState.name != "",
            rx.el.div(
                _whose(),
                workspace_chip(FilesState.workspace, FilesState.workspace_reason, FilesState.can_edit),
                missing_chip(FilesState.notices),
                class_name="v-top-chips",
            ),
        ),
    )


def _new_file() -> Any:
    return rx.cond(FilesState.anything, "New file", "New file that git ignores")


def _upload() -> Any:
    return rx.cond(FilesState.anything, "Upload files", "Upload files that git ignores")


def _edits() -> rx.Component:
    """What is done with the file or folder itself."""
    return rx.cond(
        FilesState.may_move,
        rx.fragment(
            tool("pencil", "Rename", on_click=NamingState.change("rename"), custom_attrs={OPENS: ""}),
            tool("trash-2", "Delete", on_click=NamingState.change("delete")),
        ),
    )


def _folder() -> rx.Component:
    make, pick = NamingState.make("file"), rx.call_script(PICK)
    archive = LINK.call(FolderState.archive)
    tools = rx.fragment(
        rx.cond(FilesState.can_edit, tool("file-plus", _new_file(), on_click=make, custom_attrs={OPENS: ""})),
        rx.cond(
            FilesState.anything,
            tool("folder-plus", "New folder", on_click=NamingState.make("folder"), custom_attrs={OPENS: ""}),
        ),
        rx.cond(FilesState.can_edit, tool("upload", _upload(), on_click=pick)),
        tool("download", "Download folder", href=archive),
        _edits(),
    )
    start = rx.cond(
        FilesState.can_edit,
        rx.fragment(
            rx.button(_new_file(), on_click=make, custom_attrs={OPENS: ""}),
            rx.button(_upload(), on_click=pick, variant="soft"),
        ),
    )
    return folder_view(tools, start)


def _file() -> rx.Component:
    download = tool("download", "Download", href=LINK.call(FileState.download))
    return file_view(editor.actions(rx.fragment(download, _edits())), editor.banners(), editor.text_view())


def _beside() -> Any:
    again = rx.cond(FilesState.again, rx.button("Try again", variant="soft", on_click=WatchState.look))
    other = notice(FilesState.notice, FilesState.notice_text, again, _edits())
    return rx.match(
        FilesState.view,
        ("search", search_view()),
        ("folder", _folder()),
        ("file", _file()),
        ("notice", other),
        skeleton(12, 16),
    )


def _by_request() -> rx.Component:
    shown = (
        FilesState.by_request & FilesState.can_edit & ~FilesState.may_write & (FilesState.view != "search")
    )
    return rx.cond(
        shown,
        rx.el.p(
            "As this project delivers by pull request, only what git ignores is changed here: change the "
            "rest in a card’s files, ",
            rx.cond(FilesState.trees, "which you choose at the top.", "which it has once it was executed."),
            class_name="ve-hint v-quiet",
            role="note",
        ),
    )


def _browser() -> rx.Component:
    change = rx.cond(
        FilesState.change_href != "",
        rx.el.a(FilesState.change_words, href=FilesState.change_href, class_name="ve-changed-link"),
    )
    into = rx.cond(FilesState.folder != "", FilesState.folder, "the workspace")
    return uploads.door(
        rx.el.nav(search_bar(), change, tree(NamingState.press), class_name="ve-side", aria_label="Files"),
        rx.el.div(
            rx.cond(FilesState.view != "search", crumbs()),
            _by_request(),
            _beside(),
            rx.el.div(f"Drop to upload into {into}", class_name="ve-drop"),
            class_name="ve-main",
        ),
        uploads.panel(),
        dialogs(),
        editor.leaving(UploadsState.running),
        class_name="ve",
        custom_attrs={
            "data-file": rx.cond(
                (FilesState.view == "file") | (FilesState.view == "notice"), "true", rx.Var("undefined")
            )
        },
    )


def _waiting() -> rx.Component:
    """What stands there until the workspace answers."""
    failed = notice(
        "The workspace did not start",
        rx.cond(FilesState.workspace_reason != "", FilesState.workspace_reason, "No reason was given."),
        rx.button("Try again", on_click=FilesState.wake),
    )
    why = rx.cond(
        FilesState.workspace_reason != "",
        FilesState.workspace_reason,
        "Its files are shown as soon as it answers.",
    )
    starting = rx.el.div(
        rx.el.p(rx.el.strong("The workspace is starting."), " ", why, role="status"),
        rx.el.p(elapsed(FilesState.asked_at), class_name="v-quiet", aria_hidden="true"),
        skeleton(6, 16),
        class_name="ve-waiting",
    )
    return rx.cond(FilesState.workspace == "failed", failed, starting)


def files_page() -> rx.Component:
    """The page at `/p/<project>/files` and below."""
    missing = empty_state("search-x", "No files here", FilesState.missing, rx.link("All projects", href="/"))
    there = FilesState.shown | (FilesState.workspace == "ready")
    return framed(
        _bar(),
        rx.cond(FilesState.missing != "", missing, rx.cond(there, _browser(), _waiting())),
        Shortcuts.create(keys="?", up="", on_key=FilesState.key),
        rx.window_event_listener(
            on_focus=WatchState.look, on_visibility_change=WatchState.seen, on_popstate=FilesState.point
        ),
    )
