import { beforeEach, expect, test } from "bun:test";
import { fileURLToPath } from "node:url";

const source = await Bun.file(fileURLToPath(import.meta.resolve("../.tried/without_parts.js"))).text();
const words = { pages: "a|b", below: "Nothing is below {path}.", missing: "Its parts do not come." };

function opened(path) {
  window.history.replaceState(null, "", path);
  Object.defineProperty(document, "currentScript", { configurable: true, value: { dataset: words } });
  document.body.innerHTML = "<main>Empty</main>";
  (0, eval)(source);
  window.dispatchEvent(new Event("DOMContentLoaded"));
  return document.body.textContent;
}

beforeEach(() => delete window.vibeDoor);

test("a page whose parts do not come says so, and where it lies below another address, that", () => {
  expect(opened("/a")).toBe("Its parts do not come.");
  expect(opened("/")).toBe("Its parts do not come.");
  expect(opened("/deep/b/")).toBe("Nothing is below /deep.");
  expect(document.querySelector("[role=alert]")).not.toBe(null);
});

test("a page that has its parts stays as it is", () => {
  window.vibeDoor = {};
  expect(opened("/a")).toBe("Empty");
});
