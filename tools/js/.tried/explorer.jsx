// The files of a workspace: tree, breadcrumb, and what the address names beside them. Files come
// and go by the REST interface; the State says whose they are and when to look again.
import { useCallback, useEffect, useMemo, useRef, useState } from "react";
import { Link, useBlocker, useLocation, useNavigate } from "react-router";
import { Button } from "@radix-ui/themes";
import { toast } from "sonner";
import Download from "lucide-react/dist/esm/icons/download.mjs";
import FilePlus from "lucide-react/dist/esm/icons/file-plus.mjs";
import FolderPlus from "lucide-react/dist/esm/icons/folder-plus.mjs";
import Pencil from "lucide-react/dist/esm/icons/pencil.mjs";
import Trash from "lucide-react/dist/esm/icons/trash-2.mjs";
import Upload from "lucide-react/dist/esm/icons/upload.mjs";
import { Ask, NameDialog } from "./explorer_dialogs.jsx";
import { FileView } from "./explorer_file.jsx";
import { Crumbs, FolderView, NotHere, Tool } from "./explorer_folder.jsx";
import { Folders, useFolders, useRows } from "./explorer_folders.js";
import { SearchBar, SearchView } from "./explorer_found.jsx";
import { Notice, Skeleton } from "./explorer_parts.jsx";
import { useChanged, useExpanded } from "./explorer_marks.js";
import { Rest, above, addressOf, joined, kindOf, nameOf, parentOf, pathIn, spelled } from "./explorer_rest.js";
import { Tree } from "./explorer_tree.jsx";
import { Uploads, dropped, useUploads } from "./explorer_upload.jsx";
import "./explorer.css";

// Folders that are read again at one look, the one beside the tree first.
const READ_AGAIN = 12;

export function FileExplorer(props) {
  const { pathname } = useLocation();
  // After a way from one card's files to another's, whose they are is known a moment later than where.
  const here = pathname === props.base || pathname.startsWith(`${props.base}/`);
  // Another project, or another card, is another explorer.
  return props.projectId && here ? <Explorer key={props.base} {...props} /> : <Skeleton />;
}

function Explorer({ projectId, base, tree, canEdit, byRequest, cards, workspace, reason, changed, changeHref, changeWords, live, look, limitMib, onWake }) {
  const [shown, setShown] = useState(false);
  useEffect(() => {
    if (workspace === "ready") setShown(true);
  }, [workspace]);
  // Once it was there, it stays on the screen: what is asked of a sleeping workspace wakes it.
  if (!shown) return <Waiting workspace={workspace} reason={reason} onWake={onWake} />;
  return <Browser {...{ projectId, base, tree, canEdit, byRequest, cards, changed, changeHref, changeWords, live, look, limitMib }} />;
}

function Waiting({ workspace, reason, onWake }) {
  const [seconds, setSeconds] = useState(0);
  useEffect(() => {
    const timer = window.setInterval(() => setSeconds((old) => old + 1), 1000);
    return () => window.clearInterval(timer);
  }, []);
  if (workspace === "failed") {
    return (
      <Notice title="The workspace did not start" text={reason || "No reason was given."}>
        <Button onClick={() => onWake?.()}>Try again</Button>
      </Notice>
    );
  }
  return (
    <div className="ve-waiting">
      <p role="status">
        <strong>The workspace is starting.</strong> {reason || "Its files are shown as soon as it answers."}
      </p>
      {seconds > 1 && (
        <p className="v-quiet v-digits" aria-hidden="true">
          {seconds} s
        </p>
      )}
      <Skeleton lines={6} />
    </div>
  );
}

function Browser({ projectId, base, tree, canEdit, byRequest, cards, changed, changeHref, changeWords, live, look, limitMib }) {
  const place = useLocation();
  const navigate = useNavigate();
  const rest = useMemo(() => new Rest(projectId, tree), [projectId, tree]);
  rest.git = byRequest;
  const folders = useMemo(() => new Folders(rest), [rest]);
  const version = useFolders(folders);
  const path = pathIn(base, place.pathname);
  const query = new URLSearchParams(place.search);
  const listing = query.has("q");
  const [expanded, toggle] = useExpanded(base, folders, path);
  const rows = useRows(folders, expanded, version);
  const marked = useChanged(changed);
  const [naming, setNaming] = useState(null);
  const [asking, setAsking] = useState(null);
  const [dirty, setDirty] = useState(false);
  const [over, setOver] = useState(false);
  const picker = useRef(null);

  const entry = path ? folders.entry(parentOf(path), nameOf(path)) : null;
  const around = path ? folders.get(parentOf(path)) : null;
  const complete = around?.entries && around.entries.length >= around.total;
  // Where the folder above is too long to be known whole, the path is asked for itself.
  const asFolder = path && !entry && around?.entries && !complete ? folders.get(path) : null;
  const kind = !path || asFolder?.entries ? "directory" : entry ? kindOf(entry) : "";
  const folder = kind === "directory" ? path : parentOf(path);
  // What its folder did not name when that was read may be newer: the folder is read once more.
  const [sought, setSought] = useState("");
  const seen = useRef("");
  if (entry) seen.current = kindOf(entry) === "directory" ? "" : path;
  const unsure = Boolean(path) && !entry && seen.current !== path && sought !== path;
  const gone = Boolean(path) && !entry && Boolean(complete);
  // What would be a commit of a base that moves elsewhere is not offered.
  const mayWrite = (each) => canEdit && (!byRequest || each?.git === "ignored");
  const mayMove = (each) => canEdit && (!byRequest || ["ignored", "untracked"].includes(each?.git));
  const within = kind === "directory" ? entry : path ? folders.entry(parentOf(folder), nameOf(folder)) : null;
  const anything = mayWrite(within);
  const newFile = anything ? "New file" : "New file that git ignores";
  const uploading = anything ? "Upload files" : "Upload files that git ignores";
  const uploads = useUploads(rest, limitMib, useCallback((where) => void folders.refresh(where), [folders]));

  useEffect(() => {
    if (kind === "directory" || (path && !entry && around?.entries && !complete)) folders.load(path);
  }, [folders, path, kind, entry, around, complete]);

  useEffect(() => {
    if (!unsure || !around?.read) return;
    Promise.resolve(folders.refresh(parentOf(path))).then(() => setSought(path));
  }, [folders, path, unsure, around?.read]);

  // What is open is read again when the State says so, when the tab is looked at again, and never else.
  const open = useRef([]);
  open.current = [...new Set([folder, "", ...rows.filter((row) => expanded.has(row.key)).map((row) => row.key)])];
  const lookAgain = useCallback(() => {
    if (document.hidden) return;
    for (const each of open.current.slice(0, READ_AGAIN)) folders.refresh(each, { gently: true });
  }, [folders]);
  useEffect(() => {
    if (look) lookAgain();
  }, [look, lookAgain, byRequest]);
  useEffect(() => {
    const seen = () => lookAgain();
    document.addEventListener("visibilitychange", seen);
    window.addEventListener("focus", seen);
    return () => {
      document.removeEventListener("visibilitychange", seen);
      window.removeEventListener("focus", seen);
    };
  }, [lookAgain]);
  useEffect(() => {
    // Whoever comes back to a folder sees it as it is now.
    if (folders.get(folder)?.entries) folders.refresh(folder, { gently: true });
  }, [folders, folder]);

  const leaving = useBlocker(
    useCallback(
      ({ currentLocation: from, nextLocation: to }) => dirty && (from.pathname !== to.pathname || from.search !== to.search),
      [dirty],
    ),
  );
  useEffect(() => {
    if (!dirty) return undefined;
    const warn = (event) => event.preventDefault();
    window.addEventListener("beforeunload", warn);
    return () => window.removeEventListener("beforeunload", warn);
  }, [dirty]);

  const go = useCallback((to, options) => navigate(addressOf(base, to), options), [navigate, base]);

  const makeFile = () =>
    setNaming({
      title: newFile,
      label: "Name",
      hint: (anything ? "" : "A name that git ignores, such as .env. ") + (folder ? `In ${folder}. ` : "") + "A / makes folders on the way.",
      verb: "Create",
      act: async (name) => {
        const made = await rest.write(joined(folder, name), "", { parents: true });
        await Promise.all(above(made.path).map((each) => folders.refresh(each)));
        go(made.path, { state: { edit: true } });
      },
    });

  const makeFolder = () =>
    setNaming({
      title: "New folder",
      label: "Name",
      hint: folder ? `In ${folder}.` : "In the workspace's root.",
      verb: "Create",
      act: async (name) => {
        const made = await rest.makeFolder(joined(folder, name));
        await Promise.all(above(made.path).map((each) => folders.refresh(each)));
        go(made.path);
      },
    });

  const rename = (each) =>
    setNaming({
      title: `Rename ${each.name.slice(0, 80)}`,
      label: "New name",
      hint: `${byRequest ? "Another name that git ignores. " : ""}With a / in it, it moves into a folder beside it.`,
      verb: "Rename",
      initial: each.name,
      act: async (name) => {
        if (name === each.name) return;
        const { path: to } = await rest.move(each.path, joined(parentOf(each.path), name));
        if (path === each.path || path.startsWith(`${each.path}/`)) go(to + path.slice(each.path.length), { replace: true });
        if (expanded.has(each.path)) toggle(to, true);
        await Promise.all([parentOf(each.path), ...above(to)].map((one) => folders.refresh(one)));
      },
    });

  const remove = (each) =>
    setAsking({
      title: `Delete ${each.name.slice(0, 80)}?`,
      text:
        kindOf(each) === "directory" && each.type !== "symlink"
          ? "The folder goes with everything in it. It cannot be undone."
          : "It cannot be undone.",
      verb: "Delete",
      act: async () => {
        try {
          await rest.remove(each.path);
        } catch (refusal) {
          if (refusal.status !== 404) return void toast.error(refusal.message);
        }
        toggle(each.path, false);
        if (path === each.path || path.startsWith(`${each.path}/`)) go(parentOf(each.path), { replace: true });
        await folders.refresh(parentOf(each.path));
        toast.success("Deleted.");
      },
    });

  const press = (key, each) => {
    if (!mayMove(each) || dirty) return;
    if (key === "F2") rename(each);
    else remove(each);
  };

  const drop = async (event) => {
    event.preventDefault();
    setOver(false);
    if (!canEdit || !event.dataTransfer.types.includes("Files")) return;
    uploads.add(await dropped(event.dataTransfer), folder);
  };

  const drag = (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    if (canEdit) setOver(true);
  };

  // One that its folder is too long to name has at least its path.
  const here = entry ?? { name: nameOf(path), path, type: kind || "file" };
  const edits = mayMove(here) && path && !gone && (
    <>
      <Tool icon={Pencil} label="Rename" onClick={() => rename(here)} />
      <Tool icon={Trash} label="Delete" onClick={() => remove(here)} />
    </>
  );

  let view;
  if (listing) view = <SearchView {...{ rest, base, query }} />;
  else if (kind === "directory") {
    view = (
      <FolderView
        {...{ folders, path, base, changed: marked, canEdit, limitMib, known: folders.get(path) }}
        actions={
          <>
            {canEdit && <Tool icon={FilePlus} label={newFile} onClick={makeFile} />}
            {anything && <Tool icon={FolderPlus} label="New folder" onClick={makeFolder} />}
            {canEdit && <Tool icon={Upload} label={uploading} onClick={() => picker.current.click()} />}
            <Tool icon={Download} label="Download folder" href={rest.link("/archive", { path })} />
            {edits}
          </>
        }
        start={
          canEdit && (
            <>
              <Button onClick={makeFile}>{newFile}</Button>
              <Button variant="soft" onClick={() => picker.current.click()}>
                {uploading}
              </Button>
            </>
          )
        }
      />
    );
  } else if (around?.error && !around.entries) view = <NotHere folders={folders} path={parentOf(path)} known={around} />;
  else if (gone && seen.current !== path) {
    view = <Notice title="Not here" text={`There is no ${path} in the workspace, or not any more.`} />;
  } else if (unsure || !(entry || complete || asFolder?.read)) view = <Skeleton lines={12} />;
  else if (kind === "broken" || kind === "other") {
    view = (
      <Notice
        title={kind === "broken" ? "A link that leads nowhere here" : "Not a file"}
        text={kind === "broken" ? "What it points to is outside the workspace, or is not there." : "It is a device, a socket or a pipe."}
      >
        {edits}
      </Notice>
    );
  } else {
    view = (
      <FileView
        key={path}
        {...{ rest, path, entry, live }}
        canEdit={mayWrite(entry)}
        gone={gone}
        line={Number(/^#L(\d+)$/.exec(place.hash)?.[1] ?? 0)}
        startEditing={place.state?.edit}
        onDirty={setDirty}
        onSaved={() => folders.refresh(parentOf(path))}
        actions={
          <>
            <Tool icon={Download} label="Download" href={rest.link("/download", { path })} />
            {edits}
          </>
        }
      />
    );
  }

  const root = folders.get("");
  return (
    <div
      className="ve"
      data-file={!listing && kind !== "directory" ? true : undefined}
      onDragOver={drag}
      onDragLeave={(event) => event.currentTarget.contains(event.relatedTarget) || setOver(false)}
      onDrop={drop}
    >
      <nav className="ve-side" aria-label="Files">
        <SearchBar base={base} path={path} query={query} />
        {changeHref && (
          <Link className="ve-changed-link" to={changeHref}>
            {changeWords}
          </Link>
        )}
        {root?.entries ? (
          root.entries.length > 0 && (
            <Tree
              rows={rows}
              current={path}
              expanded={expanded}
              changed={marked}
              onToggle={toggle}
              onOpen={(each) => {
                if (kindOf(each) === "directory") toggle(each.path, true);
                go(each.path);
              }}
              onMore={(each) => folders.more(each)}
              onKey={press}
            />
          )
        ) : root?.error ? (
          <p className="v-quiet">{root.error}</p>
        ) : (
          <Skeleton lines={10} />
        )}
      </nav>
      <div className="ve-main">
        {!listing && <Crumbs base={base} path={path} />}
        {byRequest && canEdit && !listing && !mayWrite(entry) && (
          <p className="ve-hint v-quiet" role="note">
            As this project delivers by pull request, only what git ignores is changed here: change the rest in a card&rsquo;s files,{" "}
            {cards ? "which you choose at the top." : "which it has once it was executed."}
          </p>
        )}
        {view}
        {over && <div className="ve-drop">Drop to upload into {folder || "the workspace"}</div>}
      </div>
      <Uploads uploads={uploads} />
      <input
        ref={picker}
        type="file"
        multiple
        hidden
        aria-label="Files to upload"
        onChange={(event) => {
          const chosen = [...event.target.files].map((file) => ({ file, path: spelled(file.name) }));
          uploads.add(chosen, folder);
          event.target.value = "";
        }}
      />
      <NameDialog asked={naming} onClose={() => setNaming(null)} />
      <Ask asked={asking} onClose={() => setAsking(null)} />
      <Ask
        asked={useMemo(
          () =>
            leaving.state === "blocked"
              ? {
                  title: "Leave without saving?",
                  text: `Your changes to ${nameOf(path).slice(0, 80)} are not saved. They are lost if you leave.`,
                  verb: "Leave",
                  stay: "Stay",
                  act: () => leaving.proceed(),
                  cancel: () => leaving.reset(),
                }
              : null,
          [leaving, path],
        )}
        onClose={() => {}}
      />
    </div>
  );
}
