// One file: its text in the editor, a picture, Markdown, or what can be said of it. Saving names
// the version that was read, so a change of the agent's is found and nothing goes unseen.
import { Suspense, lazy, useCallback, useEffect, useRef, useState } from "react";
import { Button } from "@radix-ui/themes";
import { toast } from "sonner";
import Download from "lucide-react/dist/esm/icons/download.mjs";
import { nameOf, sizeWords } from "./explorer_rest.js";
import { Notice, Skeleton } from "./explorer_parts.jsx";
import { PICTURE } from "./explorer_tree.jsx";

const Code = lazy(() => import("./explorer_code.jsx"));
const Markdown = lazy(() => import("./markdown.jsx").then((found) => ({ default: found.SafeMarkdown })));

// Bytes that are read at once. What is longer is shown in parts, and not edited.
const WHOLE = 1024 * 1024;
const MARKDOWN = /\.(md|markdown)$/i;
const SVG = /\.svg$/i;

// A file as it was read: `kind` is `text`, `legacy` (readable, but no UTF-8) or `binary`.
function understood(found) {
  const common = { size: found.size, version: found.version };
  if (found.encoding === "utf-8") {
    const next = found.offset + new TextEncoder().encode(found.content).length;
    return { ...common, kind: "text", text: found.content, next };
  }
  const bytes = Uint8Array.from(atob(found.content), (letter) => letter.charCodeAt(0));
  const start = bytes.subarray(0, 8192);
  const odd = start.reduce((sum, byte) => sum + (byte < 32 && ![9, 10, 12, 13, 27].includes(byte)), 0);
  const next = found.offset + bytes.length;
  if (odd || !bytes.length) return { ...common, kind: "binary", text: "", next };
  return { ...common, kind: "legacy", text: new TextDecoder("windows-1252").decode(bytes), next };
}

function useFile(rest, path, entry, wanted) {
  const [file, setFile] = useState(null);
  const [error, setError] = useState(null);
  const stamp = entry && `${entry.modified} ${entry.size}`;

  const read = useCallback(async () => understood(await rest.read(path, 0, WHOLE)), [rest, path]);
  const load = useCallback(async () => {
    setError(null);
    try {
      setFile(await read());
    } catch (refusal) {
      setError(refusal);
    }
  }, [read]);

  useEffect(() => {
    if (wanted) load();
  }, [wanted, load]);
  return { file, setFile, error, load, read, stamp };
}

export function FileView({ rest, path, entry, gone, canEdit, live, line, startEditing, actions, onDirty, onSaved }) {
  const name = nameOf(path);
  const [asSource, setAsSource] = useState(false);
  const picture = PICTURE.test(name) && !(SVG.test(name) && asSource);
  const { file, setFile, error, load, read, stamp } = useFile(rest, path, entry, !picture);
  const [editing, setEditing] = useState(Boolean(startEditing) && canEdit);
  const [dirty, setDirty] = useState(false);
  const [saving, setSaving] = useState(false);
  const [theirs, setTheirs] = useState(null);
  const [replaced, setReplaced] = useState(null);
  const [wrap, setWrap] = useState(() => window.matchMedia("(max-width: 767px)").matches);
  const [generation, setGeneration] = useState(0);
  const code = useRef(null);
  const busy = useRef(false);
  const noted = useRef(null);
  const latest = useRef(null);
  latest.current = { file, editing };

  const isDirty = dirty && editing;
  useEffect(() => onDirty(isDirty), [isDirty, onDirty]);
  useEffect(() => () => onDirty(false), [onDirty]);

  // Put what is on the disk now on the screen.
  const show = useCallback(
    (found, undoable) => {
      setFile(found);
      if (code.current && found.kind === "text") {
        code.current.put(found.text, undoable);
        code.current.keep(found.text);
      } else setGeneration((old) => old + 1);
    },
    [setFile],
  );

  // The folder says that the file is another one by now.
  useEffect(() => {
    if (!file || !stamp || noted.current === stamp) return;
    const first = noted.current === null;
    noted.current = stamp;
    if (first) return;
    read().then(
      (found) => {
        // What counts is how it is now: something may have been typed or saved while this was read.
        const now = latest.current;
        if (now.file.version !== file.version || (found.version && found.version === file.version)) return;
        const mine = now.editing && code.current?.changed() ? code.current.text() : null;
        if (mine === null) show(found);
        else if (found.kind === "text" && found.text === mine) {
          code.current.keep(mine);
          setFile(found);
        } else setTheirs(found);
      },
      () => {}, // the next look finds out
    );
  }, [stamp, file, read, show, setFile]);

  const save = async (how, before) => {
    if (busy.current || !code.current) return;
    const text = code.current.text();
    busy.current = true;
    setSaving(true);
    try {
      const done = await rest.write(path, text, how ?? { version: file.version });
      setFile({ ...file, kind: "text", text, size: done.size, version: done.version, next: done.size });
      code.current?.keep(text);
      setTheirs(null);
      setReplaced(before ?? null);
      toast.success("Saved.");
      onSaved();
    } catch (refusal) {
      if (refusal.code === "changed_meanwhile") await compare();
      else if (refusal.code === "deleted_meanwhile") setTheirs({ deleted: true });
      else toast.error(`${refusal.message} Your changes are still here.`);
    } finally {
      busy.current = false;
      setSaving(false);
    }
  };

  const compare = async () => {
    try {
      setTheirs(await read());
    } catch (refusal) {
      if (refusal.status === 404) setTheirs({ deleted: true });
      else toast.error(refusal.message);
    }
  };

  const keepMine = () => {
    if (theirs.deleted) save({});
    else if (theirs.version) save({ version: theirs.version }, theirs.kind === "text" ? theirs.text : null);
    else save({ overwrite: true });
  };

  const takeTheirs = () => {
    show(theirs, true);
    setTheirs(null);
    toast("Theirs is shown. Undo (Ctrl+Z) brings yours back.");
  };

  const stop = () => {
    if (file.text !== code.current?.text()) show(file, true);
    setEditing(false);
    setTheirs(null);
    setReplaced(null);
  };

  const more = async () => {
    if (busy.current) return;
    busy.current = true;
    setSaving(true);
    try {
      const found = await rest.read(path, file.next, WHOLE);
      const part = understood(found);
      const readable = part.kind === file.kind || (part.kind === "text" && file.kind === "legacy");
      if (readable) code.current?.append(part.text);
      else toast.error("The rest is no text. Download the file to see it.");
      setFile({ ...file, size: part.size, next: readable ? part.next : part.size, cut: !readable });
    } catch (refusal) {
      toast.error(refusal.message);
    } finally {
      busy.current = false;
      setSaving(false);
    }
  };

  const isText = file && file.kind !== "binary";
  const whole = file && file.next >= file.size && !file.cut;
  const editable = canEdit && file?.kind === "text" && file.version && whole;
  const rendered = MARKDOWN.test(name) && isText && whole && !editing && !asSource && !line;
  const download = rest.link("/download", { path });

  const empty = isText && !file.size && !editing;
  let body;
  if (picture) body = <Picture rest={rest} path={path} entry={entry} />;
  else if (error) {
    body = (
      <Notice title={error.status === 404 ? "Not here" : "This file cannot be shown"} text={error.message}>
        <Button variant="soft" onClick={load}>
          Try again
        </Button>
        {error.code === "too_large" && <DownloadLink href={download} />}
      </Notice>
    );
  } else if (!file) body = <Skeleton lines={14} />;
  else if (!isText) {
    body = (
      <Notice title="Not a text" text={`${kindWords(name)}, ${sizeWords(file.size)}. It can be downloaded, not shown.`}>
        <DownloadLink href={download} />
      </Notice>
    );
  } else if (empty) {
    body = (
      <Notice title="This file is empty" text={canEdit ? "Press Edit and write the first line." : "Nothing is in it yet."} />
    );
  } else if (rendered) {
    body = (
      <div className="ve-scroll" tabIndex={0} role="region" aria-label={`${name}, formatted`}>
        <Suspense fallback={<Skeleton lines={10} />}>
          <Markdown text={file.text} />
        </Suspense>
      </div>
    );
  } else {
    body = (
      <Suspense fallback={<Skeleton lines={14} />}>
        <Code
          key={generation}
          code={code}
          text={file.text}
          path={path}
          label={editing ? `Edit ${name}` : `Text of ${name}`}
          editing={editing}
          wrap={wrap}
          line={line}
          onDirty={setDirty}
          onSave={() => editing && canEdit && save()}
        />
      </Suspense>
    );
  }

  const size = entry?.size ?? file?.size;
  return (
    <div className="ve-view">
      <div className="ve-actions">
        <span className="v-quiet v-digits">
          {size !== undefined && sizeWords(size)}
          {file?.kind === "legacy" && " · not UTF-8: read as Windows-1252, not edited here"}
          {isDirty && <strong> · Not saved</strong>}
        </span>
        <div className="v-row ve-buttons">
          {editing ? (
            <>
              <Button onClick={() => save()} disabled={saving || !dirty || !canEdit} title="Ctrl+S">
                {saving ? "Saving…" : "Save"}
              </Button>
              <Button variant="soft" color="gray" onClick={stop} disabled={saving}>
                {dirty ? "Discard" : "Done"}
              </Button>
            </>
          ) : (
            <>
              {(MARKDOWN.test(name) || SVG.test(name)) && (
                <Button variant="soft" color="gray" aria-pressed={asSource} onClick={() => setAsSource(!asSource)}>
                  {asSource ? (SVG.test(name) ? "Picture" : "Formatted") : "Source"}
                </Button>
              )}
              {isText && !rendered && !picture && !empty && (
                <Button variant="soft" color="gray" aria-pressed={wrap} onClick={() => setWrap(!wrap)}>
                  {wrap ? "Do not wrap" : "Wrap lines"}
                </Button>
              )}
              {editable && !picture && (
                <Button variant="soft" onClick={() => setEditing(true)}>
                  Edit
                </Button>
              )}
              {actions}
            </>
          )}
        </div>
      </div>
      {editing && (
        <p className="ve-hint v-quiet">
          {live && "A run is live: the agent may change this file. "}Esc, then Tab leaves the text.
        </p>
      )}
      {editing && !canEdit && (
        <p className="ve-banner v-amber" role="status">
          This file cannot be saved here any more. Your text is still here: copy what you need into a card&rsquo;s files.
        </p>
      )}
      {gone && file && !theirs && (
        <p className="ve-banner v-amber" role="status">
          This file is not there any more: it was deleted or renamed. You see what was in it.
        </p>
      )}
      {theirs && (
        <div className="ve-banner v-amber" role="alert">
          <span>
            {theirs.deleted
              ? "This file was deleted since you opened it."
              : `${live ? "The agent" : "Somebody, or the agent,"} changed this file since you opened it.`}{" "}
            Your text is still here.
          </span>
          <span className="v-row">
            {theirs.kind === "text" && theirs.version && (
              <Button size="1" variant="soft" onClick={takeTheirs}>
                Reload theirs
              </Button>
            )}
            {!theirs.deleted && !(theirs.kind === "text" && theirs.version) && (
              <DownloadLink href={download}>Download theirs</DownloadLink>
            )}
            <Button size="1" variant="soft" onClick={keepMine} disabled={saving}>
              {theirs.deleted ? "Save it again" : "Keep mine"}
            </Button>
          </span>
        </div>
      )}
      {replaced !== null && editing && (
        <div className="ve-banner v-gray" role="status">
          <span>Yours is saved in the place of theirs.</span>
          <Button
            size="1"
            variant="soft"
            onClick={() => {
              code.current?.put(replaced, true);
              setReplaced(null);
            }}
          >
            Bring theirs back
          </Button>
        </div>
      )}
      {body}
      {file && isText && !whole && (
        <div className="ve-foot v-quiet">
          <span>
            {file.cut ? "The rest is no text." : `The first ${sizeWords(file.next)} of ${sizeWords(file.size)}.`} Files over{" "}
            {sizeWords(WHOLE)} are not edited here.
          </span>
          {!file.cut && (
            <Button size="1" variant="soft" onClick={more} disabled={saving}>
              Load more
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

// Served without any right to run something; an SVG is only ever shown as a picture.
function Picture({ rest, path, entry }) {
  const [failed, setFailed] = useState(false);
  const url = rest.link("/download", { path, inline: true });
  useEffect(() => setFailed(false), [entry?.modified]);
  if (failed) {
    return (
      <Notice title="This picture cannot be shown" text="It is damaged, or of another kind than its name says.">
        <DownloadLink href={rest.link("/download", { path })} />
      </Notice>
    );
  }
  return (
    <div className="ve-picture">
      <img src={`${url}&v=${encodeURIComponent(entry?.modified ?? "")}`} alt={nameOf(path)} onError={() => setFailed(true)} />
    </div>
  );
}

export function DownloadLink({ href, children = "Download" }) {
  return (
    <Button asChild variant="soft">
      <a href={href} download>
        <Download size={15} aria-hidden="true" />
        {children}
      </a>
    </Button>
  );
}

function kindWords(name) {
  const ending = name.includes(".") ? name.split(".").at(-1) : "";
  return ending && ending.length <= 8 ? `A ${ending.toUpperCase()} file` : "A binary file";
}
