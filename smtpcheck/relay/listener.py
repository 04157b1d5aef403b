"""What one listening port is: its role, its security, what it offers and how much it bears.

Law: plain values. A deliberate fault (a 554 greeting, AUTH before TLS, STARTTLS withheld)
is a setting like any other, so that demo and tests break a server by configuring it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from OpenSSL import SSL

from smtpcheck.facts.host import Role, Security
from smtpcheck.relay.exchange import MECHANISMS, Mechanism
from smtpcheck.wire.data import MAX_CONTENT
from smtpcheck.wire.reply import Reply

EXTENSIONS = frozenset(
    {
        "8BITMIME",
        "AUTH",
        "CHUNKING",
        "DSN",
        "ENHANCEDSTATUSCODES",
        "PIPELINING",
        "SIZE",
        "SMTPUTF8",
        "STARTTLS",
    }
)
"""What a listener offers unless told otherwise. REQUIRETLS is known, too, for whoever keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerLimits:
    """Octets, counts, and times in seconds, of one connection unless said otherwise."""

    command_octets: int = 2048
    """With CRLF. RFC 5321 §4.5.3.1.4 asks 512, and more for each extension."""
    auth_octets: int = 12288
    """Of one line of an AUTH exchange (RFC 4954 §4)."""
    message_octets: int = MAX_CONTENT
    recipients: int = 1000
    """Of one message; RFC 5321 §4.5.3.1.8 asks 100."""
    messages: int = 1000
    bad_commands: int = 20
    """Between two messages, as the next."""
    idle_commands: int = 200
    """That get no mail anywhere, as NOOP."""
    failed_logins: int = 3
    backlog_octets: int = 64 * 1024
    """Unread while an answer is awaited; beyond it the client is made to wait."""
    handshake: float = 30.0
    idle: float = 300.0
    """Between commands (RFC 5321 §4.5.3.2.7)."""
    data: float = 180.0
    """Between two pieces of a message's content (§4.5.3.2.5)."""
    answer: float = 600.0
    """For ourselves to answer a question; the client's patience ends there (§4.5.3.2.6)."""
    session: float = 3600.0
    """In all, whatever the client does."""
    linger: float = 2.0
    """For the client to read a last reply before the connection is cut."""
    content_octets: int = 512 * 1024 * 1024
    """Of all messages being received at once, by one listener."""
    connections: int = 1000
    """At once, of one listener."""
    connections_per_client: int = 100
    """At once; an IPv6 client is its /64."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ListenerConfig:
    """One port. `context` makes TLS possible; `port` 0 lets the system choose.

    Compared by identity: its replies are made once and kept with it.
    """

    hostname: str = "localhost"
    address: str = "127.0.0.1"
    port: int = 0
    role: Role = Role.MX
    security: Security = Security.STARTTLS
    context: SSL.Context | None = field(default=None, repr=False)
    limits: ListenerLimits = ListenerLimits()
    extensions: frozenset[str] = EXTENSIONS
    mechanisms: Mapping[str, Mechanism] = field(default_factory=lambda: MECHANISMS)
    auth: bool | None = None
    """Whether to offer AUTH; where unsaid, on the ports of users."""
    auth_required: bool | None = None
    """Before MAIL; where unsaid, on the ports of users."""
    auth_in_clear: bool = False
    """A fault, except on loopback: AUTH without TLS."""
    greeting: Reply | None = None
    """In place of the 220; 4yz closes, 5yz waits for QUIT (RFC 5321 §3.1)."""
    greeting_delay: float = 0.0
    ehlo: Reply | None = None
    """A fault: answer EHLO with this."""
    starttls: Reply | None = None
    """A fault: answer STARTTLS with this, such as 454 4.7.0."""

    def __post_init__(self) -> None:
        if self.security is Security.IMPLICIT and self.context is None:
            raise ValueError("implicit TLS needs a certificate")

    @property
    def offers_auth(self) -> bool:
        """Whether anybody can log in here at all."""
        asked = self.role.for_users if self.auth is None else self.auth
        return asked and "AUTH" in self.extensions and bool(self.mechanisms)

    @property
    def requires_auth(self) -> bool:
        """Whether mail is taken from authenticated users alone."""
        return self.role.for_users if self.auth_required is None else self.auth_required

    @property
    def offers_starttls(self) -> bool:
        """Whether a clear-text session may become TLS."""
        return (
            self.context is not None
            and self.security is Security.STARTTLS
            and "STARTTLS" in self.extensions
        )
