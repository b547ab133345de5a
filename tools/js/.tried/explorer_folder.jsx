// One folder as a list, the way to it, and the buttons above.
import { Link } from "react-router";
import { Button } from "@radix-ui/themes";
import { PAGE } from "./explorer_folders.js";
import { Notice, Skeleton } from "./explorer_parts.jsx";
import { addressOf } from "./explorer_rest.js";
import { EntryList } from "./explorer_tree.jsx";

export function Tool({ icon: Shape, label, href, onClick }) {
  const face = <Shape size={17} aria-hidden="true" />;
  if (href) {
    return (
      <a className="v-icon-button" href={href} download aria-label={label} title={label}>
        {face}
      </a>
    );
  }
  return (
    <button type="button" className="v-icon-button" aria-label={label} title={label} onClick={onClick}>
      {face}
    </button>
  );
}

export function NotHere({ folders, path, known }) {
  return (
    <Notice title={known.code === "not_found" ? "Not here" : "This folder cannot be shown"} text={known.error}>
      <Button variant="soft" onClick={() => folders.refresh(path)}>
        Try again
      </Button>
    </Notice>
  );
}

export function Crumbs({ base, path }) {
  const parts = path ? path.split("/") : [];
  return (
    <nav className="ve-crumbs" aria-label="Path">
      <ol>
        <li>
          <Link to={base} aria-current={path ? undefined : "page"}>
            Files
          </Link>
        </li>
        {parts.map((part, index) => {
          const to = parts.slice(0, index + 1).join("/");
          return (
            <li key={to}>
              <Link to={addressOf(base, to)} aria-current={to === path ? "page" : undefined} title={part}>
                {part}
              </Link>
            </li>
          );
        })}
      </ol>
    </nav>
  );
}

export function FolderView({ folders, path, base, changed, canEdit, limitMib, known, actions, start }) {
  if (known?.error && !known.entries) return <NotHere {...{ folders, path, known }} />;
  if (!known?.entries) return <Skeleton lines={10} />;
  const items = known.entries.map((each) => ({ entry: each, to: addressOf(base, each.path) }));
  const left = known.total - known.entries.length;
  const limit = `Upload files or drop them here: ${limitMib} MiB each at most.`;
  const foot = (
    <div className="ve-foot v-quiet">
      {left > 0 && known.entries.length >= PAGE ? (
        <Button size="1" variant="soft" onClick={() => folders.more(path)}>
          Show more of {left} further entries
        </Button>
      ) : (
        canEdit && limit
      )}
    </div>
  );
  const entries = `${known.total} ${known.total === 1 ? "entry" : "entries"}`;
  return (
    <div className="ve-view">
      <div className="ve-actions">
        <span className="v-quiet v-digits">{entries}</span>
        <div className="v-row ve-buttons">{actions}</div>
      </div>
      {items.length ? (
        <EntryList items={items} label={path || "Workspace"} changed={changed} foot={foot} />
      ) : path ? (
        <Notice title="An empty folder" text={canEdit ? limit : "Nothing is in it yet."}>
          {start}
        </Notice>
      ) : (
        <Notice
          title="No files yet"
          text={
            canEdit
              ? `Execute a card and the agent's files appear here, or begin yourself. ${limit}`
              : "What the agent writes appears here."
          }
        >
          {start}
        </Notice>
      )}
    </div>
  );
}
