// Uploads: a queue that sends one file after the other, and the panel that shows it.
import { useCallback, useEffect, useRef, useState } from "react";
import { Button } from "@radix-ui/themes";
import { toast } from "sonner";
import X from "lucide-react/dist/esm/icons/x.mjs";
import { joined, sizeWords, spelled } from "./explorer_rest.js";

const OVER = ["done", "failed", "skipped"];
// Of a drop, so that a slip of the hand does not send a disk.
const MOST_FILES = 2000;

// What was dropped, folders opened: `[{file, path}]`, with the path below the place of the drop.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: spelled(file.name) }));
  const found = [];
  const walk = async (entry, path) => {
    if (found.length >= MOST_FILES) return;
    if (entry.isFile) {
      const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
      if (file) found.push({ file, path });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
      if (!some.length) return;
      for (const inner of some) await walk(inner, `${path}/${spelled(inner.name)}`);
    }
  };
  for (const entry of entries) await walk(entry, spelled(entry.name));
  if (found.length >= MOST_FILES) toast(`Of what was dropped, the first ${MOST_FILES} files are uploaded.`);
  return found;
}

// `onDone(folder)` fires when files have arrived in a folder.
export function useUploads(rest, limitMib, onDone) {
  const [items, setItems] = useState([]);
  const queue = useRef([]);
  const busy = useRef(false);
  const count = useRef(0);
  const done = useRef(onDone);
  done.current = onDone;

  const change = useCallback((id, values) => {
    setItems((old) => old.map((item) => (item.id === id ? { ...item, ...values } : item)));
  }, []);

  const work = useCallback(async () => {
    if (busy.current) return;
    busy.current = true;
    while (queue.current.length) {
      const item = queue.current.shift();
      if (item.abort.signal.aborted) continue;
      change(item.id, { state: "sending", sent: 0, error: "" });
      try {
        await rest.upload(item.path, item.file, {
          overwrite: item.overwrite,
          parents: true,
          signal: item.abort.signal,
          onProgress: (sent) => change(item.id, { sent }),
        });
        change(item.id, { state: "done", sent: item.file.size });
        done.current(item.folder);
      } catch (error) {
        if (error.code === "exists") change(item.id, { state: "exists" });
        else change(item.id, { state: "failed", error: error.message });
      }
    }
    busy.current = false;
  }, [rest, change]);

  const add = useCallback(
    (files, folder) => {
      const fresh = files.map(({ file, path }) => ({
        id: ++count.current,
        abort: new AbortController(),
        file,
        folder,
        path: joined(folder, path),
        state: file.size > limitMib * 2 ** 20 ? "failed" : "waiting",
        error: `It is larger than ${limitMib} MiB, which is the limit here.`,
        sent: 0,
      }));
      setItems((old) => [...old.filter((item) => !OVER.includes(item.state)), ...fresh]);
      queue.current.push(...fresh.filter((item) => item.state === "waiting"));
      work();
    },
    [work, limitMib],
  );

  const replace = (item) => {
    queue.current.push({ ...item, overwrite: true });
    change(item.id, { state: "waiting" });
    work();
  };

  const stop = (item) => {
    item.abort.abort();
    change(item.id, { state: item.state === "exists" ? "skipped" : "failed", error: "Stopped; nothing was written." });
  };

  const running = items.some((item) => item.state === "waiting" || item.state === "sending");
  useEffect(() => {
    if (!running) return undefined;
    const warn = (event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [running]);

  return { items, running, add, replace, stop, clear: () => setItems([]) };
}

const words = (item) =>
  ({
    waiting: "Waiting",
    sending: `${sizeWords(item.sent)} of ${sizeWords(item.file.size)}`,
    done: sizeWords(item.file.size),
    skipped: "Kept what is there",
    exists: "There is a file of this name already",
    failed: item.error,
  })[item.state];

export function Uploads({ uploads }) {
  const { items, running } = uploads;
  if (!items.length) return null;
  const arrived = items.filter((item) => item.state === "done").length;
  return (
    <section className="ve-uploads" aria-label="Uploads">
      <header className="v-row v-between">
        <h2 role="status">
          {running ? `Uploading, ${arrived} of ${items.length} done` : `${arrived} of ${items.length} uploaded`}
        </h2>
        {!running && (
          <button type="button" className="v-icon-button" aria-label="Close" title="Close" onClick={uploads.clear}>
            <X size={16} aria-hidden="true" />
          </button>
        )}
      </header>
      <ul>
        {items.slice(0, 200).map((item) => (
          <li key={item.id} data-state={item.state}>
            <span className="ve-name" title={item.path}>
              {item.path.slice(item.folder.length).replace(/^\//, "")}
            </span>
            <span className={item.state === "failed" ? "v-error" : "v-quiet v-digits"}>{words(item)}</span>
            {item.state === "sending" && (
              <progress aria-label={`Upload of ${item.path}`} max={item.file.size || 1} value={item.sent} />
            )}
            {item.state === "exists" && (
              <Button size="1" variant="soft" onClick={() => uploads.replace(item)}>
                Replace
              </Button>
            )}
            {["waiting", "sending", "exists"].includes(item.state) && (
              <Button size="1" variant="soft" color="gray" onClick={() => uploads.stop(item)}>
                {item.state === "exists" ? "Skip" : "Stop"}
              </Button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}
