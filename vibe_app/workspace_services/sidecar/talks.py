"""Begins a conversation with OpenCode, or goes on with one that is there.

OpenCode keeps a conversation with all that was said, across aborts, restarts and kills. What such an end
left behind is put away before the next message: a turn that still runs is ended, a message that was never
answered is taken out, and what waits for an answer is remembered, since OpenCode lists it for ever.
"""

from __future__ import annotations

import asyncio

from vibe_app.wire import StartSession
from vibe_app.workspace_services.sidecar import verdict
from vibe_app.workspace_services.sidecar.journal import Header
from vibe_app.workspace_services.sidecar.opencode import OpenCode, OpenCodeMissing
from vibe_app.workspace_services.sidecar.opencode_json import Message, Rule
from vibe_app.workspace_services.sidecar.steps import fingerprint
from vibe_app.workspace_services.sidecar.turn import heard, unanswered

# The configuration says the same; these hold even where somebody changed it.
RULES: list[Rule] = [
    {"permission": "question", "pattern": "*", "action": "deny"},
    {"permission": "doom_loop", "pattern": "*", "action": "deny"},
]
_AGAIN = 0.05


async def begin(client: OpenCode, request: StartSession, prompt_sha256: str) -> Header:
    """Return what is to be journaled of a session that works in a conversation, new or old.

    Raises:
        OpenCodeError: OpenCode does not do its part.
    """
    header = Header(
        session_id=request.session_id,
        prompt_sha256=prompt_sha256,
        opencode_session=request.conversation or "",
        spends_for=request.spends_for,
        tree=request.tree,
    )
    title = request.title or f"Session {request.session_id[:8]}"
    if request.setup:
        header.setup = await client.create_session(f"Set-up: {title}", RULES)
    if request.conversation:
        try:
            return await _go_on(client, header)
        except OpenCodeMissing:
            header.began_anew = True
    header.opencode_session = await client.create_session(title, RULES)
    return header


async def _go_on(client: OpenCode, header: Header) -> Header:
    """Find out where a conversation stands.

    Raises:
        OpenCodeMissing: There is none of that name, or it belongs to another folder.
    """
    conversation = header.opencode_session
    # OpenCode answers an id of another form with status 500.
    if not conversation.startswith("ses_"):
        raise OpenCodeMissing(f"{conversation} is no conversation's name")
    info = await client.session(conversation)
    if info.get("directory") != str(client.folder):
        raise OpenCodeMissing(f"the conversation {conversation} belongs to {info.get('directory')}")
    await _settled(client, conversation)
    messages = await client.messages(conversation)
    if left := unanswered(messages):
        for key in left:
            await client.remove_message(conversation, key)
        messages = [each for each in messages if (each.get("info") or {}).get("id") not in left]
    header.heard = header.spends_for is not None and heard(messages, header.spends_for)
    children = await client.children(conversation)
    header.after = {conversation: _last(messages)} | {
        key: _last(await client.messages(key, newest=1)) for child in children if (key := child.get("id"))
    }
    header.stale = [
        key
        for kind in ("permission", "question")
        for waiting in await client.pending(kind)
        if (key := waiting.get("id"))
    ]
    header.todos = fingerprint(await client.todos(conversation))
    header.spent = verdict.usage_of([await client.session(conversation), *children])
    return header


async def _settled(client: OpenCode, conversation: str) -> None:
    """End what a conversation still does: whoever began it watches it no more."""
    while conversation in await client.statuses():
        await client.abort(conversation)
        await asyncio.sleep(_AGAIN)  # OpenCode tells nobody but its event stream that it is done


def _last(messages: list[Message]) -> str:
    return (messages[-1].get("info") or {}).get("id", "") if messages else ""
