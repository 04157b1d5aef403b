"""Which names in a certificate fit which hosts: RFC 9525 §6.3, §6.4, as a table."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.policy.names import a_label, fits, names_host

FITS = [
    ("mail.example.org", "mail.example.org"),
    ("MAIL.Example.ORG", "mail.example.org"),
    ("mail.example.org", "Mail.Example.Org"),
    ("mail.example.org.", "mail.example.org"),
    ("mail.example.org", "*.example.org"),
    ("xn--bcher-kva.example.org", "*.example.org"),
    ("bücher.example.org", "xn--bcher-kva.example.org"),
    ("mail.bücher.example", "*.xn--bcher-kva.example"),
    ("mail.test", "*.test"),
    ("localhost", "localhost"),
    ("mx_1.example.org", "mx_1.example.org"),
]

DOES_NOT_FIT = [
    ("mail.example.org", "example.org", "a parent"),
    ("example.org", "mail.example.org", "a child"),
    ("example.org", "*.example.org", "a wildcard stands for one label, not for none"),
    ("a.b.example.org", "*.example.org", "a wildcard stands for one label, not for two"),
    ("mail.example.org", "m*.example.org", "a wildcard is a whole label"),
    ("mail.example.org", "*l.example.org", "a wildcard is a whole label"),
    ("mail.example.org", "mail.*.org", "a wildcard is the left-most label"),
    ("mail.example.org", "*.*.org", "one wildcard"),
    ("localhost", "*", "a wildcard alone"),
    ("mail.example.org", "", "nothing"),
    ("", "*.example.org", "no host"),
    ("mail..example.org", "mail..example.org", "an empty label"),
    ("mail.example.org\0.evil.test", "mail.example.org", "a NUL within"),
    ("mail.example.org", "mail.example.org\0.evil.test", "a NUL within"),
    ("mail.example.org", "xn--mail.example.org", "an A-label is compared as it stands"),
]


@pytest.mark.parametrize(("host", "name"), FITS)
def test_fits(host: str, name: str) -> None:
    assert fits(host, name)


@pytest.mark.parametrize(("host", "name", "why"), DOES_NOT_FIT)
def test_does_not_fit(host: str, name: str, why: str) -> None:
    assert not fits(host, name), why


ADDRESSES = [
    ("192.0.2.1", (), ("192.0.2.1",), True),
    ("[192.0.2.1]", (), ("192.0.2.1",), True),
    ("2001:db8::1", (), ("2001:0db8:0:0:0:0:0:1",), True),
    ("fe80::1%eth0", (), ("fe80::1",), True),
    ("192.0.2.1", ("192.0.2.1",), (), False),
    ("192.0.2.1", ("*.0.2.1",), (), False),
    ("192.0.2.1", (), ("192.0.2.2",), False),
    ("::ffff:192.0.2.1", (), ("192.0.2.1",), False),
    ("mail.example.org", (), ("192.0.2.1",), False),
]


@pytest.mark.parametrize(("host", "names", "addresses", "expected"), ADDRESSES)
def test_an_address_fits_ip_entries_only(
    host: str, names: tuple[str, ...], addresses: tuple[str, ...], expected: bool
) -> None:
    assert names_host(host, names, addresses) is expected


def test_one_of_several_is_enough() -> None:
    assert names_host("mx.example.org", ("www.example.org", "mx.example.org"))


def test_what_idna_cannot_express_fits_nothing() -> None:
    assert a_label("\u2024\u2024.example") == ""
    assert not fits("\u2024\u2024.example", "\u2024\u2024.example")


@given(st.text(), st.text())
def test_never_raises(host: str, name: str) -> None:
    assert names_host(host, (name,), (name,)) in (True, False)


@given(st.from_regex(r"[a-z]{1,10}(\.[a-z]{1,10}){1,4}", fullmatch=True))
def test_a_name_fits_itself_and_its_wildcard_and_no_deeper(name: str) -> None:
    parent = name.partition(".")[2]
    assert fits(name, name)
    assert fits(name, f"*.{parent}")
    assert not fits(f"x.{name}", f"*.{parent}")
