// The board's columns. @dnd-kit finds out what a pointer drags over which column;
// where in the column, the keyboard, and what shows until the server has answered
// are here. Cards are drawn by `renderCard`, which comes from Python.
import { memo, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { useNavigate } from "react-router";
import {
  DndContext,
  DragOverlay,
  MouseSensor,
  TouchSensor,
  pointerWithin,
  rectIntersection,
  useDraggable,
  useDroppable,
  useSensor,
  useSensors,
} from "@dnd-kit/core";
import "./kanban.css";

const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const element = (id) => document.querySelector(`[data-card-id="${CSS.escape(id)}"]`);

// `cards` with one card moved; the lists that do not change keep their identity.
function place(cards, { id, to, before }) {
  let card;
  const out = { ...cards };
  for (const [status, list] of Object.entries(cards)) {
    const at = list.findIndex((each) => each.id === id);
    if (at < 0) continue;
    card = list[at];
    out[status] = list.filter((each) => each.id !== id);
  }
  if (!card || !out[to]) return cards;
  const at = before ? out[to].findIndex((each) => each.id === before) : -1;
  out[to] = at < 0 ? [...out[to], card] : [...out[to].slice(0, at), card, ...out[to].slice(at)];
  return out;
}

function find(cards, id) {
  for (const [status, list] of Object.entries(cards)) {
    const index = list.findIndex((card) => card.id === id);
    if (index >= 0) return { status, index, card: list[index] };
  }
  return null;
}

// The card before which something dropped at height `y` lands, or "" for the end.
function landing(status, y, moving) {
  const nodes = document.querySelectorAll(`[data-column="${status}"] > [data-card-id]`);
  let low = 0;
  let high = nodes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const rect = nodes[middle].getBoundingClientRect();
    if (rect.top + rect.height / 2 < y) low = middle + 1;
    else high = middle;
  }
  while (low < nodes.length && nodes[low].dataset.cardId === moving) low += 1;
  return nodes[low]?.dataset.cardId ?? "";
}

// One draggable serves all cards, whichever was pressed last: with dnd-kit's hook in
// each of a thousand cards, all of them would render at every step of a drag.
function Held({ id, listeners }) {
  const held = useDraggable({ id });
  useLayoutEffect(() => {
    held.setNodeRef(element(id));
    listeners.current = held.listeners;
  });
  return null;
}

const same = (one, other) =>
  Object.keys(other).every((key) =>
    Array.isArray(other[key])
      ? one[key]?.length === other[key].length && other[key].every((item, i) => item === one[key][i])
      : Object.is(one[key], other[key]),
  );

// A list that comes from the server is new throughout where one card left it; a card
// that did not change keeps its identity, so that only the others are drawn again.
function useSteady(cards) {
  const [known] = useState(() => new Map());
  return useMemo(() => {
    const out = {};
    for (const [status, list] of Object.entries(cards)) {
      out[status] = list.map((card) => {
        const old = known.get(card.id);
        const kept = old && same(old, card) ? old : card;
        known.set(card.id, kept);
        return kept;
      });
    }
    return out;
  }, Object.values(cards));
}

const Card = memo(function Card({ card, render, dragging, grabbed, selected, tabbable }) {
  const face = useMemo(() => render(card), [card]);
  const classes = ["kb-card"];
  if (dragging) classes.push("kb-away");
  if (grabbed) classes.push("kb-grabbed");
  if (selected) classes.push("kb-selected");
  return (
    <li
      className={classes.join(" ")}
      data-card-id={card.id}
      tabIndex={tabbable ? 0 : -1}
      aria-label={card.title}
      aria-current={selected ? "true" : undefined}
      aria-describedby="kb-help"
    >
      {face}
    </li>
  );
});

const Column = memo(function Column({
  column,
  cards,
  landing: mark,
  shown,
  moving,
  grabbed,
  selected,
  entry,
  ...rest
}) {
  const { setNodeRef } = useDroppable({ id: column.status });
  const slot = <li key=" slot" className="kb-slot" style={{ height: mark?.height }} aria-hidden="true" />;
  const rows = [];
  for (const card of cards) {
    if (mark?.before === card.id) rows.push(slot);
    rows.push(
      <Card
        key={card.id}
        card={card}
        render={rest.render}
        dragging={moving === card.id}
        grabbed={grabbed === card.id}
        selected={selected === card.id}
        tabbable={entry === card.id}
      />,
    );
  }
  if (mark && !mark.before) rows.push(slot);
  return (
    <section
      className={`kb-column kb-${column.status}`}
      data-shown={shown ? "true" : "false"}
      data-over={mark ? "true" : "false"}
      aria-label={`${column.name}, ${cards.length} ${cards.length === 1 ? "card" : "cards"}`}
    >
      <h2 className="kb-head">
        <i aria-hidden="true" />
        {column.name}
        <span className="kb-count">{cards.length}</span>
      </h2>
      <ul ref={setNodeRef} className="kb-list" data-column={column.status} tabIndex={-1}>
        {rows}
        {!rows.length && <li className="kb-empty">{column.hint}</li>}
      </ul>
    </section>
  );
});

// The moves that were dropped but not yet answered; the first to go is the first to be answered.
function usePending(version) {
  const [pending, setPending] = useState([]);
  const [seen, setSeen] = useState(version);
  let waiting = pending;
  if (version !== seen) {
    waiting = version > seen ? pending.slice(version - seen) : [];
    setSeen(version);
    setPending(waiting);
  }
  const add = useCallback((move) => setPending((moves) => [...moves, move]), []);
  return [waiting, add];
}

// Where a card that was waiting for its answer is now: a refused one flies back.
function useFlight(pending, cards) {
  const before = useRef(new Map());
  useLayoutEffect(() => {
    for (const [id, old] of before.current) {
      if (pending.some((move) => move.id === id)) continue;
      const node = element(id);
      const rect = node?.getBoundingClientRect();
      const far = rect && (Math.abs(rect.left - old.left) > 4 || Math.abs(rect.top - old.top) > 4);
      if (far && old.status !== find(cards, id)?.status && !calm()) {
        const from = `translate(${old.left - rect.left}px, ${old.top - rect.top}px)`;
        node.animate(
          [
            { transform: from, zIndex: 5 },
            { transform: "none", zIndex: 5 },
          ],
          {
            duration: 220,
            easing: "cubic-bezier(.2,.8,.2,1)",
          },
        );
      }
    }
    before.current = new Map(
      pending.map((move) => {
        const rect = element(move.id)?.getBoundingClientRect();
        return [move.id, { left: rect?.left ?? 0, top: rect?.top ?? 0, status: move.to }];
      }),
    );
  });
}

// The other way to move a card: a list of the columns. `ask` is {id, title, from}. It is
// a popover, since a modal dialog makes the browser look at every card twice.
function MoveMenu({ ask, columns, onChoose, onClose }) {
  const root = useRef(null);
  useEffect(() => {
    const from = document.activeElement;
    root.current?.showPopover();
    root.current?.querySelector("button:not(:disabled)")?.focus();
    return () => from?.focus?.({ preventScroll: true });
  }, []);
  const keys = (event) => {
    const buttons = [...root.current.querySelectorAll("button:not(:disabled)")];
    const step = { ArrowDown: 1, ArrowUp: -1, Tab: event.shiftKey ? -1 : 1 }[event.key];
    event.stopPropagation();
    if (event.key === "Escape") {
      event.preventDefault(); // React listens on the document too: else the page's own keys see it
      return onClose();
    }
    if (!step) return;
    event.preventDefault();
    buttons.at((buttons.indexOf(document.activeElement) + step) % buttons.length)?.focus();
  };
  return (
    <div
      ref={root}
      popover="auto"
      role="dialog"
      className="kb-menu"
      aria-labelledby="kb-menu-title"
      onToggle={(event) => event.newState === "closed" && onClose()}
      onKeyDown={keys}
      onClick={(event) => event.stopPropagation()}
    >
      <h2 id="kb-menu-title">Move to…</h2>
      <p>{ask.title}</p>
      {columns.map((column) => (
        <button
          key={column.status}
          type="button"
          disabled={column.status === ask.from}
          onClick={() => onChoose(column.status)}
        >
          {column.name}
        </button>
      ))}
    </div>
  );
}

const collide = (args) => {
  const under = pointerWithin(args);
  return under.length ? under : rectIntersection(args);
};

export function KanbanBoard({
  columns: givenColumns,
  cards: received,
  version,
  canMove,
  selected,
  path,
  renderCard: givenRenderCard,
  onMove,
  onAct,
}) {
  // Both are compiled in and only look new at each render.
  const [columns] = useState(givenColumns);
  const [renderCard] = useState(() => givenRenderCard);
  const navigate = useNavigate();
  const [pending, addPending] = usePending(version ?? 0);
  const given = useSteady(received);
  const [held, setHeld] = useState("");
  const listeners = useRef(null);
  const [grab, setGrab] = useState(null); // {id, to, before}: a card held by the keyboard
  const [drag, setDrag] = useState(null); // {id, height, to, before}: a card held by a pointer
  const [tab, setTab] = useState(columns[0].status);
  const [focused, setFocused] = useState("");
  const [said, say] = useState("");
  const [ask, setAsk] = useState(null);

  const settled = useMemo(() => pending.reduce(place, given), [pending, given]);
  const cards = useMemo(() => (grab ? place(settled, grab) : settled), [settled, grab]);
  useFlight(pending, cards);

  const nameOf = (status) => columns.find((column) => column.status === status)?.name ?? status;
  const sensors = useSensors(
    useSensor(MouseSensor, { activationConstraint: { distance: 5 } }),
    useSensor(TouchSensor, { activationConstraint: { delay: 280, tolerance: 8 } }),
  );

  // A card that changes its column is a new element: the focus follows it.
  useEffect(() => {
    if (!grab) return;
    const node = element(grab.id);
    node?.focus({ preventScroll: true });
    node?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [grab]);

  const drop = (move) => {
    const from = find(settled, move.id);
    if (!from) return;
    const next = settled[from.status][from.index + 1]?.id ?? "";
    if (from.status === move.to && (move.before === next || move.before === move.id)) return;
    addPending(move);
    onMove?.(move.id, move.to, move.before);
    say(`${from.card.title}: moving to ${nameOf(move.to)}`);
  };

  const hold = (event, name) => {
    const node = event.target.closest("[data-card-id]");
    if (!canMove || !node || event.target.closest("a, button, input")) return;
    if (find(cards, node.dataset.cardId)?.card.locked) return;
    flushSync(() => setHeld(node.dataset.cardId));
    listeners.current?.[name]?.(event);
  };

  const over = (event) => {
    const to = event.over?.id;
    const rect = event.active.rect.current.translated;
    if (!to || !rect) return setDrag((now) => now && { ...now, to: undefined });
    const before = landing(to, rect.top + rect.height / 2, event.active.id);
    setDrag((now) => (now && (now.to !== to || now.before !== before) ? { ...now, to, before } : now));
  };

  const end = () => {
    if (drag?.to) drop({ id: drag.id, to: drag.to, before: drag.before });
    setDrag(null);
  };

  // Also for whoever is outside of the board: an event `vibe-move` with the card's id.
  const askWhere = (id) => {
    const at = find(settled, id);
    if (!at || !canMove) return;
    if (at.card.locked) onAct?.("move", id);
    else setAsk({ id, title: at.card.title, from: at.status });
  };
  useEffect(() => {
    const listen = (event) => askWhere(event.detail);
    window.addEventListener("vibe-move", listen);
    return () => window.removeEventListener("vibe-move", listen);
  });

  const grabKeys = (event) => {
    const at = find(cards, grab.id);
    const order = columns.map((column) => column.status);
    const list = cards[at.status];
    const hold = (to, before) => {
      setGrab({ id: grab.id, to, before });
      setTab(to);
      const place_ = before ? cards[to].findIndex((card) => card.id === before) + 1 : cards[to].length;
      say(`${nameOf(to)}, place ${Math.max(1, place_)}`);
    };
    const steps = {
      ArrowUp: () => at.index > 0 && hold(at.status, list[at.index - 1].id),
      ArrowDown: () => at.index < list.length - 1 && hold(at.status, list[at.index + 2]?.id ?? ""),
      ArrowLeft: () => sideways(-1),
      ArrowRight: () => sideways(1),
      Escape: () => {
        setGrab(null);
        setTab(find(settled, grab.id)?.status ?? tab);
        say("Move cancelled");
        window.setTimeout(() => element(grab.id)?.focus());
      },
      " ": () => {
        setGrab(null);
        drop(grab);
        window.setTimeout(() => element(grab.id)?.focus());
      },
    };
    const sideways = (by) => {
      const to = order[order.indexOf(at.status) + by];
      if (to) hold(to, cards[to][at.index]?.id ?? "");
    };
    steps.Enter = steps[" "];
    if (!steps[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    steps[event.key]();
  };

  const go = (id) => {
    setFocused(id);
    element(id)?.focus();
  };

  const open = (id) => navigate(path + id);

  const keys = (event) => {
    if (grab) return grabKeys(event);
    const id = event.target.dataset?.cardId; // only the card itself, not a button on it
    if (!id || event.ctrlKey || event.metaKey || event.altKey) return;
    const at = find(cards, id);
    const actions = { e: "execute", s: "stop" };
    if (!at) return;
    if (event.key === " ") {
      event.preventDefault();
      if (!canMove || at.card.locked) {
        if (at.card.locked) onAct?.("move", id);
        else say("You may not move cards here");
        return;
      }
      setGrab({ id, to: at.status, before: cards[at.status][at.index + 1]?.id ?? "" });
      say(`${at.card.title} picked up. Arrow keys move it, Space drops it, Escape cancels.`);
    } else if (event.key.startsWith("Arrow")) {
      const order = columns.map((column) => column.status);
      const list = cards[at.status];
      let to;
      if (event.key === "ArrowUp") to = list[at.index - 1];
      if (event.key === "ArrowDown") to = list[at.index + 1];
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
        const by = event.key === "ArrowLeft" ? -1 : 1;
        for (let i = order.indexOf(at.status) + by; order[i] && !to; i += by) {
          to = cards[order[i]][Math.min(at.index, cards[order[i]].length - 1)];
          if (to) setTab(order[i]);
        }
      }
      event.preventDefault();
      if (to) window.setTimeout(() => go(to.id)); // after the tab of its column is shown
    } else if (event.key === "m") {
      event.preventDefault();
      event.stopPropagation();
      askWhere(id);
    } else if (event.key === "Enter") {
      event.preventDefault();
      open(id);
    } else if (actions[event.key]) {
      event.preventDefault();
      event.stopPropagation();
      onAct?.(actions[event.key], id);
    }
  };

  const click = (event) => {
    const node = event.target.closest("[data-card-id]");
    if (node && event.target.closest("[data-kb-move]")) return askWhere(node.dataset.cardId);
    if (!node || event.target.closest("a, button, input")) return;
    if (String(window.getSelection())) return;
    open(node.dataset.cardId);
  };

  const focus = (event) => {
    if (event.target.dataset?.cardId) setFocused(event.target.dataset.cardId);
  };

  // One card is a stop of the Tab key; the arrows go from there.
  const first = columns.map(({ status }) => cards[status]?.[0]?.id).find(Boolean);
  const entry = focused && find(cards, focused) ? focused : first;
  const mark = (status) => {
    if (drag?.to !== status) return undefined;
    const at = find(cards, drag.id);
    const next = at && cards[at.status][at.index + 1]?.id;
    return at?.status === status && (next ?? "") === drag.before ? undefined : drag;
  };
  const dragged = drag && find(cards, drag.id)?.card;

  return (
    <DndContext
      sensors={sensors}
      collisionDetection={collide}
      onDragStart={({ active }) => {
        const height = element(active.id)?.offsetHeight ?? 80;
        setDrag({ id: active.id, height });
      }}
      onDragMove={over}
      onDragOver={over}
      onDragEnd={end}
      onDragCancel={() => setDrag(null)}
      accessibility={{
        screenReaderInstructions: { draggable: "" },
        announcements: {
          onDragStart: () => undefined,
          onDragOver: ({ over: at }) => at && `Over ${nameOf(at.id)}`,
          onDragEnd: () => undefined,
          onDragCancel: () => "Move cancelled",
        },
      }}
    >
      <div
        className={`kb${drag ? " kb-dragging" : ""}`}
        onKeyDown={keys}
        onClick={click}
        onFocus={focus}
        onMouseDown={(event) => hold(event, "onMouseDown")}
        onTouchStart={(event) => hold(event, "onTouchStart")}
      >
        <div className="kb-tabs" role="tablist" aria-label="Columns">
          {columns.map((column) => (
            <button
              key={column.status}
              type="button"
              role="tab"
              aria-selected={tab === column.status}
              onClick={() => setTab(column.status)}
            >
              {column.name} <span className="kb-count">{cards[column.status]?.length ?? 0}</span>
            </button>
          ))}
        </div>
        <div className="kb-columns">
          {columns.map((column) => (
            <Column
              key={column.status}
              column={column}
              cards={cards[column.status] ?? []}
              landing={mark(column.status)}
              shown={tab === column.status}
              moving={drag?.id}
              grabbed={grab?.id}
              selected={selected}
              entry={cards[column.status]?.some((card) => card.id === entry) ? entry : undefined}
              render={renderCard}
            />
          ))}
        </div>
        {held && <Held id={held} listeners={listeners} />}
        {ask && (
          <MoveMenu
            ask={ask}
            columns={columns.filter((column) => column.by_hand !== "no")}
            onClose={() => setAsk(null)}
            onChoose={(to) => {
              setAsk(null);
              drop({ id: ask.id, to, before: "" });
            }}
          />
        )}
        <p id="kb-help" className="kb-unseen">
          Enter opens the card, arrow keys go between cards, Space picks it up.
        </p>
        <div className="kb-unseen" role="status" aria-live="assertive">
          {said}
        </div>
      </div>
      <DragOverlay dropAnimation={null}>
        {dragged && <div className="kb-card kb-lifted">{renderCard(dragged)}</div>}
      </DragOverlay>
    </DndContext>
  );
}
