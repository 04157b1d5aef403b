"""The queue as the engine sees it: what waits for whom, who works on it, what came of it.

Law: `accept` and `settle` return only when their change is durable, and each is all or
nothing. A recipient's state is final once final. What is claimed is nobody else's until it is
settled, and everybody's again when its holder dies. Times are seconds since the epoch.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from smtpcheck.facts.delivery import Attempt, Envelope, RecipientOutcome
from smtpcheck.wire.address import canonical_domain
from smtpcheck.wire.reply import Reply, reply

Content = bytes | Path
"""A message, or the spool file that holds it; CRLF line ends."""


class State(StrEnum):
    """Of one recipient of one message."""

    QUEUED = "queued"
    HELD = "held"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"
    REMOVED = "removed"

    @property
    def final(self) -> bool:
        """Whether nothing more will ever happen to it."""
        return self not in (State.QUEUED, State.HELD)


class Action(StrEnum):
    """What an operator can do to messages that are queued or held."""

    RETRY = "retry"
    HOLD = "hold"
    RELEASE = "release"
    REMOVE = "remove"


class QueueError(Exception):
    """The queue can't keep a promise now; `reply` is the 45x to give."""

    def __init__(self, detail: str, answer: Reply) -> None:
        super().__init__(detail)
        self.reply = answer


class FullError(QueueError):
    """No space left (RFC 3463 §3.4: X.3.1)."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reply(452, "4.3.1 Insufficient system storage"))


class BrokenError(QueueError):
    """The storage fails; it is reopened by the next who asks."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, reply(451, "4.3.0 Queue storage failed, try again later"))


class StaleError(Exception):
    """A settlement of what is already final: it was made before."""


class LockedError(Exception):
    """Another relay works on this data directory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One recipient of a message; `position` is its index in the envelope. `last`: the last try."""

    position: int
    address: str
    state: State = State.QUEUED
    tries: int = 0
    due: float = 0.0
    last: RecipientOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Recipients of one message that are ours to work on. `domain` "*": of all domains."""

    envelope: Envelope
    content: Content
    domain: str
    recipients: tuple[Recipient, ...]
    received: float
    warned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a recipient comes to. A QUEUED one is tried again at `due`."""

    position: int
    state: State
    due: float = 0.0
    tried: bool = True
    last: RecipientOutcome | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A message of our own about another: bounce, delay warning or relay receipt."""

    envelope: Envelope
    content: bytes
    alarm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What came of a claim: one commit, the reports it causes included.

    `alarm` is when the message needs a look again whatever its tries come to, None: as before.
    """

    claim: Claim
    changes: tuple[Change, ...]
    attempts: tuple[Attempt, ...] = ()
    reports: tuple[Report, ...] = ()
    warned: bool = False
    alarm: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """A domain that mail waits for. `failures`: walks in a row that reached no host."""

    domain: str
    due: float
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A message as an operator sees it. `attempts` oldest first, where asked for."""

    envelope: Envelope
    received: float
    finished: float | None
    recipients: tuple[Recipient, ...]
    attempts: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which messages: one by its id, those for a domain, or all; of those unfinished."""

    message_id: str = ""
    domain: str = ""


class Queue(Protocol):
    """What the engine asks of whatever keeps the messages."""

    async def accept(self, envelope: Envelope, content: bytes, *, now: float, alarm: float) -> None:
        """Keep a message, durably. Raises QueueError, and then nothing is kept."""

    async def ready(self, now: float, limit: int) -> tuple[Destination, ...]:
        """Destinations that are due, longest due first."""

    async def next_due(self, after: float) -> float | None:
        """When the next destination or alarm is due that isn't at `after`."""

    async def claim(self, domain: str, now: float, limit: int) -> tuple[Claim, ...]:
        """At most `limit` messages with recipients that are due in `domain`."""

    async def claim_alarmed(self, now: float, limit: int) -> tuple[Claim, ...]:
        """Messages whose alarm has gone off, none of whose recipients are being worked on."""

    async def settle(self, settlement: Settlement, *, now: float) -> None:
        """Record what came of a claim and give it up. Raises QueueError or StaleError."""

    async def unclaim(self, claim: Claim) -> None:
        """Give a claim up unchanged."""

    async def rest(
        self, domain: str, *, until: float = 0.0, failures: int = 0, missed: float = 0.0
    ) -> None:
        """Nobody works on `domain` now; it is due with its next recipient, or later at `until`.

        `missed`: what was due by then and left alone, as no host was reached, counts as tried.
        """

    async def change(self, action: Action, which: Selection, *, now: float) -> tuple[str, ...]:
        """Do something to messages at rest; the ids of those it was done to."""

    async def entries(
        self, which: Selection, *, limit: int, finished: bool = False
    ) -> tuple[Entry, ...]:
        """Messages, oldest first; with their attempts when asked for by id."""

    async def content(self, message_id: str) -> bytes | None:
        """The octets of an unfinished message."""

    async def prune(self, before: float) -> int:
        """Forget messages that were finished before; how many."""

    async def close(self) -> None:
        """Finish what is under way and let go."""


def domain_of(address: str) -> str:
    """The destination of an address, "" for the bare Postmaster."""
    _, at, domain = address.rpartition("@")
    return canonical_domain(domain) if at else ""
