// @codemirror/view behind a React component: holds a text as it was given, byte for byte, line ends included.
import { useEffect, useRef } from "react";
import { Compartment, EditorSelection, EditorState, Text, Transaction } from "@codemirror/state";
import * as V from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory } from "@codemirror/commands";
import { LanguageDescription, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { search, searchKeymap } from "@codemirror/search";
import { classHighlighter } from "@lezer/highlight";

// Where line ends are mixed, a carriage return stays a character of its line, and is shown as such.
const endOf = (/** @type {string} */ text) => (/\r\n/.test(text) && !/\r(?!\n)|(^|[^\r])\n/.test(text) ? "\r\n" : "\n");
const PARTS = ["mode", "wrap", "language", "ends", "name"];
const aria = V.EditorView.contentAttributes;
const reading = [EditorState.readOnly.of(true), V.EditorView.editable.of(false), aria.of({ tabindex: "0" })];
const marking = [V.highlightActiveLine(), V.highlightActiveLineGutter()];
const writing = [V.keymap.of([indentWithTab]), marking, V.drawSelection()];

/** @param {{text: string, stamp: string, file: string, label: string, editing: boolean, wrap: boolean, lines: number[], coloured: number,
 *   onDirty?: (dirty: boolean, clash: boolean) => void, onSave?: () => void}} props */
export function Code(props) {
  const { stamp, label, editing, wrap, lines } = props;
  const host = useRef(/** @type {any} */ (null));
  const code = useRef(/** @type {any} */ (null));
  const now = useRef(props);
  useEffect(() => void (now.current = props));
  useEffect(() => {
    const { text, file, coloured } = now.current;
    const parts = PARTS.map(() => new Compartment());
    const ends = parts[PARTS.indexOf("ends")];
    let [end, dirty, saved] = [endOf(text), false, Text.empty];
    const parse = (/** @type {string} */ words) => Text.of(words.split(end));
    const compare = () => dirty === view.state.doc.eq(saved) && now.current.onDirty?.((dirty = !dirty), false);
    const save = { key: "Mod-s", run: () => (now.current.onSave?.(), true) };
    const keys = V.keymap.of([save, ...searchKeymap, ...historyKeymap, ...defaultKeymap]);
    const look = [V.lineNumbers(), V.highlightSpecialChars(), bracketMatching(), syntaxHighlighting(classHighlighter)];
    const told = V.EditorView.updateListener.of((update) => void (update.docChanged && compare()));
    const own = [ends.of(EditorState.lineSeparator.of(end)), ...parts.filter((part) => part !== ends).map((part) => part.of([]))];
    const extensions = [look, history(), indentOnInput(), search({ top: true }), keys, told, own];
    const view = new V.EditorView({ parent: host.current, state: EditorState.create({ doc: parse(text), extensions }) });
    const put = (/** @type {string} */ words, /** @type {boolean} */ undoable) => {
      if (/[\r\n]/.test(words)) end = endOf(words);
      // The one change between both, so that place and selection stay where they can.
      const [old, next] = [view.state.doc.toString(), parse(words).toString()];
      let [start, back, most] = [0, 0, Math.min(old.length, next.length)];
      while (start < most && old[start] === next[start]) start++;
      while (back < most - start && old[old.length - 1 - back] === next[next.length - 1 - back]) back++;
      const changes = { from: start, to: old.length - back, insert: Text.of(next.slice(start, next.length - back).split("\n")) };
      const annotations = undoable ? isolateHistory.of("full") : Transaction.addToHistory.of(false);
      view.dispatch({ changes, annotations, effects: ends.reconfigure(EditorState.lineSeparator.of(end)) });
    };
    const keep = (/** @type {string} */ words) => ((saved = parse(words)), compare());
    const changed = () => !view.state.doc.eq(saved);
    // What counts as saved is noted before it is shown: the change itself is no difference to tell.
    const take = () => {
      const { text: words, editing: undoable, stamp: base } = now.current;
      if (/[\r\n]/.test(words)) end = endOf(words);
      [saved, handle.base] = [parse(words), base];
      put(words, undoable);
      compare();
    };
    // Another text than the one that this began with: shown, unless something is typed that is not saved.
    const offer = () => {
      if (now.current.stamp === handle.base) return;
      const theirs = parse(now.current.text);
      if (!changed() || view.state.doc.eq(theirs)) take();
      else now.current.onDirty?.(true, !theirs.eq(saved));
    };
    const append = (/** @type {string} */ words) => {
      saved = parse(view.state.sliceDoc() + words);
      view.dispatch({ changes: { from: view.state.doc.length, insert: parse(words) } });
    };
    const revert = () => put(saved.toString(), true);
    const set = (/** @type {string} */ part, /** @type {any} */ what) => view.dispatch({ effects: parts[PARTS.indexOf(part)].reconfigure(what) });
    const handle = { view, put, take, keep, text: () => view.state.sliceDoc(), append, revert, offer, set, base: now.current.stamp };
    window.vibeCode = code.current = handle;
    saved = view.state.doc;
    const known = text.length <= coloured && LanguageDescription.matchFilename(languages, file);
    if (known) known.load().then((support) => code.current && set("language", support), () => {}); // else it stays plain
    return () => ((code.current = null), view.destroy());
  }, []);
  useEffect(() => code.current.offer(), [stamp]);
  useEffect(() => code.current.set("name", aria.of({ "aria-label": label, spellcheck: "false" })), [label]);
  useEffect(() => code.current.set("wrap", wrap ? V.EditorView.lineWrapping : []), [wrap]);
  const [from, to] = [lines[0] ?? 0, lines[1] ?? lines[0] ?? 0];
  useEffect(() => {
    const { view, set } = code.current;
    set("mode", editing ? writing : from ? [reading, marking, EditorState.allowMultipleSelections.of(true)] : reading);
    if (editing) return view.focus();
    if (!from) return;
    const at = (/** @type {number} */ line) => view.state.doc.line(Math.max(1, Math.min(line, view.state.doc.lines))).from;
    const rows = Array.from({ length: Math.min(500, Math.max(0, to - from) + 1) }, (_, row) => EditorSelection.cursor(at(from + row)));
    view.dispatch({ selection: EditorSelection.create(rows), effects: V.EditorView.scrollIntoView(at(from), { y: "center" }) });
  }, [editing, from, to]);
  return <div ref={host} className="ve-code" />;
}
