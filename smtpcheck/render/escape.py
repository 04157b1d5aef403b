"""What a peer sent, made fit to be shown.

Law: what leaves here is one line of printable characters that keep their place. Controls,
escape sequences, invisible and direction-changing characters stand as `\\x1b` or `\\u202e`,
a backslash of the peer's own is doubled so that nothing can pass for one, and length is bounded.
"""

import re
import unicodedata
from functools import lru_cache

LONGEST = 200
"""Characters of one text that a report shows."""

_SENTENCE = 1000
"""Columns of a sentence of ours, in which a peer's words may stand."""

_SHORT = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_BLANK = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and a symbol by category, nothing to the eye."""

_ASCII = str.maketrans("§·–−—…‹›×→✓✗“”", '#.---~<>x>+x""')
"""One for one, so that columns stay columns."""

_LINE = re.compile(rb"[^\n]*\n|[^\n]+")


def escaped(text: str, limit: int = LONGEST, *, ours: bool = False) -> str:
    """`text` in one line of at most `limit` columns; what was cut is counted after an ellipsis.

    In a sentence of `ours` a backslash stays single: what it quotes is spelled out already.
    """
    if len(text) <= limit and text.isascii() and text.isprintable() and "\\" not in text:
        return text
    shown: list[str] = []
    room = limit
    for position, character in enumerate(text):
        visible = character if ours and character == "\\" else _visible(character)
        room -= _columns(visible)
        if room < 0:
            return f"{''.join(shown)}… (+{len(text) - position})"
        shown.append(visible)
    return "".join(shown)


def sentence(text: str) -> str:
    """A sentence of ours, whatever it quotes."""
    return escaped(text, _SENTENCE, ours=True)


def octets(data: bytes, limit: int = LONGEST) -> str:
    """Octets as text where they are UTF-8, and as `\\xff` where they are not."""
    return escaped(data.decode("utf-8", "surrogateescape"), limit)


def hexadecimal(data: bytes, limit: int = 16) -> str:
    """How many octets, and the first `limit` of them."""
    more = " …" if len(data) > limit else ""
    return f"‹{len(data)} octets› {data[:limit].hex(' ')}{more}"


def binary(data: bytes) -> bool:
    """Whether `data` is no text: a NUL, or more than one octet in eight a control."""
    controls = sum(octet < 32 and octet not in b"\t\r\n\x1b" for octet in data)
    return b"\0" in data or controls * 8 > len(data)


def lines(data: bytes) -> tuple[str, ...]:
    """The lines of `data`; an end other than CRLF stays visible, a missing one is said."""
    return tuple(_line(found) for found in _LINE.findall(data))


def _line(line: bytes) -> str:
    if line.endswith(b"\r\n"):
        return octets(line[:-2])
    if line.endswith(b"\n"):
        return octets(line)
    return f"{octets(line)} ‹no line end›"


def ascii_only(text: str) -> str:
    """`text` for a terminal without UTF-8."""
    return text.translate(_ASCII).encode("ascii", "backslashreplace").decode("ascii")


def whole(text: str) -> str:
    """`text` with lone surrogates spelled out, so that it can be encoded at all."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


@lru_cache(maxsize=1024)
def _visible(character: str) -> str:
    if short := _SHORT.get(character):
        return short
    if character.isprintable() and not _unseen(character):
        return character
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:  # how Python writes an octet that is not UTF-8
        number -= 0xDC00
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _unseen(character: str) -> bool:
    return character in _BLANK or unicodedata.category(character) in ("Mn", "Me")


def _columns(visible: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in visible)
