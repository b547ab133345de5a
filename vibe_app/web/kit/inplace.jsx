// A line of text that is edited where it stands. From the first key on it follows nothing
// but its own typing, which outlives a reload; leaving it saves.
import { useEffect, useRef, useState } from "react";

const key = (name) => `vibe.draft.${name}`;

export function InPlace({ name, value, version, settled, label, maxLength, disabled, onSave }) {
  const [held, setHeld] = useState(() => JSON.parse(window.sessionStorage.getItem(key(name)) || "null"));
  const input = useRef(null);
  const first = useRef(true);
  const let_go = () => {
    window.sessionStorage.removeItem(key(name));
    setHeld(null);
  };
  useEffect(() => {
    if (held) input.current?.focus(); // what came back is saved like what is typed
    return () => window.sessionStorage.removeItem(key(name));
  }, []);
  useEffect(() => {
    if (!first.current) let_go();
    first.current = false;
  }, [settled]);
  useEffect(() => {
    if (held?.text === value && document.activeElement !== input.current) let_go();
  }, [value, held]);
  const type = ({ target }) => {
    const next = { text: target.value, version: held?.version ?? version };
    window.sessionStorage.setItem(key(name), JSON.stringify(next));
    setHeld(next);
  };
  const leave = () => {
    if (!held) return;
    if (held.text.trim() === value) let_go();
    else onSave?.(held.text, held.version);
  };
  return (
    <input
      ref={input}
      value={held?.text ?? value}
      onChange={type}
      onBlur={leave}
      aria-label={label}
      maxLength={maxLength}
      disabled={disabled}
      data-enter-blurs="true"
    />
  );
}
