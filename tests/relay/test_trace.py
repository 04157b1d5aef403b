"""The Received field says how a message came (RFC 5321 §4.4), and nothing can be put into it."""

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.facts.delivery import Envelope, ForwardPath
from smtpcheck.relay.trace import new_message_id, protocol, received

ENVELOPE = Envelope(
    message_id="0123",
    reverse_path="a@b.test",
    forward_paths=(ForwardPath(address="c@d.test"),),
    received=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
    peer="192.0.2.7",
    helo="client.test",
    protocol="ESMTPSA",
)


def test_the_whole_field() -> None:
    assert received(ENVELOPE, "mx.test", "TLSv1.3 TLS_AES_256_GCM_SHA384") == (
        b"Received: from client.test ([192.0.2.7])\r\n"
        b"\t(using TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
        b"\tby mx.test with ESMTPSA id 0123\r\n"
        b"\tfor <c@d.test>;\r\n"
        b"\tWed, 04 Mar 2026 05:06:07 +0000\r\n"
    )


def test_several_recipients_are_not_told_of_each_other() -> None:
    envelope = replace(ENVELOPE, forward_paths=ENVELOPE.forward_paths * 2)
    assert b"c@d.test" not in received(envelope, "mx.test")


def test_an_ipv6_client_has_its_tag() -> None:
    assert b"([IPv6:2001:db8::1])" in received(replace(ENVELOPE, peer="2001:db8::1"), "mx.test")


@pytest.mark.parametrize("helo", ["a\r\nX-Evil: 1", "a) by evil (", "a;b", "ж", "", "a" * 2000])
def test_a_name_has_no_structure(helo: str) -> None:
    field = received(replace(ENVELOPE, helo=helo), "mx.test")
    assert field.isascii()
    assert [line[:1] for line in field.splitlines()[1:]] == [b"\t"] * 3
    assert field.count(b";") == 1
    assert all(len(line) <= 998 for line in field.splitlines())


@given(st.text(max_size=300), st.text(max_size=60))
def test_it_is_one_field_with_a_date_whatever_the_client_said(helo: str, address: str) -> None:
    path = ForwardPath(address=address.replace("\r", "").replace("\n", "") + "@d.test")
    field = received(replace(ENVELOPE, helo=helo, forward_paths=(path,)), "mx.test")
    message = message_from_bytes(field + b"\r\nbody\r\n")
    assert message.keys() == ["Received"]
    date = message["Received"].rpartition(";")[2]
    assert parsedate_to_datetime(date.strip()) == ENVELOPE.received


@pytest.mark.parametrize(
    ("facts", "keyword"),
    [
        ((False, False, False, False), "SMTP"),
        ((True, False, False, False), "ESMTP"),
        ((True, False, True, False), "ESMTPS"),
        ((True, False, False, True), "ESMTPA"),
        ((True, False, True, True), "ESMTPSA"),
        ((True, True, False, False), "UTF8SMTP"),
        ((True, True, True, True), "UTF8SMTPSA"),
    ],
)
def test_the_protocol_keyword(facts: tuple[bool, bool, bool, bool], keyword: str) -> None:
    extended, utf8, secured, authenticated = facts
    assert (
        protocol(extended=extended, utf8=utf8, secured=secured, authenticated=authenticated)
        == keyword
    )


def test_identifiers_are_unique_and_fit_a_file_name() -> None:
    made = [new_message_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(each.isalnum() and len(each) == 20 for each in made)
