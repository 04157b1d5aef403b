"""What people type for a host, read or refused with one clear line."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.endpoint import Endpoint, EndpointError, endpoint


@pytest.mark.parametrize(
    ("typed", "host", "port"),
    [
        ("mail.example.org", "mail.example.org", None),
        ("MAIL.Example.ORG.", "mail.example.org", None),
        ("mail.example.org:587", "mail.example.org", 587),
        ("localhost", "localhost", None),
        ("192.0.2.7", "192.0.2.7", None),
        ("192.0.2.7:25", "192.0.2.7", 25),
        ("2001:db8::7", "2001:db8::7", None),
        ("2001:DB8:0::7", "2001:db8::7", None),
        ("[2001:db8::7]", "2001:db8::7", None),
        ("[2001:db8::7]:465", "2001:db8::7", 465),
        ("[IPv6:2001:db8::7]", "2001:db8::7", None),
        ("[192.0.2.7]:25", "192.0.2.7", 25),
        ("bücher.example", "xn--bcher-kva.example", None),
        ("_mta.internal", "_mta.internal", None),
    ],
)
def test_an_endpoint(typed: str, host: str, port: int | None) -> None:
    assert endpoint(typed) == Endpoint(host, port)
    assert endpoint(str(Endpoint(host, port))) == Endpoint(host, port)


@pytest.mark.parametrize(
    "typed",
    [
        "", ".", "a b", "a..b", "-a.test", "a-.test", "a" * 64 + ".test", "x." * 130 + "test",
        "mail.test:", "mail.test:0", "mail.test:65536", "mail.test:smtp", "mail.test:+25",
        "mail.test:٢٥", "[2001:db8::7", "[mail.test]", "[::1]25", "1.2.3", "1.2.3.256",
        "2001:db8::g", "http://a.test", "user@a.test", "a\nb.test", "a\x1b.test", "a/b",
    ],
)  # fmt: skip
def test_what_is_none_is_said_in_one_line(typed: str) -> None:
    with pytest.raises(EndpointError) as refused:
        endpoint(typed)
    assert "\n" not in str(refused.value)


@given(st.text(max_size=80))
def test_nothing_else_is_raised(typed: str) -> None:
    with suppress(EndpointError):
        assert endpoint(typed).host
