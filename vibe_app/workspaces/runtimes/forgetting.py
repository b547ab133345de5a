"""Takes out of OpenCode's own database, before it starts, whose customer it is. Pure.

OpenCode 1.18.33 keeps accounts with an organisation, and credentials, in its database. Is one
active, it fetches a configuration from the account's address at its start and sets it above the one
that it was given: other addresses for models, which are then sent its token, and programs to run.
No variable switches that off. The database lies in OpenCode's home, where a command of the agent
can write it; so what an agent left there is forgotten before each start, when none of its commands
runs any more.

OpenCode's binary does it itself, as the JavaScript runtime that it is made of (`BUN_BE_BUN`): where
the wall is, behind it, as a database that an agent wrote can be made to harm its reader. One in which
this does not work, or that would bring a row back (a trigger, a view in a table's place), is removed:
its talks are lost, which harms whoever planted it. What is killed over it, or is not done in time, says
nothing of the database: that is tried again once.
"""

from __future__ import annotations

from pathlib import Path

_SECONDS = 20

SCRIPT = """import { Database } from "bun:sqlite";
const database = new Database(process.argv[2], { readwrite: true, create: false });
database.exec("PRAGMA trusted_schema = OFF");
database.exec("PRAGMA busy_timeout = 10000");
const one = (text) => database.query(text).get().n;
const odd = "type IN ('trigger', 'view') OR sql LIKE '%VIRTUAL%TABLE%'";
if (one(`SELECT count(*) AS n FROM sqlite_master WHERE ${odd}`)) throw new Error("no database of OpenCode");
const tables = "type = 'table' AND (name LIKE '%account%' OR name LIKE '%credential%')";
for (const { name } of database.query(`SELECT name FROM sqlite_master WHERE ${tables}`).all()) {
  const table = '"' + name.replaceAll('"', '""') + '"';
  if (!one(`SELECT count(*) AS n FROM ${table}`)) continue;
  database.exec(`DELETE FROM ${table}`);
  if (one(`SELECT count(*) AS n FROM ${table}`)) throw new Error("it does not forget");
}
database.close();
"""


def command(binary: Path, script: Path, data: Path) -> list[str]:
    """What is to be run before OpenCode, with the same rights and files and without its secrets.

    Args:
        binary: OpenCode's.
        script: Where `SCRIPT` lies.
        data: OpenCode's data (`$XDG_DATA_HOME/opencode`).
    """
    # Nothing of the agent's home is to be read: a `.bunfig.toml` there names scripts to run first.
    act = (
        "[[ -e $3 ]] || exit 0; for turn in 1 2; do"
        ' timeout "$4" env -i BUN_BE_BUN=1 HOME="$5" XDG_CONFIG_HOME="$5" "$1" "$2" "$3" && exit 0;'
        # 124 is `timeout`'s word for too late; above 128 it tells a signal.
        " status=$?; (( status == 124 || status > 128 )) || break; done;"
        ' rm -rf -- "$3" "$3-wal" "$3-shm" "$3-journal"'
    )
    told = [str(binary), str(script), str(data / "opencode.db"), str(_SECONDS), str(script.parent)]
    return ["/bin/bash", "-pc", act, "forget", *told]
