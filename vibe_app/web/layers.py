"""What lies over a page does not outlive the address on which it was opened.

A bar, a dialog or a selection is the server's to keep, and would still be there after the browser's
back button, a page that is loaded anew elsewhere, or a way to another project.
"""

from __future__ import annotations

import reflex as rx

from vibe_app.web.board.composer import ComposerState
from vibe_app.web.board.moving import MoveState
from vibe_app.web.board.selection import SelectionState
from vibe_app.web.commands import CommandState
from vibe_app.web.keyboard import HelpState
from vibe_app.web.place import place_of


class LayersState(rx.State):
    """Where the tab was last."""

    _path: str = ""
    _project: str = ""

    @rx.event
    async def arrive(self):
        """Close what was opened at another address. A connection that comes back changes nothing."""
        path, project = self.router.url.path, str(place_of(self).project or "")
        if path == self._path:
            return
        self._path = path
        (await self.get_state(HelpState)).helping = False
        commands = await self.get_state(CommandState)
        if commands._at != path:  # else it was opened before this address was told
            commands.opened = False
        (await self.get_state(MoveState)).card_id = ""
        composer = await self.get_state(ComposerState)
        if composer.opened != path:
            composer.opened = ""
        selection = await self.get_state(SelectionState)
        selection.labelling = False
        if project != self._project:
            self._project, selection.chosen = project, []
