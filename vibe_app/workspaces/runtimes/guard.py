"""The plugin of ours that OpenCode loads first, so that it loads no other and tells no secret. Pure.

OpenCode 1.18.33 holds a second runtime (its /api routes) that wakes at the first prompt and imports the
plugins which the repository's `.opencode/plugin` and `opencode.json` name, whatever OPENCODE_PURE and
OPENCODE_DISABLE_PROJECT_CONFIG say. It loads them one after the other, those of its own configuration
folder first: so the first never finishes loading. Before that it takes the secrets out of what OpenCode's
children inherit, which is a copy of the enumerable variables only; OpenCode itself, which reads its keys by
their names, still finds them. And it writes over the environment that it was started with: a link to
`/proc/self/environ` in the repository is read by OpenCode itself, which may read its own, and would be told
to the model. And no account is found in OpenCode's database (`forgetting`): who has no password can still
have it open another folder, by the call that joins a terminal, which takes any ticket for one, and with a
folder configuration is read anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence


def script(secrets: Sequence[str]) -> str:
    """Return the plugin.

    Args:
        secrets: Variables that no command has any business to see.
    """
    return f"""import {{ dlopen, toArrayBuffer }} from "bun:ffi";
import {{ Database }} from "bun:sqlite";
for (const name of ["query", "prepare"]) {{
  const act = Database.prototype[name];
  Database.prototype[name] = function (text, ...more) {{
    const asks = /^\\s*select\\b/i.test(text) && /\\b(control_)?account(_state)?\\b/i.test(text);
    return act.call(this, asks ? `SELECT * FROM (${{text.replace(/;\\s*$/, "")}}) LIMIT 0` : text, ...more);
  }};
}}
const names = {json.dumps(list(secrets))};
for (const name of names) {{
  const value = process.env[name];
  if (value === undefined) continue;
  delete process.env[name];
  const hidden = {{ value, writable: true, configurable: true, enumerable: false }};
  Object.defineProperty(process.env, name, hidden);
}}
try {{
  const pointer = {{ args: ["cstring"], returns: "ptr" }};
  const {{ getenv }} = dlopen("libc.so.6", {{ getenv: pointer }}).symbols;
  for (const name of names) {{
    const at = getenv(Buffer.from(name + "\\0"));
    if (at) new Uint8Array(toArrayBuffer(at)).fill(120);
  }}
}} catch {{
  // Another system's C library: what comes next matters more.
}}
await new Promise(() => {{}});
export default {{}};
"""
