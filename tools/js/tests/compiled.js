// Parts of the pages that are written in Python, as Reflex has compiled them.
import { mock } from "bun:test";
import { createElement } from "react";

mock.module("@emotion/react", () => ({ jsx: createElement }));
mock.module("$/utils/state", () => ({ isTrue: Boolean }));

/** A component of `kit/<module>.py`; its name goes on with a number that the build chooses. */
export async function compiled(module, name) {
  const parts = await import(`../.tried/compiled/${module}.jsx`);
  return Object.entries(parts).find(([each]) => each.startsWith(`${name}_`))[1];
}
