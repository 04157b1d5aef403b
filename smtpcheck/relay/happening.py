"""What a session knows of itself, and the questions it puts to whoever drives it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.facts.transcript import Layer, Side
from smtpcheck.relay.exchange import Credentials
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.wire.command import MailCommand

Observer = Callable[[Side, Layer, bytes, str], None]
"""Told of each write and each piece read: side, layer, octets, note.

What the session declares secret arrives as no octets and the note `‹n bytes›`.
"""


@dataclass(slots=True, kw_only=True)
class SessionInfo:
    """Who is connected to what. The session keeps it up to date; others read it.

    `tls` is "" in clear text, else version and cipher. `authenticated` is the user's name.
    """

    listener: ListenerConfig
    address: str = ""
    port: int = 0
    helo: str = ""
    extended: bool = False
    tls: str = ""
    authenticated: str = ""
    messages: int = 0
    observer: Observer | None = None

    @property
    def layer(self) -> Layer:
        """Whether others on the wire can read along."""
        return Layer.TLS if self.tls else Layer.PLAIN


@dataclass(slots=True)
class Transaction:
    """The envelope while it grows: MAIL's command and the recipients accepted so far."""

    mail: MailCommand
    forward_paths: dict[str, ForwardPath] = field(default_factory=dict)

    @property
    def reverse_path(self) -> str:
        """The sender's address, "" for the null path."""
        return self.mail.path.address


@dataclass(slots=True)
class Login:
    """May they log in? Answer 235 or 535 (454 for not now)."""

    credentials: Credentials


@dataclass(slots=True)
class Sender:
    """May this transaction begin? Answer 250, 4yz or 5yz."""

    transaction: Transaction


@dataclass(slots=True)
class Recipient:
    """Is this one welcome? Answer 250, 4yz or 5yz."""

    transaction: Transaction
    forward_path: ForwardPath


@dataclass(slots=True)
class Message:
    """A message, whole and well-formed. A 250 is a promise: answer once it can be kept."""

    envelope: Envelope
    content: bytes


@dataclass(slots=True)
class StartTls:
    """Send what is pending, shake hands, then call `secured`."""


Happening = Login | Sender | Recipient | Message | StartTls
