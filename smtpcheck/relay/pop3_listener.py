"""What one POP3 port is, and the questions that its sessions put to whoever drives them.

Law: plain values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from OpenSSL import SSL

from smtpcheck.facts.host import Security
from smtpcheck.relay.exchange import MECHANISMS, Mechanism
from smtpcheck.relay.happening import Login, StartTls
from smtpcheck.relay.maildir import Stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Limits:
    """Octets, counts, and times in seconds, of one connection unless said otherwise."""

    auth_octets: int = 12288
    """Of one line of an AUTH exchange."""
    inbound_octets: int = 64 * 1024 * 1024
    bad_commands: int = 10
    failed_logins: int = 3
    failed_login_delay: float = 2.0
    handshake: float = 30.0
    login: float = 60.0
    """Between commands, before somebody is logged in."""
    idle: float = 600.0
    """Between commands; RFC 1939 §3 asks for ten minutes at least."""
    write: float = 120.0
    """For the client to take what stands in the way of the next piece."""
    session: float = 4 * 3600.0
    linger: float = 5.0
    """For the client to take our last words before the connection is cut."""
    connections: int = 200
    """At once, of one listener."""
    connections_per_client: int = 10
    """At once; an IPv6 client is its /64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pop3Config:
    """One port. `context` makes TLS possible; `port` 0 lets the system choose.

    `mechanisms` that are not PLAIN need their `start` to know the users, as in the listener's.
    """

    address: str = "127.0.0.1"
    port: int = 0
    security: Security = Security.STARTTLS
    context: SSL.Context | None = field(default=None, repr=False)
    limits: Pop3Limits = Pop3Limits()
    login_in_clear: bool = False
    mechanisms: Mapping[str, Mechanism] = field(
        default_factory=lambda: {"PLAIN": MECHANISMS["PLAIN"]}
    )


@dataclass(slots=True)
class Retrieve:
    """Send a message as a block, with `lines` lines of its body or all: `sending`, then `sent`.

    Or `refuse`. `said` is for the +OK.
    """

    stored: Stored
    said: str
    lines: int | None = None


@dataclass(slots=True)
class Update:
    """Delete these and call `updated`."""

    deleted: Sequence[Stored]


Question = Login | StartTls | Retrieve | Update
