"""What a hop without 8BITMIME gets: the same text in ASCII, or a refusal."""

from email import message_from_bytes, policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.relay.downgrade import seven_bit

TEXT = "Grüße, 日本\r\n.dot\r\nlong " + "ü" * 300 + "\r\ntrailing blank \r\n"


def eight_bit(body: bytes, kind: str = "text/plain; charset=utf-8") -> bytes:
    fields = f"Subject: x\r\nX-Odd: kept   as is\r\nMIME-Version: 1.0\r\nContent-Type: {kind}\r\n"
    return f"{fields}Content-Transfer-Encoding: 8bit\r\n\r\n".encode() + body


def parts(content: bytes) -> list[bytes]:
    message = message_from_bytes(content, policy=policy.default)
    leaves = [part for part in message.walk() if not part.is_multipart()]
    return [
        payload for part in leaves if isinstance(payload := part.get_payload(decode=True), bytes)
    ]


def test_text_reads_the_same() -> None:
    made = seven_bit(eight_bit(TEXT.encode()))
    assert made is not None
    assert made.isascii()
    assert parts(made) == [TEXT.encode()]
    assert b"X-Odd: kept   as is\r\n" in made
    assert b"Content-Transfer-Encoding: quoted-printable\r\n" in made
    assert max(map(len, made.split(b"\r\n"))) < 999


def test_each_part_by_its_kind() -> None:
    mixed = (
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
        b"\r\n\xc3\xa4\r\n--b\r\nContent-Type: image/x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        b"\xff\xfe\r\n--b\r\nContent-Type: text/plain\r\n\r\nascii\r\n--b--\r\n"
    )
    made = seven_bit(eight_bit(mixed, "multipart/mixed; boundary=b"))
    assert made is not None
    assert made.isascii()
    assert parts(made) == [b"\xc3\xa4", b"\xff\xfe", b"ascii"]
    assert b"Content-Transfer-Encoding: base64" in made


@pytest.mark.parametrize(
    "content",
    [
        eight_bit(b"--b\r\n\r\n\xff\r\n--b--\r\n", "multipart/signed; boundary=b"),
        "Subject: ü\r\n\r\nascii\r\n".encode(),
    ],
    ids=["signed", "the header"],
)
def test_what_can_not_be_is_refused(content: bytes) -> None:
    assert seven_bit(content) is None


@given(body=st.binary(max_size=500), head=st.binary(max_size=200))
def test_any_octets_are_made_ascii_or_refused(body: bytes, head: bytes) -> None:
    for content in (eight_bit(body), head + b"\r\n\r\n" + body):
        made = seven_bit(content)
        assert made is None or made.isascii()
