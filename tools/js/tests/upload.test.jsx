import { afterEach, beforeEach, expect, mock, test } from "bun:test";
import { cleanup, fireEvent, render } from "@testing-library/react";

const { FileDoor } = await import("../.tried/upload.jsx");

const read = async (answer) => ({ body: await answer.json(), ...(answer.ok ? {} : { error: "No." }) });
let chosen, sent, requests;

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
  [chosen, sent, requests] = [mock(() => {}), mock(() => {}), []];
  globalThis.XMLHttpRequest = window.XMLHttpRequest = Request;
  const props = { label: "Files", most: 3, every: 0, takes: true, onChosen: chosen, onProgress: mock(() => {}), onSent: sent };
  return render(<FileDoor {...props} {...values}>here</FileDoor>);
}

beforeEach(() => {
  window.vibeDoor = { headers: () => ({ "X-Key": "k" }), read };
});
afterEach(cleanup);

test("what is chosen is told by name and size, and sent when somebody says so", async () => {
  const { getByLabelText } = opened();
  fireEvent.change(getByLabelText("Files"), { target: { files: [new File(["abc"], "a.txt"), new File(["d"], "b")] } });
  expect(chosen.mock.calls[0][0]).toEqual([
    { id: 0, path: ["a.txt"], size: 3 },
    { id: 1, path: ["b"], size: 1 },
  ]);
  window.vibeFiles.send(1, "/there");
  expect(requests[0]).toMatchObject({ method: "PUT", url: "/there", headers: { "X-Key": "k" } });
  await requests[0].end(201, "{}");
  expect(sent.mock.calls).toEqual([[1, 201, "", ""]]);
});

test("a refusal is told with its code, one that broke off without an answer", async () => {
  const { getByLabelText } = opened();
  fireEvent.change(getByLabelText("Files"), { target: { files: [new File(["abc"], "a.txt")] } });
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

test("of a drop no more are taken than may be, and none where nothing is taken", async () => {
  const files = [1, 2, 3, 4].map((number) => new File(["x"], `${number}`));
  for (const takes of [true, false]) {
    const { getByText } = opened({ takes });
    fireEvent.drop(getByText("here"), { dataTransfer: { types: ["Files"], items: [], files } });
    expect(chosen.mock.calls.map(([found]) => found.length)).toEqual(takes ? [3] : []);
    cleanup();
  }
});

test("a text is put where it belongs, and what became of it is told", async () => {
  opened();
  globalThis.fetch = mock(async () => ({ status: 200, ok: true, json: async () => ({ version: "b" }) }));
  expect(await window.vibeFiles.put("/to", "words", { "If-Match": '"a"' })).toEqual({ status: 200, body: { version: "b" } });
  expect(globalThis.fetch.mock.calls[0]).toEqual([
    "/to",
    { method: "PUT", body: "words", headers: { "If-Match": '"a"', "X-Key": "k" } },
  ]);
  globalThis.fetch = mock(async () => Promise.reject(new TypeError("away")));
  expect(await window.vibeFiles.put("/to", "words", {})).toEqual({ status: 0, error: "away" });
});
