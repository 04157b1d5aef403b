"""Where mail for a domain goes (RFC 5321 §5.1, RFC 7505), as questions and an order.

Law: a pure walk. It yields the DNS questions it has and is sent their answers, so that the
check and the relay, a resolver and a test, drive the same one. Lower preference goes first,
equals in the order the given `shuffle` leaves them in, and never a host at or above our own.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address

from smtpcheck.facts.delivery import Because, Route
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.host import MailHost, Role, Security
from smtpcheck.wire.reply import Reply, reply

MAX_HOSTS = 16
"""Exchangers whose addresses are asked for, best first; more are left out."""

Shuffle = Callable[[list["Exchanger"]], None]


@dataclass(frozen=True, slots=True)
class Question:
    """A name and a record type."""

    name: str
    rdtype: str


@dataclass(frozen=True, slots=True)
class Exchanger:
    """One MX record, the host lower-case and without the final dot; "" is the root."""

    preference: int
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What is ourselves: host names, and (address, port) of each listener."""

    names: frozenset[str] = field(default_factory=frozenset)
    endpoints: frozenset[tuple[str, int]] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """Why nothing can take the mail now (4yz) or ever (5yz), as a reply of our own."""

    domain: str
    because: Because = Because.MX
    reply: Reply


Walk = Generator[tuple[Question, ...], tuple[Lookup, ...], Route | NoRoute]
"""Sent one Lookup for each Question yielded, in the same order."""


def exchangers(values: Iterable[str]) -> tuple[Exchanger, ...]:
    """MX records from presentation form ("10 mx.example.org."); what is not one is left out."""
    found = []
    for value in values:
        preference, _, host = value.partition(" ")
        if preference.isdecimal() and host:
            found.append(Exchanger(int(preference), host.strip().lower().removesuffix(".")))
    return tuple(found)


def in_order(found: Iterable[Exchanger], shuffle: Shuffle) -> tuple[Exchanger, ...]:
    """By preference, equals shuffled, a host named twice only at its best place."""
    mixed = list(found)
    shuffle(mixed)
    mixed.sort(key=lambda exchanger: exchanger.preference)  # stable: equals stay shuffled
    first: dict[str, Exchanger] = {}
    for exchanger in mixed:
        first.setdefault(exchanger.host, exchanger)
    return tuple(first.values())


def before_own(hosts: Iterable[MailHost], own: Own) -> tuple[MailHost, ...]:
    """Without ourselves and every host that is not preferred to us (RFC 5321 §5.1)."""
    all_hosts = tuple(hosts)
    ours = [h.preference for h in all_hosts if _is_own(h, own)]
    return tuple(h for h in all_hosts if h.preference < min(ours)) if ours else all_hosts


def _is_own(host: MailHost, own: Own) -> bool:
    return host.name in own.names or (host.address, host.port) in own.endpoints


def literal(domain: str) -> str | None:
    """The address in "[192.0.2.1]" or "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3), or None."""
    if not (domain.startswith("[") and domain.endswith("]")):
        return None
    inner = domain[1:-1]
    inner = inner[5:] if inner[:5].lower() == "ipv6:" else inner
    try:
        return str(ip_address(inner))
    except ValueError:
        return None


def to_domain(domain: str, *, own: Own, shuffle: Shuffle, port: int = 25) -> Walk:
    """The walk to `domain`: a literal, its mail exchangers, or the domain's own address."""
    if domain.startswith("["):
        return _to_literal(domain, own, port)
    mail = (yield (Question(domain, "MX"),))[0]
    if not mail.answer.decided:
        return _not_answered(domain, mail)
    if mail.answer is Answer.NO_SUCH_NAME:
        return _no_route(domain, 550, f"5.1.2 No such domain: {domain}")
    found = exchangers(mail.values)
    if found and not any(exchanger.host for exchanger in found):
        text = f"5.1.10 {domain} accepts no mail (null MX)"
        return _no_route(domain, 556, text, Because.NULL_MX)
    because = Because.MX if found else Because.IMPLICIT_MX
    named = [e for e in found if e.host] or [Exchanger(0, domain)]
    return (yield from _addressed(domain, in_order(named, shuffle), because, own, port))


def to_smarthost(domain: str, host: str, port: int) -> Walk:
    """The walk to a fixed next hop; its MX records are not asked for."""
    address = literal(f"[{host}]")
    if address:
        only = MailHost(name=host, address=address, port=port)
        return Route(domain=domain, hosts=(only,), because=Because.SMARTHOST)
    one = (Exchanger(0, host.lower().removesuffix(".")),)
    return (yield from _addressed(domain, one, Because.SMARTHOST, Own(), port))


def _to_literal(domain: str, own: Own, port: int) -> Route | NoRoute:
    address = literal(domain)
    if address is None:
        return _no_route(domain, 550, f"5.1.2 Not an address: {domain}", Because.LITERAL)
    host = MailHost(name=address, address=address, port=port)
    if _is_own(host, own):
        return _no_route(domain, 554, f"5.4.6 {domain} is this host", Because.LITERAL)
    return Route(domain=domain, hosts=(host,), because=Because.LITERAL)


def _addressed(
    domain: str, order: tuple[Exchanger, ...], because: Because, own: Own, port: int
) -> Walk:
    """Look up every exchanger's addresses; IPv6 first (RFC 6724 §2.1), as connect fails fast."""
    own_preference = min((e.preference for e in order if e.host in own.names), default=None)
    asked = [e for e in order if own_preference is None or e.preference < own_preference]
    if not asked:
        return _loops(domain, because)
    asked = asked[:MAX_HOSTS]
    answers = yield tuple(Question(e.host, t) for e in asked for t in ("AAAA", "A"))
    hosts = tuple(
        MailHost(
            name=exchanger.host,
            address=address,
            port=port,
            security=Security.STARTTLS,
            role=Role.MX,
            preference=exchanger.preference,
        )
        for n, exchanger in enumerate(asked)
        for answer in answers[2 * n : 2 * n + 2]
        for address in answer.values
        if answer.answer is Answer.FOUND
    )
    allowed = before_own(hosts, own)
    if allowed:
        return Route(domain=domain, hosts=allowed, because=because)
    undecided = [answer for answer in answers if not answer.answer.decided]
    if undecided:
        return _not_answered(domain, undecided[0], because)
    if hosts:
        return _loops(domain, because)
    return _no_route(domain, 550, f"5.4.4 No address for any mail host of {domain}", because)


def _loops(domain: str, because: Because) -> NoRoute:
    return _no_route(domain, 554, f"5.4.6 Mail for {domain} loops back to this host", because)


def _not_answered(domain: str, lookup: Lookup, because: Because = Because.MX) -> NoRoute:
    text = f"4.4.3 No answer to {lookup.name} {lookup.rdtype}: {lookup.answer}"
    return _no_route(domain, 451, text, because)


def _no_route(domain: str, code: int, text: str, because: Because = Because.MX) -> NoRoute:
    return NoRoute(domain=domain, because=because, reply=reply(code, text))
