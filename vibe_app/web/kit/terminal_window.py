"""The window around a terminal: its title, LIVE, search, copy, download, a larger size, and what it says of a
connection that is lost."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.connection import connected
from vibe_app.web.kit.hooks import event, js
from vibe_app.web.kit.terminal import HOST, OPTIONS, Terminal, call, texts
from vibe_app.web.kit.terminal_rows import PLAIN

LOST = "The connection to the server is lost. What you see stays, and it goes on here by itself."
_MATCHES = {
    "decorations": {
        "matchBackground": "#5c4a12",
        "matchOverviewRuler": "#fbbf24",
        "activeMatchBackground": "#b45309",
        "activeMatchColorOverviewRuler": "#ffffff",
    }
}
# Plain http on another host than localhost has no other way to the clipboard.
_COPY = (
    "((text) => { const area = document.body.appendChild(Object.assign(document.createElement('textarea'),"
    " { value: text })); area.select(); document.execCommand('copy'); area.remove(); })"
)
_SAVE = (
    "((text) => Object.assign(document.createElement('a'), {{ download: {name}, href: URL.createObjectURL("
    "new Blob([text + '\\n'], {{ type: 'text/plain;charset=utf-8' }})) }}).click())"
)
# As it stands when a key is pressed: what the State knows of it comes a moment later.
_SOUGHT = rx.Var("document.querySelector('.vt-find input')?.value")
_WITHOUT_TIMES = "((text) => {then}(text.replace(/^\\d\\d:\\d\\d:\\d\\d /gm, '') + '\\n'))"


class _Keyed(rx.el.Section):
    """A part of the page that hears keys."""

    on_key_down: rx.EventHandler[rx.event.key_event]


class WindowState(rx.State):
    """What is open of the terminal's window in this tab."""

    large: bool = False
    copied: str = ""
    sought: str = ""
    index: int = -1
    count: int = 0

    @rx.event
    def forget(self):
        """Forget what was searched for: the search was closed."""
        self.sought, self.index, self.count = "", -1, 0

    @rx.event
    def seek(self, text: str):
        """Note what is searched for."""
        self.sought = text[:200]

    @rx.event
    def found(self, index: int, count: int):
        """Note what the search has found; the index is -1 where there are too many to count."""
        self.index, self.count = index, count

    @rx.event
    def enlarge(self, large: bool):
        """Fill the browser's window, or no longer."""
        self.large = large

    @rx.event
    def was_copied(self, what: str):
        """Say that it was copied, until the pointer leaves the button."""
        self.copied = what

    @rx.var
    def matches(self) -> str:
        """How many matches there are, in words."""
        if not self.sought:
            return ""
        if not self.count:
            return "No matches"
        return f"{self.count:,}+" if self.index < 0 else f"{self.index + 1:,} of {self.count:,}"


def _tool(icon: Any, label: Any, on_click: Any = None, **props: Any) -> rx.Component:
    return rx.el.button(
        icon, type="button", aria_label=label, title=label, on_click=on_click, class_name="vt-tool", **props
    )


def _icon(name: str) -> rx.Component:
    return rx.icon(name, size=17, aria_hidden="true")


def _copy(icon: str, label: str, what: str, then: str) -> rx.Component:
    done = WindowState.copied == what
    return _tool(
        rx.cond(done, _icon("check"), _icon(icon)),
        rx.cond(done, "Copied", label),
        [texts(then), WindowState.was_copied(what)],
        on_mouse_leave=WindowState.was_copied(""),
        on_blur=WindowState.was_copied(""),
    )


def _head(name: Any, live: Any, file_name: Any, finding: Any) -> rx.Component:
    quoted: Any = rx.Var.create(file_name)
    return rx.el.header(
        rx.el.span(rx.el.i(), rx.el.i(), rx.el.i(), class_name="vt-dots", aria_hidden="true"),
        rx.el.span(name, class_name="vt-title", title=name, dir="auto"),
        rx.cond(live, rx.el.span("LIVE", class_name="vt-live")),
        rx.el.span(
            _tool(
                _icon("search"),
                "Search",
                aria_expanded=rx.cond(finding, "true", "false"),
                custom_attrs={"onClick": js("find")},
            ),
            _copy("copy", "Copy all", "all", _WITHOUT_TIMES.format(then=_COPY)),
            _copy("clock", "Copy with times", "times", _COPY),
            _tool(_icon("download"), "Download as text", texts(_SAVE.format(name=quoted))),
            _tool(
                rx.cond(WindowState.large, _icon("minimize-2"), _icon("maximize-2")),
                rx.cond(WindowState.large, "Make smaller", "Enlarge"),
                WindowState.enlarge(~WindowState.large),  # pyright: ignore[reportArgumentType]
                custom_attrs={"aria-pressed": rx.cond(WindowState.large, "true", "false")},
            ),
            class_name="vt-tools",
        ),
        class_name="vt-head",
    )


def _find_bar() -> rx.Component:
    def go(back: bool) -> Any:
        return call("search.findPrevious" if back else "search.findNext", _SOUGHT, _MATCHES)

    def enter(key: Any, info: Any) -> Any:
        return rx.cond(key == "Enter", rx.cond(info["shift_key"], go(False), go(True)), rx.noop())

    return rx.el.div(
        rx.el.input(
            type="search",
            auto_focus=True,
            placeholder="Search the output",
            aria_label="Search the output",
            on_change=lambda text: [
                WindowState.seek(text),
                rx.cond(
                    text == "", call("search.clearDecorations"), call("search.findPrevious", text, _MATCHES)
                ),
            ],
            on_key_down=enter,
        ),
        rx.el.span(WindowState.matches, class_name="vt-count", aria_live="polite"),
        _tool(_icon("chevron-up"), "Previous match", go(True)),
        _tool(_icon("chevron-down"), "Next match", go(False)),
        _tool(_icon("x"), "Close search", custom_attrs={"onClick": js("close")}),
        role="search",
        class_name="vt-find",
    )


def _finding(of: Any) -> Any:
    """Return whether the search is open, with its keys: Ctrl+F opens it, Escape closes one layer.

    It is the browser's alone, so that what is typed right after Ctrl+F has its field already. Escape is heard
    where nothing has the focus as well, as after a part that had it is gone; the card behind stays.
    """
    return js(
        "finding",
        bool,
        hooks=(
            "const [finding, setFinding] = useState(false);",
            f"const pane = () => document.querySelector('.{HOST}')?.pane;",
            "const shut = () => {setFinding(false); $forget();};",
            "const close = () => {shut(); pane()?.search.clearDecorations(); pane()?.terminal.focus();};",
            "useDidUpdate(() => {finding && shut();}, [$source]);",
            "const field = () => document.querySelector('.vt-find input');",
            "const find = () => finding ? field().select() : setFinding(true);",
            "const layer = finding ? close : $large ? $shrink : null;",
            "const layers = /** @type {any} */ (layer ? [['Escape', layer]] : []);",
            "const keys = getHotkeyHandler([['mod+F', find], ...layers]);",
            "const loose = (press) => press.target === document.body && !press.defaultPrevented;",
            "useWindowEvent('keydown', (press) => {loose(press) && getHotkeyHandler(layers)(press);});",
        ),
        source=of,
        large=WindowState.large,
        forget=event(WindowState.forget, lambda: []),
        shrink=event(WindowState.enlarge(False), lambda: []),
    )


def _scroll(key: Any, info: Any) -> Any:
    """The keys of the text itself."""
    plain = ~(info["ctrl_key"] | info["meta_key"] | info["alt_key"])
    moves = {
        "PageUp": ("Pages", -1),
        "PageDown": ("Pages", 1),
        "ArrowUp": ("Lines", -1),
        "ArrowDown": ("Lines", 1),
    }
    scrolls = [(name, call(f"terminal.scroll{by}", count)) for name, (by, count) in moves.items()]
    ends = [("Home", call("terminal.scrollToTop")), ("End", call("terminal.scrollToBottom"))]
    return rx.cond(plain, rx.match(key, *scrolls, *ends, rx.noop()), rx.noop())  # pyright: ignore


def terminal_window(
    source_id: Any, batch: Any, name: Any, live: Any, file_name: Any, on_gap: Any, empty: Any = ""
) -> rx.Component:
    """A terminal in its window; a page has one.

    Args:
        source_id: What the batches are of.
        batch: The newest one.
        name: What the window's title says.
        live: Whether more is being written.
        file_name: What a download is called.
        on_gap: The handler that has batches sent; see `Terminal`.
        empty: Why there is nothing to be seen yet, or "".
    """
    here = live & connected
    shown = Terminal.create(
        key=source_id,
        source=source_id,
        batch=batch,
        options=OPTIONS,
        plain=rx.Var(PLAIN),
        label="Session output, scroll with the arrow and page keys",
        newest="Newest output",
        class_name=HOST,
        on_gap=on_gap,
        on_matches=WindowState.found,
    )
    return _window(shown, of=source_id, name=name, live=here, file_name=file_name, empty=empty)


@rx.memo
def _window(
    children: rx.Var[rx.Component],
    of: rx.Var[str],
    name: rx.Var[str],
    live: rx.Var[bool],
    file_name: rx.Var[str],
    empty: rx.Var[str],
) -> rx.Component:
    finding = _finding(of)
    return rx.el.section(
        _head(name, live, file_name, finding),
        rx.cond(~connected, rx.el.p(LOST, role="status", class_name="vt-lost")),
        rx.cond(finding, _find_bar()),
        _Keyed.create(
            children,
            rx.cond(empty != "", rx.el.p(empty, class_name="vt-empty")),
            rx.el.button(
                "New output ↓", type="button", class_name="vt-new", on_click=call("terminal.scrollToBottom")
            ),
            class_name="vt-body",
            on_key_down=_scroll,
        ),
        aria_label=f"Output: {name}",
        class_name=rx.cond(WindowState.large, "vt vt-large", "vt"),
        custom_attrs={"onKeyDown": js("keys"), "data-live": rx.cond(live, "true", "false")},
    )
