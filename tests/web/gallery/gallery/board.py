"""A page with a board of made-up cards; moves to IN_PROGRESS are refused, and "Thousand" fills it."""

from __future__ import annotations

import dataclasses

import reflex as rx

from vibe_app.web.kit.kanban import kanban

STATUSES = ["TODO", "IN_PROGRESS", "AI_REVIEW", "HUMAN_REVIEW", "DONE"]
COLUMNS = [{"status": s, "name": s.replace("_", " ").capitalize(), "hint": "Nothing here"} for s in STATUSES]


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
    def fill(self):
        for column, status in enumerate(STATUSES):
            cards = [Card(f"x{column}-{n}", f"Card {n} of column {column}") for n in range(200)]
            setattr(self, status.lower(), cards)


@rx.memo
def face(card: rx.Var[Card]) -> rx.Component:
    return rx.el.div(
        rx.el.a(card.title, href="#" + card.id),
        rx.cond(
            card.locked, rx.el.em("locked"), rx.el.button("Run", on_click=BoardState.act("run", card.id))
        ),
        style={"padding": "10px"},
    )


def board() -> rx.Component:
    return rx.el.main(
        rx.el.h1("Board"),
        rx.el.button("Thousand", on_click=BoardState.fill, id="fill"),
        rx.el.button("Move x1-0", on_click=BoardState.move("x1-0", "DONE", ""), id="server-move"),
        rx.el.div(BoardState.acts.to_string(), id="acts"),
        kanban(
            face,
            Card,
            COLUMNS,
            cards={status: getattr(BoardState, status.lower()) for status in STATUSES},
            version=BoardState.version,
            can_move=True,
            selected="",
            path="/board?card=",
            on_move=BoardState.move,
            on_act=BoardState.act,
        ),
        style={"height": "100vh", "display": "flex", "flex_direction": "column"},
    )
