"""One SMTP conversation from the server's side, without any I/O (RFC 5321 §4.1.4).

Law: one question is open at a time and nothing is read past it, so replies keep the order
of commands however the stream is cut. STARTTLS forgets all that came before it. What is
secret is declared here, and never reaches an observer.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

from smtpcheck.facts.transcript import Side
from smtpcheck.relay import replies
from smtpcheck.relay.happening import Happening, Message, SessionInfo, Transaction
from smtpcheck.relay.trace import new_message_id
from smtpcheck.relay.verbs import IDLE_VERBS, SETTLE, TABLE, VERBS, State
from smtpcheck.wire.command import CommandError, read_command
from smtpcheck.wire.data import ChunkReader, DataReader
from smtpcheck.wire.reply import Reply, reply

_TLS_RECORD = 0x16
"""The first octet of a ClientHello (RFC 8446 §5.1)."""
_AUTH = re.compile(rb"\s*AUTH(?:\s+\S{1,20}(?:\s+|\Z))?", re.IGNORECASE)
"""Of a command with a secret in it, what may be shown; a mechanism's name has 20 octets at most."""


def _now() -> datetime:
    return datetime.now(UTC)


class ServerSession:
    """Octets in, replies and questions out.

    `receive` and `answer` return the question that is open, if one is. After each call send
    `pending()`; then, when `closed`, close. For StartTls call `secured` instead of `answer`.
    """

    def __init__(
        self,
        info: SessionInfo,
        *,
        new_id: Callable[[], str] = new_message_id,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self.info = info
        self.limits = info.listener.limits
        self.new_id, self.now = new_id, now
        self.closed = False
        self.said_quit = False
        self.state = State.CONNECTED
        self.offered: frozenset[str] = frozenset()  # as the last EHLO was answered
        self.transaction: Transaction | None = None
        self.chunks: ChunkReader | None = None
        self.failed_logins = 0
        self._bad_commands = self._idle_commands = 0  # since the last message
        self._input = bytearray()
        self._scanned = 0  # up to here there is no line end
        self._output: list[bytes] = []
        self._question: Happening | None = None
        self._content: DataReader | ChunkReader | None = None
        self._when_read: Callable[[], None] | None = None
        self._secret: Callable[[bytes], None] | None = None
        self._auth_seen = False
        self._last_words: Reply | None = None

    # What the driver calls.

    @property
    def waiting(self) -> bool:
        """Whether a question is open."""
        return self._question is not None

    @property
    def reading_content(self) -> bool:
        """Whether a message's content is under way."""
        return self._content is not None

    @property
    def held(self) -> int:
        """Octets of content kept, until the message is settled."""
        if isinstance(self._question, Message):
            return len(self._question.content)
        return self._content.held if self._content is not None else 0

    @property
    def backlog(self) -> int:
        """Octets received and not yet read."""
        return len(self._input)

    def open(self, greeting: Reply | None = None) -> None:
        """Greet, in implicit TLS after `secured`. `greeting` replaces the listener's own."""
        greeting = greeting or replies.greeting(self.info.listener)
        self.say(greeting)
        self.closed = self.closed or greeting.transient
        if greeting.permanent:
            self.state = State.REFUSED

    def receive(self, data: bytes) -> Happening | None:
        """Octets from the client."""
        self._input += data
        return self._advance()

    def answer(self, answer: Reply) -> Happening | None:
        """Settle the open question, and go on with what has been received meanwhile."""
        question, self._question = self._question, None
        assert question is not None
        SETTLE[type(question)](self, question, answer)
        return self._advance()

    def secured(self, tls: str) -> Happening | None:
        """The handshake is over: nothing said before it counts (RFC 3207 §4.2)."""
        assert not self._input
        self._question = None
        self.offered = frozenset()
        info = self.info
        info.tls, info.helo, info.extended, info.authenticated = tls, "", False, ""
        self.reset(State.CONNECTED)
        self.remark(f"TLS: {tls}")
        return self._advance()

    def stop(self, last_words: Reply = replies.SHUTTING_DOWN) -> None:
        """End the session as soon as the reply in flight is out."""
        self._last_words = last_words
        self._advance()

    def give_up(self, last_words: Reply) -> None:
        """End the session now."""
        if not self.closed:
            self.say(last_words)
            self.closed = True
        if self._input:
            self.remark(f"{len(self._input)} octets not read")
            self._input.clear()

    def pending(self) -> bytes:
        """What to send, all replies in one."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        if self.info.observer:
            self.info.observer(Side.SERVER, self.info.layer, data, "")
        return data

    def remark(self, note: str) -> None:
        """Tell the observer of something that happened to the connection itself."""
        if self.info.observer:
            self.info.observer(Side.LOCAL, self.info.layer, b"", note)

    # What a handler calls.

    def say(self, answer: Reply) -> None:
        """Queue a reply; 421 ends the session."""
        self._output.append(answer.raw or reply(answer.code, *answer.lines).raw)
        if answer.code == 421:
            self.closed = True

    def complain(self, answer: Reply) -> None:
        """Say so, and lose patience in the end."""
        self.say(answer)
        self._bad_commands += 1
        if self._bad_commands >= self.limits.bad_commands:
            self.give_up(replies.TOO_MANY_ERRORS)

    def ask(self, question: Happening) -> None:
        """Wait for the driver's answer."""
        self._question = question

    def count_message(self) -> None:
        """A message was accepted: patience is restored."""
        self.info.messages += 1
        self._bad_commands = self._idle_commands = 0

    def reset(self, state: State) -> None:
        """Forget the transaction."""
        self.state, self.transaction, self.chunks = state, None, None

    def expect_secret(self, then: Callable[[bytes], None]) -> None:
        """The next line is a response of AUTH."""
        self._secret = then

    def read_content(self, reader: DataReader | ChunkReader, when_read: Callable[[], None]) -> None:
        """The next octets are content."""
        self._content, self._when_read = reader, when_read
        if isinstance(reader, ChunkReader):  # it may expect none at all
            self._take_content()

    # How octets become lines and content.

    def _advance(self) -> Happening | None:
        while self._question is None and not self.closed:
            if self._last_words and self._content is None:
                self.give_up(self._last_words)
            elif not self._input or not self._take():
                break
        return self._question

    def _take(self) -> bool:
        """One line or one piece of content; False when more must arrive first."""
        return self._take_line() if self._content is None else self._take_content()

    def _take_content(self) -> bool:
        reader = self._content
        assert reader is not None
        wanted = reader.missing if isinstance(reader, ChunkReader) else len(self._input)
        data = bytes(self._input[:wanted])
        del self._input[:wanted]
        rest = reader.feed(data)
        self._observe(data if rest is None else data[: len(data) - len(rest)])
        if rest is None:
            return False
        self._input += rest
        when_read, self._content, self._when_read = self._when_read, None, None
        assert when_read is not None
        when_read()
        return True

    def _take_line(self) -> bool:
        received = self._input
        limit = self.limits.command_octets if self._secret is None else self.limits.auth_octets
        end = received.find(b"\n", self._scanned) + 1
        self._scanned = 0 if end else len(received)
        if not end and len(received) < limit:
            if received[0] == _TLS_RECORD:
                self.give_up(replies.NOT_PLAIN)
            return False
        if not 0 < end <= limit:
            self.give_up(replies.LONG_LINE if self._secret is None else replies.LONG_RESPONSE)
            return False
        line = bytes(received[:end])
        del received[:end]
        if self.info.observer:
            self._observe_line(line)
        if line[-2:] != b"\r\n":  # Postfix, too, hangs up (smtpd_forbid_bare_newline)
            self.give_up(replies.BARE_LF_COMMAND)
            return False
        self._hear(line[:-2])
        return True

    def _hear(self, line: bytes) -> None:
        secret, self._secret = self._secret, None
        try:
            if secret is not None:
                secret(line)
            else:
                self._obey(line)
        except CommandError as error:
            self.complain(error.reply)

    def _obey(self, line: bytes) -> None:
        command = read_command(line)
        if command.verb in IDLE_VERBS:
            self._idle_commands += 1
            if self._idle_commands > self.limits.idle_commands:
                return self.give_up(replies.TOO_MANY_ERRORS)
        handler = TABLE[self.state].get(command.verb)
        if handler is not None:
            return handler(self, command.argument)
        return self.complain(replies.OUT_OF_SEQUENCE if command.verb in VERBS else replies.UNKNOWN)

    # What an observer is told.

    def _observe_line(self, line: bytes) -> None:
        """A command as it came, but of AUTH and what follows it only what is no secret."""
        if self._secret is not None:
            shown = b""
        elif found := _AUTH.match(line):
            shown, self._auth_seen = found[0], True
        else:
            known = line.split(b" ", 1)[0].strip().upper().decode("latin-1") in VERBS
            shown = line if known or not self._auth_seen else b""
        hidden = len(line) - len(shown)
        self._observe(shown, f"‹{hidden} bytes›" if hidden else "")

    def _observe(self, data: bytes, note: str = "") -> None:
        if self.info.observer:
            self.info.observer(Side.CLIENT, self.info.layer, data, note)
