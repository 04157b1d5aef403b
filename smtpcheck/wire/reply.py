"""Replies, as bytes become values (RFC 5321 §4.2).

Law: never raise on what a server sent. What is malformed is a Quirk on the Reply;
what is incomplete stays in the buffer; what is too long ends in Quirk.OVERLONG,
after which the parser is deaf: nothing later on that connection can be trusted.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

MAX_REPLY_OCTETS = 64 * 1024
"""Of one whole reply, all its lines. Postfix's longest EHLO is under 1 KiB."""

MAX_LINE_OCTETS = 512
"""Of one reply line with its CRLF (RFC 5321 §4.5.3.1.5)."""


class Quirk(StrEnum):
    """In what way a reply departs from RFC 5321 §4.2."""

    BARE_LF = "bare-lf"
    MIXED_CODES = "mixed-codes"
    BAD_SEPARATOR = "bad-separator"
    NOT_A_REPLY = "not-a-reply"
    ILLEGAL_CODE = "illegal-code"
    LONG_LINE = "long-line"
    OVERLONG = "overlong"
    UNFINISHED = "unfinished"
    """The stream ended within it."""
    EIGHT_BIT = "eight-bit"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class EnhancedStatus:
    """An enhanced mail system status code (RFC 3463 §2)."""

    class_: int
    subject: int
    detail: int

    def __str__(self) -> str:
        return f"{self.class_}.{self.subject}.{self.detail}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One SMTP reply. `code` is that of the last line, 0 when there was none."""

    code: int
    lines: tuple[str, ...] = ("",)
    status: EnhancedStatus | None = None
    raw: bytes = b""
    quirks: tuple[Quirk, ...] = ()

    @property
    def positive(self) -> bool:
        """2yz or 3yz."""
        return 200 <= self.code < 400

    @property
    def transient(self) -> bool:
        """4yz: the same command may succeed later."""
        return 400 <= self.code < 500

    @property
    def permanent(self) -> bool:
        """5yz: the same command will fail again."""
        return 500 <= self.code < 600

    @property
    def text(self) -> str:
        """All lines, without codes, joined by a blank."""
        return " ".join(self.lines)

    def __str__(self) -> str:
        return f"{self.code} {self.text}".rstrip() if self.code else self.text


_STATUS = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")


def enhanced_status(text: str) -> EnhancedStatus | None:
    """The enhanced status code that opens `text`, if one does (RFC 2034 §4)."""
    found = _STATUS.match(text)
    return EnhancedStatus(*map(int, found.groups())) if found else None


def reply(code: int, *lines: str) -> Reply:
    """A well-formed reply of our own; a line may open with an enhanced status code."""
    text = lines or ("",)
    marks = [" " if n == len(text) else "-" for n in range(1, len(text) + 1)]
    raw = "".join(f"{code}{mark}{line}\r\n" for mark, line in zip(marks, text, strict=True))
    return Reply(code=code, lines=text, status=enhanced_status(text[0]), raw=raw.encode())


@dataclass(slots=True)
class _Line:
    code: int
    last: bool
    text: str
    quirks: set[Quirk]


def _decoded(text: bytes, quirks: set[Quirk]) -> str:
    if text.isascii():
        if not text.replace(b"\t", b" ").decode("ascii").isprintable():
            quirks.add(Quirk.CONTROL)
        return text.decode("ascii")
    quirks.add(Quirk.EIGHT_BIT)
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("latin-1")


def _line(raw: bytes) -> _Line:
    quirks: set[Quirk] = set()
    if len(raw) > MAX_LINE_OCTETS:
        quirks.add(Quirk.LONG_LINE)
    body = raw[:-1]
    if body.endswith(b"\r"):
        body = body[:-1]
    else:
        quirks.add(Quirk.BARE_LF)
    digits, mark = body[:3], body[3:4]
    if len(digits) < 3 or not digits.isdigit():
        quirks.add(Quirk.NOT_A_REPLY)
        return _Line(0, True, _decoded(body, quirks), quirks)
    if not b"2" <= digits[:1] <= b"5" or digits[1:2] > b"5":
        quirks.add(Quirk.ILLEGAL_CODE)
    if mark not in (b"", b" ", b"-"):
        quirks.add(Quirk.BAD_SEPARATOR)
        return _Line(int(digits), True, _decoded(body[3:], quirks), quirks)
    return _Line(int(digits), mark != b"-", _decoded(body[4:], quirks), quirks)


def _joined(lines: list[_Line], raw: bytes, *extra: Quirk) -> Reply:
    quirks = set(extra).union(*(line.quirks for line in lines))
    codes = {line.code for line in lines}
    if len(codes) > 1 and Quirk.NOT_A_REPLY not in quirks:
        quirks.add(Quirk.MIXED_CODES)
    texts = tuple(line.text for line in lines) or ("",)
    return Reply(
        code=lines[-1].code if lines else 0,
        lines=texts,
        status=enhanced_status(texts[0]),
        raw=raw,
        quirks=tuple(sorted(quirks)),
    )


class ReplyParser:
    """Replies out of a stream that may be cut anywhere."""

    def __init__(self, limit: int = MAX_REPLY_OCTETS) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._start = 0  # of the first line that is not yet parsed
        self._scanned = 0  # up to here there is no line end after _start
        self._lines: list[_Line] = []
        self._deaf = False

    @property
    def leftover(self) -> bytes:
        """Octets not yet part of a whole reply; after an exchange, their presence is a fact."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> tuple[Reply, ...]:
        """The replies that `data` completes, oldest first."""
        if self._deaf:
            return ()
        self._buffer += data
        replies: list[Reply] = []
        while not self._deaf and (line_end := self._buffer.find(b"\n", self._scanned)) >= 0:
            if line_end >= self._limit:
                break
            self._lines.append(_line(bytes(self._buffer[self._start : line_end + 1])))
            self._start = self._scanned = line_end + 1
            if self._lines[-1].last:
                replies.append(self._take(self._start))
        self._scanned = len(self._buffer)
        if len(self._buffer) > self._limit:
            replies.append(self._overlong())
        return tuple(replies)

    def end(self) -> Reply | None:
        """At end of stream: what was left as a reply that never ended, or None."""
        if not self._buffer:
            return None
        partial = bytes(self._buffer[self._start :])
        lines = [*self._lines, _line(partial + b"\r\n")] if partial else list(self._lines)
        reply = _joined(lines, bytes(self._buffer), Quirk.UNFINISHED)
        self._buffer.clear()
        self._lines, self._start, self._scanned = [], 0, 0
        return reply

    def _take(self, length: int) -> Reply:
        reply = _joined(self._lines, bytes(self._buffer[:length]))
        del self._buffer[:length]
        self._lines, self._start, self._scanned = [], 0, 0
        return reply

    def _overlong(self) -> Reply:
        self._deaf = True
        raw = bytes(self._buffer[: self._limit])
        lines = self._lines or [_line(raw[:MAX_LINE_OCTETS] + b"\n")]
        self._buffer.clear()
        self._lines = []
        return _joined(lines, raw, Quirk.OVERLONG)
