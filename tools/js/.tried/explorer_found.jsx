// Lists of files from all over the workspace: what a search found, what a run changed.
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { Button } from "@radix-ui/themes";
import SearchIcon from "lucide-react/dist/esm/icons/search.mjs";
import { addressOf, nameOf } from "./explorer_rest.js";
import { Notice, Skeleton } from "./explorer_parts.jsx";
import { EntryList } from "./explorer_tree.jsx";

const PAUSE = 250;

export function SearchBar({ base, path, query }) {
  const navigate = useNavigate();
  const asked = query.get("q") ?? "";
  const [text, setText] = useState(asked);
  const back = useRef("");
  const timer = useRef(null);
  // What is waited for happens at the address of then.
  const now = useRef(query);
  now.current = query;

  useEffect(() => {
    if (!query.has("q")) back.current = addressOf(base, path);
  });
  useEffect(() => setText((old) => (old.trim() === asked ? old : asked)), [asked]);
  useEffect(() => () => window.clearTimeout(timer.current), []);

  const search = (wanted) => {
    window.clearTimeout(timer.current);
    const searching = now.current.has("q");
    const fresh = new URLSearchParams(searching ? now.current : {});
    if (!wanted.trim()) return searching ? navigate(back.current || base) : undefined;
    fresh.set("q", wanted.trim().slice(0, 200));
    return navigate(`${base}?${fresh}`, { replace: searching });
  };

  return (
    <form
      role="search"
      className="v-search ve-search"
      onSubmit={(event) => {
        event.preventDefault();
        search(text);
      }}
    >
      <SearchIcon size={15} aria-hidden="true" />
      <input
        type="search"
        placeholder="Search files"
        aria-label="Search files"
        value={text}
        maxLength={200}
        data-search="true"
        onChange={(event) => {
          const wanted = event.target.value;
          setText(wanted);
          window.clearTimeout(timer.current);
          timer.current = window.setTimeout(() => search(wanted), PAUSE);
        }}
      />
    </form>
  );
}

function Choice({ children, to, chosen }) {
  return (
    <Button asChild variant="soft" color={chosen ? undefined : "gray"}>
      <Link to={to} replace aria-current={chosen ? "true" : undefined}>
        {children}
      </Link>
    </Button>
  );
}

export function SearchView({ rest, base, query }) {
  const q = query.get("q") ?? "";
  const inText = query.get("in") === "text";
  const ignored = query.has("all");
  const [found, setFound] = useState(null);
  const [error, setError] = useState("");

  useEffect(() => {
    const abort = new AbortController();
    setError("");
    setFound((old) => (old ? { ...old, old: true } : null));
    if (q) {
      rest.search(q, inText, ignored, abort.signal).then(setFound, (refusal) => {
        if (refusal.name !== "AbortError") setError(refusal.message);
      });
    }
    return () => abort.abort();
  }, [rest, q, inText, ignored]);

  const address = (values) => {
    const fresh = new URLSearchParams(query);
    for (const [name, value] of Object.entries(values)) value ? fresh.set(name, value) : fresh.delete(name);
    return `${base}?${fresh}`;
  };
  const items = (found?.results ?? []).map((each) => ({
    entry: { ...each, path: each.path, name: nameOf(each.path) },
    name: each.line ? `${each.path}:${each.line}` : each.path,
    words: each.line ? each.text : undefined,
    to: addressOf(base, each.path) + (each.line ? `#L${each.line}` : ""),
  }));
  const count = found?.truncated ? `The first ${items.length} results` : `${items.length} ${items.length === 1 ? "result" : "results"}`;
  return (
    <div className="ve-view">
      <div className="ve-actions">
        <span className="v-quiet v-digits" role="status">
          {found && !found.old && !error ? count : error ? "" : "Searching…"}
        </span>
        <div className="v-row ve-buttons">
          <Choice to={address({ in: "" })} chosen={!inText}>
            Names
          </Choice>
          <Choice to={address({ in: "text" })} chosen={inText}>
            Text
          </Choice>
          <Choice to={address({ all: ignored ? "" : "1" })} chosen={ignored}>
            With ignored files
          </Choice>
        </div>
      </div>
      {error ? (
        <Notice title="The search did not work" text={error} />
      ) : !found ? (
        <Skeleton />
      ) : items.length ? (
        <EntryList items={items} label={`Results for ${q}`} />
      ) : (
        !found.old && (
          <Notice
            title="Nothing found"
            text={`No ${inText ? "line of text" : "name"} contains “${q}”. A capital letter in it makes case matter.`}
          >
            {!inText && (
              <Button asChild variant="soft">
                <Link to={address({ in: "text" })}>Search in the text of files</Link>
              </Button>
            )}
          </Notice>
        )
      )}
    </div>
  );
}
