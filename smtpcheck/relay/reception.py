"""Who may send what through this relay, and the promise that a 250 is: an Acceptance.

Law: closed. Others' mail is taken from authenticated users and listed networks alone; an
address is looked up as it stands, so `user%other@here` is but an unknown user. A message is
accepted once the queue has it for good.
"""

from collections.abc import Callable
from dataclasses import replace
from hmac import compare_digest

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay import replies
from smtpcheck.relay.acceptance import Answer
from smtpcheck.relay.bounce import header
from smtpcheck.relay.config import Config
from smtpcheck.relay.connection import client_key
from smtpcheck.relay.exchange import Credentials
from smtpcheck.relay.happening import Observer, SessionInfo, Transaction
from smtpcheck.relay.queue import Queue, QueueError, domain_of
from smtpcheck.relay.rates import Rate
from smtpcheck.relay.record import Record
from smtpcheck.relay.trace import received
from smtpcheck.relay.transcripts import Transcripts
from smtpcheck.wire.reply import Reply, reply

MAX_RECEIVED = 50
"""Received fields beyond which a message is going round in circles (RFC 5321 §6.3)."""

LOOP = reply(554, "5.4.6 Too many hops, the message is looping")
NO_SUCH_USER = reply(550, "5.1.1 No such user here")
TOO_FAST = reply(421, "4.7.0 Too many connections in a short time")
SLOW_DOWN = reply(450, "4.7.1 Too many messages in a short time")
FEWER_RECIPIENTS = reply(452, "4.5.3 Too many recipients in a short time")
WAIT_TO_LOG_IN = reply(454, "4.7.0 Too many failed logins, try again later")


class Reception:
    """An Acceptance before a durable queue. `accepted` hears the domains of what came in."""

    def __init__(
        self,
        config: Config,
        queue: Queue,
        transcripts: Transcripts | None,
        now: Callable[[], float],
        accepted: Callable[[str], None],
    ) -> None:
        self._config, self._queue, self._transcripts = config, queue, transcripts
        self._now, self._accepted = now, accepted
        limits = config.rates
        self._connections = Rate(limits.connections)
        self._messages = Rate(limits.messages)
        self._recipients = Rate(limits.recipients)
        self._failed_logins = Rate(limits.failed_logins)
        self._sessions: dict[int, tuple[Record, list[str]]] = {}

    def observe(self, info: SessionInfo) -> Observer | None:
        """An observer for a session whose transcript is kept."""
        if self._transcripts is None:
            return None
        record = Record(f"{info.address}:{info.port}")
        self._sessions[id(info)] = (record, [])
        return record

    def connected(self, info: SessionInfo) -> Reply | None:
        """Not too often."""
        return None if self._within(self._connections, info) else TOO_FAST

    def _within(self, rate: Rate, info: SessionInfo) -> bool:
        """Our own networks may do as much as they can, as with others' servers."""
        if self._config.may_relay(info.address):
            return True
        return rate.take(client_key(info.address), self._now())

    def disconnected(self, info: SessionInfo) -> None:
        """Keep the transcript with the messages that came by this session."""
        record, message_ids = self._sessions.pop(id(info), (None, []))
        if record and message_ids and self._transcripts:
            self._transcripts.session(message_ids, record)

    def authenticate(self, info: SessionInfo, credentials: Credentials) -> Answer:
        """By password; nobody acts for somebody else. Guessing is slowed down."""
        if not self._failed_logins.allows(client_key(info.address), self._now()):
            return WAIT_TO_LOG_IN
        user = "" if credentials.authorization else credentials.username
        known = self.check(user, credentials.password, info.address)
        return replies.LOGGED_IN if known else replies.WRONG_PASSWORD

    def check(self, user: str, password: str, address: str) -> bool:
        """Whether the password is the user's, in a time that doesn't tell whether they exist."""
        client = client_key(address)
        allowed = self._failed_logins.allows(client, self._now())
        expected = self._config.users.get(user)
        same = compare_digest((expected or "").encode(), password.encode())
        if allowed and same and expected is not None:
            return True
        self._failed_logins.count(client, self._now())
        return False

    def sender(self, info: SessionInfo, _: Transaction) -> Answer:
        """Not too many messages."""
        return replies.SENDER_OK if self._within(self._messages, info) else SLOW_DOWN

    def recipient(self, info: SessionInfo, _: Transaction, path: ForwardPath) -> Answer:
        """Local mailboxes for everybody, all the world for our own."""
        if not self._within(self._recipients, info):
            return FEWER_RECIPIENTS
        if self._config.is_local(domain_of(path.address)):
            known = self._config.mailbox_of(path.address) is not None
            return replies.RECIPIENT_OK if known else NO_SUCH_USER
        ours = info.authenticated or self._config.may_relay(info.address)
        return replies.RECIPIENT_OK if ours else replies.NO_RELAYING

    def accept(self, info: SessionInfo, envelope: Envelope, content: bytes) -> Answer:
        """250 once it is durable."""
        if hops(content) > MAX_RECEIVED:
            return LOOP
        stamped = received(envelope, self._config.hostname, info.tls) + content
        return self._keep(info, replace(envelope, size=len(stamped)), stamped)

    async def _keep(self, info: SessionInfo, envelope: Envelope, content: bytes) -> Reply:
        now = self._now()
        alarm = now + self._config.schedule.warning
        try:
            await self._queue.accept(envelope, content, now=now, alarm=alarm)
        except QueueError as error:
            return error.reply
        if id(info) in self._sessions:
            self._sessions[id(info)][1].append(envelope.message_id)
        for domain in {domain_of(path.address) for path in envelope.forward_paths}:
            self._accepted(domain)
        return reply(250, f"2.0.0 Ok: queued as {envelope.message_id}")


def hops(content: bytes) -> int:
    """How many Received fields the header has."""
    return (b"\r\n" + header(content)).lower().count(b"\r\nreceived:")
