"""What becomes of what a session is offered: the seam between the wire and the engine.

Law: each method answers with the reply that the client gets, now or when its awaitable
resolves. A 250 to a message is a promise. What raises is answered 451.
"""

from collections.abc import Awaitable, Collection, Mapping
from hmac import compare_digest
from typing import Protocol

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay import replies
from smtpcheck.relay.exchange import Credentials
from smtpcheck.relay.happening import SessionInfo, Transaction
from smtpcheck.wire.address import canonical_domain
from smtpcheck.wire.reply import Reply, reply

Answer = Reply | Awaitable[Reply]


class Acceptance(Protocol):
    """Who may connect, log in, send, receive; and what becomes of a message."""

    def connected(self, info: SessionInfo) -> Reply | None:
        """None to greet; else the greeting instead: 4yz hangs up, 5yz waits for QUIT."""

    def authenticate(self, info: SessionInfo, credentials: Credentials) -> Answer:
        """235, 535, or 454 for not now. A password is right or wrong unless `proven`."""

    def sender(self, info: SessionInfo, transaction: Transaction) -> Answer:
        """May this transaction begin? 250 or a refusal."""

    def recipient(self, info: SessionInfo, transaction: Transaction, path: ForwardPath) -> Answer:
        """Is mail for `path` taken from this client? 250 or a refusal."""

    def accept(self, info: SessionInfo, envelope: Envelope, content: bytes) -> Answer:
        """Take the message on: 250 once it can't be lost any more, or a refusal."""

    def disconnected(self, info: SessionInfo) -> None:
        """A connection is gone that an observer was asked for, greeted or not."""


class MemoryAcceptance:
    """Keeps messages in a list. Without `domains`, mail for anybody is taken, so: loopback."""

    def __init__(
        self, *, users: Mapping[str, str] | None = None, domains: Collection[str] | None = None
    ) -> None:
        self.messages: list[tuple[Envelope, bytes]] = []
        self._users = dict(users or {})
        self._domains = None if domains is None else {canonical_domain(each) for each in domains}

    def connected(self, _: SessionInfo) -> Reply | None:
        """Everybody is welcome."""
        return None

    def authenticate(self, _: SessionInfo, credentials: Credentials) -> Answer:
        """By the password alone; nobody acts for somebody else."""
        expected = self._users.get(credentials.username)
        known = expected is not None and not credentials.authorization
        same = compare_digest((expected or "").encode(), credentials.password.encode())
        return replies.LOGGED_IN if known and same else replies.WRONG_PASSWORD

    def sender(self, _: SessionInfo, __: Transaction) -> Answer:
        """Anybody may send."""
        return replies.SENDER_OK

    def recipient(self, info: SessionInfo, _: Transaction, path: ForwardPath) -> Answer:
        """Local domains for everybody, all others for users."""
        if self._domains is None or info.authenticated:
            return replies.RECIPIENT_OK
        domain = canonical_domain(path.address.rpartition("@")[2])
        return replies.RECIPIENT_OK if domain in self._domains else replies.NO_RELAYING

    def accept(self, _: SessionInfo, envelope: Envelope, content: bytes) -> Answer:
        """Kept until the process ends."""
        self.messages.append((envelope, content))
        return reply(250, f"2.0.0 Ok: queued as {envelope.message_id}")

    def disconnected(self, _: SessionInfo) -> None:
        """Nothing to tidy."""
