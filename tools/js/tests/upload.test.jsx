import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { cleanup, render } from "@testing-library/react";

const { FileDoor } = await import("../.tried/upload.jsx");

const read = async (answer) => ({ body: await answer.json(), ...(answer.ok ? {} : { error: "No." }) });
let chosen, progress, sent, requests;

class Request {
  upload = {};
  headers = {};
  constructor() {
    requests.push(this);
  }
  open(method, url) {
    Object.assign(this, { method, url });
  }
  setRequestHeader(name, value) {
    this.headers[name] = value;
  }
  send(body) {
    this.body = body;
  }
  abort() {
    this.end(0, "");
  }
  end(status, responseText) {
    Object.assign(this, { status, responseText });
    return this.onloadend();
  }
}

function opened(values) {
  [chosen, progress, sent, requests] = [mock(() => {}), mock(() => {}), mock(() => {}), []];
  globalThis.XMLHttpRequest = window.XMLHttpRequest = Request;
  const props = { most: 3, every: 0, onChosen: chosen, onProgress: progress, onSent: sent };
  return render(<FileDoor {...props} {...values} />);
}

const files = (...names) => names.map((name) => new File(["x".repeat(name.length)], name));
const take = (...names) => window.vibeFiles.take({ items: [], files: files(...names) });
// What a browser makes of a file or folder that is dropped: a folder tells of a few at a time, then of none.
const entry = (name, ...inner) => {
  const told = [inner.slice(0, 2), inner.slice(2), []];
  return { name, createReader: () => ({ readEntries: (found) => found(told.shift()) }) };
};
const plain = (file) => ({ name: file.name, isFile: true, file: (found) => found(file) });
const drop = (...entries) => window.vibeFiles.take({ items: entries.map((each) => ({ webkitGetAsEntry: () => each })), files: [] });

beforeEach(() => {
  window.vibeDoor = { headers: () => ({ "X-Key": "k" }), read };
});
afterEach(cleanup);

test("what is chosen is told by name and size, and sent when somebody says so", async () => {
  opened();
  await take("abc", "d");
  await take("ef");
  expect(chosen.mock.calls).toEqual([
    [[{ id: 0, path: ["abc"], size: 3 }, { id: 1, path: ["d"], size: 1 }]],
    [[{ id: 2, path: ["ef"], size: 2 }]],
  ]);
  window.vibeFiles.send(1, "/there");
  expect(requests[0]).toMatchObject({ method: "PUT", url: "/there", headers: { "X-Key": "k" } });
  expect(requests[0].body.name).toBe("d");
  await requests[0].end(201, "{}");
  expect(sent.mock.calls).toEqual([[1, 201, "", ""]]);
});

test("a refusal is told with its code, one that broke off without an answer", async () => {
  opened();
  await take("a.txt");
  window.vibeFiles.send(0, "/there");
  await requests[0].end(409, '{"code": "exists"}');
  window.vibeFiles.send(0, "/there");
  window.vibeFiles.stop(0);
  await Promise.resolve();
  window.vibeFiles.send(7, "/there");
  expect(sent.mock.calls).toEqual([
    [0, 409, "No.", "exists"],
    [0, 0, "", ""],
    [7, 0, "", ""],
  ]);
});

test("how much has gone is told now and then", async () => {
  opened({ every: 60_000 });
  await take("a.txt");
  window.vibeFiles.send(0, "/there");
  for (const loaded of [1, 2, 3]) requests[0].upload.onprogress({ loaded });
  expect(progress.mock.calls).toEqual([[0, 1]]);
});

test("of a drop no more are taken than may be", async () => {
  opened();
  await take("1", "2", "3", "4");
  await drop(entry("all", plain(files("5")[0]), plain(files("6")[0]), plain(files("7")[0]), plain(files("8")[0])));
  await drop();
  expect(chosen.mock.calls.map(([found]) => found.length)).toEqual([3, 3]);
});

test("folders in folders are opened, and what cannot be read is left out", async () => {
  opened();
  const gone = { name: "gone", isFile: true, file: (_, failed) => failed() };
  const shut = { name: "shut", createReader: () => ({ readEntries: (_, failed) => failed() }) };
  await drop(entry("out", entry("in", plain(files("a")[0])), gone, shut), plain(files("b")[0]));
  expect(chosen.mock.calls[0][0].map(({ path }) => path.join("/"))).toEqual(["out/in/a", "b"]);
});

test("a page that goes sends no more", async () => {
  const { unmount } = opened();
  await take("a.txt");
  window.vibeFiles.send(0, "/there");
  unmount();
  expect(requests[0].status).toBe(0);
});
