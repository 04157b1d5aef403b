"""The test message is what it was asked to be, and nothing a caller passes can make it more."""

from datetime import UTC, datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpcheck.compose import TOKEN_HEADER, compose, new_token

DATE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def made(
    sender: str = "alice@a.test",
    recipients: tuple[str, ...] = ("bob@b.test", "carol@c.test"),
    token: str = "t0ken",
    hostname: str = "here.test",
    subject: str = "smtpcheck test message",
    text: str = "",
) -> bytes:
    return compose(
        sender=sender,
        recipients=recipients,
        token=token,
        date=DATE,
        hostname=hostname,
        subject=subject,
        text=text,
    )


def read(content: bytes) -> EmailMessage:
    return message_from_bytes(content, policy=default)


def test_the_message_to_the_octet() -> None:
    assert made() == (
        b"Date: Fri, 02 Jan 2026 03:04:05 +0000\r\n"
        b"Message-ID: <t0ken@here.test>\r\n"
        b"From: alice@a.test\r\n"
        b"To: bob@b.test, carol@c.test\r\n"
        b"Subject: smtpcheck test message\r\n"
        b"X-Smtpcheck-Token: t0ken\r\n"
        b"Auto-Submitted: auto-generated\r\n"
        b'Content-Type: text/plain; charset="utf-8"\r\n'
        b"Content-Transfer-Encoding: 7bit\r\n"
        b"MIME-Version: 1.0\r\n"
        b"\r\n"
        b"This is a test message sent by smtpcheck to learn whether mail arrives.\r\n"
        b"Nothing needs to be done; it can be deleted.\r\n"
        b"\r\n"
        b"Token: t0ken\r\n"
    )


def test_tokens_differ() -> None:
    assert len({new_token() for _ in range(100)}) == 100


INJECTIONS = ["a\r\nBcc: x@y.test", "a\nb", "a\rb", "a\0b", "a\x85b", "a\u2028b", "a\x7fb"]


@pytest.mark.parametrize("field", ["sender", "token", "hostname", "subject"])
@pytest.mark.parametrize("value", INJECTIONS)
def test_a_line_end_in_a_header_is_refused(field: str, value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        made(**{field: value})  # type: ignore[arg-type]


ADDRESSES = ["a@b.test, c@d.test", "A <a@b.test>", "a b@c.test", "", "@b.test", "a@", '"a"@b.test']


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_one_address(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        made(recipients=(address,))
    with pytest.raises(ValueError, match="address"):
        made(sender=address)


def test_international_addresses_make_headers_in_utf8() -> None:
    content = made(recipients=("jürgen@bücher.test",), subject="Grüße")
    assert "To: jürgen@bücher.test\r\nSubject: Grüße\r\n".encode() in content


def test_an_international_subject_alone_stays_ascii() -> None:
    content = made(subject="Grüße " * 30)
    assert content.isascii()
    assert read(content)["Subject"] == "Grüße " * 30


def test_a_long_name_stays_one_message_id() -> None:
    assert f"Message-ID:\r\n <t0ken@{'x' * 60}.test>\r\n".encode() in made(
        hostname="x" * 60 + ".test"
    )


@settings(deadline=None)
@given(st.text().filter(str.isprintable), st.text(st.characters(exclude_categories=["Cs"])))
def test_whatever_is_said_stays_in_its_place(subject: str, text: str) -> None:
    content = made(subject=subject, text=text)
    _, _, body = content.partition(b"\r\n\r\n")
    assert b"\n" not in content.replace(b"\r\n", b"")
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = read(content)
    assert [address.addr_spec for address in addresses(message)] == ["bob@b.test", "carol@c.test"]
    assert message[TOKEN_HEADER] == "t0ken"
    assert len(message.keys()) == 10
    assert body or not text


def addresses(message: EmailMessage) -> tuple[Address, ...]:
    return tuple(message["To"].addresses)
