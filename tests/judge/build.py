"""Observations made by hand: a healthy host as Postfix shows it, with one thing changed.

Law: `healthy()` is what no rule may object to; everything else is a change to it.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import DEFAULTS, MailHost, Role, Security
from smtpcheck.facts.observation import Observation, Target, Vantage
from smtpcheck.facts.smtp import Ehlo, Ending, Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import (
    Certificate,
    Offer,
    TlsSession,
    TrustStore,
    VerifyError,
    Version,
    VersionOffer,
)
from smtpcheck.wire.extension import extensions
from smtpcheck.wire.reply import Reply, ReplyParser

NAME = "mail.example.org"
V4 = "192.0.2.25"
V6 = "2001:db8::25"
CONTROL = "198.51.100.9"
NOW = datetime(2031, 5, 6, 12, 0, tzinfo=UTC)

BASE = ("PIPELINING", "SIZE 52428800", "ETRN", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "CHUNKING")
AUTH = "AUTH PLAIN LOGIN"

Change = Callable[[Step], Step]


def reply(text: str) -> Reply:
    """What the parser makes of octets; LF is written as \\n and sent as CRLF."""
    raw = text.replace("\n", "\r\n").encode("latin-1")
    return parsed(raw)


def parsed(raw: bytes) -> Reply:
    """What the parser makes of `raw`, whole or cut short."""
    parser = ReplyParser()
    found = (*parser.feed(raw), parser.end())
    assert found[0] is not None
    return found[0]


def exchange(command: str, text: str, took: float = 0.01) -> Exchange:
    return Exchange(command=command, reply=reply(text), took=took)


def greeting(
    text: str = f"220 {NAME} ESMTP Postfix (Debian/GNU)\n", took: float = 0.02
) -> Exchange:
    return exchange("", text, took)


def ehlo(*keywords: str, verb: str = "EHLO", refused: tuple[Exchange, ...] = ()) -> Ehlo:
    lines = (NAME, *keywords)
    marks = ["-"] * (len(lines) - 1) + [" "]
    text = "".join(f"250{mark}{line}\n" for mark, line in zip(marks, lines, strict=True))
    said = exchange(f"{verb} check.example.net", text)
    offered = extensions(said.reply) if verb != "HELO" else ()
    return Ehlo(verb=verb, exchange=said, extensions=offered, refused=refused)


def refused_ehlo(text: str) -> Ehlo:
    """EHLO, HELO and LHLO all turned down: how the client keeps it."""
    said = tuple(exchange(f"{verb} check.example.net", text) for verb in ("EHLO", "HELO", "LHLO"))
    return Ehlo(verb="", exchange=said[0], refused=said)


ISSUER = "CN=Example Issuing CA,O=Example"
ROOT = "CN=Example Root CA,O=Example"

LEAF = Certificate(
    sha256="aa" * 32,
    subject=f"CN={NAME}",
    issuer=ISSUER,
    common_name=NAME,
    names=(NAME, "mx.example.org"),
    serial="01",
    not_before=NOW - timedelta(days=30),
    not_after=NOW + timedelta(days=60),
    key="EC",
    bits=256,
    curve="secp256r1",
    signature="sha256",
    subject_key_id="1111",
    authority_key_id="2222",
    issuer_urls=("http://ca.example.net/issuing.crt",),
)

INTERMEDIATE = replace(
    LEAF,
    sha256="bb" * 32,
    subject=ISSUER,
    issuer=ROOT,
    common_name="Example Issuing CA",
    names=(),
    not_after=NOW + timedelta(days=2000),
    authority=True,
    subject_key_id="2222",
    authority_key_id="3333",
)

ROOT_CERTIFICATE = replace(
    INTERMEDIATE,
    sha256="cc" * 32,
    subject=ROOT,
    issuer=ROOT,
    common_name="Example Root CA",
    subject_key_id="3333",
    issuer_urls=(),
)

TRUST = TrustStore(source="/etc/ssl/certs/ca-certificates.crt", anchors=140)


def error(code: int, message: str, depth: int = 0) -> VerifyError:
    return VerifyError(depth=depth, code=code, message=message)


EXPIRED = error(10, "certificate has expired")
SELF_SIGNED = error(18, "self-signed certificate")
NO_ISSUER = (
    error(20, "unable to get local issuer certificate"),
    error(21, "unable to verify the first certificate"),
)


def session(
    *chain: Certificate,
    errors: tuple[VerifyError, ...] = (),
    trust: TrustStore = TRUST,
    version: str = "TLSv1.3",
) -> TlsSession:
    return TlsSession(
        version=version,
        cipher="TLS_AES_256_GCM_SHA384",
        group="X25519",
        sni=NAME,
        chain=chain or (LEAF, INTERMEDIATE),
        errors=errors,
        trust=trust,
        library="OpenSSL 3.0.15",
        took=0.03,
    )


def host(port: int = 587, address: str = V4, *, asked: bool = False, name: str = NAME) -> MailHost:
    role, security = DEFAULTS.get(port, (Role.SUBMISSION, Security.STARTTLS))
    return MailHost(
        name=name, address=address, port=port, role=role, security=security, asked=asked
    )


def dialogue(place: MailHost) -> Step:
    """The whole way, healthy."""
    implicit = place.security is Security.IMPLICIT
    login = (AUTH,) if place.role.for_users else ()
    clear = None if implicit else ehlo(*BASE, "STARTTLS")
    return Step(
        probe=Probe.DIALOGUE,
        host=place,
        connected=0.011,
        took=0.2,
        greeting=greeting(),
        ehlo=clear,
        starttls=None if implicit else exchange("STARTTLS", "220 2.0.0 Ready to start TLS\n"),
        tls=session(),
        ehlo_tls=ehlo(*BASE, *login),
        ending=Ending(quit=exchange("QUIT", "221 2.0.0 Bye\n")),
    )


def version(place: MailHost, asked: Version, offer: Offer, detail: str = "") -> Step:
    """One ClientHello and what came of it."""
    cipher = "TLS_AES_256_GCM_SHA384" if offer is Offer.ACCEPTED else ""
    detail = detail or ("alert protocol_version" if offer is Offer.REFUSED else "")
    answer = VersionOffer(version=asked, offer=offer, cipher=cipher, detail=detail)
    return Step(
        probe=Probe.VERSION, host=place, connected=0.011, greeting=greeting(), version=answer
    )


def versions(place: MailHost, *accepted: Version) -> tuple[Step, ...]:
    """All four, of which `accepted` are."""
    asked = (Version.TLS1_0, Version.TLS1_1, Version.TLS1_2, Version.TLS1_3)
    return tuple(
        version(place, each, Offer.ACCEPTED if each in accepted else Offer.REFUSED)
        for each in asked
    )


def cleartext(
    place: MailHost, text: str = "530 5.7.0 Must issue a STARTTLS command first\n"
) -> Step:
    return Step(
        probe=Probe.CLEARTEXT,
        host=place,
        connected=0.011,
        greeting=greeting(),
        ehlo=ehlo(*BASE, "STARTTLS"),
        mail=exchange("MAIL FROM:<>", text),
        ending=Ending(quit=exchange("QUIT", "221 2.0.0 Bye\n")),
    )


def port(
    number: int = 587, address: str = V4, *, asked: bool = False, **changes: Any
) -> list[Step]:
    """All that is seen of a healthy port, its dialogue changed by `changes`."""
    place = host(number, address, asked=asked)
    steps = [replace(dialogue(place), **changes), *versions(place, Version.TLS1_2, Version.TLS1_3)]
    if place.role.for_users and place.security is Security.STARTTLS:
        steps.append(cleartext(place))
    return steps


def stopped(place: MailHost, stage: Stage, kind: Kind, detail: str = "", **seen: Any) -> Step:
    """A dialogue that came no further; `seen` is what came before."""
    connected = None if stage is Stage.CONNECT else 0.011
    failure = Failure(stage=stage, kind=kind, detail=detail)
    return Step(probe=Probe.DIALOGUE, host=place, connected=connected, failure=failure, **seen)


def refused(place: MailHost) -> Step:
    return stopped(place, Stage.CONNECT, Kind.REFUSED, "Connection refused")


def filtered(place: MailHost) -> Step:
    return stopped(place, Stage.CONNECT, Kind.TIMED_OUT)


def control(port: int = 587, *, answers: bool = True, address: str = CONTROL) -> Step:
    place = MailHost(name="control.example.net", address=address, port=port)
    if answers:
        return Step(probe=Probe.CONTROL, host=place, connected=0.02)
    return replace(filtered(place), probe=Probe.CONTROL)


def dialogue_with(place: MailHost, **changes: Any) -> Step:
    """The healthy dialogue with some fields changed."""
    return replace(dialogue(place), **changes)


def lookup(rdtype: str, answer: Answer, *values: str, name: str = NAME) -> Lookup:
    return Lookup(name=name, rdtype=rdtype, answer=answer, values=values, resolver="192.0.2.53")


FOUND = (lookup("A", Answer.FOUND, V4), lookup("AAAA", Answer.NO_DATA))


def observed(
    steps: Iterable[Step],
    *,
    dns: tuple[Lookup, ...] = FOUND,
    verify: str = NAME,
    skipped: tuple[str, ...] = (),
) -> Observation:
    """A run that saw these steps."""
    return Observation(
        tool="smtpcheck 0.1.0",
        target=Target(given=NAME, host=NAME, verify=verify),
        started=NOW,
        took=1.5,
        vantage=Vantage(
            ehlo="check.example.net", resolver="192.0.2.53", trust=TRUST.source, library="OpenSSL"
        ),
        dns=dns,
        steps=tuple(steps),
        skipped=skipped,
    )


def healthy(*numbers: int, asked: bool = False) -> Observation:
    """A host on which nothing is wrong."""
    return observed(s for number in numbers or (25, 465, 587) for s in port(number, asked=asked))
