"""Where OpenCode works and what it is handed: the same in a folder and in a pod. Pure.

| in the workspace | | the agent may |
|---|---|---|
| `hub` | the bare repository | read |
| `base` | the files of the base branch | read |
| `tasks/<number>` | a card's tree | write |
| `.opencode` | ours: OpenCode's configuration, the sidecar's journals | read |

Nothing of ours lies in a tree, so whatever a repository keeps there, under whatever name, is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_VARIABLES = ("WORKSPACE_DIR", "OPENCODE_HOME", "GIVEN_DIR")


@dataclass(frozen=True)
class Layout:
    """Where OpenCode works and what it is handed, as OpenCode sees it.

    Args:
        workspace: The repository, the base's files and the cards' trees. Behind a wall the agent can write
            in `tasks` alone.
        home: Its private home: the agent's, but for `readable`.
        given: What we hand to it. Behind a wall nothing in there can be written by the agent.
    """

    workspace: Path
    home: Path
    given: Path

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Layout:
        """Read what `as_env` says.

        Raises:
            ValueError: A variable is missing.
        """
        if missing := [name for name in _VARIABLES if name not in env]:
            raise ValueError(f"{', '.join(missing)} must be set")
        return cls(*(Path(env[name]) for name in _VARIABLES))

    def as_env(self) -> dict[str, str]:
        """The same as variables, for a process that is to hand things over or to start OpenCode."""
        folders = (self.workspace, self.home, self.given)
        return dict(zip(_VARIABLES, map(str, folders), strict=True))

    @property
    def ours(self) -> Path:
        """The folder of ours in the workspace: OpenCode's configuration, and the sidecar's journals."""
        return self.workspace / ".opencode"

    @property
    def hub(self) -> Path:
        """The bare repository that the cards' trees borrow from."""
        return self.workspace / "hub"

    @property
    def base(self) -> Path:
        """The files of the base branch."""
        return self.workspace / "base"

    @property
    def tasks(self) -> Path:
        """Where the cards' trees lie, each called by its card's number."""
        return self.workspace / "tasks"

    @property
    def config(self) -> Path:
        """OpenCode's configuration."""
        return config_path(self.workspace)

    @property
    def settings(self) -> Path:
        """What OpenCode takes for its user's configuration (`XDG_CONFIG_HOME`): the guard alone."""
        return self.given / "config"

    @property
    def models(self) -> Path:
        """The catalogue of models."""
        return self.given / "models.json"

    @property
    def bash_env(self) -> Path:
        """What bash reads before each command."""
        return self.given / "bash_env"

    @property
    def script(self) -> Path:
        """The supervisor of each command."""
        return self.given / "command.sh"

    @property
    def forget(self) -> Path:
        """The script that is run before OpenCode."""
        return self.given / "forget.js"

    @property
    def guidance(self) -> Path:
        """The sidecar's copy of what the workspace says to agents; trees' lie in a folder beside it."""
        return self.given / "guidance.md"

    @property
    def bounds(self) -> Path:
        """What was ended for being greedy: a line for each."""
        return self.given / "bounds"

    @property
    def covered(self) -> Mapping[Path, Path]:
        """Where the agent could write what OpenCode takes for configuration, and what lies there instead."""
        return {self.home / ".opencode": self.given / "home"}


def config_path(workspace: Path) -> Path:
    """Where OpenCode's configuration lies in a workspace."""
    return workspace / ".opencode" / "config.json"
