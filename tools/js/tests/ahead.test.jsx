import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";
import { compiled } from "./compiled.js";

const TypedAhead = await compiled("ahead", "TypedAhead");

const settled = () => new Promise((done) => setTimeout(() => setTimeout(done)));
const at = (id) => document.getElementById(id);

/** A press as a keyboard makes it: a script's own is not kept. */
function press(key, values = {}) {
  const made = new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...values });
  for (const [name, value] of Object.entries({ isTrusted: true, ...values })) Object.defineProperty(made, name, { value });
  (document.activeElement ?? document.body).dispatchEvent(made);
  return made;
}
const type = (text) => [...text].map((key) => press(key).defaultPrevented);

beforeEach(() => {
  document.execCommand = mock((what, _, text = "") => {
    const { activeElement: field } = document;
    field.value = what === "delete" ? field.value.slice(0, -1) : field.value + text;
  });
  render(
    <>
      <TypedAhead />
      <button id="opens" data-opens="" />
      <button id="plain" />
      <ul id="tree" data-opens="F2" tabIndex={0} />
      <form id="form">
        <input id="line" />
        <textarea id="lines" />
      </form>
    </>,
  );
  at("form").requestSubmit = mock(() => {});
});
afterEach(cleanup);

test("nothing is held where no field is being opened", async () => {
  at("plain").click();
  expect(type("ab")).toEqual([false, false]);
  at("line").focus();
  await settled();
  expect(at("line").value).toBe("");
});

test("what is typed after a press on what opens a field is typed into it", async () => {
  at("opens").click();
  expect(type("axb")).toEqual([true, true, true]);
  press("Backspace");
  press("Enter");
  at("line").focus();
  await settled();
  expect(at("line").value).toBe("ax");
  expect(at("form").requestSubmit).toHaveBeenCalledTimes(1);
  expect(type("c")).toEqual([false]);
});

test("Enter begins a line where a field has several", async () => {
  window.dispatchEvent(new Event("vibe-opens"));
  type("a");
  press("Enter");
  type("b");
  at("lines").focus();
  await settled();
  expect(at("lines").value).toBe("a\nb");
  expect(at("form").requestSubmit).not.toHaveBeenCalled();
});

test("a field hears each key first, and may have it do something else", async () => {
  const heard = [];
  at("line").addEventListener("keydown", (on) => {
    heard.push(on.key);
    if (on.key !== "a") on.preventDefault();
  });
  window.dispatchEvent(new Event("vibe-opens"));
  for (const key of ["a", "ArrowDown", "ArrowUp", "Escape", "Enter"]) press(key);
  at("line").focus();
  await settled();
  expect(heard).toEqual(["a", "ArrowDown", "ArrowUp", "Escape", "Enter"]);
  expect(at("line").value).toBe("a");
  expect(at("form").requestSubmit).not.toHaveBeenCalled();
});

test("commands of the browser and of a script pass, letters of a third level wait", () => {
  window.dispatchEvent(new Event("vibe-opens"));
  const held = (key, values) => press(key, values).defaultPrevented;
  expect([held("r", { ctrlKey: true }), held("r", { metaKey: true }), held("F5"), held("Tab")]).toEqual(Array(4).fill(false));
  expect(held("a", { isTrusted: false })).toBe(false);
  expect(held("@", { ctrlKey: true, altKey: true, getModifierState: (name) => name === "AltGraph" })).toBe(true);
});

test("a key that is held down is typed once", async () => {
  window.dispatchEvent(new Event("vibe-opens"));
  press("a");
  expect(press("a", { repeat: true }).defaultPrevented).toBe(true);
  at("line").focus();
  await settled();
  expect(at("line").value).toBe("a");
});

test("a press elsewhere ends it, and so does its time", async () => {
  window.dispatchEvent(new Event("vibe-opens"));
  type("a");
  at("plain").dispatchEvent(new Event("pointerdown", { bubbles: true }));
  expect(type("b")).toEqual([false]);
  at("line").focus();
  await settled();
  expect(at("line").value).toBe("");
  window.dispatchEvent(new Event("vibe-opens"));
  const late = performance.now() + 6000;
  expect(press("c", { timeStamp: late }).defaultPrevented).toBe(false);
});

test("a key such as F2 opens a field only where it is pressed", () => {
  press("F2");
  expect(type("a")).toEqual([false]);
  at("tree").focus();
  press("F2");
  expect(type("a")).toEqual([true]);
});
