// No library: files that are chosen or dropped are told by their names and sizes, held here, and sent when somebody says so.
import { useEffect, useRef, useState } from "react";

/** @typedef {{file: File, path: string[]}} Found */
const listed = (/** @type {any} */ reader) => new Promise((done) => reader.readEntries(done, () => done([])));

// What is in a dropped folder, folders in it opened, up to `most` files.
async function walk(/** @type {any} */ entry, /** @type {string[]} */ path, /** @type {Found[]} */ found, /** @type {number} */ most) {
  if (found.length >= most) return;
  if (entry.isFile) {
    const file = await new Promise((done) => entry.file(done, () => done(null)));
    return void (file && found.push({ file, path }));
  }
  for (let reader = entry.createReader(), some; (some = await listed(reader)).length; )
    for (const inner of some) await walk(inner, [...path, inner.name], found, most);
}

/** @param {any} props */
export function FileDoor({ children, label, most, every, takes, onChosen, onProgress, onSent, ...rest }) {
  const input = useRef(/** @type {HTMLInputElement | null} */ (null));
  const held = useRef(/** @type {Map<number, {file: File, request?: XMLHttpRequest}>} */ (new Map()));
  const tell = useRef({ onProgress, onSent });
  const [over, setOver] = useState(false);
  useEffect(() => void (tell.current = { onProgress, onSent }));
  useEffect(() => {
    const files = held.current;
    const send = (/** @type {number} */ id, /** @type {string} */ url) => {
      const one = files.get(id);
      if (!one) return tell.current.onSent(id, 0, "", "");
      const request = (one.request = new XMLHttpRequest());
      let told = 0;
      request.open("PUT", url);
      for (const [name, value] of Object.entries(window.vibeDoor.headers())) request.setRequestHeader(name, value);
      request.upload.onprogress = ({ loaded }) => Date.now() - told > every && ((told = Date.now()), tell.current.onProgress(id, loaded));
      request.onloadend = async () => {
        const { status, responseText: text } = request;
        const said = status ? await window.vibeDoor.read({ status, ok: status < 300, json: async () => JSON.parse(text) }) : {};
        tell.current.onSent(id, status, said.error ?? "", said.body?.code ?? "");
      };
      request.send(one.file);
    };
    const put = async (/** @type {string} */ to, /** @type {BodyInit} */ body, /** @type {Record<string, string>} */ headers) => {
      const asked = { method: "PUT", body, headers: { ...headers, ...window.vibeDoor.headers() } };
      const answer = await fetch(to, asked).catch(() => null);
      const said = answer ? await window.vibeDoor.read(answer) : { error: "away" };
      return { status: answer?.status ?? 0, ...said };
    };
    window.vibeFiles = { put, send, stop: (/** @type {number} */ id) => files.get(id)?.request?.abort(), pick: () => input.current?.click() };
    return () => files.forEach((one) => one.request?.abort());
  }, [every]);
  const take = (/** @type {Found[]} */ found) => {
    const first = held.current.size;
    found.forEach(({ file }, at) => held.current.set(first + at, { file }));
    if (found.length) onChosen(found.map(({ file, path }, at) => ({ id: first + at, path, size: file.size })));
  };
  const named = (/** @type {Iterable<File>} */ files) => [...files].slice(0, most).map((file) => ({ file, path: [file.name] }));
  const drop = async (/** @type {any} */ event) => {
    event.preventDefault();
    setOver(false);
    if (!takes || !event.dataTransfer.types.includes("Files")) return;
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const found = entries.length ? [] : named(event.dataTransfer.files);
    for (const entry of entries) await walk(entry, [entry.name], found, most);
    take(found);
  };
  const drag = (/** @type {any} */ event) => event.dataTransfer.types.includes("Files") && (event.preventDefault(), setOver(takes));
  const leave = (/** @type {any} */ event) => event.currentTarget.contains(event.relatedTarget) || setOver(false);
  const choose = (/** @type {any} */ { target }) => (take(named(target.files)), (target.value = ""));
  return (
    <div {...rest} data-over={over || undefined} onDragOver={drag} onDragLeave={leave} onDrop={drop}>
      {children}
      <input ref={input} type="file" multiple hidden aria-label={label} onChange={choose} />
    </div>
  );
}
