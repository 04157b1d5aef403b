"""Replies: what a server may send, whole, octet by octet and with something after it."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.reply import EnhancedStatus, Quirk, Reply, ReplyParser, enhanced_status, reply


@dataclass(frozen=True)
class Row:
    what: str
    raw: bytes
    code: int
    lines: tuple[str, ...]
    quirks: frozenset[Quirk] = frozenset()
    status: str = ""


def row(
    what: str, raw: bytes, code: int, *lines: str, quirks: object = (), status: str = ""
) -> Row:
    return Row(what, raw, code, lines, frozenset(quirks), status)  # type: ignore[call-overload]


REPLIES = [
    row("one line", b"250 ok\r\n", 250, "ok"),
    row("no text", b"354\r\n", 354, ""),
    row("a blank and no text", b"354 \r\n", 354, ""),
    row("several lines", b"250-a\r\n250-SIZE 10\r\n250 DSN\r\n", 250, "a", "SIZE 10", "DSN"),
    row("enhanced status", b"550 5.1.1 no user\r\n", 550, "5.1.1 no user", status="5.1.1"),
    row("status needs a blank after it", b"550 5.1.1no\r\n", 550, "5.1.1no"),
    row("mixed codes", b"250-a\r\n550 b\r\n", 550, "a", "b", quirks={Quirk.MIXED_CODES}),
    row("bare LF", b"250 ok\n", 250, "ok", quirks={Quirk.BARE_LF}),
    row("a bare LF inside", b"250-a\n250 b\r\n", 250, "a", "b", quirks={Quirk.BARE_LF}),
    row("no digits", b"hello\r\n", 0, "hello", quirks={Quirk.NOT_A_REPLY}),
    row("two digits", b"25 ok\r\n", 0, "25 ok", quirks={Quirk.NOT_A_REPLY}),
    row("an empty line", b"\r\n", 0, "", quirks={Quirk.NOT_A_REPLY}),
    row("no separator", b"250ok\r\n", 250, "ok", quirks={Quirk.BAD_SEPARATOR}),
    row("a code that starts with 1", b"150 x\r\n", 150, "x", quirks={Quirk.ILLEGAL_CODE}),
    row("a second digit over 5", b"299 x\r\n", 299, "x", quirks={Quirk.ILLEGAL_CODE}),
    row("512 octets are legal", b"250 " + b"x" * 506 + b"\r\n", 250, "x" * 506),
    row("513 are not", b"250 " + b"x" * 507 + b"\r\n", 250, "x" * 507, quirks={Quirk.LONG_LINE}),
    row("UTF-8", "250 é\r\n".encode(), 250, "é", quirks={Quirk.EIGHT_BIT}),
    row("not UTF-8", b"250 \xe9\r\n", 250, "é", quirks={Quirk.EIGHT_BIT}),
    row("NUL", b"250 a\0b\r\n", 250, "a\0b", quirks={Quirk.CONTROL}),
    row("an escape", b"250 \x1b[2J\r\n", 250, "\x1b[2J", quirks={Quirk.CONTROL}),
    row("a CR in the text", b"250 a\rb\r\n", 250, "a\rb", quirks={Quirk.CONTROL}),
    row("a tab is harmless", b"250 a\tb\r\n", 250, "a\tb"),
]  # fmt: skip


def fed(parser: ReplyParser, data: bytes, step: int) -> list[Reply]:
    return [r for i in range(0, len(data), step) for r in parser.feed(data[i : i + step])]


@pytest.mark.parametrize("each", REPLIES, ids=lambda each: each.what)
@pytest.mark.parametrize("step", [1, 2, 7, 10_000])
def test_a_reply_however_it_is_cut(each: Row, step: int) -> None:
    parser = ReplyParser()
    (found,) = fed(parser, each.raw, step)
    assert (found.code, found.lines) == (each.code, each.lines)
    assert set(found.quirks) == each.quirks
    assert found.raw == each.raw
    assert str(found.status or "") == each.status
    assert parser.leftover == b""


@pytest.mark.parametrize("each", REPLIES, ids=lambda each: each.what)
def test_what_follows_is_left_over(each: Row) -> None:
    parser = ReplyParser()
    assert len(parser.feed(each.raw + b"220 half")) == 1
    assert parser.leftover == b"220 half"


def test_two_replies_in_one_segment_stay_two() -> None:
    assert [r.code for r in ReplyParser().feed(b"250 a\r\n550 b\r\n")] == [250, 550]


@pytest.mark.parametrize("endless", [b"250-x\r\n", b"x", b"250-" + b"y" * 600 + b"\n"])
def test_an_endless_reply_ends_once_and_is_not_kept(endless: bytes) -> None:
    parser = ReplyParser(limit=1000)
    replies = [r for _ in range(5000) for r in parser.feed(endless)]
    assert [Quirk.OVERLONG in r.quirks for r in replies] == [True]
    assert len(replies[0].raw) <= 1000
    assert parser.leftover == b""


def test_the_end_of_the_stream_hands_out_what_never_ended() -> None:
    parser = ReplyParser()
    assert parser.end() is None
    parser.feed(b"250-a\r\n550 cut sho")
    cut = parser.end()
    assert cut is not None
    assert (cut.code, cut.lines) == (550, ("a", "cut sho"))
    assert cut.quirks == (Quirk.MIXED_CODES, Quirk.UNFINISHED)
    assert parser.end() is None


def test_a_reply_of_ours_parses_as_itself() -> None:
    made = reply(550, "5.7.1 no", "really")
    assert ReplyParser().feed(made.raw) == (made,)
    assert made.status == EnhancedStatus(5, 7, 1)
    assert (made.permanent, made.transient, made.positive) == (True, False, False)


@pytest.mark.parametrize("text", ["2.0", "6.1.1 x", "5.1.1234 x", "a 5.1.1 x", ""])
def test_no_enhanced_status(text: str) -> None:
    assert enhanced_status(text) is None


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_cutting_never_changes_the_replies_and_nothing_raises(pieces: list[bytes]) -> None:
    whole, cut = ReplyParser(limit=300), ReplyParser(limit=300)
    data = b"".join(pieces)
    at_once = whole.feed(data)
    in_pieces = tuple(r for piece in pieces for r in cut.feed(piece))
    assert in_pieces == at_once or any(Quirk.OVERLONG in r.quirks for r in (*in_pieces, *at_once))
