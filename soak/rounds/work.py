"""What agents do in a round: commands that OpenCode runs, since the rehearsal model is told to. Pure.

Each round leaves a file of its own, so that it can be told from outside whether its work was kept.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from random import Random

SHARED = "shared.txt"
"""The file that cards and people change beside each other: it is what conflicts."""
LINES = 12

# Each leaves something that git has to store, to leave out or to forget; `@` is a number of the round's.
_DEEDS: tuple[str, ...] = (
    r"printf 'one\r\ntwo @\r\nthree\n' > crlf-@.txt",
    r"printf 'x @' > $'caf\xe9 @.txt'",
    r"printf 'x @\n' > $'two\nlines @'",
    r"""printf 'x @\n' > 'say "hi" '\''@'\'' \ tab	.txt'""",
    "ln -sfn /etc/hostname absolute-@; ln -sfn ../../../hub upwards-@; ln -sfn shared.txt beside-@",
    "ln -sfn nowhere-@ dangling; rm -rf was-a-file; mkdir was-a-file; echo @ > was-a-file/inside",
    "rm -rf was-a-file; echo @ > was-a-file",
    "rm -f pipe-@; mkfifo pipe-@",
    "git init -q nested-@; echo @ > nested-@/inner; git -C nested-@ add -A; git -C nested-@ commit -qm inner",
    "git init -q empty-nested; echo @ > empty-nested/inner",
    "for n in nested-*/; do echo more @ >> $n/inner; git -C $n commit -qam more; done",
    "rm -rf nested-*",
    "echo 'echo @' > run-@.sh; chmod 755 run-@.sh; chmod 644 run-*.sh; chmod 755 run-@.sh",
    "rm -f crlf-*.txt run-*.sh",
    'for f in many/*; do mv "$f" "moved-@-${f##*/}"; break; done',
    "mkdir -p many; for n in $(seq 60); do echo $n @ > many/$n; done",
    "rm -rf many",
    "echo @ > Case-@; mv Case-@ case-@",
    "printf 'no last newline @' > unfinished; : > empty-@",
    "head -c 3000000 /dev/zero | tr '\\0' '@' > big-@.bin; head -c 20000 /dev/urandom > random-@.bin",
    "truncate -s 51M huge.bin",
    "rm -f huge.bin",
    "mkdir -p a/b/c/d/e/f/g; echo @ > a/b/c/d/e/f/g/h",
    "echo '*.log' > .gitignore; echo @ > x-@.log; mkdir -p build.log; echo @ > build.log/x",
    "echo 'many/' > .gitignore",
    "rm -f .gitignore",
    "printf '*.txt filter=evil\\n*.bin -text\\n*.sh text eol=crlf\\n* ident\\n' > .gitattributes;"
    " git config filter.evil.clean 'tr a-z A-Z'; git config filter.evil.smudge 'tr A-Z a-z';"
    " git config filter.evil.required true; echo '$Id$ @' > ident-@.sh",
    "rm -f .gitattributes",
    "git add -A; git commit -qm 'The agent, @'",
    "git add -A; git commit -qm 'Round @'; echo @ > amended; git add -A; git commit -q --amend --no-edit",
    "git checkout -q -b side-@; git add -A; git commit -qm 'On the side @'",
    "git checkout -q --detach; git add -A; git commit -qm 'Nowhere @'",
    "git stash -q; git stash pop -q",
    "git reset -q --hard HEAD~1",
    "git reset -q --hard; git clean -qffdx",
    "git gc -q; git reflog expire --expire=now --all; git prune",
    "rm -rf .git",
    "rm -rf .git; git init -q; git add -A; git commit -qm 'Anew @'",
    "rm -rf .git; echo 'gitdir: /nowhere' > .git",
    "git config core.worktree /tmp; git config core.fsmonitor /bin/false; git config core.hooksPath /tmp",
    "mkdir -p .git/hooks; printf '#!/bin/sh\\necho @ > hooked\\n' > .git/hooks/pre-commit;"
    " chmod +x .git/hooks/pre-commit",
    "touch .git/index.lock",
    "rm -rf ./*",
    "nohup sleep 300 > /dev/null 2>&1 &",
)
_TALK: tuple[str, ...] = (
    "rehearse: print 60 lines at 40 per second",
    "rehearse: run sleep 1",
    "rehearse: run for n in 1 2 3 4 5 6; do echo step $n; sleep 0.3; done",
    "rehearse: say I go on.",
)


@dataclass(frozen=True)
class Work:
    """What one round is to do.

    Args:
        token: A word that stands nowhere else.
        prompt: What a person writes to the agent.
    """

    token: str
    prompt: str

    @property
    def path(self) -> str:
        """The file that it leaves, which holds the token."""
        return f"rounds/{self.token}"


def throw(dice: Random, token: str) -> Work:
    """Throw the dice for a round: some deeds, then the file by which it is known."""
    deeds = [deed.replace("@", str(dice.randint(10, 99))) for deed in dice.sample(_DEEDS, dice.randint(1, 6))]
    if dice.random() < 0.5:
        deeds.append(_line(dice, token))
    half = dice.randint(0, len(deeds))
    lines = [_run(deeds[:half]), dice.choice(_TALK), _run([*deeds[half:], _own(token)])]
    return Work(
        token, "\n".join([f"Do round {token}.", *filter(None, lines), f"rehearse: say Done {token}."])
    )


def merge(token: str, branch: str) -> Work:
    """What a person has the agent do where its change conflicts: bring the base in, keep its lines."""
    commands = [
        # Whatever became of its repository: it has one, and its filters and hooks stand in nobody's way.
        "git rev-parse -q --verify HEAD > /dev/null || { rm -rf .git; git init -q; }",
        "rm -f .git/index.lock; for key in core.worktree core.fsmonitor core.hooksPath; do",
        "git config --unset $key; done; git config --remove-section filter.evil",
        "git config user.name OpenCode; git config user.email opencode@localhost",
        "git add -A --ignore-errors; git commit -qm 'Before the merge'",
        f"git fetch -q ../../hub {branch}",
        "git merge -q --no-edit --allow-unrelated-histories -X ours FETCH_HEAD ||",
        "{ git checkout -q --ours .; git add -A --ignore-errors; git commit -qm 'Merged'; }",
        _own(token),
    ]
    return Work(token, f"Bring the base branch in, round {token}.\n{_run(commands)}\nrehearse: say Merged.")


def _own(token: str) -> str:
    return f"mkdir -p rounds; echo {token} > rounds/{token}"


def _line(dice: Random, token: str) -> str:
    """Change a line of the file that others change as well."""
    return f"sed -i '{dice.randint(1, LINES)}s/.*/{token}/' {SHARED}"


def _run(commands: list[str]) -> str:
    """A line that has the rehearsal model call bash with some commands, one of which may fail."""
    if not commands:
        return ""
    packed = base64.b64encode("\n".join(commands).encode()).decode()
    return f"rehearse: run echo {packed} | base64 -d > /tmp/round-$$; bash /tmp/round-$$ 2>&1 | head -c 2000"
