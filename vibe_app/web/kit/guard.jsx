// The blocker of react-router: asks before a tab goes elsewhere, within the app through `onAsked`, away from it with the browser's own words.
import { useEffect, useRef } from "react";
import { useBlocker } from "react-router";

/** @param {{moves: boolean, unload: boolean, onAsked?: () => void}} props */
export function Guard({ moves, unload, onAsked }) {
  const way = useBlocker(
    ({ currentLocation: from, nextLocation: to }) => moves && (from.pathname !== to.pathname || from.search !== to.search),
  );
  const tell = useRef(onAsked);
  useEffect(() => void (tell.current = onAsked));
  useEffect(() => void (way.state === "blocked" && tell.current?.()), [way.state, way.location]);
  useEffect(() => void (window.vibeGuard = { go: () => way.proceed?.(), stay: () => way.reset?.() }));
  useEffect(() => {
    if (!unload) return;
    const warn = (/** @type {Event} */ event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [unload]);
  return null;
}
