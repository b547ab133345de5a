// Changed files, as CodeView of @pierre/diffs (Apache-2.0) shows them. A file of its own, and no Python, since
// what Python imports of a package is in the code of every page, and texts are parsed once, not at each render.
import { processFile } from "@pierre/diffs";
import { CodeView } from "@pierre/diffs/react";
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";

const THEME = { dark: "github-dark-high-contrast", light: "github-light-high-contrast" };
const SIDES = { new: "additions", old: "deletions" };
const WIDE = "(min-width: 1200px)";
const NO_HUNKS = "--- a/x\n+++ b/x\n";

function parse({ path, old, type, text }) {
  const file = processFile(NO_HUNKS + text);
  return Object.assign(file, { name: path, type, prevName: old || undefined });
}

function useWide() {
  const watch = (tell) => {
    const query = window.matchMedia(WIDE);
    query.addEventListener("change", tell);
    return () => query.removeEventListener("change", tell);
  };
  return useSyncExternalStore(watch, () => window.matchMedia(WIDE).matches);
}

// The parsed files and what stands between their lines. An item is drawn anew where its version is another.
function useItems(files, notes) {
  const [known] = useState(() => new Map());
  return useMemo(() => {
    const items = files.map((file) => {
      const key = JSON.stringify([file.path, file.old, file.type]) + file.text;
      const before = known.get(file.id);
      const fileDiff = before?.key === key ? before.fileDiff : parse(file);
      known.set(file.id, { key, fileDiff });
      const annotations = notes
        .filter((note) => note.item === file.id)
        .map((note) => ({ side: SIDES[note.side], lineNumber: note.line, metadata: note }));
      const version = JSON.stringify([annotations, file.folded]) + key;
      return { id: file.id, type: "diff", fileDiff, annotations, version, collapsed: file.folded };
    });
    const shown = new Set(files.map(({ id }) => id));
    for (const id of known.keys()) if (!shown.has(id)) known.delete(id);
    return items;
  }, [files, notes, known]);
}

// The window that scrolls can be reached and moved by keyboard, and has a name.
function reachable(node, label) {
  node?.setAttribute("tabindex", "0");
  node?.setAttribute("role", "region");
  node?.setAttribute("aria-label", label);
}

export function DiffViewer(props) {
  const { files, notes, dark, split, target, label, className, onLines, renderNote, renderHead } = props;
  const view = useRef(null);
  const items = useItems(files, notes);
  const wide = useWide();
  const [lines, setLines] = useState(null);
  const tell = useRef(onLines);
  useEffect(() => {
    tell.current = onLines;
  });

  const there = items.some(({ id }) => id === target?.item);
  useEffect(() => {
    if (!there) return;
    const { item: id, side, line } = target;
    if (!line) {
      view.current?.scrollTo({ type: "item", id, align: "start" });
      return;
    }
    setLines({ id, range: { start: line, end: line, side: SIDES[side], endSide: SIDES[side] } });
    view.current?.scrollTo({ type: "line", id, lineNumber: line, side: SIDES[side], align: "nearest", offset: 60 });
  }, [target, there]);

  const options = useMemo(
    () => ({
      theme: THEME,
      themeType: dark ? "dark" : "light",
      diffStyle: split && wide ? "split" : "unified",
      overflow: "wrap",
      hunkSeparators: "line-info-basic",
      stickyHeaders: true,
      lineHoverHighlight: "number",
      enableLineSelection: true,
      // A head's own counts are of what is shown of the file; `renderHead` says those of the file.
      unsafeCSS: "[data-additions-count], [data-deletions-count] { display: none; }",
      onLineSelectionEnd: (range, { item }) => {
        if (!range) return;
        const named = (side) => (side === "deletions" ? "old" : "new");
        tell.current?.(item.id, named(range.side), range.start, named(range.endSide ?? range.side), range.end);
      },
    }),
    [dark, split, wide],
  );

  return (
    <CodeView
      ref={view}
      containerRef={(node) => reachable(node, label)}
      className={className}
      items={items}
      options={options}
      selectedLines={lines}
      onSelectedLinesChange={setLines}
      renderAnnotation={({ metadata }) => renderNote(metadata)}
      renderHeaderMetadata={({ id }) => renderHead(files.find((file) => file.id === id) ?? { id })}
    />
  );
}
