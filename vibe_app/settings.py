"""The only reader of the environment: every setting, its default and its check.

Settings are read once at start, frozen, and handed down. A wrong value ends the
start with one sentence for each fault, never with a traceback.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict

from vibe_app import memory, opened
from vibe_app.networks import reach

OPENCODE_VERSION = "1.18.33"

# The variable in which each provider's own tools look for the key.
PROVIDER_KEYS: Mapping[str, str] = {
    "anthropic": "ANTHROPIC_API_KEY",
    "openai": "OPENAI_API_KEY",
    "google": "GOOGLE_GENERATIVE_AI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "groq": "GROQ_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "xai": "XAI_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}

KEY_CHARS = 32
"""Characters of a key that signs logins: HS256 wants 256 bits (RFC 7518, section 3.2)."""

_QUANTITY = r"[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
_SUFFIXES = {"": 1.0, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("KMGT", 1)
}
_QUANTITIES = re.compile(rf"(cpu|memory)={_QUANTITY}(,\s*(cpu|memory)={_QUANTITY})?")


_SECRET = ("secret_key", "secret_key_before", "model_api_key", "database_url", "redis_url", "model_base_url")


class SettingsError(Exception):
    """The environment holds values that cannot be used; the message names each with its cure."""


class Settings(BaseSettings):
    """Everything that can be set from outside, as `VIBE_<NAME>`."""

    model_config = SettingsConfigDict(env_prefix="VIBE_", frozen=True, extra="ignore", populate_by_name=True)

    data: Path = Field(Path(".vibe"), description="Folder for the SQLite file, workspaces and tools")
    host: str = Field("127.0.0.1", description="Address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on")
    database_url: str = Field(
        "", repr=False, description="postgresql+psycopg://…; empty means SQLite in the data folder"
    )
    redis_url: str = Field(
        "", repr=False, description="redis://…, where several workers share the state of pages"
    )
    workers: int = Field(
        1, ge=1, le=64, description="Processes that serve; more than one needs PostgreSQL and Redis"
    )
    role: Literal["all", "web", "engine"] = Field(
        "all",
        description="What a process does: `web` serves, `engine` runs cards and workspaces, `all` both",
    )
    secret_key: str = Field(
        "",
        repr=False,
        description="Signs logins and encrypts secrets; empty means one is made and kept in the data folder",
    )
    secret_key_before: str = Field(
        "",
        repr=False,
        description="Keys of before, by commas: they still open secrets, until `vibe secrets rotate` has run",
    )
    runtime: Literal["local", "kubernetes"] = Field("local", description="Where workspaces live")
    cookie_secure: bool = Field(False, description="Send the login cookie over HTTPS only")
    login_days: int = Field(7, ge=1, le=365, description="Days until a login ends")

    model: str = Field("", description="provider/model; empty means the built-in rehearsal model")
    model_base_url: str = Field(
        "", repr=False, description="An OpenAI-compatible endpoint to ask instead of the provider"
    )
    model_api_key: str = Field(
        "", repr=False, description="Key for it; by default the provider's usual variable"
    )

    opencode: str = Field(
        "", description="Path of the OpenCode binary; empty means the one in the data folder"
    )
    sandbox: Literal["on", "off"] = Field(
        "on", description="Whether local agents work behind a wall; off lets them read what the server reads"
    )
    sandbox_read: str = Field(
        "", description="Further paths that every local agent may read, with colons: ~/.pyenv:/opt/jdk"
    )
    sandbox_cache: str = Field(
        "", description="Paths where each project has a folder of its own to write, with colons: ~/.cargo"
    )
    network: str = Field(
        "closed",
        description="Where local agents' commands may go unless a project says otherwise: `closed`, `open`,"
        " or hosts with commas: example.org, *.example.org",
    )
    workspace_memory_mib: int = Field(
        4096, ge=0, le=10_000_000, description="MiB of memory that a local workspace may have; 0 is any"
    )
    workspace_disk_mib: int = Field(
        10_240, ge=0, le=100_000_000, description="MiB that a local workspace's files may have; 0 is any"
    )
    opencode_server_image: str = Field(
        "",
        validation_alias=AliasChoices("OPENCODE_SERVER_IMAGE", "VIBE_OPENCODE_SERVER_IMAGE"),
        description="Image of the workspaces' pods; needed with VIBE_RUNTIME=kubernetes",
    )
    opencode_requests: str = Field(
        "cpu=250m,memory=512Mi", description="What a pod's OpenCode is promised by the cluster"
    )
    opencode_limits: str = Field("cpu=2,memory=2Gi", description="What a pod's OpenCode may use at most")
    kubernetes_namespace: str = Field("vibe-workspaces", description="Namespace of the workspaces' pods")
    kubernetes_config: str = Field(
        "", description="Path of a kubeconfig file; empty means the service account of Vibe's own pod"
    )
    kubernetes_storage: str = Field("10Gi", description="Size of a workspace's volume")
    kubernetes_storage_class: str = Field(
        "", description="Storage class of the volumes; empty means the cluster's default"
    )
    repository_networks: str = Field(
        "",
        description="Private networks that repositories may be cloned from: 10.0.0.0/8,127.0.0.0/8, or all",
    )
    project_limit: int = Field(2, ge=1, le=100, description="Sessions of a new project that may run at once")
    installation_limit: int = Field(4, ge=1, le=10_000, description="Sessions that may run at once in all")
    workspace_limit: int = Field(
        -1,
        ge=-1,
        le=100_000,
        description="Workspaces that may run at once; 0 for no limit, -1 for one to each GiB of memory "
        "locally and no limit on a cluster",
    )
    workspace_share: float = Field(
        0.5, gt=0, le=1, description="The part of them that one person may hold while another waits"
    )
    workspace_idle_minutes: float = Field(30, gt=0, description="Minutes without use until a workspace stops")
    orphan_hours: float = Field(
        72, gt=0, description="Hours from the report of files that belong to no project to their end"
    )
    upload_mib: int = Field(
        512, ge=1, le=1_000_000, description="MiB that a file written into a workspace may have"
    )
    archive_mib: int = Field(
        2048, ge=1, le=1_000_000, description="MiB of files that the archive of a folder may hold"
    )
    start_timeout: float = Field(
        120, gt=0, description="Seconds in which a session's workspace must be ready"
    )
    session_timeout: float = Field(7200, gt=0, description="Seconds after which a session is stopped")
    limit_usd: Decimal = Field(
        Decimal(0), ge=0, le=1_000_000, description="US dollars that a session may spend; 0 is without limit"
    )
    limit_tokens: int = Field(
        0, ge=0, le=10**12, description="Tokens of every kind that a session may use; 0 is without limit"
    )
    limit_minutes: int = Field(
        0, ge=0, le=525_600, description="Minutes that a session may run; 0 leaves VIBE_SESSION_TIMEOUT alone"
    )
    limit_requests: int = Field(
        0, ge=0, le=1_000_000, description="Requests to models that a session may make; 0 is without limit"
    )
    quiet_notice: float = Field(
        300, gt=0, description="Seconds without a word after which a running session is shown as quiet"
    )
    compress_after_days: float = Field(
        30,
        ge=0,
        le=36_500,
        description="Days after which a finished session's output is compressed; 0 is never",
    )

    lease: float = Field(9, gt=0, description="Seconds for which a replica owns a session without renewing")
    heartbeat: float = Field(2, gt=0, description="Seconds between two renewals")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="How much is logged")

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("network")
    @classmethod
    def _reachable(cls, value: str) -> str:
        reach(value)
        return value

    @field_validator("sandbox_read", "sandbox_cache")
    @classmethod
    def _whole_paths(cls, value: str) -> str:
        opened.paths(value)
        return value

    @model_validator(mode="after")
    def _nothing_of_ours(self) -> Self:
        named = {"sandbox_read": self.sandbox_reads, "sandbox_cache": self.sandbox_caches}
        refused = [
            f"{variable(name)}: {words}"
            for name, paths in named.items()
            for path in paths
            if (words := opened.refused(path, self.data))
        ]
        if refused:
            raise ValueError("\n".join(refused))
        return self

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, value: str) -> str:
        if value and len(value.strip()) < KEY_CHARS:
            raise ValueError(f"must have at least {KEY_CHARS} characters: `openssl rand -hex 32` makes one")
        return value

    @field_validator("model")
    @classmethod
    def _provider_and_model(cls, value: str) -> str:
        # Braces would be replaced where OpenCode reads its configuration.
        if value and not re.fullmatch(r"[\w.-]+/[^\s{}]+", value):
            raise ValueError("must look like provider/model, for example anthropic/claude-sonnet-4-5")
        return value

    @field_validator("model_base_url")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        value = value.strip().rstrip("/")
        if value and not (_is_address(value, ("http", "https")) and not re.search(r"[\s{}?#]", value)):
            raise ValueError("must be the address of an endpoint, for example http://localhost:11434/v1")
        if value.endswith(("/chat/completions", "/models", "/responses")):
            raise ValueError(f"must end before /{value.rpartition('/v1/')[2]}, for example with /v1")
        return value

    @field_validator("database_url")
    @classmethod
    def _known_database(cls, value: str) -> str:
        if value.startswith(("postgres://", "postgresql://")):
            value = "postgresql+psycopg://" + value.split("://", 1)[1]
        if value and not value.startswith(("postgresql+psycopg://", "sqlite+aiosqlite://")):
            raise ValueError("must start with postgresql:// (or be empty for SQLite)")
        return _whole(value)

    @field_validator("repository_networks")
    @classmethod
    def _networks(cls, value: str) -> str:
        try:
            wanted = () if value.strip().lower() == "all" else value.split(",")
            for part in filter(str.strip, wanted):
                ipaddress.ip_network(part.strip())
        except ValueError:
            raise ValueError("must be networks like 10.0.0.0/8,127.0.0.0/8, or all") from None
        return value

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("must start with redis://, rediss:// or unix://")
        return _whole(value)

    @field_validator("opencode_requests", "opencode_limits")
    @classmethod
    def _quantities(cls, value: str) -> str:
        if not _QUANTITIES.fullmatch(value):
            raise ValueError("must look like cpu=250m,memory=512Mi")
        return value

    @field_validator("kubernetes_storage")
    @classmethod
    def _quantity(cls, value: str) -> str:
        if not re.fullmatch(_QUANTITY, value) or _amount(value) < 1:
            raise ValueError("must be a size like 10Gi")
        return value

    @field_validator("kubernetes_namespace")
    @classmethod
    def _namespace(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", value):
            raise ValueError("must be the name of a namespace: lower-case letters, digits and hyphens")
        return value

    @model_validator(mode="after")
    def _image_for_pods(self) -> Self:
        if self.runtime == "kubernetes" and not self.opencode_server_image:
            raise ValueError("OPENCODE_SERVER_IMAGE must name the image of the workspaces' pods")
        return self

    @model_validator(mode="after")
    def _a_model_that_can_be_asked(self) -> Self:
        provider = self.model.partition("/")[0]
        faults: list[str] = []
        if self.model and not self.model_base_url and provider not in PROVIDER_KEYS:
            faults.append(
                f"VIBE_MODEL names a provider that is not known here, {provider}: set VIBE_MODEL_BASE_URL to "
                f"its OpenAI-compatible address, or take one of {', '.join(PROVIDER_KEYS)}"
            )
        if self.model_base_url and not self.model:
            # A key alone may wait in a Secret for the model that is to come.
            faults.append("VIBE_MODEL_BASE_URL has no use without VIBE_MODEL, for example local/qwen3-coder")
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @model_validator(mode="after")
    def _in_proportion(self) -> Self:
        faults: list[str] = []
        if self.heartbeat > self.lease / 2:
            faults.append(
                f"VIBE_HEARTBEAT ({self.heartbeat:g} s) must be at most half of VIBE_LEASE "
                f"({self.lease:g} s): one that comes late would lose the run"
            )
        if self.runtime == "kubernetes":
            limits = _quantities_of(self.opencode_limits)
            faults += [
                f"VIBE_OPENCODE_REQUESTS must not promise more {name} than VIBE_OPENCODE_LIMITS allows"
                for name, amount in _quantities_of(self.opencode_requests).items()
                if amount > limits.get(name, amount)
            ]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    @model_validator(mode="after")
    def _shared_by_workers(self) -> Self:
        lacking = {
            "VIBE_DATABASE_URL must name a PostgreSQL": self.on_sqlite,
            "VIBE_REDIS_URL must name a Redis": not self.redis_url,
        }
        if self.workers > 1 and any(lacking.values()):
            told = (
                f"{sentence} where VIBE_WORKERS is {self.workers}"
                for sentence in lacking
                if lacking[sentence]
            )
            raise ValueError("\n".join(told))
        return self

    @model_validator(mode="after")
    def _apart(self) -> Self:
        if self.role != "all" and self.on_sqlite:
            raise ValueError(f"VIBE_DATABASE_URL must name a PostgreSQL where VIBE_ROLE is {self.role}")
        return self

    @property
    def sandbox_reads(self) -> list[Path]:
        """Further paths that every local agent may read."""
        return opened.paths(self.sandbox_read)

    @property
    def sandbox_caches(self) -> list[Path]:
        """Paths where each project has a folder of its own."""
        return opened.paths(self.sandbox_cache)

    @property
    def on_sqlite(self) -> bool:
        """Whether the database is a file, which one server at a time may use."""
        return not self.database_url.startswith("postgresql")

    @property
    def database(self) -> str:
        """The SQLAlchemy address of the database."""
        return self.database_url or f"sqlite+aiosqlite:///{self.data / 'vibe.db'}"

    @property
    def workspaces(self) -> Path:
        """The folder that holds one folder for each local workspace."""
        return self.data / "workspaces"

    @property
    def places(self) -> int:
        """How many workspaces may run at once; 0 for no limit."""
        if self.workspace_limit >= 0:
            return self.workspace_limit
        # One takes half a GiB at rest, and what its commands take beside that.
        return 0 if self.runtime == "kubernetes" else max(2, memory.usable() // memory.GIB)

    @property
    def tools(self) -> Path:
        """The folder of the programs that set-up brought; the server puts it on PATH."""
        return self.data / "tools"

    @property
    def opencode_binary(self) -> Path:
        """Where OpenCode is expected."""
        return Path(self.opencode).expanduser() if self.opencode else self.tools / "opencode"

    @property
    def kubeconfig(self) -> Path | None:
        """The kubeconfig file; None for the service account of Vibe's own pod."""
        return Path(self.kubernetes_config).expanduser() if self.kubernetes_config else None

    @property
    def rehearsal(self) -> bool:
        """Whether the built-in rehearsal model answers, since no provider is configured."""
        return not self.model

    @property
    def model_key(self) -> str:
        """The key for the configured model: `VIBE_MODEL_API_KEY` or the provider's usual variable."""
        provider = self.model.partition("/")[0]
        return self.model_api_key or os.environ.get(PROVIDER_KEYS.get(provider, ""), "")

    @property
    def lacking_key(self) -> str:
        """The variable in which the configured model's key is missing; empty where it is not.

        Only whoever serves needs it: this is no fault of the settings of a migration or a pod.
        """
        if self.rehearsal or self.model_base_url or self.model_key:
            return ""
        return PROVIDER_KEYS[self.model.partition("/")[0]]

    @property
    def key_file(self) -> Path:
        """Where the key is kept that is made on first use."""
        return self.data / "secret.key"

    @property
    def key_file_before(self) -> Path:
        """Where the key of before is kept for as long as its replacement is under way."""
        return self.data / "secret.key.before"

    def signing_key(self) -> str:
        """Return the key that signs logins, made and kept (mode 0600) on first use.

        Raises:
            OSError: The data folder cannot be written.
        """
        if self.secret_key:
            return self.secret_key
        if not self.key_file.exists():
            # Of two processes that start at once, one makes it, and neither reads a half of it.
            draft = self.new_key_file()
            with suppress(FileExistsError):
                os.link(draft, self.key_file)
            os.unlink(draft)
        return self.key_file.read_text().strip()

    def new_key_file(self) -> Path:
        """Make a key, and return the file beside `key_file` in which it stands on the disk; mode 0600.

        Raises:
            OSError: The data folder cannot be written.
        """
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(prefix="secret.", dir=self.data)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        return Path(draft)

    def keys(self) -> list[str]:
        """Return the key that encrypts secrets, made on first use, then those that may have done so before.

        Raises:
            OSError: The data folder cannot be read or written.
        """
        return [self.signing_key(), *self.known_keys()]

    def known_keys(self) -> list[str]:
        """Return every key that may have encrypted secrets, as far as there are any yet.

        Raises:
            OSError: The data folder cannot be read.
        """
        # A key that holds a comma is one, too.
        found = [self.secret_key, self.secret_key_before, *self.secret_key_before.split(",")]
        found += [path.read_text() for path in (self.key_file, self.key_file_before) if path.exists()]
        return [form for key in found for form in (key, key.strip()) if form]


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment; keyword arguments win where not None.

    Raises:
        SettingsError: Some value cannot be used; one sentence a line.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)  # pyright: ignore[reportArgumentType]  # pydantic checks and converts them
    except ValidationError as error:
        raise SettingsError("\n".join(_told(fault) for fault in error.errors())) from None


def variable(name: str) -> str:
    """The environment variable of a setting."""
    alias = Settings.model_fields[name].validation_alias
    return str(alias.choices[0]) if isinstance(alias, AliasChoices) else f"VIBE_{name.upper()}"


def _is_address(value: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(value)
        return (
            parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and "@" not in parts.netloc
        )
    except ValueError:
        return False


def _whole(url: str) -> str:
    """Return an address as it is, unless its host or port cannot be one."""
    try:
        _ = urlsplit(url).port
    except ValueError as error:
        raise ValueError(f"must be a whole address ({str(error)[:1].lower()}{str(error)[1:]})") from None
    return url


def _amount(quantity: str) -> float:
    found = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity)
    if found is None:
        raise ValueError(f"{quantity} is no amount")
    number, suffix = found.groups()
    return float(number) * _SUFFIXES[suffix]


def _quantities_of(text: str) -> dict[str, float]:
    pairs = (part.strip().split("=") for part in text.split(","))
    return {name: _amount(amount) for name, amount in pairs}


def _told(fault: ErrorDetails) -> str:
    sentence = fault["msg"].removeprefix("Value error, ")
    if not fault["loc"]:
        # It concerns several settings; all of them together are no help, and some are secret.
        return sentence
    name = "_".join(str(part) for part in fault["loc"])
    known = variable(name) if name in Settings.model_fields else name.upper()
    # What may hold a password is not repeated where a log keeps it.
    shown = "" if name in _SECRET else f" (got {fault['input']!r})"
    return f"{known}: {sentence}{shown}"
