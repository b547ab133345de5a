// CodeMirror behind a React component: shows a text, and edits it. What it holds is the text as
// it was given, byte for byte, line ends included.
import { useEffect, useRef } from "react";
import { Compartment, EditorSelection, EditorState, Text, Transaction } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { defaultKeymap, history, historyKeymap, indentWithTab, isolateHistory } from "@codemirror/commands";
import { LanguageDescription, bracketMatching, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { languages } from "@codemirror/language-data";
import { search, searchKeymap } from "@codemirror/search";
import { classHighlighter } from "@lezer/highlight";
import { nameOf } from "./explorer_rest.js";

// Longer texts are shown without colours: parsing them would hold up the page.
const COLOURED = 2 * 1024 * 1024;

// CodeMirror makes every line end the same one unless it is told which. Where they are mixed,
// or stand alone, a carriage return stays a character of its line, and is shown as such.
function lineEnd(text) {
  if (!text.includes("\r")) return "\n";
  return /\r(?!\n)|(^|[^\r])\n/.test(text) ? "\n" : "\r\n";
}

// The one change that makes `from` of `to`, so that place and selection stay where they can.
function difference(from, to) {
  let start = 0;
  const most = Math.min(from.length, to.length);
  while (start < most && from[start] === to[start]) start++;
  let end = 0;
  while (end < most - start && from[from.length - 1 - end] === to[to.length - 1 - end]) end++;
  return { from: start, to: from.length - end, insert: to.slice(start, to.length - end) };
}

// `code` gets: `text()`, `changed()`, `put(text, undoable)`, `append(text)`, `keep(text)` (what counts as saved),
// `focus()`. `onDirty(dirty)` fires when the text begins or ceases to differ from what is saved.
export default function Code({ code, text, path, label, editing, wrap, line, onDirty, onSave }) {
  const host = useRef(null);
  const now = useRef({});
  now.current = { onDirty, onSave };

  useEffect(() => {
    const parts = { mode: new Compartment(), wrap: new Compartment(), language: new Compartment(), ends: new Compartment() };
    let end = lineEnd(text);
    let saved = null;
    let dirty = false;
    const compare = (state) => {
      if (dirty === !state.doc.eq(saved)) return;
      dirty = !dirty;
      now.current.onDirty?.(dirty);
    };
    const view = new EditorView({
      parent: host.current,
      state: EditorState.create({
        doc: Text.of(text.split(end)),
        extensions: [
          parts.ends.of(EditorState.lineSeparator.of(end)),
          lineNumbers(),
          highlightSpecialChars(),
          history(),
          bracketMatching(),
          indentOnInput(),
          search({ top: true }),
          syntaxHighlighting(classHighlighter),
          EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false" }),
          EditorView.updateListener.of((update) => update.docChanged && compare(update.state)),
          keymap.of([
            { key: "Mod-s", run: () => (now.current.onSave?.(), true) },
            ...searchKeymap,
            ...historyKeymap,
            ...defaultKeymap,
          ]),
          parts.mode.of([]),
          parts.wrap.of([]),
          parts.language.of([]),
        ],
      }),
    });
    saved = view.state.doc;
    const toText = (string) => Text.of(string.split(end));
    host.current.handle = { view, parts };
    code.current = {
      text: () => view.state.sliceDoc(),
      changed: () => !view.state.doc.eq(saved),
      put: (string, undoable) => {
        if (/[\r\n]/.test(string)) end = lineEnd(string);
        // Compared as strings in which each line end is one character, as in CodeMirror's positions.
        const change = difference(view.state.doc.toString(), toText(string).toString());
        view.dispatch({
          changes: { ...change, insert: Text.of(change.insert.split("\n")) },
          effects: parts.ends.reconfigure(EditorState.lineSeparator.of(end)),
          annotations: undoable ? isolateHistory.of("full") : Transaction.addToHistory.of(false),
        });
      },
      append: (string) => view.dispatch({ changes: { from: view.state.doc.length, insert: toText(string) } }),
      keep: (string) => {
        saved = toText(string);
        compare(view.state);
      },
      focus: () => view.focus(),
    };
    const description = LanguageDescription.matchFilename(languages, nameOf(path));
    let gone = false;
    if (description && text.length <= COLOURED) {
      description
        .load()
        .then((support) => gone || view.dispatch({ effects: parts.language.reconfigure(support) }))
        .catch(() => {}); // a language that did not load leaves the text plain
    }
    return () => {
      gone = true;
      code.current = null;
      view.destroy();
    };
  }, []);

  useEffect(() => {
    const { view, parts } = host.current.handle;
    const reading = [
      EditorState.readOnly.of(true),
      EditorView.editable.of(false),
      EditorView.contentAttributes.of({ tabindex: "0" }),
    ];
    const writing = [keymap.of([indentWithTab]), highlightActiveLine(), highlightActiveLineGutter(), drawSelection()];
    view.dispatch({
      effects: parts.mode.reconfigure(editing ? writing : line ? [...reading, highlightActiveLine()] : reading),
    });
    if (editing) view.focus();
  }, [editing, line]);

  useEffect(() => {
    const { view, parts } = host.current.handle;
    view.dispatch({ effects: parts.wrap.reconfigure(wrap ? EditorView.lineWrapping : []) });
  }, [wrap]);

  useEffect(() => {
    const { view } = host.current.handle;
    if (!line) return;
    const { from } = view.state.doc.line(Math.min(line, view.state.doc.lines));
    view.dispatch({
      selection: EditorSelection.cursor(from),
      effects: EditorView.scrollIntoView(from, { y: "center" }),
    });
  }, [line]);

  return <div ref={host} className="ve-code" />;
}
