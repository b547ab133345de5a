import { afterEach, expect, mock, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";

const { Code } = await import("../.tried/code.jsx");

let dirty;
const given = (values) => ({
  text: "one\ntwo\n",
  stamp: "a",
  file: "notes.txt",
  label: "Text of notes.txt",
  editing: false,
  wrap: false,
  lines: [],
  coloured: 1000,
  onDirty: dirty,
  ...values,
});
const type = (words) => window.vibeCode.view.dispatch({ changes: { from: 0, insert: words } });

function opened(values) {
  dirty = mock(() => {});
  return render(<Code {...given(values)} />);
}

afterEach(cleanup);

test("a text is held as it was given, whatever its line ends are", () => {
  for (const text of ["one\r\ntwo\r\n", "one\ntwo\r\nthree\n", "", "\r\n\r\n", "a\rb"]) {
    opened({ text, file: "x" });
    expect(window.vibeCode.text()).toBe(text);
    cleanup();
  }
});

test("the first difference is told, and that there is none any more", () => {
  opened();
  type("mine ");
  type("more ");
  expect(dirty.mock.calls).toEqual([[true, false]]);
  window.vibeCode.revert();
  expect(dirty.mock.calls).toEqual([
    [true, false],
    [false, false],
  ]);
  expect(window.vibeCode.text()).toBe("one\ntwo\n");
});

test("another text is shown where nothing is typed", () => {
  const { rerender } = opened();
  rerender(<Code {...given({ text: "theirs\n", stamp: "b" })} />);
  expect(window.vibeCode.text()).toBe("theirs\n");
  expect(window.vibeCode.base).toBe("b");
  expect(dirty).not.toHaveBeenCalled();
});

test("what is typed stays when another text comes, and theirs is taken when somebody says so", () => {
  const { rerender } = opened();
  type("mine ");
  rerender(<Code {...given({ text: "theirs\n", stamp: "b" })} />);
  expect(window.vibeCode.text()).toBe("mine one\ntwo\n");
  expect(window.vibeCode.base).toBe("a");
  expect(dirty.mock.calls.at(-1)).toEqual([true, true]);
  window.vibeCode.take();
  expect(window.vibeCode.text()).toBe("theirs\n");
  expect(window.vibeCode.base).toBe("b");
});

test("the same text from elsewhere is no clash", () => {
  const { rerender } = opened();
  type("mine ");
  rerender(<Code {...given({ text: "mine one\ntwo\n", stamp: "b" })} />);
  expect(dirty.mock.calls.at(-1)).toEqual([false, false]);
  expect(window.vibeCode.base).toBe("b");
});

test("what was saved is what counts from then on", () => {
  opened();
  type("mine ");
  window.vibeCode.keep(window.vibeCode.text());
  expect(dirty.mock.calls.at(-1)).toEqual([false, false]);
  window.vibeCode.append("three\n");
  expect(window.vibeCode.text()).toBe("mine one\ntwo\nthree\n");
  expect(dirty.mock.calls.at(-1)).toEqual([false, false]);
});
