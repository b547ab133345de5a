import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";
import { useImperativeHandle } from "react";

// The library itself: what it is given to show, and where it is told to go.
let shown;
let gone;
function CodeView({ ref, ...props }) {
  shown = props;
  useImperativeHandle(ref, () => ({ scrollTo: (to) => gone.push(to) }));
  return <div ref={props.containerRef} className={props.className} />;
}
let parsed;
const processFile = (patch) => {
  parsed.push(patch);
  return { patch };
};
mock.module("@pierre/diffs", () => ({ processFile }));
mock.module("@pierre/diffs/react", () => ({ CodeView }));

const { DiffViewer } = await import("../.tried/diff_viewer.jsx");

const FILES = [
  { id: "a", path: "a", old: "b", type: "rename-changed", text: "@@ -1 +1 @@\n-x\n+y\n", folded: false },
  { id: "c", path: "c", old: "", type: "new", text: "@@ -0,0 +1 @@\n+z\n", folded: true },
];
const given = (more = {}) => ({
  files: FILES,
  notes: [],
  target: { item: "", side: "new", line: 0, n: 0 },
  label: "Changed lines",
  className: "diff",
  options: { diffStyle: "split" },
  renderHead: (file) => file.path,
  ...more,
});

beforeEach(() => {
  gone = [];
  parsed = [];
});
afterEach(cleanup);

test("each patch is parsed once, and an item is another where something about it changed", () => {
  const files = render(<DiffViewer {...given()} />);
  const before = shown.items;
  expect(before.map(({ fileDiff }) => [fileDiff.name, fileDiff.prevName])).toEqual([["a", "b"], ["c", undefined]]);
  const notes = [{ item: "c", side: "old", line: 3 }];
  files.rerender(<DiffViewer {...given({ notes })} />);
  expect(parsed.length).toBe(2);
  expect(shown.items[0].version).toBe(before[0].version);
  expect(shown.items[1].version).not.toBe(before[1].version);
  expect(shown.items[1].annotations).toEqual([{ side: "deletions", lineNumber: 3, metadata: notes[0] }]);
  expect(shown.options.diffStyle).toBe("split");
  expect(shown.renderHeaderMetadata(shown.items[1])).toBe("c");
});

test("a target is gone to and selected, until something else is by hand", () => {
  const target = { item: "a", side: "new", line: 1, n: 1 };
  const files = render(<DiffViewer {...given({ target })} />);
  expect(gone).toMatchObject([{ type: "line", id: "a", lineNumber: 1, side: "additions" }]);
  expect(shown.selectedLines).toMatchObject({ id: "a", range: { start: 1, end: 1 } });
  shown.onSelectedLinesChange(null);
  files.rerender(<DiffViewer {...given({ target })} />);
  expect(shown.selectedLines).toBe(null);
  files.rerender(<DiffViewer {...given({ target: { ...target, line: 0, n: 2 } })} />);
  expect(gone.at(-1)).toMatchObject({ type: "item", id: "a" });
});

test("what is not shown is not gone to, and what scrolls has a name", () => {
  render(<DiffViewer {...given({ target: { item: "other", side: "new", line: 1, n: 1 } })} />);
  expect(gone).toEqual([]);
  const window = document.querySelector(".diff");
  expect([window.tabIndex, window.getAttribute("role")]).toEqual([0, "region"]);
});
