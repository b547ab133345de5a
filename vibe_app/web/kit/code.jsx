// @codemirror/view behind a React component: holds a text as it was given, byte for byte, line ends included.
import { useEffect, useEffectEvent, useRef } from "react";
import { Compartment, EditorSelection, EditorState, Text, Transaction } from "@codemirror/state";
import * as V from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory } from "@codemirror/commands";
import { LanguageDescription, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { search, searchKeymap } from "@codemirror/search";
import { classHighlighter } from "@lezer/highlight";

const [LOOK, LANGUAGE, ENDS] = [new Compartment(), new Compartment(), new Compartment()];
const { contentAttributes: aria, editable, lineWrapping, scrollIntoView, updateListener } = V.EditorView;
const reading = [EditorState.readOnly.of(true), editable.of(false), aria.of({ tabindex: "0" })];
const marking = [V.highlightActiveLine(), V.highlightActiveLineGutter()];
const pointing = [reading, marking, EditorState.allowMultipleSelections.of(true)];
const writing = [V.keymap.of([indentWithTab]), marking, V.drawSelection()];
const seen = [V.lineNumbers(), V.highlightSpecialChars(), bracketMatching(), syntaxHighlighting(classHighlighter)];
const always = [seen, history(), indentOnInput(), search({ top: true }), LOOK.of([]), LANGUAGE.of([])];
// Where line ends are mixed, a carriage return stays a character of its line, and is shown as such.
const endOf = (text) => (/\r\n/.test(text) && !/\r(?!\n)|(^|[^\r])\n/.test(text) ? "\r\n" : "\n");

/** The one change between two texts, so that place and selection stay where they can. */
function change(old, next) {
  let [from, back, most] = [0, 0, Math.min(old.length, next.length)];
  while (from < most && old[from] === next[from]) from++;
  while (back < most - from && old[old.length - 1 - back] === next[next.length - 1 - back]) back++;
  return { from, to: old.length - back, insert: Text.of(next.slice(from, next.length - back).split("\n")) };
}

/** An editor, and what can be done with it; `now` tells its component's properties. */
function made(parent, now) {
  let [end, dirty] = [endOf(now().text), false];
  const parse = (words) => Text.of(words.split(end));
  let saved = parse(now().text);
  const ends = () => EditorState.lineSeparator.of(end);
  const compare = () => dirty === view.state.doc.eq(saved) && now().onDirty?.((dirty = !dirty), false);
  const save = { key: "Mod-s", run: () => (now().onSave?.(), true) };
  const keys = V.keymap.of([save, ...searchKeymap, ...historyKeymap, ...defaultKeymap]);
  const told = updateListener.of((update) => void (update.docChanged && compare()));
  const view = new V.EditorView({ parent, doc: saved, extensions: [always, keys, told, ENDS.of(ends())] });
  const set = (part, what) => view.dispatch({ effects: part.reconfigure(what) });
  const put = (words, undoable, stamp) => {
    if (/[\r\n]/.test(words)) end = endOf(words);
    const next = parse(words);
    // What counts as saved is noted before it is shown: the change itself is no difference to tell.
    if (stamp !== undefined) [saved, code.base] = [next, stamp];
    const annotations = undoable ? isolateHistory.of("full") : Transaction.addToHistory.of(false);
    view.dispatch({ changes: change(`${view.state.doc}`, `${next}`), annotations, effects: ENDS.reconfigure(ends()) });
    compare();
  };
  const text = () => view.state.sliceDoc();
  const keep = (words) => ((saved = parse(words)), compare());
  const take = () => put(now().text, now().editing, now().stamp);
  const revert = () => put(saved.sliceString(0, saved.length, end), true);
  const append = (words) => put(text() + words, false, code.base);
  // Another text than the one that this began with: shown, unless something is typed that is not saved.
  const offer = () => {
    if (now().stamp === code.base) return;
    const theirs = parse(now().text);
    if (view.state.doc.eq(saved) || view.state.doc.eq(theirs)) take();
    else now().onDirty?.(true, !theirs.eq(saved));
  };
  const code = { view, set, put, text, keep, take, revert, append, offer, base: now().stamp };
  const known = saved.length <= now().coloured && LanguageDescription.matchFilename(languages, now().file);
  if (known) known.load().then((support) => set(LANGUAGE, support), () => {}); // else it stays plain
  return code;
}

/** @param {any} props */
export function Code(props) {
  const { stamp, label, editing, wrap, lines: [from = 0, to = from] } = props;
  const host = useRef(/** @type {any} */ (null));
  const now = useEffectEvent(() => props);
  useEffect(() => {
    const { view } = (host.current.code = window.vibeCode = made(host.current, () => now()));
    return () => view.destroy();
  }, []);
  useEffect(() => host.current.code.offer(), [stamp]);
  const mode = editing ? writing : from ? pointing : reading;
  useEffect(() => {
    const named = aria.of({ "aria-label": label, spellcheck: "false" });
    host.current.code.set(LOOK, [mode, named, wrap ? lineWrapping : []]);
  }, [mode, label, wrap]);
  useEffect(() => {
    const { view } = host.current.code;
    if (editing) return view.focus();
    if (!from) return;
    const { doc } = view.state;
    const at = (row) => EditorSelection.cursor(doc.line(Math.max(1, Math.min(from + row, doc.lines))).from);
    const rows = Array.from({ length: Math.min(500, Math.max(0, to - from) + 1) }, (_, row) => at(row));
    view.dispatch({ selection: EditorSelection.create(rows), effects: scrollIntoView(rows[0], { y: "center" }) });
  }, [editing, from, to]);
  return <div ref={host} className="ve-code" />;
}
