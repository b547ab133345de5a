// CodeView of @pierre/diffs on unified patches: they are parsed once, and an item is drawn anew where it changed.
import { processFile } from "@pierre/diffs";
import { CodeView } from "@pierre/diffs/react";
import { useEffect, useMemo, useRef, useState } from "react";

const SIDES = { new: "additions", old: "deletions" };

export function DiffViewer({ files, notes, target, label, renderHead, ...shown }) {
  const [view, [lines, setLines]] = [useRef(null), useState(null)];
  const parsed = useMemo(() => {
    const parse = ({ path, old, type, text }) =>
      Object.assign(processFile(`--- a/x\n+++ b/x\n${text}`), { name: path, type, prevName: old || undefined });
    return files.map((file) => ({ id: file.id, type: "diff", file, fileDiff: parse(file), collapsed: file.folded }));
  }, [files]);
  const items = parsed.map((item) => {
    const below = notes.filter((note) => note.item === item.id);
    const annotations = below.map((note) => ({ side: SIDES[note.side], lineNumber: note.line, metadata: note }));
    return { ...item, annotations, version: JSON.stringify([item.file, below]) };
  });
  const there = files.some(({ id }) => id === target?.item);
  useEffect(() => {
    const { item: id, side: of, line: lineNumber } = there ? target : {};
    const side = SIDES[of];
    if (lineNumber) setLines({ id, range: { start: lineNumber, end: lineNumber, side, endSide: side } });
    if (lineNumber) view.current.scrollTo({ type: "line", id, lineNumber, side, align: "nearest", offset: 60 });
    else if (id) view.current.scrollTo({ type: "item", id, align: "start" });
  }, [target, there]);
  // What scrolls can be reached by keyboard, and has a name.
  const reach = (node) => node && Object.assign(node, { tabIndex: 0, role: "region", ariaLabel: label });
  const head = ({ file }) => renderHead(file);
  const held = { ref: view, items, containerRef: reach, selectedLines: lines, onSelectedLinesChange: setLines };
  return <CodeView {...shown} {...held} renderHeaderMetadata={head} />;
}
