"""What one probe saw on one connection.

Law: a probe always returns a Step; where it stopped is `failure`; what it did not get to is None.
"""

from dataclasses import dataclass
from enum import StrEnum

from smtpcheck.facts.failure import Failure
from smtpcheck.facts.host import MailHost
from smtpcheck.facts.smtp import Ehlo, Ending, Exchange
from smtpcheck.facts.tls import TlsSession, VersionOffer
from smtpcheck.facts.transcript import Transcript


class Probe(StrEnum):
    """What a connection was opened for."""

    DIALOGUE = "dialogue"
    """The whole way: greeting, EHLO, TLS, EHLO again, QUIT."""
    VERSION = "version"
    """One ClientHello that offers one protocol version."""
    CLEARTEXT = "cleartext"
    """MAIL on a submission port without TLS."""
    TLS_FIRST = "tls-first"
    """A ClientHello on a port meant for clear text that stays silent."""
    CONTROL = "control"
    """A server known to be good, asked when another one does not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One connection of one probe. Times in seconds.

    `connected` is the time until the TCP connection stood, None when it never did.
    `starttls` is the exchange of STARTTLS; `after_starttls` the octets that came glued to its 220.
    `first_octets` are the first the server sent where TLS was due and clear text came.
    """

    probe: Probe
    host: MailHost
    began: float = 0.0
    took: float = 0.0
    connected: float | None = None
    greeting: Exchange | None = None
    ehlo: Ehlo | None = None
    starttls: Exchange | None = None
    after_starttls: bytes = b""
    tls: TlsSession | None = None
    ehlo_tls: Ehlo | None = None
    version: VersionOffer | None = None
    mail: Exchange | None = None
    first_octets: bytes = b""
    ending: Ending | None = None
    failure: Failure | None = None
    transcript: Transcript | None = None
