"""Commands, as lines become values (RFC 5321 §4.1.1 and the extensions that add parameters).

Law: a line is whole or refused; a control character is always refused, as is a parameter
that wasn't offered. Blanks after `FROM:` and at the end of a line are harmless and common,
so they pass.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from smtpcheck.wire.address import AddressError, Path, read_path
from smtpcheck.wire.reply import Reply, reply


class CommandError(ValueError):
    """A line outside the grammar, with the reply that says so."""

    def __init__(self, answer: Reply) -> None:
        super().__init__(str(answer))
        self.reply = answer


@dataclass(frozen=True, slots=True)
class Command:
    """`verb` in upper case, `argument` without blanks around it."""

    verb: str
    argument: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailCommand:
    """MAIL with its parameters. `envid` as sent, in xtext; `ret` is FULL, HDRS or ""."""

    path: Path
    size: int = 0
    body: str = ""
    smtputf8: bool = False
    requiretls: bool = False
    ret: str = ""
    envid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RcptCommand:
    """RCPT with its parameters. `orcpt` as sent, `type;xtext`; `notify` in upper case."""

    path: Path
    notify: tuple[str, ...] = ()
    orcpt: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """BDAT's announcement (RFC 3030 §2)."""

    size: int
    last: bool


UNREADABLE = reply(500, "5.5.2 Unreadable command")
_ARGUMENTS = reply(501, "5.5.4 Syntax error in arguments")
_UNOFFERED = reply(555, "5.5.4 Parameter not offered")
_NOT_UTF8 = reply(500, "5.5.2 Neither ASCII nor UTF-8")
_NEEDS_SMTPUTF8 = reply(553, "5.6.7 Address needs SMTPUTF8")
_CHUNK_SYNTAX = reply(501, "5.5.4 Syntax: BDAT size [LAST]")

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


def read_command(line: bytes) -> Command:
    """A line, without its CRLF, as a command. Raises CommandError."""
    if _CONTROL.search(line):
        raise CommandError(UNREADABLE)
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise CommandError(_NOT_UTF8) from None
    verb, _, argument = text.partition(" ")
    return Command(verb.upper(), argument.strip(" "))


# mail = "MAIL FROM:" Reverse-path [SP Mail-parameters]
_FROM = re.compile(r"FROM: *", re.IGNORECASE)
# rcpt = "RCPT TO:" Forward-path [SP Rcpt-parameters]
_TO = re.compile(r"TO: *", re.IGNORECASE)
# esmtp-param = esmtp-keyword ["=" esmtp-value], with UTF-8 for ORCPT (RFC 6533 §3)
_PARAMETER = re.compile(r"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([!-~\x80-\U0010ffff]+))?")
# xtext = *( xchar / hexchar ) (RFC 3461 §4)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
# original-recipient-address = addr-type ";" xtext (RFC 3461 §4.2), or UTF-8 (RFC 6533 §3)
_ORCPT = re.compile(r"[A-Za-z0-9-]+;[!-~\x80-\U0010ffff]+")
# chunk-size ::= 1*DIGIT; nobody needs more than nineteen
_CHUNK = re.compile(r"([0-9]{1,19})( +LAST)? *", re.IGNORECASE)

MAX_ENVID = 100
"""Octets of xtext (RFC 3461 §4.4)."""
MAX_ORCPT = 500
"""Octets with the address type (RFC 3461 §4.2)."""


def read_mail(argument: str, offered: Collection[str]) -> MailCommand:
    """MAIL's argument; `offered` are the extensions in force. Raises CommandError."""
    path, rest = _path(argument, _FROM, "5.1.7")
    mail = MailCommand(path=path)
    if rest:
        mail = replace(mail, **_parameters(rest, _MAIL_PARAMETERS, offered))
    if not argument.isascii() and not mail.smtputf8:
        raise CommandError(_NEEDS_SMTPUTF8)
    return mail


def read_rcpt(argument: str, offered: Collection[str], *, smtputf8: bool = False) -> RcptCommand:
    """RCPT's argument; `smtputf8` as MAIL declared it. Raises CommandError."""
    path, rest = _path(argument, _TO, "5.1.3")
    if path.mailbox is None:
        raise CommandError(reply(501, "5.1.3 The null path is no recipient"))
    if not argument.isascii() and not smtputf8:
        raise CommandError(_NEEDS_SMTPUTF8)
    if not rest:
        return RcptCommand(path=path)
    return RcptCommand(path=path, **_parameters(rest, _RCPT_PARAMETERS, offered))


def read_chunk(argument: str) -> Chunk:
    """BDAT's argument. Raises CommandError, after which the framing is lost."""
    found = _CHUNK.fullmatch(argument)
    if found is None:
        raise CommandError(_CHUNK_SYNTAX)
    return Chunk(int(found[1]), last=found[2] is not None)


def xtext(text: str) -> str:
    """`text` written as xtext (RFC 3461 §4)."""
    return "".join(
        chr(o) if 33 <= o <= 126 and o not in b"+=" else f"+{o:02X}" for o in text.encode()
    )


def from_xtext(text: str) -> str:
    """What xtext stands for."""
    octets = re.sub(rb"\+([0-9A-F]{2})", lambda m: bytes([int(m[1], 16)]), text.encode())
    return octets.decode("utf-8", "replace")


def _path(argument: str, keyword: re.Pattern[str], status: str) -> tuple[Path, str]:
    found = keyword.match(argument)
    if found is None:
        raise CommandError(_ARGUMENTS)
    try:
        path, rest = read_path(argument[found.end() :])
    except AddressError as error:
        raise CommandError(reply(501, f"{status} {str(error).capitalize()}")) from None
    if rest and rest[0] != " ":
        raise CommandError(_ARGUMENTS)
    return path, rest


@dataclass(frozen=True, slots=True)
class _Parameter:
    """Which extension brings it, which field it fills, how its value is read (None: unfit)."""

    extension: str
    into: str
    read: Callable[[str], object]


def _size(value: str) -> int | None:
    return int(value) if re.fullmatch(r"[0-9]{1,20}", value) else None


def _one_of(*words: str) -> Callable[[str], str | None]:
    return lambda value: value.upper() if value.upper() in words else None


def _flag(value: str) -> bool | None:
    return None if value else True


def _envid(value: str) -> str | None:
    return value if value and len(value) <= MAX_ENVID and _XTEXT.fullmatch(value) else None


def _notify(value: str) -> tuple[str, ...] | None:
    """NEVER alone, or any of the others once (RFC 3461 §4.1)."""
    words = tuple(value.upper().split(","))
    if words == ("NEVER",):
        return words
    unique = len(set(words)) == len(words)
    return words if unique and set(words) <= {"SUCCESS", "FAILURE", "DELAY"} else None


def _orcpt(value: str) -> str | None:
    if len(value) > MAX_ORCPT or not _ORCPT.fullmatch(value):
        return None
    type_, _, address = value.partition(";")
    return value if type_.lower() == "utf-8" or _XTEXT.fullmatch(address) else None


def _submitter(value: str) -> str | None:
    """Read and not used: we vouch for nobody's word but our own (RFC 4954 §5)."""
    return "" if value == "<>" or (value and _XTEXT.fullmatch(value)) else None


_MAIL_PARAMETERS = {
    "SIZE": _Parameter("SIZE", "size", _size),
    "BODY": _Parameter("8BITMIME", "body", _one_of("7BIT", "8BITMIME")),
    "SMTPUTF8": _Parameter("SMTPUTF8", "smtputf8", _flag),
    "REQUIRETLS": _Parameter("REQUIRETLS", "requiretls", _flag),
    "RET": _Parameter("DSN", "ret", _one_of("FULL", "HDRS")),
    "ENVID": _Parameter("DSN", "envid", _envid),
    "AUTH": _Parameter("AUTH", "", _submitter),
}
_RCPT_PARAMETERS = {
    "NOTIFY": _Parameter("DSN", "notify", _notify),
    "ORCPT": _Parameter("DSN", "orcpt", _orcpt),
}


def _parameters(
    rest: str, known: dict[str, _Parameter], offered: Collection[str]
) -> dict[str, Any]:
    values: dict[str, object] = {}
    for word in rest.split():
        found = _PARAMETER.fullmatch(word)
        if found is None:
            raise CommandError(_ARGUMENTS)
        keyword = found[1].upper()
        parameter = known.get(keyword)
        if parameter is None or parameter.extension not in offered:
            raise CommandError(_UNOFFERED)
        value = parameter.read(found[2] or "")
        if value is None or keyword in values:
            raise CommandError(_ARGUMENTS)
        values[keyword] = value
    return {known[keyword].into: value for keyword, value in values.items() if known[keyword].into}
