"""How OpenCode is started so that nothing but the app decides what it does.

Pure descriptions (a configuration, an environment) and the few files of a private
home. It starts no process and reads no settings: every runtime calls it with what
it knows, and the result is the same in a folder and in a pod.

The facts about OpenCode 1.18.33 (which variable switches off what, in which order
permission rules and configuration files apply, which provider packages are inside
the binary) were read in the program itself and tried; `tests/workspace_services/sidecar` tries them again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from vibe_app import inside
from vibe_app.catalogue import catalogue, part
from vibe_app.inside import Spot
from vibe_app.settings import OPENCODE_VERSION
from vibe_app.workspaces.runtimes import forgetting, guard, supervision
from vibe_app.workspaces.runtimes.layout import Layout, config_path

REHEARSAL_MODEL = "rehearsal/rehearsal"

# Provider packages that are compiled into OpenCode: any other would be fetched from npm.
_PACKAGES: Mapping[str, str] = {
    "anthropic": "@ai-sdk/anthropic",
    "openai": "@ai-sdk/openai",
    "google": "@ai-sdk/google",
    "openrouter": "@openrouter/ai-sdk-provider",
    "groq": "@ai-sdk/groq",
    "mistral": "@ai-sdk/mistral",
    "xai": "@ai-sdk/xai",
}
_COMPATIBLE = "@ai-sdk/openai-compatible"

# Tokens. OpenCode asks for `output` as max_tokens and shortens the talk before `context`
# is full; of a model that the catalogue does not know both must be guessed, and too low only costs
# a few more steps.
_LIMITS: Mapping[str, dict[str, int]] = {
    "anthropic": {"context": 200_000, "output": 32_000},
    "google": {"context": 1_000_000, "output": 32_000},
}
_DEFAULT_LIMIT = {"context": 128_000, "output": 16_384}

TOKEN_VARIABLE = "VIBE_MODEL_TOKEN"
"""What OpenCode sends to the gateway in the place of its providers' key."""
# What a command that the agent runs has no business to see.
SECRET_VARIABLES = (TOKEN_VARIABLE, "OPENCODE_SERVER_PASSWORD")
WAKING_PATH = "/api/agent"
"""Asking OpenCode for this wakes its second runtime, and with it the guard, before the first prompt does."""


def opencode_config(
    *,
    layout: Layout,
    gateway_url: str,
    model: str = "",
    compatible: bool = False,
    model_timeout: float = 300,
) -> dict[str, Any]:
    """Return what belongs into `.opencode/config.json` of a workspace; it holds no secret.

    Args:
        layout: Where OpenCode works and what it is handed.
        gateway_url: Where the gateway takes what is asked of models, for example `http://127.0.0.1:3004`.
        model: `provider/model`, or empty for the rehearsal model.
        compatible: Whether an OpenAI-compatible endpoint is asked instead of the provider's own.
        model_timeout: Seconds for which the model may stay silent before OpenCode asks again.
    """
    chosen = model or REHEARSAL_MODEL
    provider, _, model_id = chosen.partition("/")
    milliseconds = int(model_timeout * 1000)
    entry: dict[str, Any] = {
        "npm": _COMPATIBLE if compatible else _PACKAGES.get(provider, _COMPATIBLE),
        "name": provider if model else "Rehearsal model",
        "options": {
            "apiKey": f"{{env:{TOKEN_VARIABLE}}}",
            "baseURL": f"{gateway_url}/{provider}",
            "headerTimeout": milliseconds,
            "chunkTimeout": milliseconds,
        },
        "models": {model_id: _model("" if compatible else provider, model_id)},
    }
    return {
        "$schema": "https://opencode.ai/config.json",
        "model": chosen,
        "small_model": chosen,
        "enabled_providers": [provider],
        "provider": {provider: entry},
        "permission": _permissions(layout),
        # The repository's own configuration is not read at all (it can run commands), and with
        # it OpenCode would skip the repository's guidance for agents, which is only text: the
        # sidecar copies it, as OpenCode would follow a link in its place.
        "instructions": [str(layout.guidance)],
        "snapshot": False,
        "share": "disabled",
        "autoupdate": False,
        "lsp": False,
        "formatter": False,
    }


def _model(provider: str, model_id: str) -> dict[str, Any]:
    """What is said of a model: nothing of one that the catalogue knows, which OpenCode reads itself."""
    if catalogue().find(provider, model_id) is not None:
        return {}
    limit = _LIMITS.get(provider, _DEFAULT_LIMIT)
    return {"name": model_id, "tool_call": True, "limit": dict(limit)}


def _permissions(layout: Layout) -> dict[str, Any]:
    """Turn OpenCode's four defaults that ask into answers; its other defaults allow or deny already.

    A tree is the folder that OpenCode works in, and needs no rule. What is beside it can be read where a
    wall is, whatever a tool or a command asks for, and not be written.

    The last matching rule wins, and these come after the defaults and each agent's
    own: repeating "allow" for bash or edit here would lift the read-only agents' denials.
    """
    allowed = (layout.home / "tmp", Path("/tmp"), layout.hub, layout.base)
    return {
        "external_directory": {"*": "deny", **{f"{folder}/*": "allow" for folder in allowed}},
        "read": {"*.env": "allow", "*.env.*": "allow"},
        "doom_loop": "deny",
        "question": "deny",
    }


def opencode_env(
    *,
    project_id: str,
    layout: Layout,
    password: str,
    path: str,
    model_token: str = "",
    proxy: str = "",
) -> dict[str, str]:
    """Return the whole environment of an OpenCode process; nothing else may be passed on.

    Args:
        project_id: Ends up as `VIBE_PROJECT_ID` in every process that OpenCode starts.
        layout: Where it works and what it is handed, made by `prepare`.
        password: Secret of its HTTP interface.
        path: Folders with `git`, `rg` and what else agents may run, joined as in `PATH`.
        model_token: What the gateway wants in the place of a provider's key.
        proxy: The only way out to the network; empty where there is another.
    """
    home = layout.home
    env = {
        "PATH": path,
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "XDG_CONFIG_HOME": str(layout.settings),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "LANG": "C.UTF-8",
        "SHELL": "/bin/bash",
        # bash reads this file before each command: it takes the secrets out again, and supervises it.
        "BASH_ENV": str(layout.bash_env),
        # A commit by the agent works, and never waits for an editor or a password.
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_EDITOR": "true",
        "VIBE_PROJECT_ID": project_id,
        "OPENCODE_CONFIG": str(layout.config),
        "OPENCODE_MODELS_PATH": str(layout.models),
        # Instead of `auth.json` in its data, where an agent could put a provider's address and key.
        "OPENCODE_AUTH_CONTENT": "{}",
        "OPENCODE_SERVER_PASSWORD": password,
    }
    env |= {TOKEN_VARIABLE: model_token} if model_token else {}
    env |= _way_out(proxy) if proxy else {}
    switched_off = (
        "OPENCODE_DISABLE_MODELS_FETCH",
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_SHARE",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
        "OPENCODE_DISABLE_EXTERNAL_SKILLS",
        "OPENCODE_DISABLE_CLAUDE_CODE",
        # Without this, `opencode.json` of the repository may start programs (local MCP servers).
        "OPENCODE_DISABLE_PROJECT_CONFIG",
        "OPENCODE_PURE",
    )
    return env | dict.fromkeys(switched_off, "1")


def before_opencode(layout: Layout, binary: Path) -> list[str]:
    """Return the command that is to be run before each start of OpenCode, where it will run.

    Args:
        layout: Where, as OpenCode sees it.
        binary: OpenCode's.
    """
    return forgetting.command(binary, layout.forget, layout.home / ".local" / "share" / "opencode")


def _way_out(proxy: str) -> dict[str, str]:
    """The variables by which programs find the proxy, OpenCode among them; some read the other case."""
    found = dict.fromkeys(("http_proxy", "https_proxy"), proxy)
    found |= {"no_proxy": "localhost,127.0.0.1,::1"}
    return found | {name.upper(): value for name, value in found.items()}


def write_config(workspace: Path, config: Mapping[str, Any]) -> Path:
    """Put `config` in place, whole or not at all, whatever an agent left there; return its path.

    Raises:
        OSError: The workspace cannot be written.
    """
    path = config_path(workspace)
    Spot(workspace, path.relative_to(workspace).parts).write(json.dumps(config, indent=2) + "\n")
    return path


def prepare(layout: Layout, kept: Path | None = None, provider: str = "") -> None:
    """Make OpenCode's home and what it is handed, idempotently; keep its data and nothing else of before.

    Args:
        layout: Where; made if need be.
        kept: Where OpenCode's data lies instead, reached by a link in the home.
        provider: Whose models it is told of.

    Raises:
        OSError: A folder cannot be written.
    """
    prepare_home(layout.home, kept)
    prepare_given(layout, provider)


def prepare_home(home: Path, kept: Path | None = None, *, covered: bool = False) -> None:
    """Make OpenCode's private home, idempotently; keep its data, forget what could configure it.

    An agent's command can write here: what it leaves does not outlive a start, and where it
    put a link, the link is removed and not followed.

    Args:
        home: Where; made if need be.
        kept: Where OpenCode's data lies instead, reached by a link in the home.
        covered: Whether `Layout.covered` is in place already, as in a pod.

    Raises:
        OSError: The folder cannot be written.
    """
    home.mkdir(parents=True, exist_ok=True)
    if not covered:
        _place(home, ".opencode").remove()
        _make(home, ".opencode")
    for way in (("tmp",), (".local", "state", "opencode"), (".cache", "opencode")):
        _make(home, *way)
    _place(home, ".config", "opencode").remove()
    _make_share(home, kept)
    gitconfig = _place(home, ".gitconfig")
    try:
        os.close(gitconfig.open(os.O_RDONLY))
    except OSError:
        gitconfig.write("[user]\n\tname = OpenCode\n\temail = opencode@localhost\n")


def prepare_given(layout: Layout, provider: str = "") -> None:
    """Write what OpenCode is handed: its user's configuration, the catalogue of models, the supervisor.

    A plugin of its own keeps the repository's from being loaded. The package files say
    that `@opencode-ai/plugin` is installed: otherwise OpenCode would fetch it from npm at
    the first use of a configuration folder. `.gitignore` is written by OpenCode where it is
    missing, and no request is answered where that fails.

    Args:
        layout: Where.
        provider: Whose models it is told of: all of the catalogue would cost it some 60 MB.

    Raises:
        OSError: The folder cannot be written.
    """
    given = layout.given
    given.mkdir(parents=True, exist_ok=True)
    wanted = {"dependencies": {"@opencode-ai/plugin": OPENCODE_VERSION}}
    lock = {"name": "opencode", "lockfileVersion": 3, "requires": True, "packages": {"": wanted}}
    for way in ("config", "opencode"), ("home",):
        _place(given, *way).remove()
        _make(given, *way, "node_modules")
        _place(given, *way, "package.json").write(json.dumps(wanted))
        _place(given, *way, "package-lock.json").write(json.dumps(lock))
        _place(given, *way, ".gitignore").write("*\n")
    _place(given, "config", "opencode", "plugin", "guard.js").write(guard.script(SECRET_VARIABLES))
    _place(given, layout.models.name).write(part(provider))
    _place(given, layout.script.name).write(supervision.SCRIPT)
    _place(given, layout.forget.name).write(forgetting.SCRIPT)
    _place(given, layout.bash_env.name).write(
        supervision.bash_env(layout.script, layout.bounds, layout.tasks.resolve(), SECRET_VARIABLES)
    )
    _place(given, layout.bounds.name).write("")


def _place(home: Path, *way: str) -> Spot:
    return Spot(home, way)


def _make(home: Path, *way: str) -> None:
    with inside.folder(home, way, make=True):
        return


def _make_share(home: Path, kept: Path | None) -> None:
    """Make the folder of OpenCode's data in the home, or the link to where it is kept."""
    if kept is None:
        return _make(home, ".local", "share", "opencode")
    _make(kept, "opencode")
    share = _place(home, ".local", "share")
    with inside.folder(home, (".local",), make=True) as local:
        with suppress(OSError):
            if os.readlink("share", dir_fd=local) == str(kept):
                return
        share.remove()
        os.symlink(kept, "share", target_is_directory=True, dir_fd=local)
