// The window around every page: the rail of projects, the drawer of a card, the keys.
import { Children, useEffect, useLayoutEffect, useRef, useState } from "react";
import { NavLink, useLocation, useNavigate } from "react-router";

const RAIL = "vibe-rail";

// The first child is the rail: a column beside the page, on a phone a sheet over it.
export function Frame({ children }) {
  const [rail, ...page] = Children.toArray(children);
  const [folded, setFolded] = useState(false);
  const sheet = useRef(null);
  const place = useLocation();

  useLayoutEffect(() => setFolded(window.localStorage.getItem(RAIL) === "folded"), []);
  useEffect(() => sheet.current?.close(), [place.pathname]);

  const toggle = () => {
    if (window.matchMedia("(max-width: 767px)").matches) return sheet.current?.showModal();
    window.localStorage.setItem(RAIL, folded ? "open" : "folded");
    setFolded(!folded);
  };

  return (
    <div className="v-frame" data-rail={folded ? "folded" : "open"}>
      <a className="v-skip" href="#main">
        Skip to the page
      </a>
      <aside className="v-rail" aria-label="Projects and account">
        {rail}
      </aside>
      <dialog
        ref={sheet}
        className="v-sheet"
        aria-label="Projects and account"
        onClick={(event) => event.target === sheet.current && sheet.current.close()}
      >
        {rail}
      </dialog>
      <button
        type="button"
        className="v-rail-toggle"
        aria-label={folded ? "Show the list of projects" : "List of projects"}
        aria-expanded={!folded}
        onClick={toggle}
      >
        <svg viewBox="0 0 24 24" aria-hidden="true">
          <path d="M4 5h16v14H4zM10 5v14" />
        </svg>
      </button>
      <div className="v-page">{page}</div>
    </div>
  );
}

// A link that knows whether the page is at its address or below.
export function RailLink({ to, children }) {
  return (
    <NavLink to={to} end={to === "/"} className="v-rail-item">
      {children}
    </NavLink>
  );
}

// A card, over the right side of its board. The board stays in reach: it is not modal.
export function CardDrawer({ cardId, label, children }) {
  const root = useRef(null);
  // What the server has kept of this tab may be another card than the address names, until it has caught up.
  const [, named] = /\/t\/([^/]+)/.exec(useLocation().pathname) ?? [];
  const behind = named !== undefined && named.toLowerCase() !== cardId;

  useEffect(() => {
    root.current?.focus({ preventScroll: true });
    return () => {
      // The board takes the focus back where it was left.
      document.querySelector(`[data-card-id="${CSS.escape(cardId)}"]`)?.focus({ preventScroll: true });
    };
  }, [cardId]);

  // A text that is edited in place is kept when the field is left: Enter leaves it.
  const keys = (event) => {
    if (event.key === "Enter" && event.target.dataset.enterBlurs) event.target.blur();
  };

  return (
    <section ref={root} className="v-drawer" role="dialog" aria-label={label} tabIndex={-1} onKeyDown={keys}>
      {behind ? <div className="v-drawer-body" aria-busy="true" /> : children}
    </section>
  );
}

const typing = (node) =>
  node?.closest?.("input, textarea, select, [contenteditable=true], [role=combobox]") &&
  !node.classList.contains("xterm-helper-textarea");

// A menu, a select or a dialog that is open keeps the keys to itself.
const layered = () =>
  document.querySelector(
    "[role=dialog][data-state=open], [role=alertdialog][data-state=open], [role=menu][data-state=open], " +
      "[role=listbox][data-state=open], dialog[open], :popover-open, .vt-large",
  );

// Fires `onKey(key)` for the keys of `keys`; "/" goes to the search and Escape to `up` by itself.
export function Shortcuts({ keys, up, onKey }) {
  const navigate = useNavigate();
  const now = useRef({});
  useLayoutEffect(() => {
    now.current = { keys: keys.split(" "), up, onKey, navigate };
  });

  useEffect(() => {
    const press = (event) => {
      const { keys: known, up: parent, onKey: tell, navigate: go } = now.current;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || layered()) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      if (event.key === "Escape" && parent) {
        event.preventDefault();
        go(parent);
      } else if (event.key === "/") {
        const search = document.querySelector("[data-search]");
        if (!search) return;
        event.preventDefault();
        search.focus();
        search.select();
      } else if (event.key.startsWith("Arrow")) {
        if (event.target !== document.body) return;
        const first = document.querySelector('[data-card-id][tabindex="0"]');
        if (first) event.preventDefault();
        first?.focus();
      } else if (known.includes(event.key)) {
        event.preventDefault();
        tell?.(event.key);
      }
    };
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
  return null;
}
