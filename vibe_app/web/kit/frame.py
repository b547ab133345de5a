"""The window around the pages: rail, drawer and keyboard. What is in them comes from the pages."""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.ahead import opens, typed_ahead
from vibe_app.web.kit.connection import heard
from vibe_app.web.kit.hooks import Hooked, event, first_of, js

_SHEET = "rail-sheet"
_KEPT = "vibe-rail"
_PLACE = "const place = useLocation();"
_LAYERS = (
    "[role=dialog][data-state=open]",
    "[role=alertdialog][data-state=open]",
    "[role=menu][data-state=open]",
    "[role=listbox][data-state=open]",
    "dialog[open]",
    ":popover-open",
    ".vt-large",
)
"""What keeps the keys to itself while it is open: a menu, a select, a dialog, the enlarged terminal."""
_KEY: Any = js("press.key", str)
"""The key of a press."""
_OVER = "[role=dialog][data-state], [role=alertdialog], [role=menu], [role=listbox], [data-sonner-toaster]"
_FIELDS = "input, textarea:not(.xterm-helper-textarea), select, [contenteditable=true], [role=combobox]"


class Frame:
    """The window of a page."""

    @staticmethod
    def create(rail: rx.Component, *page: rx.Component) -> rx.Component:
        """Put a rail beside a page: a column that can be folded, under 768 px a sheet over the page."""
        beside = js("((press) => press.target === press.currentTarget && press.target.close())")
        return _frame(
            rx.el.aside(rail, class_name="v-rail", aria_label="Projects and account"),
            rx.el.dialog(
                rail,
                # The page that a press on it leads to begins with a closed one.
                key=js("place.pathname", str, (_PLACE,)),
                id=_SHEET,
                class_name="v-sheet",
                aria_label="Projects and account",
                custom_attrs={"onClick": beside},
            ),
            rx.el.div(*page, class_name="v-page"),
            _sending(),
            _returning(),
            typed_ahead(),
        )


@rx.memo
def _frame(children: rx.Var[rx.Component]) -> rx.Component:
    folded: Any = js(
        "folded",
        bool,
        (
            "const [folded, setFolded] = useState(false);",
            "useLayoutEffect(() => setFolded(localStorage.getItem($kept) === 'folded'), []);",
        ),
        kept=_KEPT,
    )
    fold = js(
        "(() => (setFolded(!$folded), localStorage.setItem($kept, $folded ? 'open' : 'folded')))",
        folded=folded,
        kept=_KEPT,
    )
    unfold = js("(() => document.getElementById($sheet).showModal())", sheet=_SHEET)
    return rx.el.div(
        rx.el.a("Skip to the page", href="#main", class_name="v-skip"),
        _toggle(
            fold, "v-rail-fold", rx.cond(folded, "Show the list of projects", "List of projects"), folded
        ),
        _toggle(unfold, "v-rail-unfold", "List of projects"),
        children,
        class_name="v-frame",
        custom_attrs={"data-rail": rx.cond(folded, "folded", "open")},
    )


def _toggle(press: rx.Var[Any], look: str, label: Any, folded: Any = None) -> rx.Component:
    state = {} if folded is None else {"aria-expanded": rx.cond(folded, "false", "true")}
    return rx.el.button(
        rx.icon("panel-left", size=18, aria_hidden="true"),
        type="button",
        class_name=f"v-rail-toggle {look}",
        aria_label=label,
        custom_attrs={"onClick": press, **state},
    )


class RailLink(rx.Component):
    """A link in the rail; it is marked while the page is at its address or below."""

    library = "react-router"
    tag = "NavLink"
    to: rx.Var[str]
    end: rx.Var[bool]
    """Whether it is marked at its own address alone."""

    @classmethod
    def create(cls, *children: Any, to: Any, **props: Any) -> rx.Component:
        """Link to an address of the board."""
        look = props.pop("class_name", "v-rail-item")
        return super().create(*children, to=to, end=to == "/", class_name=look, **props)  # pyright: ignore


class CardDrawer:
    """A panel over the right side of a board that leaves the board in reach."""

    @staticmethod
    def create(*children: rx.Component, card_id: Any, label: Any) -> rx.Component:
        """Open it: it takes the focus, and gives it back to its card when it closes."""
        return _drawer(rx.fragment(*children), card_id=card_id, label=label)


@rx.memo
def _drawer(children: rx.Var[rx.Component], card_id: rx.Var[str], label: rx.Var[str]) -> rx.Component:
    place: Any = js("place.pathname.toLowerCase()", str, (_PLACE,))
    # What the server has kept of this tab may be another card than the address names, until it caught up.
    behind = place.contains("/t/") & ~place.contains(js("('/t/' + $card)", str, card=card_id))
    focus = js(
        "null",
        hooks=(
            "useEffect(() => document.querySelector('.v-drawer')?.focus({preventScroll: true}), [$card]);",
            "const card = () => document.querySelector('[data-card-id=\"' + $card + '\"]');",
            "useEffect(() => () => card()?.focus({preventScroll: true}), [$card]);",
        ),
        card=card_id,
    )
    return rx.el.section(
        Hooked.create(runs=focus),
        rx.cond(behind, rx.el.div(class_name="v-drawer-body", aria_busy="true"), children),
        class_name="v-drawer",
        role="dialog",
        aria_label=label,
        tab_index=-1,
    )


class Shortcuts:
    """Keys that work wherever nothing is being typed and no layer is open."""

    @staticmethod
    def create(*, keys: str, up: Any, on_key: Any) -> rx.Component:
        """Listen to the keys of a page.

        `/` goes to the element with `data-search`, an arrow to the board's cards, Escape to the
        address above, where there is one. While something is typed, Escape leaves the field.

        Args:
            keys: Those that the page knows, separated by spaces.
            up: The address above this one, or "".
            on_key: The event that is told one of them.
        """
        known: Any = rx.Var.create(keys.split()).contains(_KEY)
        tell = event(on_key, lambda key: [key])
        opened = opens(_KEY)
        search = _do("document.querySelector('[data-search]')?.select()")
        first_card = _do("document.querySelector('[data-card-id][tabindex=\"0\"]')?.focus()")
        acts = first_of(
            (
                (_KEY == "Escape") & (rx.Var.create(up) != ""),
                _do("go($up)", "const go = useNavigate();", up=up),
            ),
            (_KEY == "/", search),
            (_KEY.startswith("Arrow") & js("press.target === document.body", bool), first_card),
            (
                known,
                _do(
                    "!press.repeat && $heard && ($tell(press.key), $opens)",
                    heard=heard,
                    tell=tell,
                    opens=opened,
                ),
            ),
            otherwise=_NOTHING,
        )
        free: Any = js(
            "!press.defaultPrevented && !document.querySelector($layers)", bool, layers=", ".join(_LAYERS)
        )
        typing: Any = js("!!press.target.closest?.($fields)", bool, fields=_FIELDS)
        plain: Any = js("!press.ctrlKey && !press.metaKey && !press.altKey", bool)
        handled = first_of(
            (free & plain & ~typing, acts),
            (free & plain & (_KEY == "Escape"), _do("press.target.blur()")),
            otherwise=_NOTHING,
        )
        return Hooked.create(
            runs=js("null", hooks=("useWindowEvent('keydown', (press) => $handled);",), handled=handled)
        )


_NOTHING = js("null")


def _sending() -> rx.Component:
    """Have Ctrl Enter, or ⌘ Enter, send what is being typed, wherever that is."""
    send = js(
        "press.key === 'Enter' && (press.ctrlKey || press.metaKey) && !press.defaultPrevented"
        " && press.target.matches?.($fields) && (press.preventDefault(), press.target.form?.requestSubmit())",
        fields=_FIELDS,
    )
    return Hooked.create(
        runs=js("null", hooks=("useWindowEvent('keydown', (press) => {$send;});",), send=send)
    )


def _returning() -> rx.Component:
    """Give the focus back to what had it before a layer, when that closes: one without a trigger does not.

    Where that is gone, as a button is by which a change was accepted, the drawer gets it.
    """
    before = js("[last.current, document.querySelector('.v-drawer')].find((each) => each?.isConnected)")
    return Hooked.create(
        runs=js(
            "null",
            hooks=(
                "const last = useRef(null);",
                "const note = (on) => {on.target.closest?.($layers) || (last.current = on.target);};",
                "useWindowEvent('focusin', note);",
                # A layer is a child of the body's own. It hands the focus on in a moment of its own.
                "const lost = () => document.activeElement === document.body;",
                "const look = () => {setTimeout(() => lost() && $before?.focus());};",
                "useMutationObserverTarget(look, {childList: true}, () => document.body);",
            ),
            layers=_OVER,
            before=before,
        )
    )


def _do(template: str, *hooks: str, **values: Any) -> rx.Var[Any]:
    """Return an expression that does something in the place of what the browser would."""
    return js(f"(press.preventDefault(), {template})", hooks=hooks, **values)
