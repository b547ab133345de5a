"""What is typed before its field is there waits for it.

A key or a button that opens a field asks the server first. What is typed meanwhile would be lost, or taken
for keys of the page, of which one executes a card. So it is held from there on, and typed into the field as
soon as that has the focus: letters, Enter, arrows and Escape alike. A press elsewhere, or `LONGEST` without a
field, ends it; what was held then is gone.
"""

from __future__ import annotations

from typing import Any

import reflex as rx

from vibe_app.web.kit.hooks import Hooked, js

OPENS = "data-opens"
"""Of an element: the key that opens a field as long as this is there. A press on a button that has it opens
one too; a key such as F2 only where it is pressed in the element."""
LONGEST = 5_000
"""Milliseconds for which a field is waited for."""
_EVENT = "vibe-opens"
_FIELDS = "input, textarea:not(.xterm-helper-textarea), [contenteditable=true]"


def opens(key: Any) -> Any:
    """Return what holds from now on what is typed, where a key opens a field; it runs in the browser."""
    there = js("document.querySelector('[' + $mark + '=' + JSON.stringify($key) + ']')", mark=OPENS, key=key)
    return js("($there && window.dispatchEvent(new Event($event)))", there=there, event=_EVENT)


@rx.memo
def typed_ahead() -> rx.Component:
    """Hold what is typed while a field is being opened; a page has one of it."""
    return Hooked.create(
        runs=js(
            "null",
            hooks=(
                "const held = useRef(null);",
                "const begin = (on) => {held.current = Object.assign([], {since: on.timeStamp});};",
                "const end = () => {held.current = null;};",
                "const put = (text) => document.execCommand('insertText', false, text);",
                "const lines = (there) => there.matches('textarea, [contenteditable=true]');",
                "const enter = (there) => lines(there) ? put('\\n') : there.form?.requestSubmit();",
                "const others = {Enter: enter, Backspace: () => document.execCommand('delete')};",
                "const type = (there, key) => others[key]?.(there) ?? (key.length === 1 && put(key));",
                "const again = (press) => new KeyboardEvent('keydown', press);",
                "const hear = (there, press) => there.dispatchEvent(again(press)) && type(there, press.key);",
                "const play = (all) => {end(); all?.forEach((each) => hear(document.activeElement, each));};",
                "const came = (on) => on.target.matches?.($fields) && setTimeout(() => play(held.current));",
                "const plain = (press) => !(press.ctrlKey || press.metaKey || press.altKey);",
                "const keys = (press) => plain(press) || press.getModifierState('AltGraph');",
                "const known = ['Enter', 'Backspace', 'Escape', 'ArrowDown', 'ArrowUp'];",
                "const one = (press) => press.key.length === 1 && keys(press);",
                "const stop = (press) => {press.preventDefault(); press.stopImmediatePropagation();};",
                "const waits = (press) => held.current && press.timeStamp - held.current.since < $longest;",
                "const kept = (press) => waits(press) && (one(press) || known.includes(press.key));",
                # The key that began it may be held down.
                "const note = (press) => press.repeat || held.current.push(press);",
                "const keep = (press) => {kept(press) && (stop(press), note(press));};",
                "useWindowEvent('keydown', (press) => {press.isTrusted && keep(press);}, {capture: true});",
                "useWindowEvent('focusin', (on) => {held.current && came(on);});",
                "useWindowEvent('pointerdown', end, {capture: true});",
                "const button = (on) => on.target.closest?.('button[' + $mark + ']');",
                "const here = (press) => press.target.closest?.('[' + $mark + '=' + press.key + ']');",
                "const named = (press) => /^F\\d/.test(press.key) && here(press);",
                "useWindowEvent('keydown', (press) => {named(press) && begin(press);});",
                "useWindowEvent('click', (on) => {button(on) && begin(on);});",
                "useWindowEvent($event, begin);",
            ),
            fields=_FIELDS,
            mark=OPENS,
            event=_EVENT,
            longest=LONGEST,
        )
    )
