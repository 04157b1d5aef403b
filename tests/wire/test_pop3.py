"""The POP3 grammar reads what may be cut anywhere, and never trusts a length."""

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpcheck.wire.pop3 import (
    MAX_COMMAND_OCTETS,
    Block,
    Command,
    Line,
    LineParser,
    Mark,
    Quirk,
    ResponseParser,
    Status,
    command,
    crlf,
    status,
    stuffed,
    top,
    unstuffed,
)

LINES = [
    pytest.param(b"QUIT\r\n", Line(text="QUIT"), id="whole"),
    pytest.param(b"QUIT\n", Line(text="QUIT", quirks=(Quirk.BARE_LF,)), id="bare LF"),
    pytest.param(b"\r\n", Line(), id="empty"),
    pytest.param(b"A\0B\r\n", Line(text="A\0B", quirks=(Quirk.CONTROL,)), id="NUL"),
    pytest.param(b"A\rB\r\n", Line(text="A\rB", quirks=(Quirk.CONTROL,)), id="bare CR"),
    pytest.param(b"\xff\r\n", Line(text="\ufffd", quirks=(Quirk.CONTROL,)), id="not UTF-8"),
    pytest.param("USER jürgen\r\n".encode(), Line(text="USER jürgen"), id="UTF-8"),
    pytest.param(b"x" * 253 + b"\r\n", Line(text="x" * 253), id="as long as allowed"),
    pytest.param(b"x" * 254 + b"\r\n", Line(quirks=(Quirk.OVERLONG,)), id="one longer"),
]


@pytest.mark.parametrize(("raw", "line"), LINES)
def test_a_line_reads_the_same_however_it_is_cut(raw: bytes, line: Line) -> None:
    whole = LineParser(MAX_COMMAND_OCTETS)
    whole.feed(raw + b"NOOP\r\nrest")
    assert whole.line() == line
    if Quirk.OVERLONG in line.quirks:
        assert (whole.line(), whole.leftover) == (None, b"")
    else:
        assert (whole.line(), whole.line(), whole.leftover) == (Line(text="NOOP"), None, b"rest")

    slow, seen = LineParser(MAX_COMMAND_OCTETS), []
    for octet in raw:
        slow.feed(bytes([octet]))
        if found := slow.line():
            seen.append(found)
    assert seen == [line]


def test_one_line_may_have_a_limit_of_its_own() -> None:
    parser = LineParser(10)
    parser.feed(b"x" * 20)
    assert parser.line(40) is None
    parser.feed(b"\r\n" + b"y" * 10)
    assert parser.line(40) == Line(text="x" * 20)
    assert parser.line() == Line(quirks=(Quirk.OVERLONG,))


COMMANDS = [
    ("quit", Command(keyword="QUIT"), ()),
    ("Pass  two  blanks ", Command(keyword="PASS", argument=" two  blanks "), ("two", "blanks")),
    ("TOP 1 10", Command(keyword="TOP", argument="1 10"), ("1", "10")),
    ("", Command(keyword=""), ()),
    (" LIST", Command(keyword="", argument="LIST"), ("LIST",)),
]


@pytest.mark.parametrize(("text", "expected", "words"), COMMANDS)
def test_commands(text: str, expected: Command, words: tuple[str, ...]) -> None:
    assert command(text) == expected
    assert expected.words == words


STATUSES = [
    ("+OK", Status(mark=Mark.OK)),
    ("+OK 2 messages", Status(mark=Mark.OK, text="2 messages")),
    ("-ERR [IN-USE] locked", Status(mark=Mark.ERR, code="IN-USE", text="locked")),
    ("-ERR [SYS/TEMP]", Status(mark=Mark.ERR, code="SYS/TEMP")),
    ("+OK [not a code", Status(mark=Mark.OK, text="[not a code")),
    ("+ ", Status(mark=Mark.CHALLENGE)),
    ("+", Status(mark=Mark.CHALLENGE)),
    ("+ Zm9v", Status(mark=Mark.CHALLENGE, text="Zm9v")),
    ("+OKAY", Status(mark=Mark.NONE, text="+OKAY", quirks=(Quirk.NOT_A_STATUS,))),
    ("220 smtp", Status(mark=Mark.NONE, text="220 smtp", quirks=(Quirk.NOT_A_STATUS,))),
]


@pytest.mark.parametrize(("text", "expected"), STATUSES)
def test_status_lines(text: str, expected: Status) -> None:
    assert status(Line(text=text)) == expected


BLOCKS = [
    (b".\r\n", b""),
    (b"1 120\r\n2 200\r\n.\r\n", b"1 120\r\n2 200\r\n"),
    (b"..\r\n.\r\n", b".\r\n"),
    (b"a\r\n..b\r\n....\r\n.\r\n", b"a\r\n.b\r\n...\r\n"),
    (b"a\n.\nb\n.\r\nc\r\n.\r\n", b"a\n.\nb\n.\r\nc\r\n"),
]


@pytest.mark.parametrize(("raw", "content"), BLOCKS)
def test_a_block_ends_at_its_lone_dot_however_it_is_cut(raw: bytes, content: bytes) -> None:
    whole = ResponseParser()
    whole.feed(b"+OK\r\n" + raw + b"+OK bye\r\n")
    assert whole.status() == Status(mark=Mark.OK)
    assert whole.block() == Block(content=content)
    assert whole.status() == Status(mark=Mark.OK, text="bye")

    slow = ResponseParser()
    for octet in raw[:-1]:
        slow.feed(bytes([octet]))
        assert slow.block() is None
    slow.feed(raw[-1:])
    assert slow.block() == Block(content=content)
    assert slow.leftover == b""


@pytest.mark.parametrize("raw", [b"x" * 43, b"x" * 50 + b"\r\n.\r\n"])
def test_a_block_that_outgrows_its_limit_ends_the_conversation(raw: bytes) -> None:
    parser = ResponseParser(limit=40)
    parser.feed(raw)
    assert parser.block() == Block(quirks=(Quirk.OVERLONG,))
    parser.feed(b".\r\n+OK\r\n")
    assert (parser.block(), parser.status(), parser.leftover) == (None, None, b"")


def test_what_follows_a_block_does_not_count_against_it() -> None:
    parser = ResponseParser(limit=4)
    parser.feed(b"ab\r\n.\r\n" + b"y" * 100)
    assert parser.block() == Block(content=b"ab\r\n")


def cut(data: bytes, at: Iterable[int]) -> list[bytes]:
    """`data` in pieces, some of them empty."""
    places = [0, *sorted(place % (len(data) + 1) for place in at), len(data)]
    return [data[a:b] for a, b in pairwise(places)]


TEXT = st.lists(st.sampled_from([b"\r\n", b"\n", b"\r", b".", b"..", b"x", b"\0\xff"])).map(
    b"".join
)
CUTS = st.lists(st.integers(0, 60), max_size=8)


@settings(deadline=None)
@given(TEXT, CUTS)
def test_a_message_comes_through_a_block_unchanged(text: bytes, cuts: list[int]) -> None:
    message = b"".join(crlf([text]))
    parser = ResponseParser()
    for piece in cut(b"".join(stuffed(cut(message, cuts))), cuts):
        parser.feed(piece)
    assert parser.block() == Block(content=message)
    assert parser.leftover == b""


@settings(deadline=None)
@given(TEXT, CUTS)
def test_lone_line_feeds_become_line_ends_wherever_the_text_is_cut(
    text: bytes, cuts: list[int]
) -> None:
    expected = text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if text and not text.endswith(b"\n"):
        expected += b"\r\n"
    assert b"".join(crlf(cut(text, cuts))) == expected


@settings(deadline=None)
@given(TEXT, CUTS, st.integers(0, 5))
def test_top_is_the_header_and_so_many_lines(text: bytes, cuts: list[int], lines: int) -> None:
    message = b"".join(crlf([text]))
    header, blank, body = (b"\r\n" + message).partition(b"\r\n\r\n")
    kept = b""
    for line in body.split(b"\n")[:lines]:
        kept += line + b"\n"
    expected = (header + blank + kept)[2:] if blank else message
    assert b"".join(top(cut(message, cuts), lines)) == expected[: len(message)]


@settings(deadline=None)
@given(TEXT)
def test_unstuffing_undoes_stuffing(text: bytes) -> None:
    message = b"".join(crlf([text]))
    assert unstuffed(b"".join(stuffed([message]))[:-3]) == message


@settings(deadline=None)
@given(st.binary(), CUTS)
def test_nothing_a_server_sends_makes_the_parser_raise(raw: bytes, cuts: list[int]) -> None:
    parser = ResponseParser(limit=64)
    for piece in cut(raw, cuts):
        parser.feed(piece)
        parser.status()
        parser.block()


@pytest.mark.parametrize(("octets", "quirks"), [(8, ()), (9, (Quirk.OVERLONG,))])
def test_the_limit_of_a_block_is_the_same_wherever_it_is_cut(
    octets: int, quirks: tuple[Quirk, ...]
) -> None:
    """Found by fuzzing: of a block as long as the limit, the end line was counted as well."""
    raw = b"+OK\r\n" + b"x" * (octets - 2) + b"\r\n.\r\n"
    for step in (1, 2, 3, len(raw)):
        parser = ResponseParser(limit=8)
        found = None
        for at in range(0, len(raw), step):
            parser.feed(raw[at : at + step])
            if at + step >= 5 and at < 5:
                assert parser.status() is not None
            found = found or parser.block()
        assert found is not None
        assert found.quirks == quirks, step
