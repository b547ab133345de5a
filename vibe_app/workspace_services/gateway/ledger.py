"""Whose a request is, what each session used, and whether it may ask once more.

All of it is in memory, and each change is in the journal before anybody hears of it: `Ledger` is what the
journal says, replayed. Talks through the passage have a budget of their own under the id "".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from vibe_app.catalogue import Catalogue
from vibe_app.errors import Forbidden, NotFound, Unavailable, VibeError
from vibe_app.wire import now
from vibe_app.wire.gateway import Budget, Ended, Provider, Tokens, UsageEntry, UsagePage
from vibe_app.workspace_services.gateway.conversations import Conversations, Kind, conversation_record
from vibe_app.workspace_services.gateway.entries import Entries
from vibe_app.workspace_services.gateway.estimates import NOTHING, Estimate, crowded, estimated
from vibe_app.workspace_services.gateway.journal import Journal, Record
from vibe_app.workspace_services.gateway.records import (
    Account,
    Reservation,
    account_of,
    added,
    reservation_of,
    reserved_record,
    seen_record,
    session_record,
    usage_of,
    used_record,
)
from vibe_app.workspace_services.gateway.wording import exhausted

TALKS = ""
"""The id of what people ask through the passage."""

_PAGE = 500
_COMPACT_FROM = 1024 * 1024

_log = logging.getLogger(__name__)


class BudgetExhausted(VibeError):
    """A session has used all that it may.

    Args:
        ended: Which limit, in words.
    """

    default_code = "budget_exhausted"

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


class Ledger:
    """Sessions, conversations and usage of one workspace.

    Args:
        journal: Where everything is written; it is replayed.
        prices: What models cost.

    Raises:
        Unavailable: The journal cannot be written.
    """

    def __init__(self, journal: Journal, prices: Catalogue) -> None:
        self._journal = journal
        self._prices = prices
        self._accounts: dict[str, Account] = {}
        self._conversations = Conversations(self._accounts)
        self._open: dict[int, Reservation] = {}
        self._entries = Entries()
        self._request = self._kept_size = 0
        self.refused = 0
        self.told = False
        """Whether the sidecar has said since this process's start whose the live conversations are."""
        self.changed = asyncio.Event()
        """Is set, and another put in its place, when a request ends or what a session may spend changes."""
        for record in journal.replay():
            self._replayed(record)
        for reservation in list(self._open.values()):
            self.settle(reservation, 0, reservation.seen, whole=False)

    @property
    def journal_id(self) -> str:
        """Names the journal, for cursors."""
        return self._journal.id

    @property
    def last(self) -> int:
        """The number of the newest entry."""
        return self._entries.last

    @property
    def sessions(self) -> tuple[str, ...]:
        """The sessions that are registered."""
        return tuple(sorted(name for name in self._accounts if name != TALKS))

    @property
    def size(self) -> int:
        """The journal's bytes."""
        return self._journal.size

    def sync(self) -> None:
        """Force what was written to the disk; for a thread."""
        self._journal.sync()

    def register(self, session: str, budget: Budget) -> Account:
        """Take a session's limits, and what the engine knows that it used.

        Raises:
            Unavailable: The journal cannot be written.
        """
        spent, known = budget.spent, self._accounts.get(session)
        same = budget.journal == self.journal_id and self._entries.reach(budget.after)
        if known is not None and not same:
            spent = known.spent
        else:
            for entry in self._entries:
                if (entry.session_id or TALKS) == session and (not same or entry.seq > budget.after):
                    spent = added(spent, entry)
        account = Account(session, budget.limits, spent, budget.started_at)
        account.under_way = known.under_way if known else 0
        if known != account:
            self._journal.append(session_record(account))
            self._accounts[session] = account
            self._wake()
        return account

    def find(self, session: str) -> Account:
        """Return what is known of a session.

        Raises:
            NotFound: Nobody registered it.
        """
        if session in self._accounts:
            return self._accounts[session]
        raise NotFound(f"This workspace's gateway knows no session {session}.")

    def forget(self, session: str) -> None:
        """End a session: its conversations are nobody's then. What it used stays until it is confirmed.

        Raises:
            Unavailable: The journal cannot be written.
        """
        if session in self._accounts:
            self._journal.append({"kind": "gone", "id": session})
            self._gone(session)

    def belongs(self, conversation: str, session: str) -> None:
        """Take whose an OpenCode session is.

        Raises:
            NotFound: The session is not registered.
            Unavailable: The journal cannot be written.
        """
        self.find(session)
        self._learn(conversation, "session", session)

    def belong(self, sessions: Mapping[str, str]) -> None:
        """Take whose all live OpenCode sessions are, also of sessions that will only be registered.

        Raises:
            Unavailable: The journal cannot be written.
        """
        self._conversations.forget_awaited(sessions)
        for conversation, session in sessions.items():
            self._learn(conversation, "session", session)
        self.told = True

    def whose(self, conversation: str, parent: str) -> str:
        """Return the session that a request is asked for, `TALKS` for none.

        Args:
            conversation: OpenCode's id of the talk it belongs to.
            parent: The id of the talk whose sub-agent asks; empty for none.

        Raises:
            Forbidden: It belongs to no session, and talks are not allowed.
            Unavailable: Nobody has told yet whose it is, or the journal cannot be written.
        """
        owner = self._conversations.owner
        if parent and owner(conversation) is None and owner(parent) is not None:
            self._learn(conversation, "parent", parent)
        session = owner(conversation)
        if session is None:
            awaited = self._conversations.is_awaited
            if not self.told or awaited(conversation) or awaited(parent):
                # It may be a session's, so it is nobody's talk.
                raise Unavailable(
                    "The gateway was started a moment ago and has not been told whose this conversation is.",
                    "not_told",
                )
            if TALKS not in self._accounts:
                self.refused += 1
                raise Forbidden(
                    "This conversation belongs to no session of the board, and the project does not let"
                    " people talk to its model beside them.",
                    "unknown_conversation",
                )
            session = TALKS
        return session

    def estimate(self, session: str, provider: Provider, model: str, body: bytes) -> Estimate:
        """Estimate what a request will use, where the session has a limit that this could go over."""
        limits = self._accounts[session].limits
        if limits.nanodollars is None and limits.tokens is None:
            return NOTHING
        return estimated(body, self._prices.find(provider.catalogue, model), free=provider.free)

    def is_crowded(self, session: str, estimate: Estimate) -> bool:
        """Tell whether a request is to wait for others of its session that are under way.

        So it is where all of them together may go over a limit. By itself a request never waits, and where
        the limit is reached by what was truly used, it is not to wait but to be refused.
        """
        account = self._accounts.get(session)
        held = [each.estimate for each in self._open.values() if each.session == session]
        if account is None or not held:
            return False
        if exhausted(account.limits, account.spent, account.under_way, account.started_at):
            return False
        return crowded(account.limits, account.spent, held, estimate)

    def admit(
        self,
        conversation: str,
        parent: str,
        provider: Provider,
        model: str,
        estimate: Estimate = NOTHING,
    ) -> Reservation:
        """Let a request pass and note it as under way.

        Args:
            conversation: OpenCode's id of the talk it belongs to.
            parent: The id of the talk whose sub-agent asks; empty for none.
            provider: Who is asked.
            model: Which model.
            estimate: What it may use.

        Raises:
            Forbidden: It belongs to no session, and talks are not allowed.
            BudgetExhausted: The session, or the project's talks, used all that they may.
            Unavailable: The journal cannot be written.
        """
        session = self.whose(conversation, parent)
        account = self._accounts[session]
        if ended := exhausted(account.limits, account.spent, account.under_way, account.started_at):
            self.refused += 1
            self.end(session, ended)
            raise BudgetExhausted(ended)
        self._request += 1
        reservation = Reservation(
            number=self._request,
            session=session,
            conversation=conversation,
            provider=provider.id,
            catalogue=provider.catalogue,
            free=provider.free,
            model=model,
            started_at=now(),
            estimate=estimate,
        )
        self._journal.append(reserved_record(reservation))
        self._reserve(reservation)
        return reservation

    def saw(self, reservation: Reservation, tokens: Tokens) -> None:
        """Note the first figures of an answer that is under way: they count should it be broken off."""
        if reservation.seen is None and not reservation.settled:
            reservation.seen = tokens
            self._journal.append(seen_record(reservation))

    def settle(self, reservation: Reservation, status: int, tokens: Tokens | None, *, whole: bool) -> None:
        """Note what a request used, once.

        Args:
            reservation: The request.
            status: The provider's; 0 where it gave none.
            tokens: Its figures; None where there were none.
            whole: Whether the answer came to its end.

        Raises:
            Unavailable: The journal cannot be written; the request counts as broken off at the next start.
        """
        if reservation.settled:
            return
        entry = usage_of(
            reservation, self.last + 1, status, tokens, self._cost(reservation, tokens), now(), whole=whole
        )
        self._journal.append(used_record(reservation, entry))
        reservation.settled = True
        self._used(reservation.number, entry)

    def _cost(self, reservation: Reservation, tokens: Tokens | None) -> int | None:
        """Return what a request cost in nanodollars; None where that is not known."""
        if reservation.free or (tokens is not None and tokens.total == 0):
            return 0
        if tokens is None:
            return None
        return self._prices.nanodollars(reservation.catalogue, reservation.model, tokens)

    def release(self, reservation: Reservation) -> None:
        """Take a request back that never left: it does not count.

        Raises:
            Unavailable: The journal cannot be written.
        """
        if not reservation.settled:
            self._journal.append({"kind": "released", "request": reservation.number})
            reservation.settled = True
            self._unreserve(reservation.number)

    def end(self, session: str, ended: Ended | None) -> None:
        """Note why a session's request was answered with 402, or that one passed since."""
        account = self._accounts.get(session)
        if account is not None and account.ended != ended:
            account.ended = ended
            self._journal.append(session_record(account))

    def page(self, journal: str, after: int) -> UsagePage:
        """Return entries after a number; those up to it are confirmed and may go.

        Args:
            journal: Which journal the number is of; with another one, the answer begins with the first.
            after: The last number that the engine holds.
        """
        if journal != self.journal_id:
            after = 0
        after = min(after, self.last)
        self._entries.confirm(after)
        if self._journal.size > max(_COMPACT_FROM, 2 * self._kept_size):
            self._compact()
        found = self._entries.after(after, _PAGE)
        return UsagePage(journal=self.journal_id, entries=found, last=self.last)

    def _learn(self, conversation: str, kind: Kind, name: str) -> None:
        if not self._conversations.is_known(conversation, kind, name):
            self._journal.append(conversation_record(conversation, kind, name))
            self._conversations.remember(conversation, kind, name)

    def _gone(self, session: str) -> None:
        self._accounts.pop(session, None)
        self._wake()
        if session != TALKS:
            self._conversations.forget(session)

    def _reserve(self, reservation: Reservation) -> None:
        self._open[reservation.number] = reservation
        self._request = max(self._request, reservation.number)
        if account := self._accounts.get(reservation.session):
            account.under_way += 1

    def _unreserve(self, number: int) -> None:
        reservation = self._open.pop(number, None)
        if reservation and (account := self._accounts.get(reservation.session)):
            account.under_way = max(account.under_way - 1, 0)
        self._wake()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def _used(self, number: int, entry: UsageEntry) -> None:
        if account := self._accounts.get(entry.session_id or TALKS):
            account.spent = added(account.spent, entry)
        self._entries.add(entry)
        self._unreserve(number)

    def _compact(self) -> None:
        """Write the journal anew without what is confirmed, or was said again since."""
        try:
            self._journal.rewrite(self._snapshot())
        except OSError as error:
            _log.warning("The journal cannot be written anew and stays as it is: %s", error.strerror)
            return
        self._entries.drop_confirmed()
        self._kept_size = self._journal.size

    def _snapshot(self) -> Iterator[Record]:
        yield {"kind": "dropped", "upto": self._entries.confirmed, "request": self._request}
        for account in self._accounts.values():
            yield session_record(account)
        yield from self._conversations.records()
        for reservation in self._open.values():
            yield reserved_record(reservation)
            if reservation.seen is not None:
                yield seen_record(reservation)
        for entry in self._entries.unconfirmed():
            # Sums hold it already.
            yield {"kind": "kept", "entry": entry.model_dump(mode="json")}

    def _replayed(self, record: Record) -> None:
        try:
            self._apply(record)
        except (ValidationError, KeyError, TypeError, ValueError):
            _log.warning("An entry of the journal cannot be read and is left out")

    def _apply(self, record: Record) -> None:
        match record.get("kind"):
            case "session":
                account = account_of(record)
                known = self._accounts.get(account.id)
                account.under_way = known.under_way if known else 0
                self._accounts[account.id] = account
            case "gone":
                self._gone(record["id"])
            case "conversation":
                kind = "session" if "session" in record else "parent"
                self._conversations.remember(record["id"], kind, record[kind])
            case "reserved":
                self._reserve(reservation_of(record))
            case "seen" if record["request"] in self._open:
                self._open[record["request"]].seen = Tokens.model_validate(record["tokens"])
            case "released":
                self._unreserve(record["request"])
            case "used":
                self._used(record["request"], UsageEntry.model_validate(record["entry"]))
            case "kept":
                self._entries.add(UsageEntry.model_validate(record["entry"]))
            case "dropped":
                self._entries.begin_after(record["upto"])
                self._request = record["request"]
            case _:
                pass
