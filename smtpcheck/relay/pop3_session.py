"""One POP3 conversation from the server's side, without any I/O (RFC 1939, 2449, 2595, 5034).

Law: one question is open at a time and nothing is read past it, so answers keep the order of
commands however the stream is cut. Messages go at QUIT and at no other end. STLS forgets
all that came before it. What is secret is declared here, and never reaches an observer.
"""

import binascii
from collections.abc import Sequence

from smtpcheck.facts.host import Security
from smtpcheck.facts.transcript import Layer, Side
from smtpcheck.relay.exchange import Credentials, Exchange, ExchangeError
from smtpcheck.relay.happening import Login, Observer
from smtpcheck.relay.maildir import Stored
from smtpcheck.relay.pop3_listener import Pop3Config, Question, Retrieve, Update
from smtpcheck.relay.pop3_verbs import TABLE, State
from smtpcheck.wire.pop3 import (
    MAX_COMMAND_OCTETS,
    Command,
    Line,
    LineParser,
    Mark,
    Quirk,
    Status,
    command,
)

OUTPUT = 64 * 1024
"""Octets of answers beyond which no command is read until they are sent."""
WRONG = "AUTH"
"""Response codes for `refuse`: user or password (RFC 3206)."""
IN_USE = "IN-USE"
"""Another session has the mailbox (RFC 2449 §8.1.2)."""
FAULT = "SYS/TEMP"
"""Ours, and it may pass (RFC 3206)."""
_TLS_RECORD = b"\x16"
"""The first octet of a ClientHello (RFC 8446 §5.1)."""


class Pop3Session:
    """Octets in, answers and questions out.

    After each call of `receive` or of an answer, call `advance`, send `pending()`, and settle
    the question if there is one. When `starved`, it wants octets; when `closed`, close.
    """

    def __init__(self, config: Pop3Config, observer: Observer | None = None) -> None:
        self.config = config
        self.closed = False
        self.state = State.AUTHORIZATION
        self.user = ""
        self.tls = ""
        self.messages: tuple[Stored, ...] = ()
        self.deleted: set[int] = set()
        self.failed_logins = self.bad_commands = 0
        self.named = ""  # by USER, for PASS
        self.question: Question | None = None
        self.starved = False
        self._observer = observer
        self._input = LineParser(MAX_COMMAND_OCTETS)
        self._output: list[bytes] = []
        self._exchange: Exchange | None = None

    # What the driver calls.

    def open(self) -> None:
        """Greet. In implicit TLS after `secured`. No time stamp: APOP is not offered."""
        self.ok("POP3 server ready")

    def receive(self, data: bytes) -> None:
        """Octets from the client."""
        self._input.feed(data)
        self.starved = False

    def advance(self) -> Question | None:
        """Read on to the next question, or until octets are missing or answers must go first."""
        while self.question is None and not self.closed and not self.starved:
            if sum(map(len, self._output)) >= OUTPUT:
                break
            self._take_line()
        return self.question

    def admit(self, user: str, messages: tuple[Stored, ...]) -> None:
        """Login: welcome, these are your messages."""
        self._settle(Login)
        self.state, self.user, self.messages = State.TRANSACTION, user, messages
        self.ok("logged in")

    def refuse(self, code: str, text: str) -> None:
        """Login or Retrieve: no. `code` is a response code (RFC 2449 §8, RFC 3206) or ""."""
        question = self._settle(Login, Retrieve)
        self.error(text, code)
        if isinstance(question, Login) and code == WRONG:
            self.failed_logins += 1
            if self.failed_logins >= self.config.limits.failed_logins:
                self.give_up("too many failed logins")

    def sending(self) -> None:
        """Retrieve: the block begins behind this."""
        assert isinstance(self.question, Retrieve)
        self.ok(self.question.said)

    def sent(self, octets: int) -> None:
        """Retrieve: the block is on its way, all of it."""
        self._settle(Retrieve)
        self._note(Side.SERVER, f"‹message of {octets} octets›")

    def updated(self, failures: int) -> None:
        """Update: done, but for so many."""
        self._settle(Update)
        if failures:
            self.error(f"{failures} messages not removed", FAULT)
        else:
            self.ok("bye")
        self.closed = True

    def secured(self, tls: str) -> None:
        """The handshake is over: nothing said before it counts (RFC 2595 §4)."""
        assert not len(self._input)
        self.question, self.named, self.tls = None, "", tls
        self._note(Side.LOCAL, f"TLS: {tls}")

    def give_up(self, text: str, code: str = "") -> None:
        """End the session without deleting anything."""
        if not self.closed:
            self.error(text, code)
            self.closed = True

    def pending(self) -> bytes:
        """What to send, all answers in one."""
        if not self._output:
            return b""
        data = b"".join(self._output)
        self._output.clear()
        if self._observer:
            self._observer(Side.SERVER, self._layer, data, "")
        return data

    # What a handler calls.

    @property
    def glued(self) -> bool:
        """Whether octets stand behind the command being handled."""
        return bool(len(self._input))

    @property
    def may_log_in(self) -> bool:
        """Whether a password may be asked for."""
        return bool(self.tls) or self.config.login_in_clear

    @property
    def offers_stls(self) -> bool:
        """Whether this clear-text session may become TLS."""
        config = self.config
        return bool(config.context) and config.security is Security.STARTTLS and not self.tls

    def ok(self, text: str, lines: Sequence[str] | None = None) -> None:
        """+OK, with a block when there are `lines`."""
        self._say(f"{Status(mark=Mark.OK, text=text)}")
        if lines is not None:
            self._output.append("".join(f"{line}\r\n" for line in (*lines, ".")).encode())

    def error(self, text: str, code: str = "") -> None:
        """-ERR."""
        self._say(f"{Status(mark=Mark.ERR, code=code, text=text)}")

    def complain(self, text: str) -> None:
        """-ERR, and lose patience in the end."""
        self.error(text)
        self.bad_commands += 1
        if self.bad_commands >= self.config.limits.bad_commands:
            self.give_up("too many errors")

    def ask(self, question: Question) -> None:
        """Wait for the driver's answer."""
        self.question = question

    def challenge(self, exchange: Exchange, challenge: bytes) -> None:
        """The next line is a response of AUTH."""
        self._exchange = exchange
        self._say("+ " + binascii.b2a_base64(challenge, newline=False).decode())

    def respond(self, exchange: Exchange, text: str) -> None:
        """One step of an AUTH exchange with the client's response, still in base64."""
        if text == "*":
            return self.complain("authentication cancelled")
        try:
            response = binascii.a2b_base64(text.encode(), strict_mode=True)
            return self.challenge(exchange, exchange.send(response))
        except (ExchangeError, ValueError):
            return self.complain("malformed authentication response")
        except StopIteration as end:
            credentials: Credentials = end.value
            return self.ask(Login(credentials))

    # How octets become commands.

    def _take_line(self) -> None:
        limits, exchange = self.config.limits, self._exchange
        line = self._input.line(limits.auth_octets if exchange else 0)
        if line is None:
            self.starved = True
            if self._input.leftover[:1] == _TLS_RECORD:
                self.give_up("this port speaks clear text")
        elif Quirk.OVERLONG in line.quirks:
            self.give_up("line too long")
        elif exchange:
            self._exchange = None
            self._note(Side.CLIENT, f"‹{len(line.text)} bytes›")
            self.respond(exchange, line.text)
        else:
            self._take_command(line)

    def _take_command(self, line: Line) -> None:
        said = command(line.text)
        self._observe_command(line.text, said)
        if Quirk.CONTROL in line.quirks:
            return self.complain("control character in a command")
        if handler := TABLE[self.state].get(said.keyword):
            return handler(self, said)
        known = any(said.keyword in row for row in TABLE.values())
        return self.complain("not now" if known else "unknown command")

    def _observe_command(self, text: str, said: Command) -> None:
        secret = said.keyword == "PASS" or (said.keyword == "AUTH" and len(said.words) > 1)
        if secret:
            self._note(Side.CLIENT, f"{said.keyword} ‹{len(said.argument)} bytes›")
        elif self._observer:
            self._observer(Side.CLIENT, self._layer, f"{text}\r\n".encode(), "")

    @property
    def _layer(self) -> Layer:
        return Layer.TLS if self.tls else Layer.PLAIN

    def _settle(self, *expected: type) -> Question:
        question, self.question = self.question, None
        assert question is not None
        assert isinstance(question, expected)
        return question

    def _say(self, line: str) -> None:
        self._output.append(f"{line}\r\n".encode())

    def _note(self, side: Side, note: str) -> None:
        if self._observer:
            self._observer(side, self._layer, b"", note)
