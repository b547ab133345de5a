// @xterm/xterm, read-only, on the numbered texts of one source: each is shown once, in order; what misses is asked for.
import { FitAddon } from "@xterm/addon-fit";
import { SearchAddon } from "@xterm/addon-search";
import { Unicode11Addon } from "@xterm/addon-unicode11";
import { Terminal } from "@xterm/xterm";
import { useLayoutEffect, useRef } from "react";

const [SLICE, ASK_AGAIN_MS] = [48 * 1024, 5000]; // a slice is parsed in a few milliseconds, which a click can wait

class Pane extends /** @type {any} */ (Object) {
  constructor(host, props) {
    super();
    const terminal = new Terminal(props.current.options);
    Object.assign(this, { host, props, terminal, fit: new FitAddon(), search: new SearchAddon() });
    this.last = this.writes = 0;
    for (const addon of [this.fit, this.search, new Unicode11Addon()]) this.terminal.loadAddon(addon);
    this.terminal.unicode.activeVersion = "11";
    this.terminal.attachCustomKeyEventHandler(() => false); // nothing typed here goes anywhere, and Tab leaves
    this.terminal.open(host);
    this.terminal.textarea.setAttribute("aria-label", props.current.label);
    this.terminal.onScroll(() => this.look());
    this.search.onDidChangeResults((found) => props.current.onMatches?.(found.resultIndex, found.resultCount));
    // At each scroll xterm 6 draws every row once more for the selection, also for none, without an option.
    const selection = this.terminal._core._selectionService;
    const draw = selection.refresh.bind(selection);
    selection.refresh = (byMouse) => {
      if (this.selected || selection.hasSelection) draw(byMouse);
      this.selected = selection.hasSelection;
    };
    this.fit.fit();
    this.clear();
    (this.observer = new ResizeObserver(() => this.resizes())).observe(host);
  }

  resizes() {
    this.resizing = (window.clearTimeout(this.resizing), window.setTimeout(() => this.resize(), 100));
  }

  resize() { // rows are made for a width: for another one all of it is asked for again, and shown until that comes
    const { cols } = this.terminal;
    if (this.host.offsetParent) this.fit.fit();
    if (cols !== this.terminal.cols) this.ask(undefined, (this.last = 0));
  }

  clear() {
    Object.assign(this, { texts: [], queue: [], fresh: false, writing: 0 });
    this.terminal.reset();
    Object.assign(this.host.dataset, { lastSeq: 0, lines: 0, behind: false });
  }

  take(batch) {
    const gap = batch.s !== this.props.current.source || batch.a > this.last;
    if (gap && !(this.asking && (batch.s || batch.n === this.askedAt))) this.ask(batch.n);
    if (gap) return;
    this.asking = void window.clearTimeout(this.asking);
    const news = batch.e.filter(([number]) => number > this.last);
    if (!news.length) return;
    if (!this.last) this.clear();
    [this.last, this.carry] = [news.at(-1)[0], batch.k];
    this.texts.push(...news.map(([, text]) => text));
    this.queue.push(...news);
    this.write();
  }

  ask(at, last = this.last) {
    window.clearTimeout(this.asking);
    this.askedAt = at;
    this.asking = window.setTimeout(() => this.ask(at), ASK_AGAIN_MS);
    this.props.current.onGap(this.props.current.source, last, last ? this.carry : "", this.terminal.cols);
  }

  write() { // one slice at a time, the next when xterm has parsed the one before
    const { queue } = this;
    if (this.writing || !queue.length) return;
    let [made, taken] = ["", 0];
    while (taken < queue.length && made.length < SLICE) made += queue[taken++][1];
    this.queue = queue.slice(taken);
    const writing = (this.writing = this.writes += 1);
    this.terminal.write(made, () => {
      if (writing !== this.writing) return;
      const lines = (Number(this.host.dataset.lines) || 1) + made.split("\r\n").length - 1;
      Object.assign(this.host.dataset, { lastSeq: queue[taken - 1][0], lines });
      Object.assign(this, { writing: 0, fresh: true });
      this.look();
      // Screen readers get the newest lines once a second, not every change of a row.
      this.speaking ??= window.setTimeout(() => {
        this.speaking = undefined;
        this.host.nextSibling.textContent = this.props.current.plain(this.texts.slice(-20)).slice(-2000);
      }, 1000);
      window.setTimeout(() => this.write());
    });
  }

  look() {
    const { viewportY, baseY } = this.terminal.buffer.active;
    this.host.dataset.behind = this.fresh &&= viewportY < baseY;
  }

  close() {
    for (const timer of [this.asking, this.speaking, this.resizing]) window.clearTimeout(timer);
    this.observer.disconnect();
    this.writing = 0;
    this.terminal.dispose();
  }
}

export function TextTerminal(given) {
  const hostRef = useRef(/** @type {any} */ (null));
  const givenRef = useRef(given);
  useLayoutEffect(() => void (givenRef.current = given));
  useLayoutEffect(() => {
    const pane = (hostRef.current.pane = new Pane(hostRef.current, givenRef));
    return () => pane.close();
  }, []);
  useLayoutEffect(() => hostRef.current.pane.take(given.batch), [given.batch]);
  return [
    <div ref={hostRef} key="host" className={given.className} />,
    <div key="log" role="log" aria-live="polite" aria-label={given.newest} />,
  ];
}
