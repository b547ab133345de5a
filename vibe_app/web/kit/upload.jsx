// No library: files that are chosen or dropped are told by name and size, held here, and sent when somebody says so.
import { useEffect, useEffectEvent } from "react";

const listed = (reader) => new Promise((done) => reader.readEntries(done, () => done([])));
const opened = (entry) => new Promise((done) => entry.file(done, () => done(null)));

/** Finds what is in a dropped folder, folders in it opened, up to `most` files; what cannot be read is left out. */
async function walk(entry, path, found, most) {
  if (found.length >= most) return;
  if (entry.isFile) {
    const file = await opened(entry);
    return void (file && found.push({ file, path }));
  }
  for (let reader = entry.createReader(), some; (some = await listed(reader)).length; )
    for (const inner of some) await walk(inner, [...path, inner.name], found, most);
}

/** @param {any} props */
export function FileDoor({ most, every, onChosen, onProgress, onSent }) {
  const chosen = useEffectEvent(onChosen);
  const progress = useEffectEvent(onProgress);
  const sent = useEffectEvent(onSent);
  useEffect(() => {
    const held = /** @type {any[]} */ ([]);
    const take = async ({ items, files }) => {
      const entries = [...items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
      const found = entries.length ? [] : [...files].slice(0, most).map((file) => ({ file, path: [file.name] }));
      for (const entry of entries) await walk(entry, [entry.name], found, most);
      const first = held.length;
      held.push(...found);
      if (found.length) chosen(found.map(({ file, path }, at) => ({ id: first + at, path, size: file.size })));
    };
    const send = (id, url) => {
      if (!held[id]) return sent(id, 0, "", "");
      const request = (held[id].request = new XMLHttpRequest());
      let told = 0;
      request.open("PUT", url);
      for (const [name, value] of Object.entries(window.vibeDoor.headers())) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => {
        if (Date.now() - told <= every) return;
        told = Date.now();
        progress(id, loaded);
      };
      request.onloadend = async () => {
        const { status, responseText: text } = request;
        const answer = { status, ok: status < 300, json: async () => JSON.parse(text) };
        const { error = "", body } = status ? await window.vibeDoor.read(answer) : {};
        sent(id, status, error, body?.code ?? "");
      };
      request.send(held[id].file);
    };
    window.vibeFiles = { take, send, stop: (id) => held[id]?.request?.abort() };
    return () => held.forEach(({ request }) => request?.abort());
  }, [most, every]);
  return null;
}
