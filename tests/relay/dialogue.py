"""Conversations written down as files, and the two ways to hold them.

A file opens with `#` lines that say what it proves. Then, a line each:

    @ KEY[=VALUE] …   settings of the listener
    -> LINE           the client says LINE and CRLF; lines in a row are one write
    => OCTETS         the client sends OCTETS, with the escapes of Python
    <- PATTERN        the next reply, code and text of all lines, fits PATTERN
    tls               the client shakes hands
    messages N        so many messages were accepted
    content OCTETS    and this is the content of the last
    closed            the server has closed
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Protocol

from OpenSSL import SSL

from smtpcheck.facts.delivery import Envelope
from smtpcheck.facts.host import Role, Security
from smtpcheck.relay.acceptance import Acceptance, MemoryAcceptance
from smtpcheck.relay.happening import (
    Happening,
    Login,
    Message,
    Observer,
    Recipient,
    Sender,
    SessionInfo,
    StartTls,
)
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.relay.session import ServerSession
from smtpcheck.wire.reply import Reply, ReplyParser, reply

DIALOGUES = sorted((Path(__file__).parent / "dialogues").glob("*.smtp"))
USERS = {"user@example.test": "secret"}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file."""

    number: int
    mark: str
    text: str

    @property
    def octets(self) -> bytes:
        """The text with its escapes undone."""
        return self.text.encode().decode("unicode_escape").encode("latin-1")


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A file, read."""

    name: str
    settings: dict[str, str]
    lines: tuple[Line, ...]


def read(path: Path) -> Dialogue:
    """The dialogue in a file."""
    settings: dict[str, str] = {}
    lines = []
    for number, text in enumerate(path.read_text().splitlines(), 1):
        mark, _, rest = text.partition(" ")
        if mark == "@":
            settings.update(_setting(word) for word in rest.split(" @ "))
        elif mark and mark != "#":
            lines.append(Line(number, mark, rest))
    return Dialogue(path.stem, settings, tuple(lines))


def _setting(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    return key, value


def listener(settings: dict[str, str], context: SSL.Context) -> ListenerConfig:
    """What the settings ask for; TLS is at hand unless withheld."""
    config = ListenerConfig(hostname="mx.example.test", context=context)
    for key, value in settings.items():
        if key in _FIELDS:
            config = replace(config, **_FIELDS[key](config, value))
        else:
            limits: dict[str, Any] = {key: int(value)}
            config = replace(config, limits=replace(config.limits, **limits))
    return config


def _reply(value: str) -> Reply:
    code, _, text = value.partition(" ")
    return reply(int(code), text)


_FIELDS: dict[str, Callable[[ListenerConfig, str], dict[str, Any]]] = {
    "submission": lambda _, __: {"role": Role.SUBMISSION},
    "no-tls": lambda _, __: {"context": None, "security": Security.NONE},
    "auth-in-clear": lambda _, __: {"auth_in_clear": True},
    "without": lambda config, value: {"extensions": config.extensions - set(value.split(","))},
    "with": lambda config, value: {"extensions": config.extensions | set(value.split(","))},
    "greeting": lambda _, value: {"greeting": _reply(value)},
    "ehlo": lambda _, value: {"ehlo": _reply(value)},
    "starttls": lambda _, value: {"starttls": _reply(value)},
}


def acceptance() -> MemoryAcceptance:
    """One domain and one user."""
    return MemoryAcceptance(users=USERS, domains=["example.test"])


class Wire(Protocol):
    """The client's end."""

    def send(self, data: bytes) -> None:
        """To the server."""

    def received(self) -> bytes:
        """What the server has sent since the last call; b"" once it has closed."""

    def handshake(self) -> None:
        """TLS from here on."""

    def closed(self) -> bool:
        """Whether the server has closed."""


def hold(dialogue: Dialogue, wire: Wire, messages: Sequence[tuple[Envelope, bytes]]) -> None:
    """Hold a dialogue over `wire`; an AssertionError names the line that isn't as written."""
    parser, replies = ReplyParser(), iter(())  # type: tuple[ReplyParser, Iterator[Reply]]
    for mark, group in _grouped(dialogue.lines):
        where = f"{dialogue.name}:{group[0].number}"
        if mark in ("->", "=>"):
            wire.send(b"".join(_said(line) for line in group))
            continue
        for line in group:
            where, text = f"{dialogue.name}:{line.number}", line.text
            if mark == "<-":
                answer = next(replies, None)
                while answer is None:
                    data = wire.received()
                    assert data, f"{where}: no reply, {text} was due"
                    replies = iter(parser.feed(data))
                    answer = next(replies, None)
                assert fnmatchcase(str(answer), text), f"{where}: {answer} is not {text}"
                assert not answer.quirks, f"{where}: {answer.quirks}"
            else:
                assert next(replies, None) is None, f"{where}: a reply nobody waited for"
                assert parser.leftover == b"", where
                _check(line, where, wire, messages)


def _grouped(lines: tuple[Line, ...]) -> Iterator[tuple[str, list[Line]]]:
    group: list[Line] = []
    for line in lines:
        spoken = {line.mark, *(each.mark for each in group)} <= {"->", "=>"}
        if group and not spoken and group[0].mark != line.mark:
            yield group[0].mark, group
            group = []
        group.append(line)
    yield group[0].mark, group


def _said(line: Line) -> bytes:
    return line.octets if line.mark == "=>" else line.text.encode() + b"\r\n"


def _check(line: Line, where: str, wire: Wire, messages: Sequence[tuple[Envelope, bytes]]) -> None:
    match line.mark:
        case "tls":
            wire.handshake()
        case "closed":
            assert wire.closed(), f"{where}: still open"
        case "messages":
            assert len(messages) == int(line.text), f"{where}: {len(messages)}"
        case "content":
            assert messages[-1][1] == line.octets, where
        case _:
            raise AssertionError(f"{where}: no such mark")


class MemoryWire:
    """A session without a socket, fed in pieces of `step` octets."""

    def __init__(
        self,
        config: ListenerConfig,
        taker: Acceptance,
        *,
        step: int = 0,
        observer: Observer | None = None,
    ) -> None:
        self.info = SessionInfo(listener=config, address="192.0.2.7", observer=observer)
        self.session = ServerSession(self.info)
        self._taker = taker
        self._step = step
        self.session.open()
        self._output = self.session.pending()

    def send(self, data: bytes) -> None:
        """Ask the acceptance whatever the session asks."""
        step = self._step or max(1, len(data))
        for start in range(0, len(data), step):
            question = self.session.receive(data[start : start + step])
            while question is not None and not isinstance(question, StartTls):
                question = self.session.answer(self._answer(question))
            self._output += self.session.pending()

    def _answer(self, question: Happening) -> Reply:
        taker, info = self._taker, self.info
        match question:
            case Login():
                answer = taker.authenticate(info, question.credentials)
            case Sender():
                answer = taker.sender(info, question.transaction)
            case Recipient():
                answer = taker.recipient(info, question.transaction, question.forward_path)
            case Message():
                answer = taker.accept(info, question.envelope, question.content)
            case StartTls():
                raise AssertionError
        assert isinstance(answer, Reply)
        return answer

    def received(self) -> bytes:
        """All at once."""
        data, self._output = self._output, b""
        return data

    def handshake(self) -> None:
        """Nothing to shake."""
        assert self.session.waiting
        self.session.secured("TLSv1.3 TLS_AES_256_GCM_SHA384")

    def closed(self) -> bool:
        """As the session says."""
        return self.session.closed
