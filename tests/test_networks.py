"""Which addresses are public, and what a list of hosts means."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from vibe_app import networks


@pytest.mark.parametrize(
    "number",
    [
        *("127.0.0.1", "127.8.8.8", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
        *(
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "192.0.2.1",
            "::",
            "::1",
            "fe80::1",
            "fc00::1",
        ),
        *("fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1"),
        *("2002:7f00:1::", "::127.0.0.1", "2001:db8::1"),
    ],
)
def test_addresses_that_are_not_public_are_not_reached(number: str) -> None:
    assert not networks.is_allowed(ip_address(number), ())
    assert networks.is_allowed(ip_address(number), networks.networks("all"))


@pytest.mark.parametrize(
    "number", ["8.8.8.8", "140.82.121.4", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses_are_reached(number: str) -> None:
    assert networks.is_allowed(ip_address(number), ())


def test_a_network_that_is_allowed_is_reached_in_every_form() -> None:
    private = networks.networks("10.0.0.0/8, 127.0.0.1")
    assert networks.is_allowed(ip_address("::ffff:10.0.0.9"), private)
    assert not networks.is_allowed(ip_address("127.0.0.2"), private)


@pytest.mark.parametrize(
    ("written", "stands_for"),
    [
        ("Example.com", "example.com"),
        (" *.example.com. ", "*.example.com"),
        ("example.org:8443", "example.org:8443"),
    ],
)
def test_a_host_of_a_list_has_one_form(written: str, stands_for: str) -> None:
    assert networks.check_host(written) == stands_for


@pytest.mark.parametrize(
    "written", ["", "*", "*.", "a b", "https://x.org", "x.org/path", "x.org:0", "x.org:70000", "é.org"]
)
def test_what_is_no_host_of_a_list_is_told_so(written: str) -> None:
    with pytest.raises(ValueError, match="is no host"):
        networks.check_host(written)


@pytest.mark.parametrize(
    ("host", "port", "listed"),
    [
        ("example.com", 443, True),
        ("Example.com.", 80, True),
        ("example.com", 22, False),
        ("evilexample.com", 443, False),
        ("a.example.com", 443, False),
        ("example.net", 443, False),
        ("files.example.net", 443, True),
        ("a.b.example.net", 443, True),
        ("evilexample.net", 443, False),
        ("example.org", 8443, True),
        ("example.org", 443, False),
    ],
)
def test_a_list_means_its_hosts_at_their_ports_and_no_others(host: str, port: int, listed: bool) -> None:
    entries = ("example.com", "*.example.net", "example.org:8443")
    assert networks.is_listed(host, port, entries) is listed


def test_the_host_of_a_virtual_machine_is_not_public() -> None:
    assert not networks.is_allowed(ip_address("168.63.129.16"))
