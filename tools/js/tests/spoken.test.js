// What Python says to the browser is read by ESLint as it was compiled; here is what that must find.
import { expect, setDefaultTimeout, test } from "bun:test";
import { ESLint } from "eslint";
import { resolve } from "node:path";

setDefaultTimeout(60_000); // ESLint and its rules are read at the first
const config = { cwd: resolve(import.meta.dir, "../../.."), overrideConfigFile: resolve(import.meta.dir, "../eslint.config.js") };
const page = (hooks, brought) => `
import {Fragment, ${brought}} from "react";
export const Shown = ({children, wanted}) => {
  ${hooks}
  return wanted ? Fragment : null;
};`;

/** What is found wrong in a text, if it stood where that of a page or of a handler does. */
async function faults(text, filePath) {
  const [found] = await new ESLint(config).lintText(text, { filePath });
  return found.messages.map(({ ruleId, message }) => ruleId ?? message);
}
const inPage = (hooks, brought = "useRef") => faults(page(hooks, brought), ".web/app_components/vibe_app/web/kit/shown.jsx");
const bySaying = (text) => faults(`{ ${text}; }`, "tools/js/.tried/said.js");

test("what is right passes", async () => {
  expect(await inPage("const spot = useRef(wanted); window.spot = () => spot.current;")).toEqual([]);
  expect(await bySaying("window.vibeFiles?.stop(window.value)")).toEqual([]);
});

test("a misspelt name is found", async () => {
  expect(await inPage("const spot = useRef(wanted); window.spot = () => sport.current;")).toEqual([
    "no-unused-vars",
    "no-undef",
  ]);
  expect(await bySaying("documents.title = 'x'")).toEqual(["no-undef"]);
});

test("a hook that is not always called, or not brought, is found", async () => {
  expect(await inPage("if (wanted) useRef();")).toEqual(["react-hooks/rules-of-hooks"]);
  expect(await inPage("useIdle(5);", "memo")).toEqual(["no-unused-vars", "no-undef"]);
});

test("what is written twice, or for nothing, is found", async () => {
  expect(await inPage("window.twice = useRef({a: 1, a: 2});")).toEqual(["no-dupe-keys"]);
  expect(await inPage("const look = useRef();")).toEqual(["no-unused-vars"]);
});

test("what is no JavaScript is found", async () => {
  expect((await inPage("const spot = (;")).length).toBe(1);
  expect((await bySaying("window.vibeFiles?.stop(")).length).toBe(1);
});
