// What is typed into a form stays with the tab until it is sent or cancelled.
import { useState } from "react";

const here = typeof window !== "undefined";
const key = (name) => `vibe.draft.${name}`;
const read = (name) => (here && window.sessionStorage.getItem(key(name))) || "";

/** What was typed into a field of the form, or `otherwise`. */
export function typed(name, field, otherwise) {
  const kept = read(name);
  return (kept ? JSON.parse(kept)[field] : undefined) ?? otherwise;
}

export function Draft({ name, children }) {
  const [back] = useState(() => read(name) !== "");
  const keep = ({ currentTarget }) => {
    const values = Object.fromEntries(new FormData(currentTarget.querySelector("form")));
    window.sessionStorage.setItem(key(name), JSON.stringify(values));
  };
  const forget = () => window.sessionStorage.removeItem(key(name));
  return (
    <div data-draft onChange={keep} onReset={forget}>
      {back && (
        <p className="v-hint v-draft" role="status">
          What you had typed is back. Cancel discards it.
        </p>
      )}
      {children}
    </div>
  );
}
