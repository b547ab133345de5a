// Lists of cards to drag between, by @hello-pangea/dnd. A drop shows at once and stays until `version` says that
// it was answered. What the answer is, every word and what a key means come from outside.
import { createContext, memo, useContext, useLayoutEffect, useMemo, useRef, useState } from "react";
import { DragDropContext, Draggable, Droppable } from "@hello-pangea/dnd";
import { dropped, same, shown, useWaiting } from "./kanban_lists.js";

const Lists = createContext(null);

const Inside = ({ held, now, card, chosen, path, render }) => {
  const node = useRef(null);
  useLayoutEffect(() => {
    // One tab stop a card: what is on it has keys. And no flight to where it lies already.
    for (const each of node.current.querySelectorAll("a, button")) each.tabIndex = -1;
    if (now.isDropAnimating) queueMicrotask(() => held.draggableProps.onTransitionEnd?.({ propertyName: "transform" }));
  });
  return <div ref={node}>{render(card, chosen, path)}</div>;
};

const Card = memo(({ index, fixed, open, ...given }) => (
  <Draggable draggableId={given.card.id} index={index} isDragDisabled={fixed}>
    {(held, now) => (
      <li
        ref={held.innerRef}
        {...held.draggableProps}
        {...held.dragHandleProps}
        role="listitem"
        tabIndex={0}
        className={now.isDragging ? "kb-card kb-lifted" : "kb-card"}
        data-card-id={given.card.id}
        data-chosen={given.chosen}
        aria-label={given.card.title}
        aria-current={open || undefined}
      >
        <Inside held={held} now={now} {...given} />
      </li>
    )}
  </Draggable>
), same);

export function CardList({ name, children }) {
  const { lists, card } = useContext(Lists);
  return (
    <Droppable droppableId={name}>
      {({ innerRef, droppableProps, placeholder }, { isDraggingOver }) => (
        <ul ref={innerRef} {...droppableProps} className="kb-list" data-column={name} data-over={isDraggingOver}>
          {lists[name].map(card)}
          {placeholder}
          {children}
        </ul>
      )}
    </Droppable>
  );
}

// The card that an arrow key leads to: in its list, or as high in the next one that has any.
const beside = (card, key) => {
  const seen = [...card.closest(".kb").querySelectorAll("[data-column]")].filter((list) => list.offsetParent);
  const lists = seen.map((list) => [...list.querySelectorAll("[data-card-id]")]).filter((list) => list.length);
  const column = lists.findIndex((list) => list.includes(card));
  const row = lists[column].indexOf(card);
  const next = lists[column + ({ ArrowLeft: -1, ArrowRight: 1 }[key] ?? NaN)];
  return next ? next[Math.min(row, next.length - 1)] : lists[column][row + ({ ArrowUp: -1, ArrowDown: 1 }[key] ?? NaN)];
};

export function Cards({ children, canMove, opened, chosen, path, version, keys, deaf, words, renderCard: drawn, onMove, onKey, ...given }) {
  const [render] = useState(() => drawn); // it is compiled in, and only looks new at each render
  const [waiting, wait] = useWaiting(version);
  const [held, hold] = useState(null); // nothing changes under the hand that drags
  const pressed = useRef({ at: -Infinity, id: "" });
  const now = useMemo(() => shown(given), [...Object.values(given.cards), given.order, given.changed]);
  const lists = held ?? waiting.reduce(dropped, now);
  const say = (kind) => ({ draggableId: id, source, destination }, { announce }) => {
    const card = lists[source.droppableId].find((each) => each.id === id);
    announce(words({ kind, title: card?.title, to: destination?.droppableId ?? "", place: (destination?.index ?? 0) + 1 }));
  };
  const end = (at, told) => {
    const { draggableId: id, source, destination: target, reason } = at;
    say(target && reason === "DROP" ? "drop" : "cancel")(at, told);
    hold(null);
    const { droppableId: to, index } = target ?? source;
    if (reason !== "DROP" || (to === source.droppableId && index === source.index)) return;
    const before = lists[to].filter((card) => card.id !== id)[index]?.id ?? "";
    wait({ id, to, before });
    onMove(id, to, before);
  };
  const key = (event) => {
    const card = event.target;
    if (!card.dataset.cardId || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const next = beside(card, event.key);
    if (next) next.focus();
    else if (event.key === "Enter") card.querySelector("a").click();
    else if (keys.includes(event.key)) onKey(event.key, card.dataset.cardId);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  // What slides under a pointer that has just pressed a button does not take the next press for its own.
  const click = (event) => {
    const id = event.target.closest("[data-card-id]")?.dataset.cardId;
    const early = pressed.current.id !== id && event.timeStamp - pressed.current.at < deaf;
    if (!id || (!early && event.target.closest("button"))) pressed.current = { at: id ? event.timeStamp : -Infinity, id };
    else if (early || event.shiftKey) {
      event.preventDefault();
      event.stopPropagation();
      if (!early) onKey("shift", id);
    }
  };
  const card = (each, index) => {
    const is = { fixed: !canMove || !!each.locked, open: opened === each.id, chosen: chosen.includes(each.id) };
    return <Card key={each.id} card={each} index={index} path={path} render={render} {...is} />;
  };
  const told = { onBeforeDragStart: () => hold(lists), onDragStart: say("start"), onDragUpdate: say("over"), onDragEnd: end };
  return (
    <DragDropContext dragHandleUsageInstructions={words({ kind: "help" })} {...told}>
      <div className="kb" onKeyDown={key} onClickCapture={click}>
        <Lists.Provider value={{ lists, card }}>{children}</Lists.Provider>
      </div>
    </DragDropContext>
  );
}
