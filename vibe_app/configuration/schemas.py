"""What the doors take and show of providers. A key is taken, and never shown."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from vibe_app.errors import InvalidRequest
from vibe_app.schema import Moment, Patch, Str, Taken, View, documented
from vibe_app.wire.gateway import Dialect

_ID = re.compile(r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9])?")
_MODEL = re.compile(r"[^\s{}]{1,200}")
_RESERVED = frozenset({"rehearsal"})
_TOO_FAR = ("/chat/completions", "/responses", "/messages", "/models")


def _id(value: str) -> str:
    if not _ID.fullmatch(value) or value in _RESERVED:
        raise InvalidRequest(
            "A provider's id has up to 64 lower-case letters, digits, dots, hyphens; rehearsal is taken.",
            "invalid_provider",
        )
    return value


def _name(value: str) -> str:
    name = " ".join(value.split())
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest("The name must have 1 to 100 characters.", "invalid_name")
    return name


def endpoint(value: str) -> str:
    """Return a provider's address as it is kept.

    An address of this machine or of a private network is one: a model may run there.

    Raises:
        InvalidRequest: It cannot be asked, or holds what must not be in it.
    """
    value = value.strip().rstrip("/")
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or len(value) > 2000 or not value.isascii() or re.search(r"[\s{}?#@\\\x00-\x1f]", value):
        raise InvalidRequest(
            "The address must look like https://api.example.org/v1: without a name or key in it, and without "
            "anything after the path.",
            "invalid_address",
        )
    if _is_link_local(urlsplit(value).hostname or ""):
        raise InvalidRequest("No model answers at a link-local address.", "invalid_address")
    if value.endswith(_TOO_FAR):
        raise InvalidRequest(
            f"The address must end before /{value.rpartition('/')[2]}, for example with /v1.",
            "invalid_address",
        )
    return value


def _is_link_local(host: str) -> bool:
    # The addresses at which clouds tell a machine its own secrets.
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    inner = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (inner or found).is_link_local


def clean_key(value: str) -> str:
    """Return a key as it is kept.

    Raises:
        InvalidRequest: It cannot stand in a header.
    """
    value = value.strip()
    if not 1 <= len(value) <= 4000 or not (value.isascii() and value.isprintable()):
        raise InvalidRequest(
            "A key is one line of 1 to 4000 letters, digits and signs of ASCII.", "invalid_key"
        )
    return value


def _models(value: list[str]) -> list[str]:
    if len(value) > 200 or not all(_MODEL.fullmatch(model) for model in value):
        raise InvalidRequest(
            "Name up to 200 models as the provider does, without spaces or braces.", "invalid_models"
        )
    return sorted(set(value))


_Id = Annotated[Str, AfterValidator(_id), documented(example="house", maxLength=64)]
_Name = Annotated[Str, AfterValidator(_name), documented(example="Our own models", maxLength=100)]
_BaseUrl = Annotated[Str, AfterValidator(endpoint), documented(example="https://models.example.org/v1")]
_Key = Annotated[Str, AfterValidator(clean_key), documented(example="sk-…", format="password")]
_Models = Annotated[list[Str], AfterValidator(_models), documented(example=["qwen3-coder"])]


class NewProvider(Taken):
    """A provider of models."""

    id: _Id
    name: _Name
    kind: Dialect = Field(description="The form of its interface")
    base_url: _BaseUrl
    key: _Key | None = Field(default=None, repr=False)
    models: _Models = Field(default_factory=list, description="Those that may be used; empty means all")


class ProviderPatch(Patch):
    """What to change of a provider. With another address its key must be given again; null takes it away."""

    nullable: ClassVar[frozenset[str]] = frozenset({"key"})

    name: _Name | None = None
    base_url: _BaseUrl | None = None
    key: _Key | None = Field(default=None, repr=False)
    models: _Models | None = None


class ProviderView(View):
    """A provider of models, without its key."""

    id: str
    name: str
    kind: Dialect
    base_url: str
    has_key: bool
    models: list[str] = Field(description="Those that may be used; empty means all")
    of_environment: bool = Field(description="It is set by the server's environment, and cannot be changed")
    updated_at: Moment | None = Field(description="Null for one of the environment")


class ProviderList(View):
    """Providers, by id."""

    providers: list[ProviderView]
    total_count: int
