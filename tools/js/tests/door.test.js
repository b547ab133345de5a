import { afterEach, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";

const source = await Bun.file(fileURLToPath(import.meta.resolve("../.tried/door.js"))).text();

// The page names its words beside the script; here nothing is the current script.
function opened(words = {}) {
  const script = { dataset: { words: JSON.stringify(words) } };
  Object.defineProperty(document, "currentScript", { configurable: true, value: script });
  (0, eval)(source);
  return window.vibeDoor;
}

const answer = (status, body) => ({ status, ok: status < 300, json: async () => JSON.parse(body) });

afterEach(() => {
  localStorage.clear();
  sessionStorage.clear();
});

test("what is sent beside the cookie is the key that was given, until it is forgotten", () => {
  const door = opened();
  expect(door.headers()).toEqual({ "X-Vibe-Key": "" });
  door.keep("a/b");
  expect(door.headers()).toEqual({ "X-Vibe-Key": "a/b" });
  expect(door.address("/x")).toBe("/x?key=a%2Fb");
  expect(door.address("/x?y=1")).toBe("/x?y=1&key=a%2Fb");
  sessionStorage.setItem("typed", "something");
  door.forget();
  expect(door.headers()).toEqual({ "X-Vibe-Key": "" });
  expect(sessionStorage.length).toBe(0);
});

test("an answer is read as what it holds, or as why it is none", async () => {
  const door = opened({ 502: "A proxy ({status}).", other: "Something else ({status})." });
  expect(await door.read(answer(200, '{"a":1}'))).toEqual({ body: { a: 1 } });
  expect(await door.read(answer(204))).toEqual({ body: {} });
  expect(await door.read(answer(400, '{"error":"No."}'))).toEqual({ body: { error: "No." }, error: "No." });
  expect((await door.read(answer(502, "<html>"))).error).toBe("A proxy (502).");
  expect((await door.read(answer(200, "<html>"))).error).toBe("Something else (200).");
});

test("the key goes with the first event alone", () => {
  opened().keep("k");
  const first = { name: "state.hydrate_and_load" };
  const later = { name: "state.act" };
  window.__reflex_otel.onEventSend(first);
  window.__reflex_otel.onEventSend(later);
  expect([first.key, later.key]).toEqual(["k", undefined]);
});
