"""A message on its way: who it is for, where it may go, and what came of each try."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from smtpcheck.facts.failure import Failure
from smtpcheck.facts.host import MailHost
from smtpcheck.facts.transcript import Transcript
from smtpcheck.wire.reply import Reply


class Because(StrEnum):
    """Why a route leads where it leads."""

    MX = "mx"
    IMPLICIT_MX = "implicit-mx"
    SMARTHOST = "smarthost"
    LITERAL = "literal"
    NULL_MX = "null-mx"
    LOCAL = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """The hosts that may take mail for `domain`, in the order to try. No host: nothing can."""

    domain: str
    hosts: tuple[MailHost, ...] = ()
    because: Because = Because.MX


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwardPath:
    """A recipient with its DSN parameters (RFC 3461 §4). `notify` upper-case, empty: not given."""

    address: str
    notify: tuple[str, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """The envelope of one message; the content is separate and immutable.

    `reverse_path` is "" for the null path. `ret` is FULL, HDRS or "". `size` in octets as
    received. `peer`, `helo`, `authenticated` and `protocol` (ESMTPSA …) tell how it came.
    """

    message_id: str
    reverse_path: str
    forward_paths: tuple[ForwardPath, ...]
    eight_bit: bool = False
    smtputf8: bool = False
    requiretls: bool = False
    ret: str = ""
    envid: str = ""
    size: int = 0
    received: datetime
    peer: str = ""
    helo: str = ""
    authenticated: str = ""
    protocol: str = "SMTP"


class Outcome(StrEnum):
    """What a try came to for one recipient. UNKNOWN: the final dot went unanswered."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientOutcome:
    """One recipient's outcome, with the reply that caused it, or the failure when none came.

    `dsn_passed`: the host reports deliveries itself (RFC 3461), so that nobody else need.
    """

    address: str
    outcome: Outcome
    reply: Reply | None = None
    failure: Failure | None = None
    host: str = ""
    dsn_passed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One connection to one host of the route; one walk of the route is several attempts."""

    route: Route
    host: MailHost | None = None
    started: datetime
    ended: datetime
    outcomes: tuple[RecipientOutcome, ...] = ()
    failure: Failure | None = None
    tls: str = ""
    transcript: Transcript | None = None
