"""Which hosts git may reach, and with what it may sign in there.

A name is resolved once. What it leads to is checked, and git is told to go there and nowhere
else for this call: neither a name that leads elsewhere a moment later nor a redirect takes it
to an address that was not checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from vibe_app.addresses import Address, Credential
from vibe_app.errors import InvalidRequest
from vibe_app.networks import Network, inner
from vibe_app.reachable import reachable
from vibe_app.workspace_services.git import ssh
from vibe_app.workspace_services.git.program import Call

_PORTS: Mapping[str, int] = {"https": 443, "http": 80, "ssh": 22}
# git runs it by a shell, with `get` at its end; the secret is in the environment of this one call.
_HELPER = (
    """!f() { test "$1" = get && printf 'username=%s\\npassword=%s\\n' "$VIBE_USERNAME" "$VIBE_TOKEN"; }; f"""
)


async def allow(
    address: Address, credential: Credential | None, private: Iterable[Network], mark: Mapping[str, str]
) -> Call:
    """Return with what git reaches this address and nothing else.

    Args:
        address: Where the repository is.
        credential: What signs in there, if anything.
        private: Networks of private addresses that are allowed.
        mark: See `Call`.

    Raises:
        InvalidRequest: It is at an address that is not allowed, or would be sent a secret in the clear, or
            is reached by ssh without a key or a host key.
        Unavailable: Its name leads nowhere.
    """
    env = {"GIT_ALLOW_PROTOCOL": address.scheme}
    if address.scheme == "file":
        return Call(mark=mark, env=env)
    numbers = await reachable(address.host, _port(address), private, "The repository could not be cloned")
    if address.scheme == "ssh":
        command, handed = ssh.handed(address, credential, numbers[0])
        env |= {"GIT_SSH_COMMAND": command, "GIT_SSH_VARIANT": "ssh"}
        return Call(mark=mark, env=env, handed=handed)
    numbers_shown = ",".join(f"[{n}]" if n.version == 6 else str(n) for n in numbers)
    host = f"[{address.host}]" if ":" in address.host else address.host
    config = [("http.curloptResolve", f"{host}:{_port(address)}:{numbers_shown}")]
    hidden: tuple[str, ...] = ()
    if credential is not None:
        if address.scheme == "http" and any(inner(number).is_global for number in numbers):
            raise InvalidRequest(
                "The repository's token would be sent unencrypted: use its https:// address.", "not_encrypted"
            )
        config.append((f"credential.{address.origin}.helper", _HELPER))
        env |= {"VIBE_USERNAME": credential.username, "VIBE_TOKEN": credential.token}
        hidden = credential.secrets
    return Call(mark=mark, config=tuple(config), env=env, hidden=hidden)


def _port(address: Address) -> int:
    return address.port or _PORTS[address.scheme]
