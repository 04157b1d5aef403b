"""The MX walk: a table of what the standards say, and a model that orders by brute force."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.facts.delivery import Because, Route
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.policy.route import (
    Exchanger,
    NoRoute,
    Own,
    Question,
    Walk,
    exchangers,
    in_order,
    literal,
    to_domain,
    to_smarthost,
)

Zone = dict[tuple[str, str], tuple[str, ...] | Answer]
"""Records by name and type; a name with none of any type doesn't exist."""


def answer(zone: Zone, question: Question) -> Lookup:
    known = zone.get((question.name, question.rdtype))
    if isinstance(known, Answer):
        return Lookup(name=question.name, rdtype=question.rdtype, answer=known)
    if known:
        kind = Answer.FOUND
    else:
        exists = any(name == question.name for name, _ in zone)
        kind = Answer.NO_DATA if exists else Answer.NO_SUCH_NAME
    return Lookup(name=question.name, rdtype=question.rdtype, answer=kind, values=known or ())


def walked(walk: Walk, zone: Zone) -> Route | NoRoute:
    try:
        questions = next(walk)
        while True:
            questions = walk.send(tuple(answer(zone, question) for question in questions))
    except StopIteration as stop:
        result = stop.value
        assert isinstance(result, Route | NoRoute)
        return result


def unshuffled(_: list[Exchanger]) -> None:
    """Equals keep the order of the answer."""


def to(domain: str, zone: Zone, own: Own | None = None) -> Route | NoRoute:
    return walked(to_domain(domain, own=own or Own(), shuffle=unshuffled, port=2525), zone)


A1, A2, A3 = ("192.0.2.1",), ("192.0.2.2",), ("192.0.2.3",)
BOTH: Zone = {("mx1.test", "A"): A1, ("mx2.test", "A"): A2}

ROUTES: list[tuple[str, Zone, Because, list[str]]] = [
    ("by preference", {("d.test", "MX"): ("20 mx2.test.", "10 mx1.test."), **BOTH},
     Because.MX, ["192.0.2.1", "192.0.2.2"]),
    ("IPv6 first", {("d.test", "MX"): ("10 mx1.test.",), ("mx1.test", "A"): A1,
     ("mx1.test", "AAAA"): ("2001:db8::1",)}, Because.MX, ["2001:db8::1", "192.0.2.1"]),
    ("one host has no address", {("d.test", "MX"): ("10 gone.test.", "20 mx2.test."), **BOTH},
     Because.MX, ["192.0.2.2"]),
    ("one host does not answer", {("d.test", "MX"): ("10 slow.test.", "20 mx2.test."),
     ("slow.test", "A"): Answer.TIMED_OUT, **BOTH}, Because.MX, ["192.0.2.2"]),
    ("named twice", {("d.test", "MX"): ("20 mx1.test.", "10 MX1.test."), **BOTH},
     Because.MX, ["192.0.2.1"]),
    ("no MX: the address", {("d.test", "A"): A3}, Because.IMPLICIT_MX, ["192.0.2.3"]),
    ("the root beside others is no host", {("d.test", "MX"): ("0 .", "10 mx1.test."), **BOTH},
     Because.MX, ["192.0.2.1"]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "because", "hosts"), [pytest.param(*r[1:], id=r[0]) for r in ROUTES]
)
def test_routes(zone: Zone, because: Because, hosts: list[str]) -> None:
    found = to("d.test", zone)
    assert isinstance(found, Route)
    assert (found.because, [host.address for host in found.hosts]) == (because, hosts)
    assert {host.port for host in found.hosts} == {2525}


DEAD_ENDS: list[tuple[str, str, Zone, str]] = [
    ("no such domain", "d.test", {}, "550 5.1.2"),
    ("null MX", "d.test", {("d.test", "MX"): ("0 .",), ("d.test", "A"): A1}, "556 5.1.10"),
    ("no address at all", "d.test", {("d.test", "TXT"): ("x",)}, "550 5.4.4"),
    ("dangling MX", "d.test", {("d.test", "MX"): ("10 gone.test.",)}, "550 5.4.4"),
    ("MX unanswered", "d.test", {("d.test", "MX"): Answer.SERVER_FAILED}, "451 4.4.3"),
    ("A unanswered", "d.test", {("d.test", "MX"): ("10 mx1.test.",),
     ("mx1.test", "A"): Answer.TIMED_OUT}, "451 4.4.3"),
    ("not an address", "[999.1.1.1]", {}, "550 5.1.2"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("domain", "zone", "reply"), [pytest.param(*r[1:], id=r[0]) for r in DEAD_ENDS]
)
def test_dead_ends(domain: str, zone: Zone, reply: str) -> None:
    found = to(domain, zone)
    assert isinstance(found, NoRoute)
    assert str(found.reply).startswith(reply + " ")


THREE: Zone = {
    ("d.test", "MX"): ("10 a.test.", "20 b.test.", "20 us.test.", "30 c.test."),
    ("a.test", "A"): A1, ("b.test", "A"): A2, ("us.test", "A"): ("127.0.0.1",),
    ("c.test", "A"): A3,
}  # fmt: skip


@pytest.mark.parametrize(
    ("own", "hosts"),
    [
        (Own(), ["192.0.2.1", "192.0.2.2", "127.0.0.1", "192.0.2.3"]),
        (Own(names=frozenset({"us.test"})), ["192.0.2.1"]),
        (Own(endpoints=frozenset({("127.0.0.1", 2525)})), ["192.0.2.1"]),
        (Own(endpoints=frozenset({("127.0.0.1", 25)})), [*A1, *A2, "127.0.0.1", *A3]),
        (Own(names=frozenset({"a.test"})), None),
        (Own(endpoints=frozenset({("192.0.2.1", 2525)})), None),
    ],
)  # fmt: skip
def test_never_a_host_at_or_above_our_own(own: Own, hosts: list[str] | None) -> None:
    found = to("d.test", THREE, own)
    if hosts is None:
        assert isinstance(found, NoRoute)
        assert str(found.reply).startswith("554 5.4.6")
    else:
        assert isinstance(found, Route)
        assert [host.address for host in found.hosts] == hosts


@pytest.mark.parametrize(
    ("domain", "address"),
    [
        ("[192.0.2.7]", "192.0.2.7"),
        ("[IPv6:2001:DB8::7]", "2001:db8::7"),
        ("[ipv6:::1]", "::1"),
        ("192.0.2.7", None),
        ("[tag:x]", None),
        ("[]", None),
    ],
)
def test_literals(domain: str, address: str | None) -> None:
    assert literal(domain) == address


def test_a_literal_asks_nothing_and_a_smart_host_asks_no_mx() -> None:
    found = to("[192.0.2.7]", {})
    assert isinstance(found, Route)
    assert (found.because, found.hosts[0].address) == (Because.LITERAL, "192.0.2.7")
    zone: Zone = {("smart.test", "MX"): ("10 mx1.test.",), ("smart.test", "A"): A3}
    smart = walked(to_smarthost("d.test", "smart.test", 587), zone)
    assert isinstance(smart, Route)
    assert [str(host) for host in smart.hosts] == ["192.0.2.3:587"]
    assert (smart.because, smart.domain) == (Because.SMARTHOST, "d.test")


def test_presentation_form() -> None:
    values = ("10 MX.Example.test.", "5 x", "0 .", "bad", "x y.", "")
    assert exchangers(values) == (
        Exchanger(10, "mx.example.test"),
        Exchanger(5, "x"),
        Exchanger(0, ""),
    )


records = st.lists(
    st.builds(Exchanger, st.integers(0, 3), st.sampled_from(["a", "b", "c", "d"])), max_size=6
)


def shuffler(seed: int) -> Callable[[list[Exchanger]], None]:
    return random.Random(seed).shuffle


@given(found=records, seed=st.integers())
def test_order_against_brute_force(found: list[Exchanger], seed: int) -> None:
    """Each host once, at its lowest preference, never after one of higher preference."""
    order = in_order(found, shuffler(seed))
    best = {e.host: min(f.preference for f in found if f.host == e.host) for e in found}
    assert {e.host: e.preference for e in order} == best
    assert len(order) == len(best)
    assert all(x.preference <= y.preference for n, x in enumerate(order) for y in order[n:])


def test_equals_are_tried_in_every_order() -> None:
    """RFC 5321 §5.1: the sender must spread the load over equal preferences."""
    equals = [Exchanger(10, host) for host in "abc"]
    firsts = {in_order(equals, shuffler(seed)) for seed in range(200)}
    assert len(firsts) == 6


@given(
    found=records,
    own=st.sampled_from(["a", "b", "c", "d", "elsewhere"]),
    up=st.sets(st.sampled_from(["a", "b", "c", "d"])),
)
def test_the_walk_against_a_model(found: list[Exchanger], own: str, up: set[str]) -> None:
    """What the walk allows is what is left after striking out, host by host."""
    zone: Zone = {("d.test", "MX"): tuple(f"{e.preference} {e.host}." for e in found)}
    zone[("d.test", "A")] = ("192.0.2.99",)
    for host in up:
        zone[(host, "A")] = (f"192.0.2.{ord(host)}",)
    result = to("d.test", zone, Own(names=frozenset({own})))
    reachable = set(up)
    for e in found:
        if e.host == own:
            reachable -= {f.host for f in found if f.preference >= e.preference
                          and not any(g.host == f.host and g.preference < e.preference
                                      for g in found)}  # fmt: skip
    expected = {e.host for e in found} & reachable if found else {"d.test"}
    if expected:
        assert isinstance(result, Route)
        assert {host.name for host in result.hosts} == expected
    else:
        assert isinstance(result, NoRoute)
        assert result.reply.permanent
