"""A saved run fit to share: names and addresses become stand-ins, everywhere the same.

Law: the same findings come out of the redacted run. A name keeps its shape (labels and
wildcards), an address its family; certificates lose their octets and keep what is judged.
Free text of a server may still hold what no rule of ours knows to be private.
"""

import re
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from smtpcheck.facts.observation import Observation
from smtpcheck.facts.tls import Certificate
from smtpcheck.wire.endpoint import is_literal

T = TypeVar("T")

_NAME = re.compile(r"(?:[A-Za-z0-9_-]{1,63}\.)+[A-Za-z][A-Za-z0-9-]{0,62}\Z")


def redacted(observation: Observation) -> Observation:
    """A copy without names, addresses, certificates' octets and subjects."""
    stand_ins = _StandIns(observation)
    copy = stand_ins.applied(observation)
    return replace(copy, redacted=True)


class _StandIns:
    """What to put for what, collected once and applied to every string and octet string."""

    def __init__(self, observation: Observation) -> None:
        self._labels: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._words: dict[str, str] = {}
        for each in _private(observation):
            self._learn(each)
        longest = sorted(self._words, key=len, reverse=True)
        pattern = "|".join(re.escape(word) for word in longest) or r"(?!)"
        self._text = re.compile(rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])", re.IGNORECASE)
        self._octets = re.compile(self._text.pattern.encode(), re.IGNORECASE)

    def _learn(self, word: str) -> None:
        word = word.lower().strip("[]").removeprefix("ipv6:")
        if is_literal(word):
            self._words[word] = self._address(word)
        elif word and word != "localhost":
            self._words[word] = ".".join(self._label(part) for part in word.split("."))

    def _label(self, label: str) -> str:
        if label == "*":
            return label
        return self._labels.setdefault(label, f"name{len(self._labels) + 1}")

    def _address(self, address: str) -> str:
        count = len(self._addresses) + 1
        stand_in = f"2001:db8::{count:x}" if ":" in address else f"192.0.2.{count % 255}"
        return self._addresses.setdefault(address, stand_in)

    def applied(self, value: T) -> T:
        """`value` with every private word replaced, however deep."""
        return cast(T, self._any(value))

    def _any(self, value: Any) -> Any:
        match value:
            case Certificate():
                return self._fields(replace(value, der=b"", serial="", issuer_urls=_kept(value)))
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


def _kept(certificate: Certificate) -> tuple[str, ...]:
    return ("http://redacted.invalid/",) if certificate.issuer_urls else ()


def _private(observation: Observation) -> set[str]:
    """All names and addresses that tell who was looked at, and who looked."""
    target, vantage = observation.target, observation.vantage
    found = {target.given.partition(":")[0], target.host, target.verify, vantage.ehlo}
    found |= {target.control.rpartition(":")[0] or target.control, vantage.source}
    found |= set(vantage.resolver.split(", "))
    for lookup in observation.dns:
        found |= {lookup.name, lookup.canonical, *lookup.values}
    for step in observation.steps:
        found |= {step.host.name, step.host.address}
        if step.transcript:
            found.add(step.transcript.local)
        if step.greeting:
            found |= set(step.greeting.reply.text.split()[:1])
        if step.ehlo:
            found |= set(step.ehlo.exchange.reply.lines[0].split()[:1])
        for certificate in step.tls.chain if step.tls else ():
            found |= {*certificate.names, *certificate.addresses, certificate.common_name}
            found |= {part.partition("=")[2] for part in certificate.subject.split(",")}
    return {each for each in found if _tells(each)}


def _tells(word: str) -> bool:
    bare = word.strip("[]").removeprefix("IPv6:").removeprefix("*.")
    return is_literal(bare) or bool(_NAME.match(bare)) or (len(word) > 3 and " " in word)
