// The folders that were read, kept for as long as the page is open. A folder is read when it
// is opened and again when somebody says that it may have changed; whoever shows it hears of
// a difference only.
import { useMemo, useSyncExternalStore } from "react";
import { kindOf } from "./explorer_rest.js";

export const PAGE = 5000;
// A folder with more entries is read again at most every so many milliseconds.
const LARGE = 1000;
const LARGE_PAUSE = 10_000;

export class Folders {
  constructor(rest) {
    this.rest = rest;
    this.known = new Map();
    this.version = 0;
    this.listeners = new Set();
  }

  subscribe = (listener) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  snapshot = () => this.version;

  // What is known of a folder: `entries`, `total`, `error`; undefined before it was asked for.
  get(path) {
    return this.known.get(path);
  }

  entry(folder, name) {
    return this.get(folder)?.byName?.get(name);
  }

  load(path) {
    const known = this.known.get(path);
    return known?.entries ? null : this.refresh(path, { gently: true });
  }

  // Read a folder again; `gently` where nobody asked for it just now.
  refresh(path, { gently = false } = {}) {
    const known = this.known.get(path) ?? {};
    // An answer that is under way may be older than what somebody has just done.
    if (known.asking) return gently ? known.asking : known.asking.then(() => this.refresh(path));
    if (gently && known.total > LARGE && Date.now() - known.at < LARGE_PAUSE) return null;
    known.asking = this.read(path, known).finally(() => {
      known.asking = null;
    });
    this.known.set(path, known);
    return known.asking;
  }

  async read(path, known) {
    const pages = Math.max(1, known.pages ?? 1);
    try {
      const found = { entries: [], total: 0 };
      for (let page = 1; page <= pages; page++) {
        const part = await this.rest.list(path, page, PAGE);
        found.entries.push(...part.entries);
        found.total = part.total_count;
      }
      this.keep(path, known, { ...found, error: null, code: null });
    } catch (error) {
      // What was shown stays while the server is away; a folder that is gone does not.
      const gone = error.status === 404 || error.status === 400;
      this.keep(path, known, { error: error.message, code: error.code, ...(gone && { entries: null, total: 0 }) });
    }
  }

  more(path) {
    const known = this.known.get(path);
    if (!known || known.asking) return;
    known.pages = Math.ceil(known.entries.length / PAGE) + 1;
    this.refresh(path);
  }

  keep(path, known, found) {
    const print = JSON.stringify(found);
    Object.assign(known, { at: Date.now(), read: true });
    if (print === known.print) return;
    Object.assign(known, found, { print });
    known.byName = known.entries ? new Map(known.entries.map((entry) => [entry.name, entry])) : null;
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

export function useFolders(folders) {
  return useSyncExternalStore(folders.subscribe, folders.snapshot, folders.snapshot);
}

// The visible rows of the tree, flat: `{entry, level, place, count}`, or `{note}` under a folder.
export function useRows(folders, expanded, version) {
  return useMemo(() => {
    const rows = [];
    const walk = (path, level) => {
      const known = folders.get(path);
      const key = path || "/";
      if (!known?.entries) {
        if (level > 1) rows.push({ key: `${key}:`, level, note: known?.error ?? "Loading…" });
        return;
      }
      known.entries.forEach((entry, index) => {
        rows.push({ key: entry.path, entry, level, place: index + 1, count: known.total });
        if (kindOf(entry) === "directory" && expanded.has(entry.path)) walk(entry.path, level + 1);
      });
      if (!known.entries.length && level > 1) rows.push({ key: `${key}:`, level, note: "Empty" });
      const left = known.total - known.entries.length;
      if (left > 0 && known.entries.length >= PAGE) rows.push({ key: `${key}+`, level, more: path, note: `${left} more…` });
    };
    walk("", 1);
    return rows;
  }, [folders, expanded, version]);
}
