"""Facts in words: the few phrases that more than one rule needs.

Law: what a peer sent is shortened and made printable before it enters a sentence.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.tls import Version
from smtpcheck.wire.reply import Quirk

LONGEST = 160
"""Characters of a peer's text within one of our sentences."""

_KINDS: dict[Kind, str] = {
    Kind.REFUSED: "the connection is refused",
    Kind.TIMED_OUT: "no answer in time",
    Kind.UNREACHABLE: "the network says it is unreachable",
    Kind.NO_ROUTE: "this machine has no route of that address family",
    Kind.RESET: "the connection is reset",
    Kind.CLOSED: "the server closes the connection",
    Kind.TLS_FAILED: "the TLS handshake fails",
    Kind.NOT_TLS: "the answer is not TLS",
    Kind.OVERLONG: "the server sends more than any reply may hold",
    Kind.REJECTED: "the server refuses",
    Kind.THROTTLED: "the server turns us away for now",
    Kind.OUT_OF_TIME: "the time for the whole run was spent",
    Kind.NOT_TRIED: "it was not tried",
    Kind.LOCAL: "this machine could not do it",
}

_STAGES: dict[Stage, str] = {
    Stage.RESOLVE: "on looking up the name",
    Stage.CONNECT: "on connecting",
    Stage.TLS: "in the TLS handshake",
    Stage.GREETING: "before the greeting",
    Stage.EHLO: "at EHLO",
    Stage.STARTTLS: "at STARTTLS",
    Stage.AUTH: "at AUTH",
    Stage.MAIL: "at MAIL",
    Stage.RCPT: "at RCPT",
    Stage.DATA: "at DATA",
    Stage.QUIT: "at QUIT",
}

_NO_STAGE = frozenset(
    {
        Kind.REFUSED,
        Kind.NO_ROUTE,
        Kind.TLS_FAILED,
        Kind.NOT_TLS,
        Kind.OUT_OF_TIME,
        Kind.NOT_TRIED,
    }
)
_NO_DETAIL = frozenset({Kind.REFUSED, Kind.CLOSED, Kind.RESET, Kind.NOT_TLS, Kind.OUT_OF_TIME})
"""Kinds of which the system's words say no more than ours."""


UNFRAMED = frozenset(
    {
        Quirk.BARE_LF,
        Quirk.MIXED_CODES,
        Quirk.BAD_SEPARATOR,
        Quirk.NOT_A_REPLY,
        Quirk.LONG_LINE,
        Quirk.OVERLONG,
        Quirk.UNFINISHED,
    }
)
"""Quirks that make clients lose step; the others are untidy."""

QUIRKS: dict[Quirk, str] = {
    Quirk.BARE_LF: "a line ends in LF without CR",
    Quirk.MIXED_CODES: "its lines carry different codes",
    Quirk.BAD_SEPARATOR: "neither a space nor a hyphen follows the code",
    Quirk.NOT_A_REPLY: "a line does not begin with a reply code",
    Quirk.ILLEGAL_CODE: "its code is none that SMTP allows",
    Quirk.LONG_LINE: "a line is longer than 512 octets",
    Quirk.OVERLONG: "it does not end within 64 KiB",
    Quirk.UNFINISHED: "the connection ends within it",
    Quirk.EIGHT_BIT: "it holds octets beyond ASCII",
    Quirk.CONTROL: "it holds control characters",
}


def told(failure: Failure) -> str:
    """A failure as the second half of a sentence."""
    words = _KINDS[failure.kind]
    if failure.kind not in _NO_STAGE:
        words = f"{words} {_STAGES[failure.stage]}"
    saying = failure.detail and failure.kind not in _NO_DETAIL
    return f"{words}: {shown(failure.detail)}" if saying else words


def stage(failure: Failure) -> str:
    """Where a dialogue stopped, such as "at EHLO"."""
    return _STAGES[failure.stage]


_PROTOCOLS = (
    ("+OK", "POP3"),
    ("* OK", "IMAP"),
    ("* PREAUTH", "IMAP"),
    ("* BYE", "IMAP"),
    ("SSH-", "SSH"),
    ("HTTP/", "HTTP"),
    ("<!DOCTYPE", "HTTP"),
    ("<HTML", "HTTP"),
    ("RFB ", "VNC"),
    ('"IMPLEMENTATION"', "ManageSieve"),
)


def protocol(octets: str) -> str:
    """Which protocol opens like that, other than SMTP; "" where none is known to."""
    return next((name for opening, name in _PROTOCOLS if octets.upper().startswith(opening)), "")


def shown(text: str, longest: int = LONGEST) -> str:
    """`text` of a peer, on one line, printable and not endless."""
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[: longest - 1] + "…"
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, final = list(words) or [""]
    return f"{', '.join(most)} {last} {final}" if most else final


def day(moment: datetime) -> str:
    """The date; the time of day is in the evidence."""
    return moment.strftime("%Y-%m-%d")


def days(span: timedelta) -> str:
    """A length of time in whole days, or hours below two days."""
    if span >= timedelta(days=2):
        return f"{span.days} days"
    hours = int(span.total_seconds() // 3600)
    return f"{hours} hours" if hours != 1 else "1 hour"


def spoken(version: Version) -> str:
    """`TLS 1.2`, as people write it."""
    return "TLS 1.0" if version is Version.TLS1_0 else version.value.replace("TLSv", "TLS ")


def versions(wanted: Iterable[Version]) -> str:
    """`TLS 1.0 to 1.3` for a run of them, `TLS 1.0 and TLS 1.2` otherwise."""
    order = list(Version)
    places = sorted(order.index(version) for version in wanted)
    if len(places) > 2 and places[-1] - places[0] == len(places) - 1:
        first, last = order[places[0]], order[places[-1]]
        return f"{spoken(first)} to {spoken(last).removeprefix('TLS ')}"
    return listed(spoken(order[place]) for place in places)
