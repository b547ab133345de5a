"""Which addresses of the network are public, and which hosts a list of names means. Pure.

Git's clones and the agent's proxy both go where somebody else's words send them: what may be reached is
decided by these rules alone, on numbers and never on names.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from typing import Literal

Number = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

Policy = Literal["closed", "listed", "open"]
"""Where agents' commands may go: nowhere, to the hosts of a list, to every public address."""

MOST_HOSTS = 200

EVERY = "all"
"""Where it stands for the networks, every private address is allowed."""

_WEB_PORTS = (80, 443)
# RFC 6052: such an address is led to the IPv4 address at its end.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
# Public by its number, and yet the host of the virtual machine that asks (learn.microsoft.com, "What is IP
# address 168.63.129.16?").
_METADATA = frozenset({ipaddress.ip_address("168.63.129.16")})
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_ENTRY = re.compile(
    rf"(?P<below>\*\.)?(?P<name>{_LABEL}(?:\.{_LABEL})*)(?::(?P<port>[0-9]{{1,5}}))?", re.ASCII
)


def networks(text: str) -> tuple[Network, ...]:
    """Read the networks of private addresses that are allowed, separated by commas.

    Raises:
        ValueError: One is none.
    """
    if text.strip().lower() == EVERY:
        return (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())


def is_allowed(number: Number, private: Iterable[Network] = ()) -> bool:
    """Tell whether one may go to this address: to a public one, or to one of these networks."""
    number = inner(number)
    if any(number in network for network in private if network.version == number.version):
        return True
    public = number.is_global and not (number.is_multicast or number.is_reserved or number in _METADATA)
    return public and not (isinstance(number, ipaddress.IPv6Address) and number.is_site_local)


def inner(number: Number) -> Number:
    """Return the IPv4 address to which an IPv6 address of a transition technique leads."""
    if isinstance(number, ipaddress.IPv4Address):
        return number
    if number in _NAT64 or (number in _COMPATIBLE and int(number) > 1):
        return ipaddress.IPv4Address(int(number) & 0xFFFFFFFF)
    return number.ipv4_mapped or number.sixtofour or number


def check_host(entry: str) -> str:
    """Return an entry of a list of hosts in its one form: `example.com`, `*.example.com`, `example.org:8443`.

    Raises:
        ValueError: It is none, in a sentence.
    """
    found = _ENTRY.fullmatch(entry.strip().lower().rstrip("."))
    if found is None or (found["port"] and not 1 <= int(found["port"]) <= 65535):
        raise ValueError(f"{entry[:100]!r} is no host: write example.com, *.example.com or example.org:8443")
    return found[0]


def reach(text: str) -> tuple[Policy, tuple[str, ...]]:
    """Read where agents' commands may go: `closed`, `open`, or hosts with commas or line ends between.

    Returns:
        The policy, and the hosts of `listed`, each once and in its one form.

    Raises:
        ValueError: A host is none, or there are too many, in a sentence.
    """
    word = text.strip().lower()
    if word in ("closed", ""):
        return "closed", ()
    if word == "open":
        return "open", ()
    entries = [part for part in re.split(r"[,\s]+", text) if part]
    hosts = tuple(dict.fromkeys(check_host(entry) for entry in entries))
    if len(hosts) > MOST_HOSTS:
        raise ValueError(f"a list of hosts has at most {MOST_HOSTS}; this one has {len(hosts)}")
    return "listed", hosts


def is_listed(host: str, port: int, entries: Sequence[str]) -> bool:
    """Tell whether a list of hosts, in the form of `check_host`, holds this one at this port."""
    host = host.lower().rstrip(".")
    for entry in entries:
        name, _, wanted = entry.partition(":")
        if port not in ((int(wanted),) if wanted else _WEB_PORTS):
            continue
        if host == name or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False
