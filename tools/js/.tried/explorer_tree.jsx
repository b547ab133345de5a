// The tree of the workspace and the list of one folder. Both show the rows in sight only, so
// that a folder of thousands of entries scrolls as one of ten.
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "react";
import { Link } from "react-router";
import ChevronRight from "lucide-react/dist/esm/icons/chevron-right.mjs";
import File from "lucide-react/dist/esm/icons/file.mjs";
import FileText from "lucide-react/dist/esm/icons/file-text.mjs";
import Folder from "lucide-react/dist/esm/icons/folder.mjs";
import FolderOpen from "lucide-react/dist/esm/icons/folder-open.mjs";
import Image from "lucide-react/dist/esm/icons/image.mjs";
import LinkIcon from "lucide-react/dist/esm/icons/link-2.mjs";
import { agoWords, exactly, kindOf, sizeWords } from "./explorer_rest.js";

const SPARE = 10;
const coarse = () => window.matchMedia("(pointer: coarse)").matches;
export const PICTURE = /\.(avif|bmp|gif|ico|jpe?g|png|svg|webp)$/i;

// Which of `count` rows of one height are in sight of the scrolling element `ref`.
function useSight(count, height) {
  const ref = useRef(null);
  const [sight, setSight] = useState([0, 60]);

  useLayoutEffect(() => {
    const node = ref.current;
    if (!node) return undefined;
    const look = () => {
      const first = Math.max(0, Math.floor(node.scrollTop / height) - SPARE);
      const last = Math.ceil((node.scrollTop + node.clientHeight) / height) + SPARE;
      setSight((old) => (old[0] === first && old[1] === last ? old : [first, last]));
    };
    look();
    node.addEventListener("scroll", look, { passive: true });
    const observer = new ResizeObserver(look);
    observer.observe(node);
    return () => {
      node.removeEventListener("scroll", look);
      observer.disconnect();
    };
  }, [height, count > 0]);

  const show = useCallback(
    (index) => {
      const node = ref.current;
      if (!node || index < 0) return;
      const top = index * height;
      if (top < node.scrollTop) node.scrollTop = top;
      else if (top + height > node.scrollTop + node.clientHeight) node.scrollTop = top + height - node.clientHeight;
    },
    [height],
  );
  return { ref, first: Math.min(sight[0], count), last: Math.min(sight[1], count), show };
}

export function EntryIcon({ entry, open }) {
  const kind = kindOf(entry);
  let Shape = entry.type === "symlink" ? LinkIcon : File;
  if (kind === "directory") Shape = open ? FolderOpen : Folder;
  else if (PICTURE.test(entry.name)) Shape = Image;
  else if (/\.(md|txt|rst)$/i.test(entry.name)) Shape = FileText;
  return <Shape size={16} aria-hidden="true" className={kind === "directory" ? "ve-folder" : "ve-file"} />;
}

export function Mark({ what = "Changed for this card" }) {
  return <span className="ve-mark" role="img" aria-label={what} title={what} />;
}

const shortened = (name) => (name.length > 200 ? `${name.slice(0, 150)}…${name.slice(-40)}` : name);
const rowId = (key) => `ve-row-${encodeURIComponent(key)}`;

// `rows` as `useRows` makes them. Arrows, Home, End, letters, Enter; F2 and Delete go to `onKey(key, entry)`.
export function Tree({ rows, current, expanded, changed, onToggle, onOpen, onMore, onKey }) {
  const height = coarse() ? 44 : 30;
  const { ref, first, last, show } = useSight(rows.length, height);
  const [active, setActive] = useState(current);
  const typed = useRef({ text: "", at: 0 });
  const at = rows.findIndex((row) => row.key === active);
  // A row that went away leaves its place to the one that came there.
  const before = useRef(0);
  if (at >= 0) before.current = at;
  const here = at >= 0 ? at : Math.max(0, Math.min(before.current, rows.length - 1));

  useEffect(() => setActive(current), [current]);
  const shown = useRef(null);
  useEffect(() => {
    // Brought into sight once, when it appears, not at each change of the tree.
    const index = rows.findIndex((row) => row.key === current);
    if (index < 0 || shown.current === current) return;
    shown.current = current;
    show(index);
  }, [rows, current, show]);

  const goTo = (index) => {
    const target = Math.max(0, Math.min(rows.length - 1, index));
    if (!rows[target]) return;
    setActive(rows[target].key);
    show(target);
  };

  const open = (row) => {
    if (row.more !== undefined) onMore(row.more);
    else if (row.entry) onOpen(row.entry);
  };

  const find = (letter) => {
    const now = Date.now();
    typed.current = { text: now - typed.current.at < 700 ? typed.current.text + letter : letter, at: now };
    const { text } = typed.current;
    const start = text.length === 1 ? here + 1 : here;
    const order = [...rows.keys()].map((index) => (start + index) % rows.length);
    const hit = order.find((index) => rows[index].entry?.name.toLowerCase().startsWith(text.toLowerCase()));
    if (hit !== undefined) goTo(hit);
  };

  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const row = rows[here];
    if (!row) return;
    const folder = row.entry && kindOf(row.entry) === "directory";
    const isOpen = folder && expanded.has(row.key);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity };
    if (event.key in steps) goTo(here + steps[event.key]);
    else if (event.key === "ArrowRight") folder && !isOpen ? onToggle(row.key, true) : folder && goTo(here + 1);
    else if (event.key === "ArrowLeft") {
      if (isOpen) onToggle(row.key, false);
      else goTo(rows.findLastIndex((each, index) => index < here && each.level < row.level));
    } else if (event.key === "Enter" || (event.key === " " && !typed.current.text.trim())) open(row);
    else if ((event.key === "F2" || event.key === "Delete") && row.entry) onKey(event.key, row.entry);
    else if (event.key.length === 1 && event.key !== "/" && event.key !== "?") find(event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  };

  return (
    <div
      ref={ref}
      className="ve-tree"
      role="tree"
      aria-label="Files of the workspace"
      aria-activedescendant={rows[here] && rowId(rows[here].key)}
      tabIndex={0}
      onKeyDown={press}
      onFocus={() => show(here)}
    >
      <div role="none" style={{ height: rows.length * height, position: "relative" }}>
        {rows.map((row, index) => {
          const inSight = (index >= first && index < last) || index === here;
          if (!inSight) return null;
          const { entry, level } = row;
          const folder = entry && kindOf(entry) === "directory";
          const isOpen = folder && expanded.has(row.key);
          return (
            <div
              key={row.key}
              id={rowId(row.key)}
              role="treeitem"
              aria-level={level}
              aria-posinset={row.place}
              aria-setsize={row.count}
              aria-selected={row.key === current}
              aria-expanded={folder ? isOpen : undefined}
              className="ve-row"
              data-active={index === here || undefined}
              title={entry && entry.name.length > 30 ? shortened(entry.name) : undefined}
              style={{ top: index * height, height, paddingLeft: 8 + Math.min(level - 1, 24) * 14 }}
              onClick={() => {
                setActive(row.key);
                open(row);
              }}
            >
              <span
                className="ve-twist"
                data-open={isOpen || undefined}
                onClick={(event) => {
                  if (!folder) return;
                  event.stopPropagation();
                  setActive(row.key);
                  onToggle(row.key, !isOpen);
                }}
              >
                {folder && <ChevronRight size={14} aria-hidden="true" />}
              </span>
              {entry ? <EntryIcon entry={entry} open={isOpen} /> : null}
              <span className={entry ? "ve-name" : "ve-name v-quiet"}>{entry ? shortened(entry.name) : row.note}</span>
              {entry && changed(entry) && <Mark />}
            </div>
          );
        })}
      </div>
    </div>
  );
}

// One folder as a list of links, each `{entry, to, name?, words?, state?}`.
export function EntryList({ items, label, changed, foot }) {
  const height = coarse() ? 52 : 40;
  const { ref, first, last } = useSight(items.length, height);
  return (
    <div ref={ref} className="ve-list" tabIndex={-1}>
      <ul aria-label={label} style={{ height: items.length * height }}>
        {items.slice(first, last).map(({ entry, to, words, name, state }, index) => (
          <li
            key={entry.path + (words ?? "")}
            aria-setsize={items.length}
            aria-posinset={first + index + 1}
            style={{ top: (first + index) * height, height }}
          >
            <Link to={to} state={state} className="ve-entry">
              <EntryIcon entry={entry} />
              <span className="ve-name" title={entry.name.length > 60 ? shortened(entry.name) : undefined}>
                {name ?? shortened(entry.name)}
                {words !== undefined && <code>{words}</code>}
              </span>
              {changed?.(entry) && <Mark />}
              {kindOf(entry) === "broken" && <span className="v-quiet">leads nowhere here</span>}
              {kindOf(entry) === "file" && entry.size !== undefined && (
                <span className="v-quiet v-digits ve-size">{sizeWords(entry.size)}</span>
              )}
              {entry.modified && (
                <time className="v-quiet ve-time" dateTime={entry.modified} title={exactly(entry.modified)}>
                  {agoWords(entry.modified)}
                </time>
              )}
            </Link>
          </li>
        ))}
      </ul>
      {foot}
    </div>
  );
}
