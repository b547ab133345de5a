"""What the ledger knows of a session and of a request, and how the journal says it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from vibe_app.wire import HUGE
from vibe_app.wire.gateway import Ended, Limits, Spending, Spent, Tokens, UsageEntry
from vibe_app.workspace_services.gateway.estimates import NOTHING, Estimate
from vibe_app.workspace_services.gateway.journal import Record


@dataclass
class Account:
    """What is known of a session."""

    id: str
    limits: Limits
    spent: Spent
    started_at: datetime | None
    ended: Ended | None = None
    under_way: int = 0

    def spending(self) -> Spending:
        """The same for the engine."""
        return Spending(
            session_id=self.id,
            limits=self.limits,
            spent=self.spent,
            started_at=self.started_at,
            ended=self.ended,
        )


@dataclass
class Reservation:
    """A request that is under way: in the journal until it is settled."""

    number: int
    session: str
    conversation: str
    provider: str
    catalogue: str
    free: bool
    model: str
    started_at: datetime
    seen: Tokens | None = None
    estimate: Estimate = NOTHING
    settled: bool = field(default=False, compare=False)


_RESERVED = ("number", "session", "conversation", "provider", "catalogue", "free", "model", "started_at")


def added(spent: Spent, entry: UsageEntry) -> Spent:
    """Add what one request used."""
    more = {name: getattr(spent, name) + getattr(entry, name) for name in Tokens.model_fields}
    more |= {
        "requests": spent.requests + 1,
        "nanodollars": spent.nanodollars + (entry.nanodollars or 0),
        "unpriced": spent.unpriced + (entry.nanodollars is None and entry.usage != "part"),
        "cut_off": spent.cut_off + (entry.usage == "part"),
    }
    return Spent(**{name: min(value, HUGE) for name, value in more.items()})


def session_record(account: Account) -> Record:
    """Write a session as it stands."""
    return {"kind": "session"} | account.spending().model_dump(mode="json")


def account_of(record: Record) -> Account:
    """Read what `session_record` wrote.

    Raises:
        KeyError: Something is missing.
        ValidationError: Something is of another kind.
    """
    found = Spending.model_validate({name: record[name] for name in Spending.model_fields})
    return Account(found.session_id, found.limits, found.spent, found.started_at, found.ended)


def reserved_record(reservation: Reservation) -> Record:
    """Write that a request is under way."""
    record: Record = {name: getattr(reservation, name) for name in _RESERVED}
    return {"kind": "reserved"} | record | {"started_at": reservation.started_at.isoformat()}


def seen_record(reservation: Reservation) -> Record:
    """Write the first figures of a request that is under way."""
    assert reservation.seen is not None
    return {"kind": "seen", "request": reservation.number, "tokens": reservation.seen.model_dump()}


def reservation_of(record: Record) -> Reservation:
    """Read what `reserved_record` wrote.

    Raises:
        KeyError: Something is missing.
        ValueError: The moment is none.
    """
    return Reservation(
        number=record["number"],
        session=record["session"],
        conversation=record["conversation"],
        provider=record["provider"],
        catalogue=record["catalogue"],
        free=record["free"],
        model=record["model"],
        started_at=datetime.fromisoformat(record["started_at"]),
    )


def usage_of(
    reservation: Reservation,
    number: int,
    status: int,
    tokens: Tokens | None,
    cost: int | None,
    moment: datetime,
    *,
    whole: bool,
) -> UsageEntry:
    """Return the entry of a request that is over.

    Args:
        reservation: The request.
        number: The entry's.
        status: The provider's; 0 where it gave none.
        tokens: Its figures; None where there were none.
        cost: Nanodollars; None where that is not known.
        moment: When it ended.
        whole: Whether the answer came to its end.
    """
    used = tokens or Tokens()
    return UsageEntry(
        seq=number,
        session_id=reservation.session or None,
        conversation=reservation.conversation,
        provider=reservation.provider,
        model=reservation.model,
        status=status,
        usage=("whole" if tokens is not None else "none") if whole else "part",
        nanodollars=cost,
        started_at=reservation.started_at,
        seconds=max((moment - reservation.started_at).total_seconds(), 0),
        **used.model_dump(),
    )


def used_record(reservation: Reservation, entry: UsageEntry) -> Record:
    """Write what a request used."""
    return {"kind": "used", "request": reservation.number, "entry": entry.model_dump(mode="json")}
