"""What stands between OpenCode and each command of its agent, so that its end is noticed and told.

OpenCode 1.18.33 starts `bash -c <command>` and waits until nobody holds the command's
output open any more: for ever, where a process that left the command's process group
does. It does not notice that bash was ended by a signal before the command's time limit
(two minutes by default), and does not say what ended a command, to the model either. And
it stops reading as soon as the process has ended and its output is closed, and may lose
the last of a long output.

So the first shell of each command becomes a small supervisor, by the file that bash reads
before each command. It runs the command in a shell and a process group of its own and
forwards what comes through a pipe of its own, both kinds of output in their order. It
passes OpenCode's SIGTERM on to the group, and kills it 2 s later; a second after that
OpenCode kills the supervisor. Where the command was ended by a signal, or at its limit,
what it left behind goes with it, and what cannot be found no longer holds anybody up. It
ends with the command's status, which is a plain number in every case, a moment after the
command.

The supervisor carries neither the command's text nor bash's name: a command that ends
processes by their names (`pkill -9 -f server.js`, with that text in its own) ends only
itself. Every process of a command inherits `VIBE_COMMAND`: when it began (seconds since
1970), the supervisor's process id and the length of the command's text, with colons
between. By it `vibe_app.workspace_services.sidecar.commands` knows what a command left open. And
`VIBE_TREE`: the number of the card in whose tree the command began, for OpenCode tells its commands
nothing of their conversation; by it the sweep at a run's end spares what belongs to another card's.

Where `VIBE_PROCESSES` is set, a command may have fewer processes than OpenCode and its supervisor.

What belongs to a supervisor is called `vibe-command`, and not named among what a run left behind.

None of this is a wall: it helps the agent's commands, which could go around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from shlex import quote

from vibe_app.wire import MEMORY_NOTICE


def bash_env(script: Path, bounds: Path, tasks: Path, secrets: Sequence[str]) -> str:
    """Return the file for `BASH_ENV`: it forgets secrets and hands the command to the supervisor.

    Args:
        script: Where the supervisor's script lies.
        bounds: Where a line is added for each command that is ended for its greed: its supervisor's
            process id, and a sentence.
        tasks: Where the cards' trees lie.
        secrets: Variables that no command has any business to see.
    """
    return f"""unset BASH_ENV {" ".join(secrets)}
if [[ $PPID == "$OPENCODE_PID" && -n $BASH_EXECUTION_STRING ]]; then
  unset VIBE_TREE
  if [[ $PWD == {quote(f"{tasks}/")}* ]]; then
    VIBE_TREE=${{PWD#{quote(f"{tasks}/")}}}
    export VIBE_TREE=${{VIBE_TREE%%/*}}
  fi
  export VIBE_COMMAND=$EPOCHREALTIME:$$:${{#BASH_EXECUTION_STRING}}
  VIBE_TEXT=$BASH_EXECUTION_STRING VIBE_BOUNDS="{bounds}" exec -a vibe-command "$BASH" "{script}"
fi
"""


SCRIPT = f"""text=$VIBE_TEXT
bounds=$VIBE_BOUNDS
unset VIBE_TEXT VIBE_BOUNDS
mapfile -t greedy <"$bounds"
ended=${{#greedy[@]}}
printf vibe-command >/proc/self/comm

# How many processes the kernel ended here for want of memory (control groups, version 2 or 1).
memory_kills() {{
  local line key count
  while IFS= read -r line; do
    case $line in
      0::*) line=/sys/fs/cgroup${{line#0::}}/memory.events ;;
      *:memory:*) line=/sys/fs/cgroup/memory${{line#*:memory:}}/memory.oom_control ;;
      *) continue ;;
    esac
    while read -r key count; do [[ $key != oom_kill ]] || echo "$count"; done <"$line"
  done </proc/self/cgroup
}} 2>/dev/null

# Bash may lose the end of a child where it waits and a signal comes that it traps. So none is
# trapped: OpenCode's SIGTERM reaches the whole group, and ends one process there, which tells of it.
exec 6< <(exec 2>/dev/null; read -r <> <(:))
sentinel=$!
trap '' TERM
told() {{ read -rt 0 -u 6; }}

before=$(memory_kills)
# The command writes to a pipe of its supervisor: what holds that open does not hold up OpenCode.
exec 5<> <(:) 3>&1 >/dev/null 2>&1
(exec -a vibe-command cat </proc/self/fd/5 >&3 3>&- 5>&- 6<&-) &
relay=$!
set -m
(
  trap - TERM
  [[ -z $VIBE_PROCESSES ]] || ulimit -u "$VIBE_PROCESSES"
  exec "$BASH" -c "$text"
) >/proc/self/fd/5 2>&1 3>&- 5>&- 6<&- &
command=$!
exec 5>&-

end_what_is_left() {{
  local left
  for left in $(grep -lsz "^VIBE_COMMAND=$VIBE_COMMAND\\$" /proc/[0-9]*/environ); do
    left=${{left#/proc/}}
    left=${{left%/environ}}
    [[ " $$ $relay $watcher " == *" $left "* ]] || kill -KILL "$left"
  done
}}
let_go() {{
  (exec -a vibe-command sleep 0.5)
  kill -KILL "$relay"
}}
# In a group of its own: it comes to its end even where OpenCode kills the supervisor's.
{{
  watcher=$BASHPID
  read -ru 6
  kill -TERM -- "-$command"
  for _ in {{1..20}}; do
    kill -0 "$command" || break
    (exec -a vibe-command sleep 0.1)
  done
  kill -KILL -- "-$command"
  end_what_is_left
  let_go
}} 3>&- &
watcher=$!

wait "$command"
status=$?
if ((status > 128)); then
  end_what_is_left
  let_go 3>&- &
fi
wait "$relay"
if told; then
  kill -KILL -- "-$command"
  end_what_is_left
fi
kill -KILL -- "-$watcher" "-$!" "$sentinel"
[[ $status != 137 || $(memory_kills) == "$before" ]] || echo "{MEMORY_NOTICE}" >&3
mapfile -t -s "$ended" greedy <"$bounds"
for line in "${{greedy[@]}}"; do [[ $line != "$$ "* ]] || echo "${{line#* }}" >&3; done
exec 3>&-
sleep 0.05
exit "$status"
"""
