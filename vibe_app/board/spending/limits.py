"""What a session may spend: limits, how the installation's and a project's meet, and money in words. Pure.

Money is a whole number of nano-dollars (a thousand-millionth of a US dollar): prices per million
tokens come out even in it, sums are exact, and both databases keep it as it is.
"""

from __future__ import annotations

from dataclasses import asdict, astuple, dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from vibe_app.errors import InvalidRequest
from vibe_app.schema import Patch, View, documented

NANO = 1_000_000_000
"""Nano-dollars of a dollar."""
MOST_USD = 1_000_000
MOST_TOKENS = 1_000_000_000_000
MOST_MINUTES = 60 * 24 * 365
MOST_REQUESTS = 1_000_000


def nano(usd: Decimal | float) -> int:
    """Return dollars as nano-dollars, rounded half up."""
    return int((Decimal(str(usd)) * NANO).to_integral_value(ROUND_HALF_UP))


def usd(amount: int | None) -> float | None:
    """Return nano-dollars as dollars for JSON; None for what is not known."""
    return None if amount is None else amount / NANO


def dollars(amount: int) -> str:
    """Write nano-dollars for people: `$2.00`, and as far as its first two digits what is under a cent."""
    value = Decimal(amount) / NANO
    if not value or value >= Decimal("0.01"):
        return f"${value.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"
    places = max(2, -value.adjusted() + 1)
    return f"${value.quantize(Decimal(1).scaleb(-min(places, 9)), ROUND_HALF_UP):f}"


def thousands(count: int) -> str:
    """Write a number of tokens for a narrow place: `950`, `34k`, `1.2M`."""
    if count < 1000:
        return str(count)
    if count < 999_500:
        return f"{count / 1000:.0f}k"
    return f"{count / 1_000_000:.1f}M"


@dataclass(frozen=True)
class Limits:
    """What a session may spend at the most; None is without limit.

    Args:
        nano: Nano-dollars.
        tokens: Tokens of every kind together.
        minutes: Minutes of running, without its waits for its provider.
        requests: Requests to models.
    """

    nano: int | None = None
    tokens: int | None = None
    minutes: int | None = None
    requests: int | None = None

    @classmethod
    def of(cls, row: Any) -> Limits:
        """Return those that stand in a row of projects or sessions."""
        return cls(row.limit_nano, row.limit_tokens, row.limit_minutes, row.limit_requests)

    def columns(self) -> dict[str, int | None]:
        """Return them by the columns of such a row."""
        return {f"limit_{name}": value for name, value in asdict(self).items()}

    def within(self, outer: Limits) -> Limits:
        """Return these, each at most that of `outer`."""
        return Limits(
            *(
                min((each for each in pair if each is not None), default=None)
                for pair in zip(astuple(self), astuple(outer), strict=True)
            )
        )


NO_LIMITS = Limits()


def changed(present: Limits, given: LimitsPatch, installation: Limits) -> Limits:
    """Return a project's own limits after a change.

    Raises:
        InvalidRequest: One would be wider than the installation's.
    """
    said = given.given()
    values = asdict(present) | {name: value for name, value in said.items() if name != "usd"}
    if "usd" in said:
        values["nano"] = None if said["usd"] is None else nano(said["usd"])
    wanted = Limits(**values)
    for name, words, most in _outer(installation):
        value = getattr(wanted, name)
        # One that was set before the installation's is tightened by that alone.
        if most is not None and value is not None and value > most and value != getattr(present, name):
            raise InvalidRequest(
                f"A session of this installation may spend {words} at the most; a project can only "
                "tighten that. Give a lower limit, or none.",
                "limit_too_high",
            )
    return wanted


def counted(number: int, what: str) -> str:
    """Say how many of something that an s makes many: `1 request`, `1,200 tokens`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _outer(limits: Limits) -> list[tuple[str, str, int | None]]:
    return [
        ("nano", dollars(limits.nano or 0), limits.nano),
        ("tokens", counted(limits.tokens or 0, "token"), limits.tokens),
        ("minutes", counted(limits.minutes or 0, "minute"), limits.minutes),
        ("requests", counted(limits.requests or 0, "request"), limits.requests),
    ]


def _amount(value: object) -> object:
    # A number of JSON as it is written there, not as the nearest binary fraction.
    return Decimal(repr(value)) if isinstance(value, float) else value


def _usd(value: Decimal) -> Decimal:
    if not (value.is_finite() and Decimal("0.000001") <= value <= MOST_USD):
        raise InvalidRequest(
            f"A limit in US dollars must be more than 0 and at most {MOST_USD:,}.", "invalid_limit"
        )
    return value


def _whole(what: str, most: int) -> Any:
    def check(value: int) -> int:
        if not 1 <= value <= most:
            raise InvalidRequest(f"A limit of {what} must be between 1 and {most:,}.", "invalid_limit")
        return value

    return AfterValidator(check)


class LimitsPatch(Patch):
    """Limits of a project's sessions; what is absent stays, null leaves the installation's alone."""

    nullable: ClassVar[frozenset[str]] = frozenset({"usd", "tokens", "minutes", "requests"})

    usd: (
        Annotated[
            Decimal,
            BeforeValidator(_amount),
            AfterValidator(_usd),
            documented(example=2.5, minimum=0.000001, maximum=MOST_USD),
        ]
        | None
    ) = None
    tokens: (
        Annotated[
            int,
            _whole("tokens", MOST_TOKENS),
            documented(example=2_000_000, minimum=1, maximum=MOST_TOKENS),
        ]
        | None
    ) = None
    minutes: (
        Annotated[
            int, _whole("minutes", MOST_MINUTES), documented(example=30, minimum=1, maximum=MOST_MINUTES)
        ]
        | None
    ) = None
    requests: (
        Annotated[
            int,
            _whole("requests", MOST_REQUESTS),
            documented(example=200, minimum=1, maximum=MOST_REQUESTS),
        ]
        | None
    ) = None


class LimitsView(View):
    """What a session may spend; null is without limit."""

    usd: float | None = Field(description="US dollars")
    tokens: int | None = Field(description="Tokens of every kind together")
    minutes: int | None = Field(description="Minutes of running, without its waits for its provider")
    requests: int | None = Field(description="Requests to models")

    @classmethod
    def show(cls, limits: Limits) -> LimitsView:
        """Make it of limits."""
        return cls(
            usd=usd(limits.nano), tokens=limits.tokens, minutes=limits.minutes, requests=limits.requests
        )
