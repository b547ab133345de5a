// CodeView of @pierre/diffs on unified patches: they are parsed once, and an item is drawn anew where it changed.
import { processFile } from "@pierre/diffs";
import { CodeView } from "@pierre/diffs/react";
import { useEffect, useMemo, useRef, useState } from "react";

const SIDES = { new: "additions", old: "deletions" };
const Viewer = /** @type {any} */ (CodeView);

/** @param {any} props */
export function DiffViewer({ files, notes, target, label, renderHead, ...shown }) {
  const view = useRef(null);
  const [mine, setMine] = useState({});
  const parsed = useMemo(() => {
    const parse = ({ path: name, old, type, text, whole }) => {
      const given = { name, type, prevName: old || undefined, isPartial: text !== "" && !whole };
      return Object.assign(processFile(`--- a/x\n+++ b/x\n${text}`) ?? {}, given);
    };
    return files.map((file) => ({ id: file.id, type: "diff", file, fileDiff: parse(file), collapsed: file.folded }));
  }, [files]);
  const items = parsed.map((item) => {
    const below = notes.filter((note) => note.item === item.id);
    const annotations = below.map((note) => ({ side: SIDES[note.side], lineNumber: note.line, metadata: note }));
    return { ...item, annotations, version: JSON.stringify([item.file, below]) };
  });
  const { item: id, side: of, line } = files.some((file) => file.id === target?.item) ? target : {};
  const side = SIDES[of];
  useEffect(() => {
    if (line) view.current.scrollTo({ type: "line", id, lineNumber: line, side, align: "nearest", offset: 60 });
    else if (id) view.current.scrollTo({ type: "item", id, align: "start" });
  }, [target, id, side, line]);
  // What was selected last: by hand, or as the target.
  const aimed = line ? { id, range: { start: line, end: line, side, endSide: side } } : null;
  const selectedLines = mine.target === target ? mine.lines : aimed;
  const onSelectedLinesChange = (lines) => setMine({ target, lines });
  // What scrolls can be reached by keyboard, and has a name.
  const reach = (node) => node && Object.assign(node, { tabIndex: 0, role: "region", ariaLabel: label });
  const held = { ref: view, items, containerRef: reach, selectedLines, onSelectedLinesChange };
  return <Viewer {...shown} {...held} renderHeaderMetadata={({ file }) => renderHead(file)} />;
}
