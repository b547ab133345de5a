// The output panel's terminal. `OutputPane` owns xterm and the order of events;
// the React component around it owns the window's buttons and nothing else.
import { useEffect, useLayoutEffect, useRef, useState } from "react";
import { Terminal } from "@xterm/xterm";
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import "@xterm/xterm/css/xterm.css";
import "./terminal.css";

const SCROLLBACK = 25000;
// What is handed to xterm at once. It parses a slice of this size in a few milliseconds,
// so that a click waits no longer than that.
const SLICE = 48 * 1024;
const ASK_AGAIN_MS = 5000;

const RESET = "\x1b[0m";
const rgb = (hex) => `\x1b[38;2;${[1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(";")}m`;
const TIME_COLOUR = rgb("#9ca3af");
const COLOURS = {
  o: "",
  e: rgb("#f87171"),
  s: rgb("#60a5fa"),
  d: rgb("#4ade80"),
  f: rgb("#f87171"),
  c: rgb("#9ca3af"),
};

const THEME = {
  background: "#1e1e1e",
  foreground: "#d4d4d4",
  cursor: "#1e1e1e",
  cursorAccent: "#1e1e1e",
  selectionBackground: "#3a5a8c",
  scrollbarSliderBackground: "#ffffff2e",
  scrollbarSliderHoverBackground: "#ffffff4d",
  scrollbarSliderActiveBackground: "#ffffff66",
  overviewRulerBorder: "#1e1e1e",
  black: "#4b5563",
  red: "#f87171",
  green: "#4ade80",
  yellow: "#fbbf24",
  blue: "#60a5fa",
  magenta: "#c084fc",
  cyan: "#22d3ee",
  white: "#d4d4d4",
  brightBlack: "#9ca3af",
  brightRed: "#fca5a5",
  brightGreen: "#86efac",
  brightYellow: "#fde68a",
  brightBlue: "#93c5fd",
  brightMagenta: "#d8b4fe",
  brightCyan: "#67e8f9",
  brightWhite: "#ffffff",
};

const SEARCH = {
  decorations: {
    matchBackground: "#5c4a12",
    matchOverviewRuler: "#fbbf24",
    activeMatchBackground: "#b45309",
    activeMatchColorOverviewRuler: "#ffffff",
  },
};

const SGR = /\x1b\[[0-9;:]*m/g;
// The server has removed these already; a terminal must not trust that.
const UNSAFE =
  /\x1b\[[0-9;:]*m|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f]/g;
const clean = (text) =>
  text
    .replace(/\r\n?/g, "\n")
    .replace(UNSAFE, (found) => (found.startsWith("\x1b[") && found.endsWith("m") ? found : ""));
const plain = (text) => clean(text).replace(SGR, "");

const two = (number) => String(number).padStart(2, "0");
const clock = (ms) => {
  const at = new Date(ms);
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
};

// Makes what the expression's first group finds a link (OSC 8) to an address of this origin.
const withLinks = (text, linked, address) =>
  linked && address
    ? text.replace(new RegExp(linked, "g"), (found, name) => {
        const link = new URL(window.vibeDoor.address(address + encodeURIComponent(name)), window.location.origin).href;
        return found.replace(name, () => `\x1b]8;;${link}\x1b\\${name}\x1b]8;;\x1b\\`);
      })
    : text;

// Turns events into lines, each with the time at which it began.
class Lines {
  constructor() {
    this.atStart = true;
    this.colours = ""; // the SGR state of the output stream, which other lines interrupt
    this.count = 0;
  }

  // The break comes with the line after it, so that the last row is never empty.
  begin(ms, after) {
    const lineBreak = this.count ? "\r\n" : "";
    this.atStart = false;
    this.count += 1;
    return `${RESET}${lineBreak}${TIME_COLOUR}${clock(ms)}${RESET} ${after}`;
  }

  remember(text) {
    for (const code of text.match(SGR) ?? []) {
      const whole = code === RESET || code === "\x1b[m" ? "" : this.colours + code;
      // A text that never resets must not grow this without end.
      this.colours = whole.length > 200 ? code.slice(0, 200) : whole;
    }
  }

  output(ms, text) {
    let made = "";
    const pieces = clean(text).split("\n");
    pieces.forEach((piece, index) => {
      const last = index === pieces.length - 1;
      if (this.atStart && (piece || !last)) made += this.begin(ms, this.colours);
      made += piece;
      if (piece.includes("\x1b")) this.remember(piece);
      if (!last) this.atStart = true;
    });
    return made;
  }

  whole(type, ms, text) {
    let made = "";
    for (const line of clean(text).replace(/\n+$/, "").split("\n")) {
      made += `${this.begin(ms, COLOURS[type] ?? "")}${line}`;
    }
    this.atStart = true;
    return made;
  }

  of([, type, ms, text]) {
    return type === "o" ? this.output(ms, text) : this.whole(type, ms, text);
  }
}

// At each scroll xterm 6 draws every row once more for the selection, which doubles the work
// and the garbage of fast output even while nothing is selected. It has no option against that.
const drawSelectionOnlyIfAny = (terminal) => {
  const selection = terminal._core?._selectionService;
  if (!selection?.refresh) return;
  const draw = selection.refresh.bind(selection);
  let drawn = false;
  selection.refresh = (byMouse) => {
    if (drawn || selection.hasSelection) draw(byMouse);
    drawn = selection.hasSelection;
  };
};

class OutputPane {
  // `listen` takes {onGap, onBehind, onMatches, onFind, linked, linkedTo}, read anew at each call.
  constructor(root, host, log, listen) {
    this.root = root;
    this.log = log;
    this.listen = listen;
    this.terminal = new Terminal({
      allowProposedApi: true, // search highlights and Unicode 11 widths
      disableStdin: true,
      cursorInactiveStyle: "none",
      cursorStyle: "bar",
      cursorWidth: 1,
      convertEol: false,
      fontFamily: 'Consolas, Monaco, "Courier New", monospace',
      fontSize: window.innerWidth < 640 ? 12 : 13,
      lineHeight: 1.25,
      minimumContrastRatio: 4.5,
      scrollback: SCROLLBACK,
      theme: THEME,
      linkHandler: { activate: (_, link) => window.open(link, "_blank", "noopener") },
      overviewRuler: { width: 12 },
      logLevel: "off",
    });
    this.fit = new FitAddon();
    this.search = new SearchAddon();
    this.terminal.loadAddon(this.fit);
    this.terminal.loadAddon(this.search);
    this.terminal.loadAddon(new Unicode11Addon());
    this.terminal.unicode.activeVersion = "11";
    this.terminal.attachCustomKeyEventHandler((event) => this.key(event));
    this.terminal.open(host);
    drawSelectionOnlyIfAny(this.terminal);
    this.terminal.textarea?.setAttribute("aria-label", "Session output, scroll with the arrow and page keys");
    this.terminal.textarea?.setAttribute("readonly", "");
    this.terminal.onScroll(() => this.look());
    this.search.onDidChangeResults((found) => this.listen().onMatches(found));
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(host);
    this.resize();
    this.start("");
  }

  start(session) {
    this.session = session;
    this.last = 0;
    this.shown = 0;
    this.events = [];
    this.queue = [];
    this.lines = new Lines();
    this.generation = (this.generation ?? 0) + 1;
    this.writing = false;
    this.fresh = false;
    this.answered();
    this.terminal.reset();
    this.log.textContent = "";
    this.mark();
  }

  // Takes the newest batch, and asks where it does not follow on what is here.
  take(session, batch) {
    if (session !== this.session) this.start(session);
    if (!session) return;
    if (batch?.s !== session || batch.a > this.last) {
      if (!this.asking || (batch?.s === "" && batch.n !== this.askedAt)) this.ask(batch?.n);
      return;
    }
    this.answered();
    for (const event of batch.e ?? []) {
      if (event[0] <= this.last) continue;
      this.last = event[0];
      this.events.push(event);
      this.queue.push(event);
    }
    this.pump();
  }

  ask(at) {
    this.answered();
    this.askedAt = at;
    this.asking = window.setTimeout(() => this.ask(at), ASK_AGAIN_MS);
    this.listen().onGap?.(this.session, this.last);
  }

  answered() {
    window.clearTimeout(this.asking);
    this.asking = undefined;
  }

  // Writes one slice at a time, the next when xterm has parsed the one before.
  pump() {
    if (this.writing || !this.queue.length) return;
    let made = "";
    let taken = 0;
    while (taken < this.queue.length && made.length < SLICE) made += this.lines.of(this.queue[taken++]);
    const upTo = this.queue[taken - 1][0];
    this.queue = this.queue.slice(taken);
    this.writing = true;
    const generation = this.generation;
    const { linked, linkedTo } = this.listen();
    this.terminal.write(withLinks(made, linked, linkedTo), () => {
      if (generation !== this.generation) return;
      this.writing = false;
      this.shown = upTo;
      this.fresh = true;
      this.mark();
      this.look();
      this.speak();
      if (this.queue.length) window.setTimeout(() => this.pump());
    });
  }

  mark() {
    this.root.dataset.lastSeq = String(this.shown);
    this.root.dataset.lines = String(this.lines.count);
  }

  look() {
    const { viewportY, baseY } = this.terminal.buffer.active;
    if (viewportY >= baseY) this.fresh = false;
    this.listen().onBehind(viewportY < baseY && this.fresh);
  }

  // Screen readers get the newest lines once a second, not every change of a row.
  speak() {
    if (this.speaking) return;
    this.speaking = window.setTimeout(() => {
      this.speaking = undefined;
      const text = this.events.slice(-20).map((event) => plain(event[3]).replace(/\n$/, ""));
      this.log.textContent = text.join("\n").slice(-2000);
    }, 1000);
  }

  key(event) {
    if (event.type !== "keydown") return false;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "f") {
      event.preventDefault();
      this.listen().onFind();
      return false;
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return false;
    const moves = {
      PageUp: () => this.terminal.scrollPages(-1),
      PageDown: () => this.terminal.scrollPages(1),
      ArrowUp: () => this.terminal.scrollLines(-1),
      ArrowDown: () => this.terminal.scrollLines(1),
      Home: () => this.terminal.scrollToTop(),
      End: () => this.toEnd(),
    };
    if (moves[event.key]) {
      event.preventDefault();
      moves[event.key]();
    }
    return false; // nothing typed here goes anywhere, and Tab must leave
  }

  toEnd() {
    this.terminal.scrollToBottom();
    this.look();
  }

  resize() {
    window.cancelAnimationFrame(this.resizing);
    this.resizing = window.requestAnimationFrame(() => {
      if (this.terminal.element?.offsetParent !== null) this.fit.fit();
    });
  }

  find(text, back) {
    if (!text) return this.search.clearDecorations();
    return back ? this.search.findPrevious(text, SEARCH) : this.search.findNext(text, SEARCH);
  }

  text(withTimes) {
    const lines = new Lines();
    const made = this.events.map((event) => lines.of(event).replace(SGR, ""));
    const all = made.join("").replaceAll("\r\n", "\n") + "\n";
    return withTimes ? all : all.replace(/^\d\d:\d\d:\d\d /gm, "");
  }

  close() {
    this.answered();
    window.clearTimeout(this.speaking);
    window.cancelAnimationFrame(this.resizing);
    this.observer.disconnect();
    this.generation += 1;
    this.terminal.dispose();
  }
}

const copyText = async (text) => {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Plain http on another host than localhost has no clipboard API.
  const area = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  if (!done) throw new Error("The browser did not allow copying");
};

const saveText = (text, name) => {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  window.setTimeout(() => URL.revokeObjectURL(url), 10000);
};

const ICONS = {
  search: "M11 4a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm5 12 4.5 4.5",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M4 12.5 9.5 18 20 6.5",
  download: "M12 4v11m-5-5 5 5 5-5M4 20h16",
  enlarge: "M14 4h6v6M10 20H4v-6M20 4l-7 7M4 20l7-7",
  shrink: "M20 10h-6V4M4 14h6v6M14 10l7-7M10 14l-7 7",
  up: "m6 15 6-6 6 6",
  down: "m6 9 6 6 6-6",
  close: "m6 6 12 12M18 6 6 18",
};

function Tool({ icon, label, onClick, ...rest }) {
  return (
    <button type="button" className="vt-tool" aria-label={label} title={label} onClick={onClick} {...rest}>
      <svg viewBox="0 0 24 24" aria-hidden="true">
        <path d={ICONS[icon]} />
      </svg>
    </button>
  );
}

function FindBar({ pane, matches, inputRef, onClose }) {
  const [text, setText] = useState("");
  const go = (back) => pane.current?.find(text, back);
  const words = !text
    ? ""
    : !matches.resultCount
      ? "No matches"
      : matches.resultIndex < 0
        ? `${matches.resultCount}+`
        : `${matches.resultIndex + 1} of ${matches.resultCount}`;
  return (
    <div className="vt-find" role="search">
      <input
        ref={inputRef}
        type="search"
        value={text}
        placeholder="Search the output"
        aria-label="Search the output"
        onChange={(event) => {
          setText(event.target.value);
          pane.current?.find(event.target.value, true);
        }}
        onKeyDown={(event) => {
          if (event.key === "Enter") go(!event.shiftKey);
        }}
      />
      <span className="vt-count" aria-live="polite">
        {words}
      </span>
      <Tool icon="up" label="Previous match" onClick={() => go(true)} />
      <Tool icon="down" label="Next match" onClick={() => go(false)} />
      <Tool icon="close" label="Close search" onClick={onClose} />
    </div>
  );
}

export function OutputTerminal({ sessionId, batch, name, live, fileName, linked, linkedTo, onGap }) {
  const root = useRef(null);
  const host = useRef(null);
  const log = useRef(null);
  const find = useRef(null);
  const pane = useRef(null);
  const calls = useRef({});
  const [behind, setBehind] = useState(false);
  const [matches, setMatches] = useState({ resultIndex: -1, resultCount: 0 });
  const [finding, setFinding] = useState(false);
  const [large, setLarge] = useState(false);
  const [copied, setCopied] = useState(false);

  useLayoutEffect(() => {
    calls.current = {
      onGap,
      linked,
      linkedTo,
      onBehind: setBehind,
      onMatches: setMatches,
      onFind: () => setFinding(true),
    };
  });

  useLayoutEffect(() => {
    const made = new OutputPane(root.current, host.current, log.current, () => calls.current);
    pane.current = made;
    return () => {
      pane.current = null;
      made.close();
    };
  }, []);

  useLayoutEffect(() => pane.current?.take(sessionId, batch), [sessionId, batch]);

  useEffect(() => {
    if (finding) find.current?.focus();
  }, [finding]);

  const closeFind = () => {
    pane.current?.find("");
    setFinding(false);
    pane.current?.terminal.focus();
  };

  const keys = (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "f") {
      event.preventDefault();
      setFinding(true);
      find.current?.select();
    } else if (event.key === "Escape" && (finding || large)) {
      // One layer at a time: the drawer behind stays. React listens on the document, as the
      // page's own keys do, so only this keeps the key from them.
      event.preventDefault();
      if (finding) closeFind();
      else setLarge(false);
    }
  };

  const copy = async () => {
    await copyText(pane.current.text(false));
    setCopied(true);
    window.setTimeout(() => setCopied(false), 1500);
  };

  return (
    <section
      ref={root}
      className={large ? "vt vt-large" : "vt"}
      aria-label={`Output: ${name}`}
      onKeyDown={keys}
      data-live={live ? "true" : "false"}
    >
      <header className="vt-head">
        <span className="vt-dots" aria-hidden="true">
          <i />
          <i />
          <i />
        </span>
        <span className="vt-title">{name}</span>
        {live && <span className="vt-live">LIVE</span>}
        <span className="vt-tools">
          <Tool icon="search" label="Search" onClick={() => setFinding(true)} aria-expanded={finding} />
          <Tool icon={copied ? "check" : "copy"} label={copied ? "Copied" : "Copy all"} onClick={copy} />
          <Tool
            icon="download"
            label="Download as text"
            onClick={() => saveText(pane.current.text(true), fileName || "session.txt")}
          />
          <Tool
            icon={large ? "shrink" : "enlarge"}
            label={large ? "Make smaller" : "Enlarge"}
            onClick={() => setLarge(!large)}
            aria-pressed={large}
          />
        </span>
      </header>
      {finding && <FindBar pane={pane} matches={matches} inputRef={find} onClose={closeFind} />}
      <div className="vt-body">
        <div ref={host} className="vt-host" />
        {behind && (
          <button type="button" className="vt-new" onClick={() => pane.current?.toEnd()}>
            New output ↓
          </button>
        )}
      </div>
      <div ref={log} className="vt-log" role="log" aria-live="polite" aria-label="Newest output" />
    </section>
  );
}
