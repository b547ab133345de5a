"""Takes the catalogue of models out of the pinned OpenCode: `python tools/catalogue.py` writes it anew.

OpenCode carries models.dev's catalogue inside and answers it at `GET /provider`. It is started with an
empty home, and without asking anybody for a newer one; what comes out is trimmed to the providers that
are supported and written in models.dev's own form, which OpenCode reads back (`OPENCODE_MODELS_PATH`).
OpenCode makes a price of 0 of one that it does not know: a model whose prices are all 0 has none here,
unless its name says that it is free.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import secrets
import select
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from contextlib import suppress
from pathlib import Path
from typing import Any

from vibe_app.catalogue import PATH
from vibe_app.settings import PROVIDER_KEYS, load_settings

_LONGEST = 120.0
_LISTENING = re.compile(rb"listening on http://127\.0\.0\.1:(\d+)")
_KINDS = ("text", "audio", "image", "video", "pdf")


def extract(opencode: Path, models: Path | None = None) -> dict[str, Any]:
    """Return the catalogue of an OpenCode in models.dev's form.

    Args:
        opencode: Its binary.
        models: What it is to read in place of its own, for comparison.

    Raises:
        TimeoutError: It does not come up.
        OSError: It cannot be started or asked.
    """
    with tempfile.TemporaryDirectory(prefix="catalogue-") as home:
        answer = _provider(opencode, Path(home), models)
    found = {each["id"]: each for each in answer["all"]}
    return {name: _trimmed(found[name]) for name in sorted(PROVIDER_KEYS) if name in found}


def written(catalogue: dict[str, Any]) -> str:
    """Return the text of the file: a line for each model, so that a change can be read."""
    parts: list[str] = []
    for name, provider in catalogue.items():
        head = {key: value for key, value in provider.items() if key != "models"}
        models = ",\n".join(
            f"{json.dumps(key)}:{_compact(value)}" for key, value in provider["models"].items()
        )
        parts.append(f'{json.dumps(name)}:{_compact(head)[:-1]},"models":{{\n{models}\n}}}}')
    return "{" + ",\n".join(parts) + "}\n"


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _provider(opencode: Path, home: Path, models: Path | None) -> dict[str, Any]:
    password = secrets.token_urlsafe(24)
    env = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "OPENCODE_SERVER_PASSWORD": password,
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        "OPENCODE_DISABLE_PROJECT_CONFIG": "1",
        "OPENCODE_PURE": "1",
    }
    for name in ("CONFIG", "DATA", "STATE", "CACHE"):
        env[f"XDG_{name}_HOME"] = str(home / name.lower())
    if models is not None:
        env["OPENCODE_MODELS_PATH"] = str(models)
    process = subprocess.Popen(
        [opencode, "serve", "--hostname", "127.0.0.1", "--port", "0"],
        env=env,
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        return _ask(_port(process), password, home)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    said, until = b"", time.monotonic() + _LONGEST
    while not (found := _LISTENING.search(said)):
        left = until - time.monotonic()
        if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
            raise TimeoutError(f"OpenCode does not come up: {said.decode(errors='replace')[-500:]}")
        if not (piece := os.read(process.stdout.fileno(), 65536)):
            raise OSError(f"OpenCode ended: {said.decode(errors='replace')[-500:]}")
        said += piece
    return int(found[1])


def _ask(port: int, password: str, home: Path) -> dict[str, Any]:
    credentials = b64encode(f"opencode:{password}".encode()).decode()
    headers = {"Authorization": f"Basic {credentials}", "x-opencode-directory": str(home)}
    # A request in the moment in which OpenCode opens its port is never answered: knock first.
    for path, limit in (*(("/global/health", 1.0),) * 20, ("/provider", _LONGEST)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=limit)
        try:
            with suppress(TimeoutError, ConnectionError):
                connection.request("GET", path, headers=headers)
                response = connection.getresponse()
                if response.status == 200 and path == "/provider":
                    return json.loads(response.read())
        finally:
            connection.close()
    raise OSError("OpenCode does not answer GET /provider")


def _trimmed(provider: dict[str, Any]) -> dict[str, Any]:
    models = provider["models"]
    return {
        "id": provider["id"],
        "name": provider["name"],
        "env": provider["env"],
        **_address(next(iter(models.values()))["api"]),
        "models": {name: _model(models[name]) for name in sorted(models)},
    }


def _address(api: dict[str, Any]) -> dict[str, str]:
    return {"npm": api["npm"]} | ({"api": api["url"]} if api["url"] else {})


def _model(found: dict[str, Any]) -> dict[str, Any]:
    able = found["capabilities"]
    kept: dict[str, Any] = {"id": found["id"], "name": found["name"]}
    if found.get("family"):
        kept["family"] = found["family"]
    kept |= {
        "release_date": found["release_date"],
        "attachment": able["attachment"],
        "reasoning": able["reasoning"],
        "temperature": able["temperature"],
        "tool_call": able["toolcall"],
    }
    if able["interleaved"]:
        kept["interleaved"] = able["interleaved"]
    if cost := _cost(found):
        kept["cost"] = cost
    kept["limit"] = found["limit"]
    kept["modalities"] = {way: [kind for kind in _KINDS if able[way][kind]] for way in ("input", "output")}
    if found["status"] != "active":
        kept["status"] = found["status"]
    return kept


def _cost(found: dict[str, Any]) -> dict[str, Any] | None:
    cost = found["cost"]
    free = ":free" in found["id"]
    if not (cost["input"] or cost["output"] or free):
        return None
    kept = _rates(cost)
    if cost.get("tiers"):
        kept["tiers"] = [_rates(step) | {"tier": step["tier"]} for step in cost["tiers"]]
    if cost.get("experimentalOver200K"):
        kept["context_over_200k"] = _rates(cost["experimentalOver200K"])
    return kept


def _rates(cost: dict[str, Any]) -> dict[str, Any]:
    kept = {"input": cost["input"], "output": cost["output"]}
    free = not (cost["input"] or cost["output"])
    # What is read from a cache or written to it costs nothing nowhere: 0 is a price that is not known.
    return kept | {
        f"cache_{way}": cost["cache"][way] for way in ("read", "write") if cost["cache"][way] or free
    }


def main() -> int:
    """Write the file anew, or with `--check` say whether it is the one of the pinned OpenCode."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 where it differs")
    given = parser.parse_args()
    text = written(extract(load_settings().opencode_binary))
    if given.check:
        same = PATH.is_file() and PATH.read_text(encoding="utf-8") == text
        print("The catalogue is OpenCode's." if same else "The catalogue is not OpenCode's: write it anew.")
        return int(not same)
    PATH.write_text(text, encoding="utf-8")
    print(f"{PATH}: {len(text.encode()):,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
