"""Paths and mailboxes: what is in the grammar of RFC 5321 §4.1.2 is read, the rest refused."""

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.wire.address import (
    AddressError,
    Mailbox,
    Path,
    canonical_domain,
    read_domain,
    read_mailbox,
    read_path,
)

MAILBOXES = [
    ("dot-string", "a.b@c.test", "a.b", "c.test"),
    ("all of atext", "!#$%&'*+-/=?^_`{|}~@c.test", "!#$%&'*+-/=?^_`{|}~", "c.test"),
    ("one label", "a@localhost", "a", "localhost"),
    ("digits and hyphens", "a@1-2--3.x9", "a", "1-2--3.x9"),
    ("final dot", "a@c.test.", "a", "c.test"),
    ("quoted", '"a b"@c.test', "a b", "c.test"),
    ("quoted without need", '"ab"@c.test', "ab", "c.test"),
    ("quoted pairs", r'"a\"\\\c"@c.test', r'a"\c', "c.test"),
    ("at sign in quotes", '"a@b.test"@c.test', "a@b.test", "c.test"),
    ("empty quotes", '""@c.test', "", "c.test"),
    ("IPv4 literal", "a@[192.0.2.1]", "a", "[192.0.2.1]"),
    ("IPv6 literal", "a@[IPv6:2001:DB8:0::1]", "a", "[IPv6:2001:db8::1]"),
    ("UTF-8", "пользователь@почта.test", "пользователь", "почта.test"),
    ("longest local part", "a" * 64 + "@c.test", "a" * 64, "c.test"),
    ("longest label", "a@" + "b" * 63 + ".test", "a", "b" * 63 + ".test"),
]

NOT_MAILBOXES = [
    ("empty", ""),
    ("no domain", "a"),
    ("no local part", "@c.test"),
    ("empty domain", "a@"),
    ("two dots", "a..b@c.test"),
    ("dot first", ".a@c.test"),
    ("dot last", "a.@c.test"),
    ("space", "a b@c.test"),
    ("two at signs", "a@b@c.test"),
    ("empty label", "a@c..test"),
    ("hyphen first", "a@-c.test"),
    ("hyphen last", "a@c-.test"),
    ("underscore in the domain", "a@c_d.test"),
    ("open quote", '"a@c.test'),
    ("backslash last in quotes", '"a\\"@c.test'),
    ("tab in quotes", '"a\tb"@c.test'),
    ("NUL", "a\0@c.test"),
    ("line end", "a@c.test\r\n"),
    ("line end in quotes", '"a\r\nb"@c.test'),
    ("local part too long", "a" * 65 + "@c.test"),
    ("octets count, not characters", "я" * 33 + "@c.test"),
    ("label too long", "a@" + "b" * 64 + ".test"),
    ("path too long", "a" * 60 + "@" + "b.c" * 65),
    ("literal left open", "a@[192.0.2.1"),
    ("literal of three numbers", "a@[192.0.2]"),
    ("literal with octal", "a@[192.0.2.010]"),
    ("IPv6 without its tag", "a@[2001:db8::1]"),
    ("IPv6 with a zone", "a@[IPv6:fe80::1%eth0]"),
    ("unregistered tag", "a@[x400:c=us]"),
    ("separator beyond ASCII", "a\u2028b@c.test"),
    ("no-break space", "a@c\u00a0d.test"),
]


@pytest.mark.parametrize(
    ("text", "local_part", "domain"), [row[1:] for row in MAILBOXES], ids=[r[0] for r in MAILBOXES]
)
def test_reads_a_mailbox(text: str, local_part: str, domain: str) -> None:
    assert read_mailbox(text) == Mailbox(local_part, domain)
    path, rest = read_path(f"<{text}> SIZE=1")
    assert path == Path(Mailbox(local_part, domain))
    assert rest == " SIZE=1"


@pytest.mark.parametrize("text", [r[1] for r in NOT_MAILBOXES], ids=[r[0] for r in NOT_MAILBOXES])
def test_refuses_what_is_no_mailbox(text: str) -> None:
    with pytest.raises(AddressError):
        read_mailbox(text)
    with pytest.raises(AddressError):
        read_path(f"<{text}>" if text else "<@>")


@pytest.mark.parametrize("text", [row[1] for row in MAILBOXES], ids=[row[0] for row in MAILBOXES])
def test_writes_what_reads_back_the_same(text: str) -> None:
    mailbox = read_mailbox(text)
    assert read_mailbox(str(mailbox)) == mailbox


def test_the_null_path() -> None:
    assert read_path("<> BODY=7BIT") == (Path(None), " BODY=7BIT")
    assert Path(None).address == ""


@pytest.mark.parametrize(
    ("text", "route"),
    [
        ("<@x.test:a@c.test>", ("x.test",)),
        ("<@x.test,@y.test:a@c.test>", ("x.test", "y.test")),
    ],
)
def test_a_source_route_is_told_and_changes_nothing(text: str, route: tuple[str, ...]) -> None:
    path, _ = read_path(text)
    assert path.source_route == route
    assert path.address == "a@c.test"


@pytest.mark.parametrize(
    "text", ["<@x.test a@c.test>", "<@x.test>", "<@:a@c.test>", "<@x.test,:a@c.test>", "a@c.test"]
)
def test_refuses_what_is_no_path(text: str) -> None:
    with pytest.raises(AddressError):
        read_path(text)


@pytest.mark.parametrize("text", ["<Postmaster>", "<postmaster>", "<POSTMASTER>"])
def test_postmaster_needs_no_domain(text: str) -> None:
    path, _ = read_path(text)
    assert path.mailbox is not None
    assert path.address.lower() == "postmaster"
    assert path.mailbox.domain == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a@C.Test", "a@c.test"),
        ("a@c.test.", "a@c.test"),
        ('"a"@c.test', "a@c.test"),
        (r'"\a"@c.test', "a@c.test"),
        ("a@[IPv6:2001:DB8:0:0::1]", "a@[ipv6:2001:db8::1]"),
    ],
)
def test_equal_mailboxes_are_canonically_the_same(one: str, other: str) -> None:
    assert read_mailbox(one).canonical == read_mailbox(other).canonical


def test_the_local_part_keeps_its_case() -> None:
    assert read_mailbox("A@C.test").canonical == "A@c.test"


@pytest.mark.parametrize("text", ["c.test", "c.test.", "[192.0.2.1]", "[IPv6:::1]"])
def test_reads_a_domain(text: str) -> None:
    assert canonical_domain(read_domain(text)) == text.removesuffix(".").lower().replace(
        "ipv6", "IPv6"
    )


@pytest.mark.parametrize("text", ["", ".", "c..test", "[192.0.2.1", "[]", "c test", "-c.test"])
def test_refuses_what_is_no_domain(text: str) -> None:
    with pytest.raises(AddressError):
        read_domain(text)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        path, rest = read_path(text)
    except AddressError:
        return
    assert text.endswith(rest)
    if path.mailbox:
        assert read_path(f"<{path.address}>")[0].mailbox == path.mailbox


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30))
def test_any_printable_local_part_survives_quoting(local_part: str) -> None:
    mailbox = Mailbox(local_part, "c.test")
    assert read_mailbox(str(mailbox)) == mailbox


@pytest.mark.parametrize("unit", ["@a,", "@a.", "a.", "-", '"', '\\"', "a@", "[", "@a-"])
def test_hostile_text_costs_linear_time(unit: str) -> None:
    """Twenty thousand octets would take minutes if any rule could be matched in two ways."""
    text = "<" + unit * 20_000
    began = perf_counter()
    with pytest.raises(AddressError):
        read_path(text)
    assert perf_counter() - began < 1
