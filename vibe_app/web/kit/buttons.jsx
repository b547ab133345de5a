// A button that is pressed once, and the one that signs out.
import { useEffect, useRef, useState } from "react";

// Disabled from the press until what it did shows, or 2.5 s have passed without.
export function OnceButton({ onPress, children, className, label }) {
  const [pressed, setPressed] = useState(false);
  const timer = useRef(null);
  useEffect(() => () => window.clearTimeout(timer.current), []);
  const press = () => {
    if (pressed) return;
    setPressed(true);
    timer.current = window.setTimeout(() => setPressed(false), 2500);
    onPress?.();
  };
  return (
    <button
      type="button"
      className={className}
      aria-label={label}
      disabled={pressed}
      aria-busy={pressed}
      onClick={press}
    >
      {children}
    </button>
  );
}

// Only an answer to the browser itself can take the login cookie back; then a whole
// page load, so that no socket lives on that was opened with it.
export function SignOut({ url, done, still, away, className, children }) {
  const leave = async () => {
    const asked = { method: "POST", credentials: "same-origin", headers: window.vibeDoor.headers() };
    const answer = await fetch(url, asked).catch(() => null);
    const said = answer && (await window.vibeDoor.read(answer));
    if (said && (!said.error || said.body?.code === "unauthenticated")) {
      window.sessionStorage.clear(); // what was typed is nobody else's
      window.vibeDoor.forget();
      window.location.assign(done);
    } else window.alert(`${still} ${said ? said.error : away}`);
  };
  return (
    <button type="button" className={className} onClick={leave}>
      {children}
    </button>
  );
}
