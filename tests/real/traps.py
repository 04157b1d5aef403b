"""Messages that lose an octet wherever somebody is careless."""

from collections.abc import Iterator

from tests.real.hops import TAKER
from tests.real.ours import ALICE, HOME


def mail(subject: str, body: bytes, *, more: bytes = b"") -> bytes:
    """A message with all the fields that somebody might add, and `more`."""
    head = (
        f"From: {ALICE}\r\nTo: {TAKER}\r\nSubject: {subject}\r\n"
        "Date: Mon, 02 Mar 2026 05:06:07 +0000\r\n"
        f"Message-ID: <{subject}@{HOME}>\r\n"
    )
    return head.encode() + more + b"\r\n" + body


BODIES = {
    "plain": b"hello\r\n",
    "empty": b"",
    "blank-lines": b"\r\n\r\nmiddle\r\n\r\n\r\n",
    "dots": b".\r\n..\r\n.dot\r\n...\r\n.\r\n",
    "8-bit": bytes(range(128, 256)) + b"\r\n" + "\u00e4\u0436\u20ac".encode() + b"\r\n",
    "controls": bytes(n for n in range(1, 32) if n not in b"\r\n") + b"\x7f\r\n",
    "blanks-at-the-end": b"two  \r\n\t\r\n \r\nFrom here\r\n>From there\r\n",
    "998-octets": b"x" * 998 + b"\r\n",
    "long-line": b"long " * 4000 + b"\r\nshort\r\n",
    "spooled": b"".join(b".%d line\r\n" % n for n in range(30_000)),
}


def messages() -> Iterator[tuple[str, bytes]]:
    """Each with its subject."""
    for subject, body in BODIES.items():
        mime = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
        mime += b"Content-Transfer-Encoding: 8bit\r\nX-Folded: one\r\n\ttwo  \r\n"
        yield subject, mail(subject, body, more=mime)


def whole(stored: bytes, message: bytes) -> bool:
    """Whether all of `message` is there to the octet, below what was stamped on top of it."""
    return stored.endswith(b"\r\n" + message)


def subject_of(stored: bytes) -> str:
    """By which the messages are told apart."""
    header = stored.partition(b"\r\n\r\n")[0]
    (line,) = (each for each in header.split(b"\r\n") if each.startswith(b"Subject: "))
    return line.removeprefix(b"Subject: ").decode()
