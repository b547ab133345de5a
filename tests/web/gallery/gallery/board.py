"""A page with a board of made-up cards; moves to IN_PROGRESS are refused, and "Thousand" fills it."""

from __future__ import annotations

import dataclasses

import reflex as rx

from vibe_app.web.kit.kanban import CardList, card_lists

STATUSES = ["TODO", "IN_PROGRESS", "AI_REVIEW", "HUMAN_REVIEW", "DONE"]


@dataclasses.dataclass
class Card:
    id: str
    title: str
    locked: bool = False


class BoardState(rx.State):
    todo: list[Card] = [Card(f"c{n}", f"Card {n}") for n in range(1, 5)]
    in_progress: list[Card] = [Card("busy", "Busy card", True)]
    ai_review: list[Card] = []
    human_review: list[Card] = [Card("h1", "Human one")]
    done: list[Card] = []
    order: dict[str, list[str]] = {}
    changed: dict[str, Card] = {}
    chosen: list[str] = []
    version: int = 0
    acts: list[str] = []

    @rx.event
    def move(self, card_id: str, column: str, before_id: str):
        self.version += 1
        self.acts = [*self.acts, f"move:{card_id}:{column}:{before_id}"][-5:]
        if column == "IN_PROGRESS":
            return
        lists = {status: list(getattr(self, status.lower())) for status in STATUSES}
        card = next(c for cards in lists.values() for c in cards if c.id == card_id)
        for status in STATUSES:
            kept = [c for c in lists[status] if c.id != card_id]
            if status == column:
                at = next((i for i, c in enumerate(kept) if c.id == before_id), len(kept))
                kept.insert(at, card)
            if [c.id for c in kept] != [c.id for c in lists[status]]:
                setattr(self, status.lower(), kept)

    @rx.event
    def act(self, action: str, card_id: str):
        self.acts = [*self.acts, f"{action}:{card_id}"][-5:]

    @rx.event
    def patch(self):
        self.order = {"TODO": ["c3", "c1", "c4", "h1"], "HUMAN_REVIEW": []}
        self.changed = {"c1": Card("c1", "Card 1, changed")}

    @rx.event
    def fill(self):
        for column, status in enumerate(STATUSES):
            cards = [Card(f"x{column}-{n}", f"Card {n} of column {column}") for n in range(200)]
            setattr(self, status.lower(), cards)


@rx.memo
def face(card: rx.Var[Card], chosen: rx.Var[bool], path: rx.Var[str]) -> rx.Component:
    return rx.el.div(
        rx.el.a(card.title, href=path + card.id),
        rx.cond(chosen, rx.el.b("chosen")),
        rx.cond(
            card.locked, rx.el.em("locked"), rx.el.button("Run", on_click=BoardState.act("run", card.id))
        ),
        style={"padding": "10px"},
    )


def words(happened) -> rx.Var:
    return rx.match(
        happened["kind"],
        ("start", f"{happened['title']} picked up"),
        ("cancel", "Back again"),
        ("help", "Space picks it up"),
        f"{happened['to']}, place {happened['place']}",
    )


def board() -> rx.Component:
    return rx.el.main(
        rx.el.h1("Board"),
        rx.el.button("Thousand", on_click=BoardState.fill, id="fill"),
        rx.el.button("Move x1-0", on_click=BoardState.move("x1-0", "DONE", ""), id="server-move"),
        rx.el.button("Patch", on_click=BoardState.patch, id="patch"),
        rx.el.div(BoardState.acts.to_string(), id="acts"),
        card_lists(
            face,
            Card,
            words,
            rx.el.div(
                *[rx.el.div(CardList.create(name=each), class_name="kb-column") for each in STATUSES],
                class_name="kb-columns",
            ),
            cards={status: getattr(BoardState, status.lower()) for status in STATUSES},
            order=BoardState.order,
            changed=BoardState.changed,
            version=BoardState.version,
            can_move=True,
            opened="",
            chosen=BoardState.chosen,
            path="#",
            keys=["e", " "],
            deaf=400,
            on_move=BoardState.move,
            on_key=BoardState.act,
        ),
        style={"height": "100vh", "display": "flex", "flex_direction": "column"},
    )
