"""POP3, both sides: commands, status lines and dot-stuffed blocks (RFC 1939 §3, RFC 2449 §4).

Law: never raise on what a peer sent. What is malformed is a field or a Quirk; what is
incomplete stays in the buffer; what is too long ends in Quirk.OVERLONG, and nothing later on
that connection can be trusted. A block ends with CRLF.CRLF and with nothing else.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

MAX_COMMAND_OCTETS = 255
"""Of one command with its CRLF (RFC 2449 §4)."""

MAX_STATUS_OCTETS = 512
"""Of one status line with its CRLF (RFC 2449 §4)."""

MAX_BLOCK_OCTETS = 64 * 1024 * 1024
"""Of one multi-line block as transmitted."""


class Quirk(StrEnum):
    """In what way a line or a block departs from the grammar."""

    OVERLONG = "overlong"
    BARE_LF = "bare-lf"
    CONTROL = "control"
    """A control character, or octets that are not UTF-8."""
    NOT_A_STATUS = "not-a-status"
    """Neither +OK nor -ERR nor a SASL challenge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line without its end; what is not UTF-8 became U+FFFD."""

    text: str = ""
    quirks: tuple[Quirk, ...] = ()


class LineParser:
    """Lines out of a stream that may be cut anywhere; `limit` counts the line end too."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._scanned = 0
        self._deaf = False

    @property
    def leftover(self) -> bytes:
        """Octets that are not part of a line handed out."""
        return bytes(self._buffer)

    def __len__(self) -> int:
        return len(self._buffer)

    def clear(self) -> None:
        """Forget what was read ahead."""
        self._buffer.clear()
        self._scanned = 0

    def feed(self, data: bytes) -> None:
        """More octets of the stream."""
        if not self._deaf:
            self._buffer += data

    def line(self, limit: int = 0) -> Line | None:
        """The next line, or None: not yet. `limit`, when given, is for this line alone."""
        limit = limit or self._limit
        end = self._buffer.find(b"\n", self._scanned, limit)
        if end < 0:
            self._scanned = min(len(self._buffer), limit)
            return self._overlong() if len(self._buffer) >= limit else None
        raw = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        self._scanned = 0
        return _line(raw)

    def block(self) -> bytes | None:
        """The octets before the line that holds a lone dot, or None: not yet."""
        if self._buffer.startswith(b".\r\n"):
            end = 0
        elif (found := self._buffer.find(b"\r\n.\r\n", self._scanned)) >= 0:
            end = found + 2
        else:
            self._scanned = max(0, len(self._buffer) - 4)
            return None
        block = bytes(self._buffer[:end])
        del self._buffer[: end + 3]
        self._scanned = 0
        return block

    def deafen(self) -> None:
        """Take in nothing more."""
        self.clear()
        self._deaf = True

    def _overlong(self) -> Line:
        self.deafen()
        return Line(quirks=(Quirk.OVERLONG,))


def _line(raw: bytes) -> Line:
    quirks: tuple[Quirk, ...] = () if raw.endswith(b"\r\n") else (Quirk.BARE_LF,)
    text = (raw[:-2] if raw.endswith(b"\r\n") else raw[:-1]).decode("utf-8", "replace")
    if any(character < " " or character in "\x7f\ufffd" for character in text):
        quirks = (*quirks, Quirk.CONTROL)
    return Line(text=text, quirks=quirks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A keyword, upper-cased, and all that follows the blank after it, blanks kept."""

    keyword: str
    argument: str = ""

    @property
    def words(self) -> tuple[str, ...]:
        """The arguments, for commands that take several."""
        return tuple(self.argument.split())


def command(text: str) -> Command:
    """The command that a line holds. PASS may have blanks in its argument (RFC 1939 §7)."""
    keyword, _, argument = text.partition(" ")
    return Command(keyword=keyword.upper(), argument=argument)


class Mark(StrEnum):
    """What a status line says."""

    OK = "+OK"
    ERR = "-ERR"
    CHALLENGE = "+"
    """A SASL challenge (RFC 5034 §4)."""
    NONE = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One status line. `code` is the response code without brackets (RFC 2449 §8), as sent."""

    mark: Mark
    code: str = ""
    text: str = ""
    quirks: tuple[Quirk, ...] = ()

    @property
    def ok(self) -> bool:
        """+OK."""
        return self.mark is Mark.OK

    def __str__(self) -> str:
        code = f"[{self.code}]" if self.code else ""
        return " ".join(part for part in (self.mark, code, self.text) if part)


_STATUS = re.compile(r"(\+OK|-ERR)(?: |$)(?:\[([^\]\[ ]*)\] ?)?(.*)", re.DOTALL)


def status(line: Line) -> Status:
    """What a line from a server says."""
    if found := _STATUS.fullmatch(line.text):
        mark, code, text = found.groups()
        return Status(mark=Mark(mark), code=code or "", text=text, quirks=line.quirks)
    if line.text == "+" or line.text.startswith("+ "):
        return Status(mark=Mark.CHALLENGE, text=line.text[2:], quirks=line.quirks)
    return Status(mark=Mark.NONE, text=line.text, quirks=(*line.quirks, Quirk.NOT_A_STATUS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A multi-line answer without dot-stuffing and end line."""

    content: bytes = b""
    quirks: tuple[Quirk, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """For LIST, UIDL and CAPA."""
        return tuple(self.content.decode("utf-8", "replace").splitlines())


class ResponseParser:
    """A server's answers. The client knows which commands a block follows, and asks for it."""

    def __init__(self, limit: int = MAX_BLOCK_OCTETS) -> None:
        self._limit = limit
        self._lines = LineParser(MAX_STATUS_OCTETS)

    @property
    def leftover(self) -> bytes:
        """Octets after the last answer; after an exchange, their presence is a fact."""
        return self._lines.leftover

    def feed(self, data: bytes) -> None:
        """More octets from the server."""
        self._lines.feed(data)

    def status(self) -> Status | None:
        """The next status line, or None: not yet."""
        line = self._lines.line()
        return status(line) if line else None

    def block(self) -> Block | None:
        """The block that follows the status line just read, or None: not yet."""
        block = self._lines.block()
        pending = len(self._lines) - len(b".\r")  # which may be the beginning of the end
        if (pending if block is None else len(block)) > self._limit:
            self._lines.deafen()
            return Block(quirks=(Quirk.OVERLONG,))
        return None if block is None else Block(content=unstuffed(block))


def unstuffed(stuffed: bytes) -> bytes:
    """A block as it was before dot-stuffing."""
    content = stuffed.replace(b"\r\n..", b"\r\n.")
    return content[1:] if content.startswith(b"..") else content


def crlf(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same text with each lone LF as CRLF and a CRLF at its end; cuts anywhere."""
    before = b"\n"
    for chunk in chunks:
        if not chunk:
            continue
        whole = chunk
        if b"\n" in chunk:
            whole = _LONE_LF.sub(b"\r\n", chunk)
            if before == b"\r" and chunk.startswith(b"\n"):
                whole = whole[1:]
        yield whole
        before = chunk[-1:]
    if before != b"\n":
        yield b"\r\n"


_LONE_LF = re.compile(rb"(?<!\r)\n")


def top(chunks: Iterable[bytes], lines: int) -> Iterator[bytes]:
    """The header, the blank line and `lines` lines of the body (RFC 1939 §7); CRLF text."""
    body = False
    tail = b"\r\n"  # a message may open with the blank line
    for chunk in chunks:
        start = 0
        if not body:
            found = (tail + chunk).find(b"\r\n\r\n")
            if found < 0:
                yield chunk
                tail = (tail + chunk)[-3:]
                continue
            body, start = True, found + 4 - len(tail)
        while lines and (end := chunk.find(b"\n", start)) >= 0:
            lines, start = lines - 1, end + 1
        if not lines:
            yield chunk[:start]
            return
        yield chunk


def stuffed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """CRLF text as a block: dot-stuffed, with the end line."""
    tail = b"\r\n"
    for chunk in chunks:
        joined = (tail + chunk).replace(b"\r\n.", b"\r\n..")
        yield joined[len(tail) :]
        tail = (tail + chunk)[-2:]
    yield b".\r\n"
