// Loads the tab anew, once, when the server has other pages than this one was made from.
import { useEffect } from "react";

const here = typeof window !== "undefined";
const LOADED = "vibe.build";
const TRIED = "vibe.renewals";
const PAUSE = 2000; // milliseconds without a key before nothing is being typed

const own = () => window.__reactRouterManifest?.version ?? "";
let renewed = false;
let pressed = false;
let typed = 0;
let waiting = false;
let missing = false;

// Each way from one build to another is gone once, so that two builds behind one address make no loop.
const renew = (to) => {
  const tried = JSON.parse(window.sessionStorage.getItem(TRIED) || "[]");
  const way = `${own()} ${to}`;
  if (tried.includes(way)) return;
  window.sessionStorage.setItem(TRIED, JSON.stringify([...tried, way]));
  window.location.reload();
};

// A part of the pages that is fetched when it is needed is not there any more, or the server is away: then a
// tab that is loaded anew would be the browser's own page about that, and would stay it.
const missed = async (away = false) => {
  // A proxy in front says 502 or the like of a server that is away.
  const asked = `/api/front?page=${encodeURIComponent(window.location.origin)}`;
  const there = await fetch(asked, { cache: "no-store" }).then(
    ({ status }) => status < 500,
    () => false,
  );
  if (!there) window.setTimeout(missed, PAUSE, true);
  else if (away) window.location.reload();
  else renew("part");
};

// What is in a `data-draft` comes back by itself.
const unsaved = (field) =>
  !field.closest("[data-draft], .xterm") &&
  (field.value !== field.defaultValue || (field === document.activeElement && field.value !== ""));

const busy = () =>
  pressed ||
  Date.now() - typed < PAUSE ||
  [...document.querySelectorAll("input, textarea")].some(unsaved) ||
  !window.dispatchEvent(new Event("beforeunload", { cancelable: true }));

if (here) {
  const before = window.sessionStorage.getItem(LOADED);
  renewed = before !== null && before !== own();
  window.sessionStorage.setItem(LOADED, own());
  const hold = (held) => () => {
    pressed = held;
  };
  for (const [name, held] of Object.entries({
    pointerdown: true,
    pointerup: false,
    dragstart: true,
    dragend: false,
    drop: false,
  }))
    window.addEventListener(name, hold(held), true);
  // A drag of the browser's own begins with a cancelled pointer; `dragstart` holds it.
  window.addEventListener("pointercancel", hold(false), true);
  window.addEventListener("dragover", hold(true), true);
  window.addEventListener("input", () => (typed = Date.now()), true);
  window.addEventListener("keydown", () => (typed = Date.now()), true);
  window.addEventListener("vite:preloadError", () => {
    if (missing) return;
    missing = true;
    missed();
  });
  window.vibeServed = (build) => {
    if (!build || !own() || build === own() || waiting) return;
    waiting = true;
    const look = () => {
      if (busy()) return window.setTimeout(look, 500);
      waiting = false;
      renew(build);
    };
    look();
  };
}

export function Fresh({ onRenewed }) {
  useEffect(() => {
    if (renewed) onRenewed?.();
    renewed = false;
  }, []);
  return null;
}
