"""The content of a message, as DATA and BDAT carry it (RFC 5321 §4.5.2, RFC 3030 §2).

Law: CRLF.CRLF is the one end of data. A bare CR, a bare LF or a NUL ends nothing: the
content is read to its true end and the flaw is told, so that no two servers can disagree
about where a message stops (SMTP smuggling). Content too large is read on and not kept.
"""

from enum import StrEnum

END = b"\r\n.\r\n"
MAX_CONTENT = 25 * 1024 * 1024
"""Octets of one message, unless the reader is told otherwise."""


class Flaw(StrEnum):
    """Why content that was read to its end must be refused."""

    BARE_CR = "bare CR"
    BARE_LF = "bare LF"
    NUL = "NUL"
    TOO_LARGE = "too large"


def flaw(content: bytes) -> Flaw | None:
    """The first flaw of whole content: line ends other than CRLF, or a NUL (RFC 5321 §2.3.8)."""
    lines = content.count(b"\r\n")
    if content.count(b"\n") != lines:
        return Flaw.BARE_LF
    if content.count(b"\r") != lines:
        return Flaw.BARE_CR
    return Flaw.NUL if b"\0" in content else None


def stuffed(content: bytes) -> bytes:
    """`content` as DATA sends it: dots doubled, the last line ended, the end of data added."""
    head = b"." if content.startswith(b".") else b""
    tail = b".\r\n" if content.endswith(b"\r\n") or not content else END
    return head + content.replace(b"\r\n.", b"\r\n..") + tail


class DataReader:
    """Content out of a stream that may be cut anywhere, from behind DATA's line."""

    def __init__(self, limit: int = MAX_CONTENT) -> None:
        self._limit = limit
        self._room = limit + limit // 3 + len(END)  # at worst every fourth octet is a stuffed dot
        self._buffer = bytearray(b"\r\n")  # DATA's own line end opens the content
        self._scanned = 0  # before this no end of data begins
        self._overflowed = False
        self.content = b""
        """Without stuffing; complete once `feed` has said so."""
        self.flaw: Flaw | None = None
        """Set at the end, with TOO_LARGE before all others."""

    def feed(self, data: bytes) -> bytes | None:
        """None while the end of data is out; then what came behind it."""
        buffer = self._buffer
        buffer += data
        end = buffer.find(END, self._scanned)
        if end < 0:
            self._keep_looking()
            return None
        leftover = bytes(buffer[end + len(END) :])
        self._finish(bytes(buffer[: end + 2]))
        return leftover

    @property
    def held(self) -> int:
        """Octets kept so far."""
        return len(self._buffer)

    def _keep_looking(self) -> None:
        buffer = self._buffer
        self._overflowed = self._overflowed or len(buffer) > self._room
        if self._overflowed:
            del buffer[: 1 - len(END)]
        self._scanned = max(0, len(buffer) - len(END) + 1)

    def _finish(self, raw: bytes) -> None:
        self._buffer = bytearray()
        content = raw.replace(b"\r\n.", b"\r\n")[2:]
        if self._overflowed or len(content) > self._limit:
            self.flaw = Flaw.TOO_LARGE
        else:
            self.content, self.flaw = content, flaw(content)


class ChunkReader:
    """Content out of the chunks of BDAT: counted, not searched."""

    def __init__(self, limit: int = MAX_CONTENT) -> None:
        self._limit = limit
        self._content = bytearray()
        self.missing = 0
        """Octets of this chunk that are out."""
        self.overflowed = False
        """Whether the chunks so far are larger than the limit."""

    def expect(self, size: int) -> None:
        """The next `size` octets belong to the content."""
        self.missing = size
        if len(self._content) + size > self._limit:
            self.overflowed = True
            self._content.clear()

    def feed(self, data: bytes) -> bytes | None:
        """None while octets of this chunk are out; then what came behind it."""
        chunk = data[: self.missing]
        self.missing -= len(chunk)
        if not self.overflowed:
            self._content += chunk
        return None if self.missing else data[len(chunk) :]

    @property
    def held(self) -> int:
        """Octets kept so far."""
        return len(self._content)

    @property
    def content(self) -> bytes:
        """All chunks so far; empty when they are too large."""
        return bytes(self._content)

    @property
    def flaw(self) -> Flaw | None:
        """As of DataReader, of all chunks so far."""
        return Flaw.TOO_LARGE if self.overflowed else flaw(self.content)
