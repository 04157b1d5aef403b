"""Why something could not be done: where it stopped and in what way. Rules match on these."""

from dataclasses import dataclass
from enum import StrEnum


class Stage(StrEnum):
    """How far a dialogue had come, in the order in which it proceeds."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    QUIT = "quit"


class Kind(StrEnum):
    """In what way it failed."""

    REFUSED = "refused"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"
    NO_ROUTE = "no-route"
    """Of our own: this machine has no route of that address family."""
    RESET = "reset"
    CLOSED = "closed"
    """End of stream where a reply was due."""
    TLS_FAILED = "tls-failed"
    NOT_TLS = "not-tls"
    """Clear text where a TLS record was due."""
    OVERLONG = "overlong"
    """The peer sent more than the budget allows."""
    REJECTED = "rejected"
    """A reply said no."""
    THROTTLED = "throttled"
    """A reply said not now: 421, or 4yz where nobody else would get it."""
    OUT_OF_TIME = "out-of-time"
    """Our own budget for the whole run was spent."""
    NOT_TRIED = "not-tried"
    """Our own politeness or plan: nothing was sent."""
    LOCAL = "local"
    """Our own machine: no free port, no file, a protocol our library can't offer."""


OWN = frozenset({Kind.NO_ROUTE, Kind.OUT_OF_TIME, Kind.NOT_TRIED, Kind.LOCAL, Kind.THROTTLED})
"""Kinds that say nothing about whether the server is well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A stage, a kind, and the words of the system or the peer."""

    stage: Stage
    kind: Kind
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.stage}: {self.kind}" + (f" ({self.detail})" if self.detail else "")
