"""How addresses of repositories are read: real ones, odd ones, and whatever else text can be."""

from __future__ import annotations

import random

import pytest

from vibe_app import addresses
from vibe_app.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("https://example.org/team/repo.git", None),
        ("  HTTPS://Example.ORG/repo  ", "https://example.org/repo"),
        ("http://example.org:8080/repo", None),
        ("ssh://git@example.org/team/repo.git", None),
        ("git@example.org:team/repo.git", None),
        ("example.org:repo", None),
        ("file:///srv/git/repo.git", None),
        ("http://127.0.0.1:9/x", None),
        ("https://[2001:0db8::0001]:8443/x", "https://[2001:db8::1]:8443/x"),
    ],
)
def test_addresses_that_can_be_cloned(text: str, read: str | None) -> None:
    assert str(addresses.parse(text)) == (read or text)
    assert addresses.parse(text).credential is None


@pytest.mark.parametrize(
    ("text", "read", "username", "token"),
    [
        ("https://me:s%40crt@example.org/a", "https://example.org/a", "me", "s@crt"),
        ("https://ghp_abc@example.org/a", "https://example.org/a", "ghp_abc", ""),
        ("https://u:p$$@example.org/a", "https://example.org/a", "u", "p$$"),
        ("https://a@b:c@d@example.org:8443/x", "https://example.org:8443/x", "a@b", "c@d"),
        ("https://:tok@example.org/x", "https://example.org/x", "", "tok"),
    ],
)
def test_a_credential_is_taken_out_of_an_address(text: str, read: str, username: str, token: str) -> None:
    address = addresses.parse(text)
    assert str(address) == read
    assert address.credential == addresses.Credential(username, token)
    assert (token or username) not in repr(address)
    assert addresses.shown(text) == read


@pytest.mark.parametrize(
    "text",
    [
        "",
        "repo",
        "/srv/git/repo.git",
        "../repo",
        "ext::sh -c touch% /tmp/x",
        "fd::3",
        "http::https://example.org/repo",
        "--upload-pack=touch x",
        "-oProxyCommand=touch x",
        "ssh://-oProxyCommand=touch x/repo",
        "ssh://-oProxyCommand=touch/repo",
        "ssh://-x@example.org/repo",
        "ssh://git:password@example.org/repo",
        "https://-x/repo",
        "git@example.org:-x",
        "git@-x:repo",
        "user:a-token@example.org/team/app.git",
        "https:/user:a-token@example.org/team/app.git",
        "https:user:a-token@example.org/team/app",
        "oauth2:a-token@example.org:team/app.git",
        "https:example.org/team/app",
        "ftp://example.org/repo",
        "git://example.org/repo",
        "file://host/repo",
        "file://",
        "https://example.org/a b",
        "https://example.org/a\nb",
        "https://example.org/a\x00b",
        "https://example.org/a?token=x",
        "https://example.org/a#x",
        "https://",
        "https://u:p$$@[::1",
        "https://[::1]]/",
        "https://[fe80::1%25eth0]/x",
        "https://example.org:99999/x",
        "https://example.org:0/x",
        "https://example.org./x",
        "https://2130706433/x",
        "https://0177.0.0.1/x",
        "https://0x7f.1/x",
        "https://exämple.org/x",
        "https://u:%ff@example.org/x",
        "https://u:%0a@example.org/x",
        "https://example.org/" + "a" * 2000,
    ],
)
def test_addresses_that_cannot(text: str) -> None:
    with pytest.raises(InvalidRequest):
        addresses.parse(text)


def test_whatever_text_is_given_is_read_or_refused_with_a_sentence() -> None:
    """Also what the standard library's parser answers with an exception."""
    dice = random.Random(7)
    parts = [
        "https",
        "http",
        "ssh",
        "file",
        "://",
        ":",
        "@",
        "[",
        "]",
        "::1",
        "/",
        "u",
        "p$$",
        "%",
        "%zz",
        "\\",
    ]
    parts += [
        "?",
        "#",
        ".",
        "..",
        "-",
        "127.0.0.1",
        "example.org",
        "99999",
        "0",
        "\t",
        "\u2100",
        "ﬃ",
        "\ud800",
        "ä",
    ]
    for _ in range(20_000):
        text = "".join(dice.choices(parts, k=dice.randint(1, 9)))
        try:
            address = addresses.parse(text)
        except InvalidRequest:
            continue
        assert addresses.parse(str(address)).origin == address.origin
        assert "@" not in str(address).split("/")[2:3] or address.scheme == "ssh"
        assert addresses.shown(str(address)) == str(address)


def test_a_secret_is_hidden_as_it_is_and_as_it_stands_in_addresses() -> None:
    said = "fatal: https://x:t/k%3Den@h and t%2Fk%253Den and t/k%253Den and t/k%3Den"
    assert addresses.hide(said, ["t/k%3Den"]) == "fatal: https://x:***@h and *** and *** and ***"
    assert addresses.hide("abc", ["", "abc"]) == "abc"


def test_what_stands_before_a_host_is_not_shown_whatever_else_is_wrong() -> None:
    said = "remote https://u:p$$@[::1 and ssh://git@h/x and ssh://git:pw@h/x and ftp://a:b@h"
    assert addresses.shown(said) == "remote https://[::1 and ssh://git@h/x and ssh://h/x and ftp://h"
