// What is marked in the tree as changed, and which of its folders are open.
import { useCallback, useEffect, useMemo, useState } from "react";
import { above } from "./explorer_rest.js";

// Tells of an entry whether it is one of these paths, or above one of them.
export function useChanged(paths) {
  const found = useMemo(() => new Set([...paths, ...paths.flatMap(above)]), [paths]);
  return useCallback((entry) => found.has(entry.path), [found]);
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
