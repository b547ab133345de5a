import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { act, cleanup, render } from "@testing-library/react";

// The library itself: what it is given, and what it tells of a hand that drags.
let hand, drawn, moved, said, animating, flown;
mock.module("@hello-pangea/dnd", () => ({
  DragDropContext: ({ children, ...told }) => ((hand = told), children),
  Droppable: ({ droppableId: id, children }) =>
    children({ innerRef: () => {}, droppableProps: { "data-name": id }, placeholder: null }, { isDraggingOver: false }),
  Draggable: ({ draggableId, isDragDisabled, children }) => {
    const draggableProps = { "data-fixed": isDragDisabled, onTransitionEnd: (event) => flown.push(event.propertyName) };
    const dragHandleProps = isDragDisabled ? null : { role: "button", tabIndex: 0 };
    const isDropAnimating = animating === draggableId;
    return children({ innerRef: () => {}, draggableProps, dragHandleProps }, { isDragging: false, isDropAnimating });
  },
}));

const { DragList, DragLists, shown } = await import("../.tried/kanban.jsx");

const item = (id, more) => ({ id, title: `Item ${id}`, ...more });
const renderItem = ({ item, chosen, open }, held) => {
  drawn.push(item.id);
  return (
    <li {...held} data-id={item.id} data-chosen={chosen} data-open={open}>
      <a href="#there">{item.title}</a>
      <button>Run</button>
    </li>
  );
};
const given = (values) => ({
  lists: { a: [item("1"), item("2"), item("3")], b: [item("4", { locked: true })] },
  order: {},
  changed: {},
  version: 0,
  canMove: true,
  opened: "",
  chosen: [],
  path: "/p/",
  words: ({ kind, title, to, place }) => `${kind} ${title} ${to} ${place}`,
  renderItem,
  onMove: (...move) => moved.push(move),
  ...values,
});
const lists = (values) => (
  <DragLists {...given(values)}>
    <DragList name="a" />
    <DragList name="b">
      <li data-id="more">More</li>
    </DragList>
  </DragLists>
);
const ids = (name) => [...document.querySelectorAll(`[data-column=${name}] > li`)].map((each) => each.dataset.id);
const drag = (id, from, to, reason = "DROP") => {
  const at = { draggableId: id, source: { droppableId: from[0], index: from[1] }, reason };
  const destination = to && { droppableId: to[0], index: to[1] };
  const told = { announce: (words) => said.push(words) };
  act(() => {
    hand.onBeforeDragStart();
    hand.onDragStart(at, told);
  });
  act(() => hand.onDragEnd({ ...at, destination }, told));
};

beforeEach(() => ([drawn, moved, said, flown, animating] = [[], [], [], [], ""]));
afterEach(cleanup);

test("an order and an item that are newer are shown in the place of the first", () => {
  const lists = { a: [item("1"), item("2")], b: [item("3")] };
  const now = shown({ lists, order: { a: ["2", "3"], b: [] }, changed: { 2: item("2", { new: true }) } }, []);
  expect(now).toEqual({ a: [item("2", { new: true }), item("3")], b: [] });
});

test("a drop is shown above the item that it was put on, or last", () => {
  const { lists } = given();
  const after = (...drops) => {
    const now = shown({ lists, order: {}, changed: {} }, drops);
    return Object.values(now).map((list) => list.map((each) => each.id).join(""));
  };
  expect(after({ id: "1", to: "b", before: "4" })).toEqual(["23", "14"]);
  expect(after({ id: "1", to: "a", before: "" })).toEqual(["231", "4"]);
  expect(after({ id: "1", to: "b", before: "gone" })).toEqual(["23", "41"]);
  expect(after({ id: "1", to: "b", before: "" }, { id: "3", to: "b", before: "1" })).toEqual(["2", "431"]);
  expect(after({ id: "unknown", to: "b", before: "4" })).toEqual(["123", "4"]);
});

test("a drop stays until its answer, whatever that is, and the next one until its own", () => {
  const { rerender } = render(lists());
  drag("1", ["a", 0], ["b", 0]);
  expect(moved).toEqual([["1", "b", "4"]]);
  drag("2", ["a", 0], ["b", 2]);
  expect(moved[1]).toEqual(["2", "b", ""]);
  expect([ids("a"), ids("b")]).toEqual([["3"], ["1", "4", "2", "more"]]);
  rerender(lists({ version: 1 })); // the first was refused
  expect([ids("a"), ids("b")]).toEqual([["1", "3"], ["4", "2", "more"]]);
  rerender(lists({ version: 2, order: { a: ["1", "3"], b: ["4", "2"] } }));
  expect([ids("a"), ids("b")]).toEqual([["1", "3"], ["4", "2", "more"]]);
});

test("a server that begins anew forgets what was dropped before", () => {
  const { rerender } = render(lists({ version: 5 }));
  drag("1", ["a", 0], ["b", 0]);
  rerender(lists({ version: 0 }));
  expect(ids("a")).toEqual(["1", "2", "3"]);
});

test("what goes nowhere moves nothing", () => {
  render(lists());
  drag("1", ["a", 0], ["a", 0]);
  drag("1", ["a", 0], null);
  drag("1", ["a", 0], ["b", 0], "CANCEL");
  expect(moved).toEqual([]);
  expect(said.map((each) => each.split(" ")[0])).toEqual(["start", "drop", "start", "cancel", "start", "cancel"]);
});

test("nothing changes under a hand that drags", () => {
  const { rerender } = render(lists());
  act(() => hand.onBeforeDragStart());
  rerender(lists({ order: { a: ["3", "2", "1"] } }));
  expect(ids("a")).toEqual(["1", "2", "3"]);
  act(() => hand.onDragEnd({ draggableId: "1", source: { droppableId: "a", index: 0 } }, { announce: () => {} }));
  expect(ids("a")).toEqual(["3", "2", "1"]);
});

test("an item is drawn anew where it says something else, and only there", () => {
  const { rerender } = render(lists());
  drawn.length = 0;
  rerender(lists({ changed: { 2: item("2", { title: "Other" }) } }));
  expect(drawn).toEqual(["2"]);
  drawn.length = 0;
  rerender(lists({ changed: { 2: item("2", { title: "Other" }) }, chosen: ["3"], opened: "1" }));
  expect(drawn).toEqual(["1", "3"]);
});

test("an item is one tab stop, and one that is locked stays where it is", () => {
  render(lists());
  const found = [...document.querySelectorAll("li[role]")];
  expect(found.map((each) => [each.getAttribute("role"), each.tabIndex])).toEqual(Array(4).fill(["listitem", 0]));
  expect(found.map((each) => each.dataset.fixed)).toEqual(["false", "false", "false", "true"]);
  expect([...document.querySelectorAll("li[role] :is(a, button)")].every((each) => each.tabIndex < 0)).toBe(true);
  cleanup();
  render(lists({ canMove: false }));
  expect([...document.querySelectorAll("li[role]")].every((each) => each.dataset.fixed === "true")).toBe(true);
});

test("what was dropped does not fly to where it lies", async () => {
  animating = "2";
  render(lists());
  await Promise.resolve();
  expect(flown).toEqual(["transform"]);
});
