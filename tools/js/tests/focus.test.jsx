import { afterEach, expect, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";
import { compiled } from "./compiled.js";

const KeptFocus = await compiled("focus", "KeptFocus");

const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(() => setTimeout(done))));
const focused = () => document.activeElement.id || document.activeElement.tagName;
const Page = ({ lists, wanted = "", drawer = false, layer = false }) => (
  <>
    {Object.entries(lists).map(([name, items]) => (
      <ul key={name} data-column={name}>
        {items.map((id) => <li key={id} id={id} data-card-id={id} tabIndex={0} />)}
      </ul>
    ))}
    {drawer && <section id="drawer" className="v-drawer" role="dialog" tabIndex={-1} />}
    {layer && <div role="dialog"><button id="within" /></div>}
    <button id="elsewhere" />
    <form><input id="field" /></form>
    <KeptFocus now={[lists, drawer, layer]} wanted={wanted} />
  </>
);

/** A page that can be changed, with what its parts do about it. */
function shown(values) {
  const { rerender } = render(<Page {...values} />);
  return async (next) => {
    rerender(<Page {...values} {...next} />);
    await settled();
  };
}
const focus = (id) => document.getElementById(id).focus();
const press = (id) => document.getElementById(id).dispatchEvent(new Event("pointerdown", { bubbles: true }));

afterEach(cleanup);

test("a card keeps the focus in another list", async () => {
  const change = shown({ lists: { one: ["a", "b"], two: ["c"] } });
  focus("a");
  await change({ lists: { one: ["b"], two: ["c", "a"] } });
  expect(focused()).toBe("a");
});

test("the one in its place gets it where it is gone, or the last", async () => {
  const change = shown({ lists: { one: ["a", "b", "c"] } });
  focus("b");
  await change({ lists: { one: ["a", "c"] } });
  expect(focused()).toBe("c");
  await change({ lists: { one: ["a"] } });
  expect(focused()).toBe("a");
  await change({ lists: { one: [] } });
  expect(focused()).toBe("BODY");
});

test("what was opened from a card leads back to it; an open drawer comes first", async () => {
  const change = shown({ lists: { one: ["a", "b"] }, layer: true });
  focus("b");
  focus("within");
  press("within");
  await change({ drawer: true, layer: false });
  expect(focused()).toBe("drawer");
  await change({ layer: false });
  expect(focused()).toBe("b");
});

test("who pressed elsewhere, or went on, is left alone", async () => {
  const change = shown({ lists: { one: ["a", "b"] } });
  focus("a");
  press("elsewhere");
  await change({ lists: { one: ["b"] } });
  expect(focused()).toBe("BODY");
  focus("b");
  focus("elsewhere");
  await change({ lists: { one: [] } });
  expect(focused()).toBe("elsewhere");
});

test("one that is wanted gets the focus once, unless something is being typed", async () => {
  const change = shown({ lists: { one: ["a"] } });
  await change({ wanted: "new" });
  expect(focused()).toBe("BODY");
  await change({ wanted: "new", lists: { one: ["new", "a"] } });
  expect(focused()).toBe("new");
  focus("elsewhere");
  await change({ wanted: "new", lists: { one: ["new", "a", "b"] } });
  expect(focused()).toBe("elsewhere");
  focus("field");
  await change({ wanted: "b", lists: { one: ["b"] } });
  expect(focused()).toBe("field");
});
