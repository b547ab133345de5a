"""ssh for the one git that needs it: with a deploy key and the host keys that were pinned, and no others.

Key and host keys are files without a name in memory (memfd_create(2)), which that git inherits: they are on
no disk, in no environment and in no command line, and gone with it. ssh closes what it inherits when it
begins, so it opens them by the path of its parent, which is git: `/proc/$PPID/fd/…`, as the shell has it
that git starts ssh by. They are of mode 0600, as ssh demands of a key.

ssh refuses to run as a user without a name, which is what many containers run as. There a third file says a
name, and nss_wrapper (Debian: libnss-wrapper), loaded into this one ssh, has it read in place of /etc/passwd:
nss_wrapper(1).
"""

from __future__ import annotations

import os
import pwd
import re
import sys

from vibe_app.addresses import Address, Credential
from vibe_app.errors import InvalidRequest
from vibe_app.networks import Number

KEY, HOSTS, USER = "VIBE_KEY_FD", "VIBE_HOSTS_FD", "VIBE_USER_FD"
"""Variables that say which descriptors hold the key, the host keys, and the name of a user without one."""
_OPTIONS = (
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "PreferredAuthentications=publickey",
    "ForwardAgent=no",
    "ClearAllForwardings=yes",
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "VerifyHostKeyDNS=no",
    "ConnectTimeout=30",
    "ServerAliveInterval=30",
)
_SHOWN = re.compile(r"(SHA256:[A-Za-z0-9+/]{43})")


def handed(address: Address, credential: Credential | None, number: Number) -> tuple[str, dict[str, bytes]]:
    """Return the command by which git runs ssh for an address, and what git is to inherit for it.

    Args:
        address: Where the repository is.
        credential: The deploy key, with the host keys that were pinned.
        number: Where its host was found.

    Raises:
        InvalidRequest: There is no key, or no host key is pinned.
    """
    if credential is None or not credential.token:
        raise InvalidRequest(
            "A repository with an ssh address needs a deploy key: an owner of the project makes one in its"
            " settings.",
            "no_deploy_key",
        )
    if not credential.host_keys:
        raise InvalidRequest(
            f"It is not known yet by which key {address.host} is recognised: confirm its host key in the "
            "project's settings.",
            "host_key_unknown",
        )
    if not sys.platform.startswith("linux"):
        raise InvalidRequest("Deploy keys are used on Linux only: use https:// with a token.", "not_here")
    options = (*_OPTIONS, f"HostName={number}", f"HostKeyAlias={address.host}")
    words = ["ssh", "-F", "/dev/null", *(word for each in options for word in ("-o", each))]
    # None of these words holds anything that a shell would read: names of hosts are checked (`addresses`).
    for name, variable in (("IdentityFile", KEY), ("UserKnownHostsFile", HOSTS)):
        words += ["-o", f'"{name}=/proc/$PPID/fd/${variable}"']
    known = "".join(f"{address.host} {line}\n" for line in credential.host_keys)
    held = {KEY: credential.token.encode(), HOSTS: known.encode()}
    if _nameless():
        named = ("LD_PRELOAD=libnss_wrapper.so", f"NSS_WRAPPER_PASSWD=/proc/$PPID/fd/${USER}")
        words = [*named, "NSS_WRAPPER_GROUP=/dev/null", *words]
        held[USER] = f"vibe:x:{os.getuid()}:{os.getgid()}::/nonexistent:/usr/sbin/nologin\n".encode()
    return " ".join(words), held


def _nameless() -> bool:
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        return True
    return False


def refusal(errors: str, host: str) -> str:
    """Say what stands against a connection, from what ssh said of it; empty where that is something else."""
    shown = _SHOWN.search(errors)
    if "HOST IDENTIFICATION HAS CHANGED" in errors or "Host key verification failed" in errors:
        now = f" It shows {shown[1]} now." if shown else ""
        return (
            f"{host} shows another host key than the one that was confirmed.{now} If its owners "
            "changed it, compare it with what they publish and confirm it anew in the project's settings. If "
            "they have not, somebody stands between: nothing was sent."
        )
    if "Permission denied" in errors:
        return (
            f"{host} does not take the deploy key: add its public half there, with the right to write where "
            "what is accepted is to be pushed."
        )
    if "No user exists for uid" in errors:
        return (
            f"ssh does not run as a user without a name, and {os.getuid()} has none: install nss_wrapper,"
            " which says one (Debian: libnss-wrapper), or run Vibe as a user that has one."
        )
    if "cannot run ssh" in errors or "ssh: not found" in errors:
        return "There is no ssh on this machine: install it (Debian: openssh-client)."
    return ""
