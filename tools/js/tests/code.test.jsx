import { afterEach, expect, mock, test } from "bun:test";
import { LanguageDescription, language } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { cleanup, render, waitFor } from "@testing-library/react";

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

test("what is discarded leaves the line ends as they were", () => {
  opened({ text: "one\r\ntwo\r\n" });
  type("mine ");
  window.vibeCode.revert();
  expect(window.vibeCode.text()).toBe("one\r\ntwo\r\n");
  type("mine ");
  expect(window.vibeCode.text()).toBe("mine one\r\ntwo\r\n");
});

test("another text takes its own line ends along, and one change, so that the place stays", () => {
  const { rerender } = opened();
  window.vibeCode.view.dispatch({ selection: { anchor: 6 } });
  rerender(<Code {...given({ text: "zero\r\none\r\ntwo\r\n", stamp: "b" })} />);
  expect(window.vibeCode.text()).toBe("zero\r\none\r\ntwo\r\n");
  expect(window.vibeCode.view.state.selection.main.head).toBe(11);
});

test("lines are pointed at, as many as there are", () => {
  opened({ text: "1\n2\n3\n4\n", lines: [2, 3] });
  const rows = () => window.vibeCode.view.state.selection.ranges.map((range) => range.head);
  expect(rows()).toEqual([2, 4]);
  cleanup();
  opened({ text: "1\n2", lines: [9] });
  expect(rows()).toEqual([2]);
});

test("a text that is read takes no keys, one that is edited does, and says when it is to be saved", () => {
  const save = mock(() => {});
  const { rerender } = opened({ onSave: save });
  const shown = () => document.querySelector(".cm-content");
  expect([shown().contentEditable, shown().tabIndex, shown().getAttribute("aria-label")]).toEqual(["false", 0, "Text of notes.txt"]);
  rerender(<Code {...given({ editing: true, onSave: save, wrap: true })} />);
  expect(shown().contentEditable).toBe("true");
  expect(shown().classList.contains("cm-lineWrapping")).toBe(true);
  shown().dispatchEvent(new KeyboardEvent("keydown", { key: "s", ctrlKey: true, bubbles: true, cancelable: true }));
  expect(save).toHaveBeenCalledTimes(1);
});

test("a language is known by the file's name, and a text that is too long stays plain", async () => {
  const shown = () => window.vibeCode.view.state.facet(language)?.name;
  opened({ file: "a.json", text: "{}" });
  await waitFor(() => expect(shown()).toBe("json"));
  cleanup();
  opened({ file: "a.json", text: "{}", coloured: 1 });
  await LanguageDescription.matchFilename(languages, "a.json").load();
  expect(shown()).toBe(undefined);
});
