import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";

// The library itself: what is written, and when it says that it was parsed.
let terminal;
class Terminal {
  constructor(options) {
    terminal = this;
    Object.assign(this, { options, cols: 80, written: [], pending: [], unicode: {} });
    this.textarea = document.createElement("textarea");
    this.buffer = { active: { viewportY: 0, baseY: 0 } };
    this._core = { _selectionService: { refresh: () => {}, hasSelection: false } };
  }
  loadAddon() {}
  attachCustomKeyEventHandler(handler) {
    this.keys = handler;
  }
  open() {}
  onScroll(told) {
    this.scrolled = told;
  }
  reset() {
    this.written = [];
  }
  write(text, parsed) {
    this.written.push(text);
    this.pending.push(parsed);
  }
  dispose() {
    this.gone = true;
  }
}
mock.module("@xterm/xterm", () => ({ Terminal }));
mock.module("@xterm/addon-fit", () => ({ FitAddon: class { fit() {} } }));
mock.module("@xterm/addon-search", () => ({ SearchAddon: class { onDidChangeResults() {} } }));
mock.module("@xterm/addon-unicode11", () => ({ Unicode11Addon: class {} }));

const { TextTerminal } = await import("../.tried/terminal.jsx");

let asked;
const given = (batch) => ({
  source: "s1",
  batch,
  options: {},
  label: "Output",
  newest: "Newest lines",
  className: "host",
  plain: (texts) => texts.join(""),
  onGap: (...asking) => asked.push(asking),
});
const batch = (n, a, e, more = {}) => ({ s: "s1", n, a, e, k: `k${n}`, ...more });
const parse = () => terminal.pending.splice(0).forEach((parsed) => parsed());
const host = () => document.querySelector(".host");

beforeEach(() => (asked = []));
afterEach(cleanup);

test("each text is written once and in order, whatever comes twice", () => {
  const shown = render(<TextTerminal {...given(batch(1, 0, [[1, "a\r\n"], [2, "b\r\n"]]))} />);
  parse();
  shown.rerender(<TextTerminal {...given(batch(2, 1, [[2, "b\r\n"], [3, "c\r\n"]]))} />);
  parse();
  expect(terminal.written.join("")).toBe("a\r\nb\r\nc\r\n");
  expect(host().dataset.lastSeq).toBe("3");
  expect(asked).toEqual([]);
});

test("what is missing is asked for once, with what was brought along", () => {
  const shown = render(<TextTerminal {...given(batch(1, 0, [[1, "a"]]))} />);
  parse();
  shown.rerender(<TextTerminal {...given(batch(2, 5, [[6, "f"]]))} />);
  shown.rerender(<TextTerminal {...given(batch(3, 6, [[7, "g"]]))} />);
  expect(asked).toEqual([["s1", 1, "k1", 80]]);
  shown.rerender(<TextTerminal {...given(batch(4, 1, [[2, "b"]]))} />);
  parse();
  expect(terminal.written.join("")).toBe("ab");
});

test("texts of another source are not shown", () => {
  render(<TextTerminal {...given({ ...batch(1, 0, [[1, "theirs"]]), s: "s2" })} />);
  expect(terminal.written).toEqual([]);
  expect(asked).toEqual([["s1", 0, "", 80]]);
});

test("a slice waits until the one before is parsed", () => {
  const large = "x".repeat(48 * 1024);
  render(<TextTerminal {...given(batch(1, 0, [[1, large], [2, large], [3, "end"]]))} />);
  expect(terminal.written.length).toBe(1);
});

test("nothing typed goes anywhere, and what is left is cleared away", () => {
  const shown = render(<TextTerminal {...given({})} />);
  expect(terminal.keys()).toBe(false);
  expect(terminal.textarea.getAttribute("aria-label")).toBe("Output");
  shown.unmount();
  expect(terminal.gone).toBe(true);
});
