"""Content: one end of data, whatever surrounds it and however the stream is cut."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.data import END, ChunkReader, DataReader, Flaw, flaw, stuffed

CONTENTS = [
    ("empty", b".\r\n", b"", None),
    ("one line", b"a\r\n.\r\n", b"a\r\n", None),
    ("empty line", b"\r\n.\r\n", b"\r\n", None),
    ("stuffed dot first", b"..\r\n.\r\n", b".\r\n", None),
    ("stuffed dots later", b"a\r\n...b\r\n.\r\n", b"a\r\n..b\r\n", None),
    ("dot that was not stuffed", b".a\r\n.\r\n", b"a\r\n", None),
    ("dot within a line", b"a.\r\n.\r\n", b"a.\r\n", None),
    ("eight bits", b"\xe9\r\n.\r\n", b"\xe9\r\n", None),
]

# Each was an end of data to some server (SMTP smuggling). Before and behind it stands
# content; all of it, up to the true end, is one message, and is refused.
NO_ENDS = [
    ("LF . LF", b"\n.\n", Flaw.BARE_LF),
    ("LF . CRLF", b"\n.\r\n", Flaw.BARE_LF),
    ("CRLF . LF", b"\r\n.\n", Flaw.BARE_LF),
    ("CR . CR", b"\r.\r", Flaw.BARE_CR),
    ("CR . CRLF", b"\r.\r\n", Flaw.BARE_CR),
    ("CR . LF", b"\r.\n", Flaw.BARE_LF),
    ("CRLF . CR", b"\r\n.\r", Flaw.BARE_CR),
    ("CRLF . CR CR LF", b"\r\n.\r\r\n", Flaw.BARE_CR),
    ("CRLF . CRLF with NUL before the dot", b"\r\n\0.\r\n", Flaw.NUL),
    ("CRLF . CRLF with NUL behind the dot", b"\r\n.\0\r\n", Flaw.NUL),
    ("NUL within CRLF", b"\r\0\n.\r\n", Flaw.BARE_LF),
    ("LF LF . CRLF", b"\n\n.\r\n", Flaw.BARE_LF),
    ("LF CR . CR LF", b"\n\r.\r\n", Flaw.BARE_LF),
    ("LF CR . LF CR", b"\n\r.\n\r", Flaw.BARE_LF),
]
IDS = [row[0] for row in CONTENTS]


def read(data: bytes, limit: int = 1000) -> tuple[DataReader, bytes | None]:
    """Fed whole."""
    reader = DataReader(limit)
    return reader, reader.feed(data)


@pytest.mark.parametrize(("data", "content", "bad"), [row[1:] for row in CONTENTS], ids=IDS)
def test_reads_content(data: bytes, content: bytes, bad: Flaw | None) -> None:
    reader, rest = read(data)
    assert (reader.content, reader.flaw, rest) == (content, bad, b"")


@pytest.mark.parametrize(("data", "content", "bad"), [row[1:] for row in CONTENTS], ids=IDS)
def test_reads_content_with_a_command_behind_it(
    data: bytes, content: bytes, bad: Flaw | None
) -> None:
    reader, rest = read(data + b"QUIT\r\n.\r\n")
    assert (reader.content, reader.flaw, rest) == (content, bad, b"QUIT\r\n.\r\n")


@pytest.mark.parametrize(("data", "content", "bad"), [row[1:] for row in CONTENTS], ids=IDS)
def test_reads_content_octet_by_octet(data: bytes, content: bytes, bad: Flaw | None) -> None:
    reader = DataReader()
    ends = [reader.feed(data[n : n + 1]) for n in range(len(data))]
    assert ends == [None] * (len(data) - 1) + [b""]
    assert (reader.content, reader.flaw) == (content, bad)


@pytest.mark.parametrize(
    ("smuggled", "bad"), [row[1:] for row in NO_ENDS], ids=[row[0] for row in NO_ENDS]
)
def test_nothing_else_ends_the_data(smuggled: bytes, bad: Flaw) -> None:
    data = b"a" + smuggled + b"MAIL FROM:<evil@b.test>\r\n" + b".\r\n"
    for split in range(len(data)):
        reader = DataReader()
        first = reader.feed(data[:split])
        assert first is None
        assert reader.feed(data[split:]) == b""
        assert reader.flaw is bad


@pytest.mark.parametrize("before", [b"\r", b"\n", b"\0", b"\r\r", b"\n\n"])
def test_a_true_end_behind_a_stray_octet_is_the_end(before: bytes) -> None:
    reader, rest = read(b"a" + before + b"\r\n.\r\nQUIT\r\n")
    assert rest == b"QUIT\r\n"
    assert reader.flaw is not None


@given(st.lists(st.sampled_from([b"\r", b"\n", b".", b"\0", b"a", b"\r\n"])), st.integers(0, 40))
def test_the_end_is_the_first_crlf_dot_crlf(parts: list[bytes], split: int) -> None:
    stream = b"".join(parts) + END + b"rest" + END
    expected = (b"\r\n" + stream).index(END) + len(END) - 2
    reader = DataReader()
    rest = reader.feed(stream[:split])
    rest = reader.feed(stream[split:]) if rest is None else rest + stream[split:]
    assert rest == stream[expected:]


@given(st.lists(st.sampled_from([b".", b"..", b"a", b"\r\n", b"\r\n."]), max_size=30))
def test_stuffing_is_undone(parts: list[bytes]) -> None:
    content = b"".join(parts)
    reader, rest = read(stuffed(content) + b"next")
    ended = content if content.endswith(b"\r\n") or not content else content + b"\r\n"
    assert (reader.content, reader.flaw, rest) == (ended, None, b"next")


def test_content_of_just_the_limit_is_kept_however_it_is_stuffed() -> None:
    content = b".\r\n" * 300
    reader, _ = read(stuffed(content), limit=len(content))
    assert (reader.content, reader.flaw) == (content, None)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_too_large_is_read_to_the_end_and_not_kept(step: int) -> None:
    data = stuffed(b"a\r\n" * 400)
    reader = DataReader(limit=1199)
    rests = [reader.feed(data[n : n + step]) for n in range(0, len(data), step)]
    assert rests[-1] == b""
    assert (reader.content, reader.flaw) == (b"", Flaw.TOO_LARGE)


def test_memory_is_bounded_by_the_limit() -> None:
    reader = DataReader(limit=1000)
    for _ in range(1000):
        assert reader.feed(b"a" * 1000) is None
        assert len(reader._buffer) <= 2500
    assert reader.feed(b"\r\n.\r\n") == b""
    assert reader.flaw is Flaw.TOO_LARGE


def test_small_pieces_cost_linear_time() -> None:
    reader = DataReader()
    began = perf_counter()
    for _ in range(100_000):
        reader.feed(b"\r\n.\r")
    assert perf_counter() - began < 2


@pytest.mark.parametrize(
    ("content", "bad"),
    [
        (b"", None),
        (b"a\r\n", None),
        (b"a", None),
        (b"a\n", Flaw.BARE_LF),
        (b"a\r", Flaw.BARE_CR),
        (b"a\n\r", Flaw.BARE_LF),
        (b"a\0", Flaw.NUL),
    ],
)
def test_flaws(content: bytes, bad: Flaw | None) -> None:
    assert flaw(content) is bad


def test_chunks_are_counted() -> None:
    reader = ChunkReader()
    reader.expect(4)
    assert reader.feed(b"a\r") is None
    assert reader.feed(b"\n.BDAT") == b"BDAT"
    reader.expect(0)
    assert reader.feed(b"next") == b"next"
    reader.expect(4)
    assert reader.feed(b"\r\n\r\n") == b""
    assert (reader.content, reader.flaw) == (b"a\r\n.\r\n\r\n", None)


def test_chunks_too_large_together_are_not_kept() -> None:
    reader = ChunkReader(limit=5)
    for _ in range(2):
        reader.expect(3)
        assert reader.feed(b"abcQUIT") == b"QUIT"
    assert (reader.content, reader.flaw) == (b"", Flaw.TOO_LARGE)
