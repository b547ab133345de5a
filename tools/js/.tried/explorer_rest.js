// What the explorer asks of the app's REST interface, with the login of the page (assets/door.js),
// and how paths become addresses. A path is spelled as the API spells it: a byte that is
// no UTF-8 as \xNN, a backslash as two.

// An answer that is no success: `message` is the sentence for the person, `code` is the API's.
export class Refusal extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

const AWAY = "The server does not answer. What you see stays; try again in a moment.";

function refused(status, body) {
  const { code } = body ?? {};
  if (status === 401 && code) {
    const here = window.location.pathname + window.location.search;
    window.location.assign(`/login?next=${encodeURIComponent(here)}`);
  }
  return new Refusal(window.vibeDoor.told(status, body), code ?? "unknown", status);
}

export class Rest {
  // `tree` is the number of the card whose files are meant; 0 for those of the base branch.
  constructor(projectId, tree) {
    this.base = `/api/projects/${projectId}/files`;
    this.tree = tree || undefined;
    // Whether folders are to say how their entries stand with git.
    this.git = false;
  }

  url(call, query = {}) {
    const given = Object.entries({ ...query, task: this.tree }).filter(([, value]) => value !== undefined && value !== false);
    const text = new URLSearchParams(given).toString();
    return this.base + call + (text && `?${text}`);
  }

  // An address for a link or a picture, which send no header.
  link(call, query) {
    return window.vibeDoor.address(this.url(call, query));
  }

  async ask(method, call, query, options = {}) {
    const headers = { ...options.headers, ...window.vibeDoor.headers() };
    let answer;
    try {
      answer = await fetch(this.url(call, query), { method, credentials: "same-origin", ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(AWAY, "away", 0);
    }
    const { body, error } = await window.vibeDoor.read(answer);
    if (error) throw refused(answer.status, body);
    return body;
  }

  list = (path, page, pageSize) => this.ask("GET", "", { path, page, page_size: pageSize, git: this.git });
  read = (path, offset, length) => this.ask("GET", "/content", { path, offset, length });
  search = (query, text, ignored, signal) =>
    this.ask("GET", "/search", { query, text, ignored }, { signal });
  move = (path, to) => this.json("POST", "/move", { path, to, parents: true });
  makeFolder = (path) => this.json("POST", "/folder", { path, parents: true });
  remove = (path) => this.ask("DELETE", "", { path });
  json = (method, call, body) =>
    this.ask(method, call, {}, { body: JSON.stringify({ ...body, task: this.tree }), headers: { "Content-Type": "application/json" } });

  // Without a version nothing may be there yet, unless it is to be overwritten.
  write(path, content, { version, overwrite, parents } = {}) {
    const headers = version ? { "If-Match": `"${version}"` } : {};
    return this.ask("PUT", "/content", { path, overwrite, parents }, { body: content, headers });
  }

  // Like `write`, telling how many bytes have gone; `fetch` cannot.
  upload(path, file, { overwrite, parents, onProgress, signal }) {
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      request.open("PUT", this.url("/content", { path, overwrite, parents }));
      for (const [name, value] of Object.entries(window.vibeDoor.headers())) request.setRequestHeader(name, value);
      request.responseType = "json";
      request.upload.onprogress = (event) => onProgress(event.loaded);
      request.onload = () =>
        request.status < 300 && request.response ? resolve(request.response) : reject(refused(request.status, request.response));
      request.onerror = () => reject(new Refusal("The upload broke off; nothing was written.", "away", 0));
      request.onabort = () => reject(new Refusal("Stopped; nothing was written.", "stopped", 0));
      signal.addEventListener("abort", () => request.abort());
      request.send(file);
    });
  }
}

export const parentOf = (path) => path.split("/").slice(0, -1).join("/");
export const nameOf = (path) => path.split("/").at(-1);
export const joined = (folder, name) => (folder ? `${folder}/${name}` : name);
export const spelled = (name) => name.replaceAll("\\", "\\\\");
export const above = (path) => path.split("/").map((_, i, parts) => parts.slice(0, i).join("/"));

// What an entry is once links are followed.
export const kindOf = (entry) => (entry.type === "symlink" ? (entry.leads_to ?? "broken") : entry.type);

export function addressOf(base, path) {
  return path ? `${base}/${path.split("/").map(encodeURIComponent).join("/")}` : base;
}

export function pathIn(base, pathname) {
  const rest = pathname.slice(base.length).replace(/^\/+|\/+$/g, "");
  const part = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // an address that somebody typed
    }
  };
  return rest.split("/").map(part).join("/");
}

export function sizeWords(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const steps = Math.min(4, Math.floor(Math.log2(bytes) / 10));
  const value = bytes / 1024 ** steps;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${["B", "KiB", "MiB", "GiB", "TiB"][steps]}`;
}

const SPANS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86400, "hour", 3600],
  [86400 * 30, "day", 86400],
  [86400 * 365, "month", 86400 * 30],
  [Infinity, "year", 86400 * 365],
];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export function agoWords(moment) {
  const seconds = Math.max(0, (Date.now() - new Date(moment).getTime()) / 1000);
  if (seconds < 5) return "just now";
  const [, unit, length] = SPANS.find(([most]) => seconds < most);
  return relative.format(-Math.floor(seconds / length), unit);
}

export const exactly = (moment) => new Date(moment).toLocaleString();
