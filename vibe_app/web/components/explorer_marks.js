// What is marked in the tree as changed, and which of its folders are open.
import { useCallback, useEffect, useRef, useState } from "react";
import { above, kindOf } from "./explorer_rest.js";

// While a run is live, what changed is asked for at most every so many milliseconds.
const CHANGED_PAUSE = 5000;

// The files written since the last run began, and the folders above them.
export function useChanged(rest, since, look, live) {
  const [found, setFound] = useState({ files: new Set(), folders: new Set() });
  const asked = useRef({ at: 0, live });
  useEffect(() => {
    if (!since) return;
    const now = Date.now();
    const ended = asked.current.live && !live;
    if (live && !ended && asked.current.since === since && now - asked.current.at < CHANGED_PAUSE) return;
    asked.current = { at: now, since, live };
    rest.changed(since).then(
      ({ results }) => {
        const files = new Set(results.map((each) => each.path));
        setFound({ files, folders: new Set([...files].flatMap(above)) });
      },
      () => {}, // marks are a help, not a promise; the next look asks again
    );
  }, [rest, since, look, live]);
  return useCallback(
    (entry) => {
      const kind = kindOf(entry);
      if (kind === "directory") return found.folders.has(entry.path);
      return Boolean(since) && (found.files.has(entry.path) || new Date(entry.modified).getTime() >= since);
    },
    [found, since],
  );
}

export function useExpanded(projectId, folders, path) {
  const store = `vibe-tree-${projectId}`;
  const [expanded, setExpanded] = useState(() => {
    try {
      return new Set(JSON.parse(window.sessionStorage.getItem(store)) ?? []);
    } catch {
      return new Set();
    }
  });
  const toggle = useCallback((folder, open) => {
    setExpanded((old) => {
      const fresh = new Set(old);
      if (open) fresh.add(folder);
      else fresh.delete(folder);
      return fresh;
    });
  }, []);
  // The way to what the address names is open.
  useEffect(() => {
    setExpanded((old) => {
      const missing = above(path).filter((folder) => folder && !old.has(folder));
      return missing.length ? new Set([...old, ...missing]) : old;
    });
  }, [path]);
  useEffect(() => {
    window.sessionStorage.setItem(store, JSON.stringify([...expanded].slice(-500)));
    for (const folder of ["", ...expanded]) folders.load(folder);
  }, [expanded, folders, store]);
  return [expanded, toggle];
}
