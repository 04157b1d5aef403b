"""A saved run fit to share: names and addresses become stand-ins, everywhere the same.

Law: the same findings come out of the redacted run. A name keeps its shape (labels and
wildcards), an address its family, loopback stays loopback; certificates lose their octets and
fingerprints and keep what is judged. Free text of a server may still hold what no rule of
ours knows to be private.
"""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, TypeVar, cast

from smtpcheck.facts.observation import Observation
from smtpcheck.facts.tls import Certificate, TrustStore
from smtpcheck.wire.endpoint import is_literal
from smtpcheck.wire.reply import Reply

T = TypeVar("T")

_DOTTED = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62}", re.IGNORECASE | re.ASCII)
_ADDRESS = re.compile(r"[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?:[0-9.]+)?|\d+(?:\.\d+){3}", re.I)

_V4, _V6 = IPv4Address("198.18.0.0"), IPv6Address("2001:db8::")
"""Set apart for benchmarks (RFC 2544) and for documentation (RFC 3849)."""

_PUBLIC = frozenset({"test", "localhost", "invalid", "example"})


def redacted(observation: Observation) -> Observation:
    """A copy without names, addresses, fingerprints, certificates' octets and subjects."""
    copy = _StandIns(observation).applied(observation)
    return replace(copy, redacted=True)


class _StandIns:
    """What to put for what, collected once and applied to every string and octet string."""

    def __init__(self, observation: Observation) -> None:
        self._labels: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._keys: dict[str, str] = {}
        self._words: dict[str, str] = {}
        for each in sorted(_private(observation)):
            self._learn(each)
        longest = sorted(self._words, key=len, reverse=True)
        pattern = "|".join(re.escape(word) for word in longest) or r"(?!)"
        bounded = rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])"
        self._text = re.compile(bounded, re.IGNORECASE | re.ASCII)
        self._octets = re.compile(bounded.encode(), re.IGNORECASE)

    def _learn(self, word: str) -> None:
        word = word.lower()
        if is_literal(word):
            self._words[word] = self._address(str(ip_address(word)))
            return
        labels = word.split(".")
        stand_ins = [self._label(label) for label in labels]
        for start in range(len(labels) - 1 or 1):
            self._words[".".join(labels[start:])] = ".".join(stand_ins[start:])

    def _label(self, label: str) -> str:
        if label == "*":
            return label
        return self._labels.setdefault(label, f"name{len(self._labels) + 1}")

    def _address(self, address: str) -> str:
        count = len(self._addresses) + 1
        known = ip_address(address)
        base: IPv4Address | IPv6Address = _V6 if known.version == 6 else _V4
        stand_in = address if known.is_loopback else str(base + count)
        return self._addresses.setdefault(address, stand_in)

    def _key(self, key: str) -> str:
        return key and self._keys.setdefault(key, f"{len(self._keys) + 1:064x}")

    def applied(self, value: T) -> T:
        """`value` with every private word replaced, however deep."""
        return cast(T, self._any(value))

    def _any(self, value: Any) -> Any:
        match value:
            case Certificate():
                return self._certificate(value)
            case TrustStore():
                return replace(value, source="a trust store")
            case str() if type(value) is str:
                return self._text.sub(lambda found: self._words[found[0].lower()], value)
            case bytes():
                return self._octets.sub(
                    lambda found: self._words[found[0].decode().lower()].encode(), value
                )
            case tuple():
                return tuple(self._any(each) for each in value)
            case _ if is_dataclass(value):
                return self._fields(value)
            case _:
                return value

    def _fields(self, value: Any) -> Any:
        return replace(
            value, **{field.name: self._any(getattr(value, field.name)) for field in fields(value)}
        )

    def _certificate(self, value: Certificate) -> Any:
        return self._fields(
            replace(
                value,
                der=b"",
                serial="",
                sha256=self._key(value.sha256),
                subject_key_id=self._key(value.subject_key_id),
                authority_key_id=self._key(value.authority_key_id),
                issuer_urls=("http://redacted.invalid/",) if value.issuer_urls else (),
            )
        )


def _private(observation: Observation) -> set[str]:
    """All names and addresses that tell who was looked at, and who looked."""
    target = observation.target
    hosts = {target.host, target.verify, *(step.host.name for step in observation.steps)}
    found = {host for host in hosts if host and host != "localhost"}
    for text in _texts(observation):
        found.update(_telling(text))
    for certificate in _certificates(observation):
        found.update(_names(certificate))
    return found


def _telling(text: str) -> Iterator[str]:
    """Addresses and dotted names in a text; reserved names of one label are nobody's."""
    for found in _ADDRESS.finditer(text):
        if is_literal(found[0]):
            yield found[0]
    for found in _DOTTED.finditer(text):
        if found[0].lower() not in _PUBLIC:
            yield found[0]


def _texts(observation: Observation) -> Iterator[str]:
    """Every string that a server, a resolver or the user brought in."""
    target, vantage = observation.target, observation.vantage
    yield from (target.given, target.control, vantage.ehlo, vantage.source, vantage.resolver)
    for lookup in observation.dns:
        yield from (lookup.name, lookup.canonical, *lookup.values, lookup.detail)
    for step in observation.steps:
        yield step.host.address
        yield from (step.transcript.local, step.transcript.peer) if step.transcript else ()
        for event in step.transcript.events if step.transcript else ():
            yield event.data.decode("latin-1")
        yield from _replies(step)


def _replies(value: Any) -> Iterator[str]:
    if isinstance(value, Reply):
        yield from value.lines
    elif isinstance(value, tuple):
        for each in value:
            yield from _replies(each)
    elif is_dataclass(value):
        for field in fields(value):
            yield from _replies(getattr(value, field.name))


def _certificates(observation: Observation) -> Iterator[Certificate]:
    for step in observation.steps:
        yield from step.tls.chain if step.tls else ()


def _names(certificate: Certificate) -> Iterator[str]:
    """Names as they stand, and the values of subject and issuer, word for word."""
    yield from (*certificate.names, *certificate.addresses)
    for name in (certificate.subject, certificate.issuer):
        for part in re.split(r"(?<!\\),", name):
            value = part.partition("=")[2]
            if len(value) > 3:
                yield value
