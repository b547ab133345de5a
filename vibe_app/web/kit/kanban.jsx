// @hello-pangea/dnd: lists to drag items between. A drop shows at once, and stays until `version` says that it was
// answered. What the answer is, how an item looks, what a key means and every word come from outside.
import { createContext, memo, useContext, useState } from "react";
import { DragDropContext, Draggable, Droppable } from "@hello-pangea/dnd";

const Lists = createContext(/** @type {any} */ (null));

/** The items to show: `order` and `changed` are newer than `lists`, and `drops` are newer than both. */
export function shown({ lists, order, changed }, drops) {
  const known = new Map([...Object.values(lists), Object.values(changed)].flat().map((item) => [item.id, item]));
  const move = (name) => (ids, { id, to, before }) => {
    const rest = ids.filter((each) => each !== id);
    const at = rest.indexOf(before);
    return name === to ? rest.toSpliced(at < 0 ? rest.length : at, 0, id) : rest;
  };
  const ids = (name) => drops.reduce(move(name), order[name] ?? lists[name].map((item) => item.id));
  return Object.fromEntries(Object.keys(lists).map((name) => [name, ids(name).flatMap((id) => known.get(id) ?? [])]));
}

/** The drops that wait for their answer, and how to add one; the first to go is the first to be answered. */
function useWaiting(version) {
  const [{ drops, seen }, set] = useState({ drops: /** @type {any[]} */ ([]), seen: version });
  const waiting = version < seen ? [] : drops.slice(version - seen);
  if (version !== seen) set({ drops: waiting, seen: version });
  return /** @type {const} */ ([waiting, (drop) => set((now) => ({ ...now, drops: [...now.drops, drop] }))]);
}

/** What the library wants of an element. It is one tab stop: what is on it has keys. */
function held({ draggableProps, dragHandleProps, innerRef }, { isDropAnimating }) {
  const ref = (node) => {
    innerRef(node);
    for (const each of node?.querySelectorAll("a, button") ?? []) each.tabIndex = -1;
    // No flight to where it lies already.
    if (node && isDropAnimating) queueMicrotask(() => draggableProps.onTransitionEnd?.({ propertyName: "transform" }));
  };
  return { ...draggableProps, ...dragHandleProps, role: "listitem", tabIndex: 0, ref };
}

/** Whether an item need not be drawn anew: one that comes again is another object that says the same. */
const same = (one, other) =>
  Object.keys(other).every((key) => key === "item" || one[key] === other[key]) &&
  (one.item === other.item || JSON.stringify(one.item) === JSON.stringify(other.item));

const Item = memo(/** @param {any} props */ ({ index, fixed, render, ...given }) => (
  <Draggable draggableId={given.item.id} index={index} isDragDisabled={fixed}>
    {(found, now) => render(given, held(found, now), now.isDragging)}
  </Draggable>
), same);

/** @param {any} props */
export function DragList({ name, children }) {
  const { lists, draw } = useContext(Lists);
  return (
    <Droppable droppableId={name}>
      {({ innerRef, droppableProps, placeholder }, { isDraggingOver }) => (
        <ul ref={innerRef} {...droppableProps} className="kb-list" data-column={name} data-over={isDraggingOver}>
          {lists[name].map(draw)}
          {placeholder}
          {children}
        </ul>
      )}
    </Droppable>
  );
}

/** @param {any} props */
export function DragLists({ children, canMove, opened, chosen, path, version, words, renderItem, onMove, ...given }) {
  const [render] = useState(() => renderItem); // it is compiled in, and only looks new at each render
  const [waiting, wait] = useWaiting(version);
  const [still, keep] = useState(/** @type {any} */ (null)); // nothing changes under the hand that drags
  const lists = still ?? shown(given, waiting);
  const say = (kind) => (/** @type {any} */ { draggableId: id, source, destination: to }, told) => {
    const item = lists[source.droppableId].find((each) => each.id === id);
    told.announce(words({ kind, title: item?.title, to: to?.droppableId ?? "", place: (to?.index ?? 0) + 1 }));
  };
  const end = (at, told) => {
    const [{ draggableId: id, source }, target] = [at, at.reason === "DROP" ? at.destination : null];
    say(target ? "drop" : "cancel")(at, told);
    keep(null);
    if (!target || (target.droppableId === source.droppableId && target.index === source.index)) return;
    const to = target.droppableId;
    const before = lists[to].filter((each) => each.id !== id)[target.index]?.id ?? "";
    wait({ id, to, before });
    onMove(id, to, before);
  };
  const draw = (item, index) => {
    const is = { fixed: !canMove || !!item.locked, open: opened === item.id, chosen: chosen.includes(item.id) };
    return <Item key={item.id} item={item} index={index} path={path} render={render} {...is} />;
  };
  const told = { onBeforeDragStart: () => keep(lists), onDragStart: say("start"), onDragUpdate: say("over") };
  return (
    <DragDropContext dragHandleUsageInstructions={words({ kind: "help" })} {...told} onDragEnd={end}>
      <Lists.Provider value={{ lists, draw }}>{children}</Lists.Provider>
    </DragDropContext>
  );
}
