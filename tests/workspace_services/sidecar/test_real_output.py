"""Output of the real OpenCode as people read it: redrawn lines, gushes, several who speak, refusals."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.workspace_services.sidecar.stack import Stack, output, texts


def call(tool: str, how: str = "call", **arguments: Any) -> str:
    """A directive that has the agent call a tool."""
    return f"rehearse: {how} {tool} {json.dumps(arguments)}"


def bash(command: str, how: str = "call", why: str = "d") -> str:
    """The directive that has the agent call bash."""
    return call("bash", how, command=command, description=why)


async def test_a_line_that_is_redrawn_400_times_is_a_few_lines(stack: Stack) -> None:
    draw = r"for i in $(seq 400); do printf '\rdownloading %s of 400' $i; sleep 0.002; done; echo; echo after"
    events = await stack.events(await stack.begin(bash(draw)))
    lines = output(events).splitlines()
    assert lines[0] == "downloading 1 of 400"
    assert "downloading 400 of 400" in lines
    assert lines[lines.index("downloading 400 of 400") + 1] == "after"
    assert len(lines) < 12


async def test_a_gush_of_1500_lines_keeps_its_beginning_and_its_end_and_all_of_it_can_be_had(
    stack: Stack,
) -> None:
    line = "test number %s of this module passed, as did all of those that came before it ok"
    events = await stack.events(await stack.begin(bash(f"printf '{line}\\n' $(seq 1500); exit 1")))
    shown = output(events).splitlines()
    assert shown[0] == line % 1
    assert line % 1500 in shown
    notice = next(text for text in shown if "left out" in text)
    found = re.fullmatch(r"\[(\d+) lines are left out here; all of it is kept as (tool_\w+)\]", notice)
    assert found
    told = [text for text in shown if text.startswith("test number")]
    assert len(told) + int(found[1]) == 1500
    assert len(told) > 800
    async with stack.client() as client:
        answer = await client.get(f"/outputs/{found[2]}")
        assert answer.text == "".join(f"{line % number}\n" for number in range(1, 1501))
        for name in ("tool_none", "..%2Fopencode.db", "x"):
            assert (await client.get(f"/outputs/{name}")).status_code == 404
        client.headers["Authorization"] = "Bearer wrong"
        assert (await client.get(f"/outputs/{found[2]}")).status_code == 401


async def test_two_commands_at_once_say_whose_line_it_is(stack: Stack) -> None:
    loop = "for i in 1 2 3 4 5 6; do echo {0} $i; sleep 0.2; done; exit {1}"
    prompt = f"{bash(loop.format('left', 0), why='Count left')}\n"
    prompt += bash(loop.format("right", 3), "beside", "Count right")
    events = await stack.events(await stack.begin(prompt))
    lines = output(events).splitlines()
    for word in ("left", "right"):
        said = [line for line in lines if line.endswith(tuple(f"{word} {n}" for n in range(1, 7)))]
        assert len(said) == 6
        # What the first one says before the second begins needs no label.
        assert said[-1] == f"Count {word} › {word} 6"
    assert not any("left" in line and "right" in line for line in lines)
    assert texts(events, "error") == ["Count right › bash: exit status 3"]


async def test_a_sub_agent_is_heard_and_named(stack: Stack) -> None:
    task = "rehearse: say I look around\nrehearse: run echo from below\nrehearse: say I have looked"
    prompt = call("task", description="look around", prompt=task, subagent_type="general")
    events = await stack.events(await stack.begin(prompt))
    lines = output(events).splitlines()
    assert "look around › I look around" in lines
    assert "look around › from below" in lines
    assert "look around › bash: echo from below" in texts(events, "status")
    # Its last words are what the task results in; they are said once.
    assert sum("I have looked" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("tool", "arguments", "named"),
    [
        ("write", {"filePath": "/etc/vibe-x", "content": "x"}, "/etc/vibe-x"),
        ("read", {"filePath": "/etc/hostname"}, "/etc/hostname"),
        ("bash", {"command": "cat /etc/hostname", "description": "d"}, "/etc/hostname"),
        ("bash", {"command": "ls", "workdir": "/etc", "description": "d"}, "/etc"),
        ("glob", {"pattern": "*", "path": "/etc"}, "/etc"),
    ],
)
async def test_a_refusal_names_the_path_and_the_rule(
    stack: Stack, tool: str, arguments: dict[str, Any], named: str
) -> None:
    events = await stack.events(await stack.begin(call(tool, **arguments)))
    (error,) = texts(events, "error")
    assert error.startswith(f"{tool}: {named} is outside the card's tree; ")
    assert error.endswith("(rule: external_directory *: deny)")


async def test_tmp_works_whichever_way_it_is_used(stack: Stack) -> None:
    name = f"/tmp/vibe-{stack.project_id}"
    calls = [
        call("write", filePath=f"{name}/a", content="by a tool\n"),
        bash(f"cat {name}/a; echo by a shell > {name}/b; cd /tmp && ls {name}; ls /tmp > /dev/null"),
        call("read", filePath=f"{name}/b"),
        call("edit", filePath=f"{name}/b", oldString="shell", newString="tool again"),
        bash(f"cat {name}/b; rm -r {name}; mktemp -u"),
    ]
    events = await stack.events(await stack.begin("\n".join(calls)))
    assert texts(events, "error") == []
    shown = output(events)
    for said in ("by a tool\n", "a\nb\n", "by a shell", "by a tool again\n"):
        assert said in shown
