"""The contract of a workspace's gateway: what the engine and the sidecar tell it, and what it counts.

The gateway stands between OpenCode and the models' providers. It alone holds the providers' keys; it
counts what each session uses, in the providers' own figures, and refuses what is over a limit. All calls
here go to its control port, with its token, and may be repeated; what was told by them, but for the keys,
outlives a `kill -9` of the gateway:

| call | body | answer |
|---|---|---|
| `PUT /configuration` | `Configuration` | `GatewayState` |
| `PUT /sessions/{id}` | `Budget` | `Spending` |
| `GET /sessions/{id}` | | `Spending`; 404 where nobody registered it |
| `DELETE /sessions/{id}` | | `GatewayState`; what it used stays in the usage until that is confirmed |
| `PUT /conversations/{OpenCode's session id}` | `Conversation` | `GatewayState` |
| `PUT /conversations` | `Conversations` | `GatewayState` |
| `GET /usage?journal=&after=` | | `UsagePage`; asking after an entry confirms all up to it |
| `GET /health` `GET /ready` | | alive; configured, which it no longer is after its own start |

Money is a whole number of nanodollars (10^9 are one US dollar), so that sums are exact. Kinds of tokens do
not overlap: what was read from a cache or written to it is no input, reasoning is no output.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from vibe_app.wire import HUGE

DOLLAR = 10**9
"""Nanodollars of one US dollar."""

LONG_WAIT = 120.0
"""Seconds: a provider that asks for a longer wait than this ends the turn, with `come_back_later`."""

Dialect = Literal["openai", "anthropic", "google"]
"""The form of a provider's interface: chat completions and responses, messages, or generateContent."""

Ending = Literal["budget_exhausted", "come_back_later"]
"""Why a session's requests are answered with 402."""

Limit = Literal["dollars", "tokens", "minutes", "requests"]

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._-]+$")]
"""An id of a session, a conversation or a provider."""

Amount = Annotated[int, Field(ge=0, le=HUGE)]


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)


class Provider(_Message):
    """A provider of models, as OpenCode names it in the path of its requests.

    `base_url` is what OpenCode's own package would ask: it ends before `/chat/completions`, `/responses`,
    `/messages` or `/models/…`.
    """

    id: Name
    dialect: Dialect
    base_url: str = Field(max_length=2000)
    key: str = Field(default="", repr=False, max_length=10_000)
    catalogue: str = Field(
        default="", max_length=128, description="Whose prices hold, in the catalogue; empty: nobody's"
    )
    free: bool = Field(default=False, description="It costs nothing, as the rehearsal model")
    models: tuple[Annotated[str, Field(max_length=200)], ...] = Field(
        default=(), max_length=200, description="Those that may be asked; empty: all"
    )

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if not value.startswith(("http://", "https://")) or any(mark in value for mark in "@?# \r\n\t"):
            raise ValueError("a provider's address looks like https://host/v1")
        return value.rstrip("/")

    @field_validator("key")
    @classmethod
    def _a_header(cls, value: str) -> str:
        if not (value.isascii() and value.isprintable()):
            raise ValueError("a key has printable ASCII characters only")
        return value.strip()


class Network(_Message):
    """Where the agent's commands may go, through the gateway's proxy.

    With `listed`, `hosts` are names as `example.com` or, for all names below, `*.example.com`, each for
    the ports 80 and 443, or with a port of its own (`example.org:8443`). Private addresses are never reached.
    """

    policy: Literal["closed", "listed", "open"] = "closed"
    hosts: tuple[Annotated[str, Field(max_length=260)], ...] = Field(default=(), max_length=1000)


class Limits(_Message):
    """What may be used at most; None is no limit. All kinds of tokens count."""

    nanodollars: Amount | None = None
    tokens: Amount | None = None
    minutes: Amount | None = None
    requests: Amount | None = None


class Tokens(_Message):
    """Tokens by kind; no kind holds another."""

    input: Amount = 0
    output: Amount = 0
    reasoning: Amount = 0
    cache_read: Amount = 0
    cache_write: Amount = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.input + self.output + self.reasoning + self.cache_read + self.cache_write


class Spent(Tokens):
    """What was used: `nanodollars` is a least amount where `unpriced` or `cut_off` is not 0."""

    requests: Amount = 0
    nanodollars: Amount = 0
    unpriced: Amount = Field(default=0, description="Requests whose price is not known")
    cut_off: Amount = Field(default=0, description="Requests broken off before their usage was told")


class Budget(_Message):
    """A session's limits, and what it used of them as far as the engine holds it.

    The gateway adds its own entries after number `after` of the journal `journal`: both as the last
    `UsagePage` had them that is contained in `spent`. Where the journal is another one, it keeps to its
    own sum of a session that it knows, and takes `spent` for one that it does not.
    """

    limits: Limits = Limits()
    started_at: datetime | None = Field(default=None, description="From when the minutes count")
    spent: Spent = Spent()
    journal: str = Field(default="", max_length=64)
    after: Amount = 0


class Configuration(_Message):
    """All that a workspace's gateway works with; replaces what it was told before.

    `talks` is the allowance of what people ask through the passage to OpenCode's own interface, in
    conversations that belong to no session; None refuses them.
    """

    providers: tuple[Provider, ...] = Field(default=(), max_length=100)
    network: Network = Network()
    talks: Budget | None = None


class Conversation(_Message):
    """Whose an OpenCode session is: told before its first prompt, and again at each follow-up."""

    session_id: Name


class Conversations(_Message):
    """Whose the OpenCode sessions of all live runs are, by their ids: told by the sidecar every few seconds.

    So a gateway whose journal was lost knows them again. Until it was told this once since its start, a
    conversation that it does not know is asked to wait, and so is one whose session it was not told yet.
    """

    sessions: dict[Name, Name] = Field(max_length=1000)


class Ended(_Message):
    """Why the last request of a session was answered with 402; both go with the next that passes."""

    code: Ending
    message: str
    limit: Limit | None = Field(default=None, description="Which limit, with budget_exhausted")
    retry_at: datetime | None = Field(default=None, description="When to ask again, with come_back_later")


class Spending(_Message):
    """How a session stands: what it used of what."""

    session_id: str
    limits: Limits
    spent: Spent
    started_at: datetime | None = None
    ended: Ended | None = None


class UsageEntry(Tokens):
    """One request that went to a provider; its tokens are the provider's own figures.

    `usage` is `whole` where the answer came to its end (an error is whole, and used nothing), `part` where
    it was broken off and these are the figures seen until then, `none` where the provider told none.
    `nanodollars` is None where the price or the usage is not known.
    """

    seq: int = Field(ge=1, le=HUGE)
    session_id: str | None = Field(description="None: a talk through the passage, counted to the project")
    conversation: str
    provider: str
    model: str
    status: int = Field(description="The provider's HTTP status; 0 where it gave none")
    usage: Literal["whole", "part", "none"]
    nanodollars: Amount | None
    started_at: datetime
    seconds: float = Field(ge=0)


class UsagePage(_Message):
    """The entries after a number, oldest first, at most 500; `last` is the newest that there is."""

    journal: str
    entries: tuple[UsageEntry, ...]
    last: Amount


class GatewayState(_Message):
    """How the gateway is: whether it was told its configuration since its start, and its refusals since."""

    configured: bool
    journal: str
    last: Amount
    sessions: tuple[str, ...] = ()
    refused: Amount = 0
