"""Delivery status notifications: what became of a message, told to its sender (RFC 3464).

Law: the null path is never told, save that a lost bounce goes to the postmaster once; who
asked not to be told is not (RFC 3461 §4.1). What a peer or a message says stays inside the
line it is put on. The same arguments make the same octets.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import format_datetime

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay.notice import Action, Notice, diagnostic, status, wanted, why
from smtpcheck.wire.command import from_xtext

WARN_AFTER = timedelta(hours=4)
"""How long a message waits before its sender is told so."""
MAX_RETURNED = 64 * 1024
"""Octets of a message that is returned whole; of a longer one the header is."""
MAX_DIAGNOSTIC = 2048
"""Characters of a reply that are repeated."""


def bounce(
    envelope: Envelope,
    content: bytes,
    notices: Sequence[Notice],
    *,
    hostname: str,
    message_id: str,
    boundary: str,
    date: datetime,
    postmaster: str = "",
) -> tuple[Envelope, bytes] | None:
    """The notification about `notices` as a message of its own, or None: nobody is to be told.

    `postmaster` hears of a bounce that failed in its turn. `message_id` is for the queue and,
    with `hostname`, for the Message-ID; `boundary` is lengthened where the content has it.
    Of `content`, the first MAX_RETURNED + 1 octets are enough.
    """
    to = envelope.reverse_path
    if to:
        told = tuple(notice for notice in notices if wanted(notice))
    else:
        to = postmaster
        told = tuple(n for n in notices if n.action is Action.FAILED and not _is(n, to))
    if not told or not to:
        return None
    report = _Report(envelope, content, told, hostname, boundary, date)
    octets = report.message(to, message_id)
    return _envelope(to, message_id, date, octets, report.international), octets


def _is(notice: Notice, address: str) -> bool:
    return notice.forward_path.address.casefold() == address.casefold()


def _envelope(to: str, message_id: str, date: datetime, octets: bytes, utf8: bool) -> Envelope:
    """RFC 3461 §6.1: the null path, and no notification about the notification."""
    return Envelope(
        message_id=message_id,
        reverse_path="",
        forward_paths=(ForwardPath(address=to, notify=("NEVER",)),),
        eight_bit=not octets.isascii(),
        smtputf8=utf8,
        size=len(octets),
        received=date,
        protocol="local",
    )


class _Report:
    """The parts of one notification; `international` makes it RFC 6533's kind."""

    def __init__(
        self,
        envelope: Envelope,
        content: bytes,
        notices: tuple[Notice, ...],
        hostname: str,
        boundary: str,
        date: datetime,
    ) -> None:
        self._envelope, self._notices = envelope, notices
        self._hostname, self._date = hostname, date
        self._header = header(content)
        self._content = content
        addresses = "".join((envelope.reverse_path, *(n.forward_path.address for n in notices)))
        ascii_header = self._header.isascii() or not envelope.smtputf8
        self.international = not (addresses.isascii() and ascii_header)
        returned = self._returned()
        while f"--{boundary}".encode() in returned:
            boundary += "="
        self._boundary, self._last_part = boundary, returned

    def message(self, to: str, message_id: str) -> bytes:
        """The whole of it."""
        parts = (self._told_to_people(), self._told_to_machines(), self._last_part)
        opened = f"--{self._boundary}\r\n".encode()
        body = b"".join(opened + part + b"\r\n" for part in parts)
        return self._head(to, message_id) + body + f"--{self._boundary}--\r\n".encode()

    def _head(self, to: str, message_id: str) -> bytes:
        kind = "global-delivery-status" if self.international else "delivery-status"
        lines = (
            f"From: Mail Delivery System <MAILER-DAEMON@{self._hostname}>",
            f"To: <{_one_line(to)}>",
            f"Subject: {self._subject()}",
            f"Date: {format_datetime(self._date)}",
            f"Message-ID: <{message_id}@{self._hostname}>",
            "Auto-Submitted: auto-replied",
            "MIME-Version: 1.0",
            f"Content-Type: multipart/report; report-type={kind};",
            f'\tboundary="{self._boundary}"',
            "",
            "This is a report in MIME format (RFC 3464).",
            "",
        )
        return _text(lines)

    def _subject(self) -> str:
        actions = {notice.action for notice in self._notices}
        if not self._envelope.reverse_path:
            return "Undelivered bounce"
        if Action.FAILED in actions:
            return "Undelivered mail returned to sender"
        return "Mail is delayed" if Action.DELAYED in actions else "Mail was delivered"

    def _told_to_people(self) -> bytes:
        charset = "utf-8" if self.international else "us-ascii"
        cte = "8bit" if self.international else "7bit"
        lines = [
            f"Content-Type: text/plain; charset={charset}",
            f"Content-Transfer-Encoding: {cte}",
            "",
            f"This is the mail system at {self._hostname}.",
        ]
        for action in dict.fromkeys(notice.action for notice in self._notices):
            lines += ["", *_PROSE[action]]
            for notice in self._notices:
                if notice.action is action:
                    lines += ["", f"  <{self._fit(notice.forward_path.address)}>"]
                    lines += self._reason(notice)
        return _text(lines)

    def _reason(self, notice: Notice) -> list[str]:
        """Why, indented; and until when it is tried."""
        lines = [f"    {line}" for line in _wrapped(self._fit(why(notice)), 72)]
        if notice.action is Action.DELAYED and notice.will_retry_until:
            lines.append(f"    It is tried until {format_datetime(notice.will_retry_until)}.")
        return lines

    def _told_to_machines(self) -> bytes:
        kind = "global-delivery-status" if self.international else "delivery-status"
        lines = [f"Content-Type: message/{kind}"]
        lines += ["Content-Transfer-Encoding: 8bit"] * self.international
        lines += ["", *self._message_fields()]
        for notice in self._notices:
            lines += ["", *self._recipient_fields(notice)]
        return _text(lines)

    def _message_fields(self) -> list[str]:
        """RFC 3464 §2.2."""
        envelope = self._envelope
        lines = [f"Reporting-MTA: dns; {self._hostname}"]
        if envelope.envid:
            lines.insert(0, f"Original-Envelope-Id: {self._fit(from_xtext(envelope.envid))}")
        lines.append(f"Arrival-Date: {format_datetime(envelope.received)}")
        return lines

    def _recipient_fields(self, notice: Notice) -> list[str]:
        """RFC 3464 §2.3, in its order."""
        path, outcome = notice.forward_path, notice.outcome
        lines = [
            f"Final-Recipient: {self._typed(path.address)}",
            f"Action: {notice.action}",
            f"Status: {status(notice)}",
        ]
        if path.orcpt:
            type_, _, address = path.orcpt.partition(";")
            original = f"{_one_line(type_)};{self._fit(from_xtext(address))}"
            lines.insert(0, f"Original-Recipient: {original}")
        if outcome and outcome.host:
            lines.append(f"Remote-MTA: dns; {self._fit(outcome.host)}")
        if outcome and (cause := diagnostic(outcome)):
            lines += _folded(f"Diagnostic-Code: {self._fit(cause)}")
        if notice.last_attempt:
            lines.append(f"Last-Attempt-Date: {format_datetime(notice.last_attempt)}")
        if notice.action is Action.DELAYED and notice.will_retry_until:
            lines.append(f"Will-Retry-Until: {format_datetime(notice.will_retry_until)}")
        return lines

    def _returned(self) -> bytes:
        """The message, or its header (RFC 3461 §4.3): whole only to tell of a failure."""
        failed = any(notice.action is Action.FAILED for notice in self._notices)
        whole = failed and self._envelope.ret != "HDRS" and len(self._content) <= MAX_RETURNED
        text = self._content if whole else self._header
        if self.international:
            kind = "message/global" if whole else "message/global-headers"
        else:
            kind = "message/rfc822" if whole else "text/rfc822-headers"
        cte = "7bit" if text.isascii() else "8bit"
        lines = (f"Content-Type: {kind}", f"Content-Transfer-Encoding: {cte}", "")
        return _text(lines) + text

    def _typed(self, address: str) -> str:
        """An address with its type (RFC 3464 §2.3.2, RFC 6533 §3)."""
        return f"{'rfc822' if address.isascii() else 'utf-8'};{self._fit(address)}"

    def _fit(self, text: str) -> str:
        """One line, in ASCII unless the whole report is international."""
        line = _one_line(text)
        if self.international or line.isascii():
            return line
        return line.encode("ascii", "backslashreplace").decode("ascii")


_PROSE: dict[Action, tuple[str, ...]] = {
    Action.FAILED: (
        "Your message could not be delivered to the recipients below, and is not",
        "tried any more.",
    ),
    Action.DELAYED: (
        "Your message could not be delivered yet to the recipients below. It is",
        "still being tried: there is no need to send it again.",
    ),
    Action.DELIVERED: ("Your message was delivered to the mailboxes of:",),
    Action.RELAYED: ("Your message was handed to a server that does not report deliveries, for:",),
    Action.EXPANDED: ("Your message was delivered to the lists below and sent on from there:",),
}


def header(content: bytes) -> bytes:
    """The header section of a message with its last CRLF, at most MAX_RETURNED octets of it."""
    end = content.find(b"\r\n\r\n", 0, MAX_RETURNED)
    if content.startswith(b"\r\n"):
        return b""
    if end >= 0:
        return content[: end + 2]
    return content[: content.rfind(b"\r\n", 0, MAX_RETURNED) + 2 if b"\r\n" in content else 0]


_LONGEST = 240  # characters: in UTF-8 a line then stays within 998 octets (RFC 5322 §2.1.1)
_UNFIT = re.compile(r"[^ -~\xa0-\u2027\u202a-\U0010ffff]|[\ud800-\udfff]")


def _one_line(text: str) -> str:
    """Without line ends, controls, and what can't be encoded."""
    return _UNFIT.sub("?", text[:MAX_DIAGNOSTIC])


def _folded(line: str) -> list[str]:
    first, *rest = _wrapped(line, 76)
    return [first, *(f" {each}" for each in rest)]


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, unless one word is longer; nor is that ever too long for a line."""
    lines, line = [], ""
    for word in (piece for long in text.split() for piece in _cut(long)):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _cut(word: str) -> list[str]:
    return [word[at : at + _LONGEST] for at in range(0, len(word), _LONGEST)]


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()
