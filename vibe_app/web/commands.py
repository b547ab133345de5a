"""The command bar: go to a card or a project, or have something done, by typing a few letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import reflex as rx

from vibe_app.accounts.roles import Actor, ProjectRole
from vibe_app.board.lifecycle import TaskStatus
from vibe_app.board.projects.schemas import ProjectCard
from vibe_app.board.projects.service import LISTED
from vibe_app.board.tasks.finding import FoundCard
from vibe_app.web.auth import acts
from vibe_app.web.board.composer import ComposerState
from vibe_app.web.forms import words
from vibe_app.web.keyboard import HelpState
from vibe_app.web.kit.ahead import OPENS, opens
from vibe_app.web.kit.hooks import Hooked, event, js
from vibe_app.web.place import Place, known, place_of
from vibe_app.wiring import services

_ICONS = {
    "card": "square-dashed",
    "execute": "play",
    "project": "square-kanban",
    "new": "plus",
    "options": "settings-2",
    "home": "house",
    "settings": "settings",
    "theme": "sun-moon",
    "help": "keyboard",
}
_CARDS, _PROJECTS = 6, 5
"""How many of each are shown."""
_FIELD = "command-field"
_KEY = "Ctrl+K"


@dataclass
class Command:
    """A line of the bar: what it is, what it leads to, and a word for what Enter does."""

    kind: str
    target: str
    title: str
    detail: str
    word: str
    group: str = ""
    """What stands above it, where it is the first of its group."""


class CommandState(rx.State):
    """What the bar shows."""

    opened: bool = False
    query: str = ""
    rows: list[Command] = []
    chosen: int = 0
    _at: str = ""
    """The address on which it was opened."""

    @acts
    async def open(self, actor: Actor):
        """Show the bar, with what is near."""
        self.query, self.chosen, self._at = "", 0, self.router.url.path
        self.rows = await _found(actor, "", place_of(self))
        self.opened = True

    @rx.event
    def set_opened(self, opened: bool):
        """Hide the bar."""
        self.opened = opened and self.opened

    @acts
    async def find(self, actor: Actor, query: str):
        """Show what fits the letters."""
        self.query, self.chosen = query[:200], 0
        self.rows = await _found(actor, self.query, place_of(self))

    @rx.event
    def step(self, by: int):
        """Choose the next line, or the one before; after the last comes the first."""
        if self.rows:
            self.chosen = (self.chosen + (1 if by > 0 else -1)) % len(self.rows)

    @acts
    async def enter(self, actor: Actor, form: dict[str, Any]):
        """Do what the chosen line says; letters that have not been looked for yet are looked for first."""
        query = words(form, "query")[:200]
        if not self.opened:  # closed by the first of two presses
            return None
        if query != self.query:
            self.query, self.chosen = query, 0
            self.rows = await _found(actor, query, place_of(self))
        if not self.rows:
            return None
        row = self.rows[min(self.chosen, len(self.rows) - 1)]
        return await _done(self, actor, row.kind, row.target)

    @acts
    async def run(self, actor: Actor, kind: str, target: str):
        """Do what a line says that was pressed."""
        return await _done(self, actor, kind, target)


async def _done(state: CommandState, actor: Actor, kind: str, target: str) -> Any:
    state.opened = False
    project, _, task = target.partition("/")
    match kind:
        case "card":
            return rx.redirect(f"/p/{known(project)}/t/{known(task)}")
        case "execute":
            await services().starts.execute(actor, known(project), known(task))
            return rx.redirect(f"/p/{known(project)}/t/{known(task)}")
        case "project":
            return rx.redirect(f"/p/{known(project)}")
        case "options":
            return rx.redirect(f"/p/{known(project)}/settings")
        case "new":
            board = f"/p/{known(project)}"
            (await state.get_state(ComposerState)).opened = board
            return rx.redirect(board)
        case "home":
            return rx.redirect("/")
        case "settings":
            return rx.redirect("/settings")
        case "theme":
            return rx.call_script("document.querySelector('.v-rail .v-theme').click()")
        case "help":
            (await state.get_state(HelpState)).helping = True
    return None


async def _found(actor: Actor, query: str, place: Place) -> list[Command]:
    """Return the lines that fit some letters, cards first; without letters, what is near."""
    letters = query.strip().casefold()
    cards = await services().finding.cards(actor, query, place.project, _CARDS)
    near = {each.project_id for each in cards} | ({place.project} if place.project else set())
    projects = await _projects(actor, query, near)
    here = next((each for each in projects if each.id == place.project), None)
    named = [each for each in projects if letters in each.name.casefold()][:_PROJECTS]
    doing = [each for each in _doing(here) if letters in f"{each.title} {each.detail}".casefold()]
    groups = [
        ("Cards", [_card(each) for each in cards]),
        ("Projects", [Command("project", str(each.id), each.name, "", "Go to") for each in named]),
        ("Do", [*_executing(actor, cards if letters else [], projects), *doing]),
    ]
    if not letters:
        groups = [groups[2], groups[0], groups[1]]
    for name, rows in groups:
        if rows:
            rows[0].group = name
    return [row for _, rows in groups for row in rows]


async def _projects(actor: Actor, query: str, ids: set[UUID]) -> list[ProjectCard]:
    """Return the first projects by name; where there are more, also those of a name and of these ids."""
    verbs = services().projects
    found = await verbs.list(actor)
    if len(found) == LISTED:
        found += [*await verbs.list(actor, query), *await verbs.list(actor, only=ids)]
    return list({each.id: each for each in found}.values())


def _card(card: FoundCard) -> Command:
    ref = f"{card.ref} · " if card.ref else ""
    target = f"{card.project_id}/{card.id}"
    return Command("card", target, card.title, f"{ref}{card.project} · {card.status.column}", "Open")


def _executing(actor: Actor, cards: list[FoundCard], projects: list[ProjectCard]) -> list[Command]:
    """Return the lines that execute what was found, as far as the person may."""
    if actor.no_execution:
        return []
    may = {each.id for each in projects if each.role.covers(ProjectRole.EDITOR)}
    return [
        Command("execute", f"{card.project_id}/{card.id}", f"Execute “{card.title}”", card.project, "Execute")
        for card in cards[:2]
        if card.status is TaskStatus.TODO and card.project_id in may
    ]


def _doing(here: ProjectCard | None) -> list[Command]:
    """Return what can be done where somebody is."""
    rows: list[Command] = []
    if here:
        if here.role.covers(ProjectRole.EDITOR):
            rows.append(Command("new", str(here.id), "New task", here.name, "Write"))
        rows.append(Command("options", str(here.id), "Project settings", here.name, "Go to"))
    return [
        *rows,
        Command("home", "", "Home", "", "Go to"),
        Command("settings", "", "Settings", "", "Go to"),
        Command("theme", "", "Change between light and dark", "Theme", "Switch"),
        Command("help", "", "Keyboard", "", "Show"),
    ]


def open_button() -> rx.Component:
    """The field of the rail that opens the bar."""
    return rx.el.button(
        rx.icon("search", size=16, aria_hidden="true"),
        rx.el.span("Go to or do…", class_name="v-rail-name"),
        rx.el.kbd("Ctrl K", class_name="v-kbd"),
        type="button",
        on_click=CommandState.open,
        class_name="v-rail-item v-command-open",
        custom_attrs={OPENS: _KEY},
    )


def command_key() -> rx.Component:
    """Ctrl K, or ⌘ K, wherever somebody is."""
    there = js("document.getElementById($field)", field=_FIELD)
    # Where it is open already what is typed has its field.
    opened = js(
        "($open(), $there || $opens)",
        open=event(CommandState.open, lambda: []),
        there=there,
        opens=opens(_KEY),
    )
    return Hooked.create(
        runs=js("null", hooks=("useHotkeys([['mod+K', () => $opened]], [], true);",), opened=opened)
    )


def _moving(key: Any) -> Any:
    back = rx.cond(key == "ArrowUp", CommandState.step(-1).prevent_default, rx.noop())
    return rx.cond(key == "ArrowDown", CommandState.step(1).prevent_default, back)


def _row(row: Any, index: Any) -> rx.Component:
    icons = {kind: rx.icon(icon, size=16, aria_hidden="true") for kind, icon in _ICONS.items()}
    chosen = CommandState.chosen == index
    return rx.fragment(
        rx.cond(row.group != "", rx.el.div(row.group, class_name="v-command-group", role="presentation")),
        rx.el.div(
            rx.match(row.kind, *icons.items(), icons["card"]),
            rx.el.span(
                row.title,
                class_name="v-grow v-command-title",
                title=row.title,
                custom_attrs={"dir": "auto"},
            ),
            rx.el.span(row.detail, class_name="v-quiet v-command-detail", title=row.detail),
            rx.el.span(row.word, class_name="v-command-word"),
            id=f"command-{index}",
            role="option",
            on_click=CommandState.run(row.kind, row.target),
            custom_attrs={"aria-selected": rx.cond(chosen, "true", "false")},
            class_name="v-command",
        ),
    )


def _field() -> rx.Component:
    letters = rx.el.input(
        id=_FIELD,
        name="query",
        type="text",
        auto_focus=True,
        auto_complete="off",
        spell_check=False,
        placeholder="A card, a project, or what to do",
        aria_label="Go to or do",
        role="combobox",
        on_change=CommandState.find.debounce(120),  # pyright: ignore[reportFunctionMemberAccess]
        on_key_down=_moving,
        custom_attrs={
            "aria-expanded": "true",
            "aria-controls": "commands",
            "aria-autocomplete": "list",
            "aria-activedescendant": f"command-{CommandState.chosen}",
        },
    )
    return rx.el.form(
        rx.icon("search", size=18, aria_hidden="true"),
        # A bar that is opened while it still fades away is the same one: its letters must not stay.
        rx.cond(CommandState.opened, letters),
        on_submit=CommandState.enter,
        class_name="v-command-field",
    )


def command_bar() -> rx.Component:
    """The bar over the page; `CommandState.open` opens it."""
    rows: Any = CommandState.rows
    # A press beside its parts, or a dialog that closes under it, would leave the focus on the bar itself.
    back = js(
        "((on) => on.target === on.currentTarget && document.getElementById($field)?.focus())", field=_FIELD
    )
    return rx.dialog.root(
        rx.dialog.content(
            rx.dialog.title("Go to or do", class_name="v-unseen"),
            rx.dialog.description("Arrows choose, Enter does it, Esc closes.", class_name="v-unseen"),
            _field(),
            rx.el.div(
                rx.foreach(CommandState.rows, _row),
                id="commands",
                role="listbox",
                aria_label="What was found",
                class_name="v-commands",
            ),
            rx.cond(
                rows.length() == 0,
                rx.el.p("Nothing fits. Try fewer letters.", role="status", class_name="v-command-none"),
            ),
            class_name="v-command-bar",
            custom_attrs={"onFocus": back},
        ),
        open=CommandState.opened,
        on_open_change=CommandState.set_opened,
    )
