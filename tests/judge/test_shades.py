"""How bad, and in what words: the shades of a rule that one pair of fixtures can't show."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.smtp import Ending
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Certificate, TrustStore, VerifyError, Version
from smtpcheck.facts.transcript import Event, Side, Transcript
from smtpcheck.judge import judge
from smtpcheck.judge.banner import software
from smtpcheck.judge.report import Finding, Judgement, Severity, Status
from smtpcheck.wire.extension import extensions
from tests.judge.build import (
    AUTH,
    BASE,
    EXPIRED,
    INTERMEDIATE,
    LEAF,
    NAME,
    NO_ISSUER,
    NOW,
    ROOT_CERTIFICATE,
    V4,
    V6,
    cleartext,
    control,
    dialogue,
    ehlo,
    error,
    exchange,
    filtered,
    greeting,
    host,
    lookup,
    observed,
    parsed,
    port,
    refused,
    refused_ehlo,
    reply,
    session,
    stopped,
    versions,
)

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
CRITICAL, ERROR, WARNING, NOTICE, INFO = (
    Severity.CRITICAL,
    Severity.ERROR,
    Severity.WARNING,
    Severity.NOTICE,
    Severity.INFO,
)


@dataclass(frozen=True, kw_only=True)
class Shade:
    """`severity` None: the rule has nothing to say."""

    title: str
    rule: str
    observation: Observation
    severity: Severity | None = None
    words: str = ""
    status: Status = Status.FAIL


def at(number: int, **changes: Any) -> Observation:
    return observed(port(number, **changes))


def chain(
    number: int, *certificates: Certificate, errors: tuple[VerifyError, ...] = ()
) -> Observation:
    return at(number, tls=session(*certificates, errors=errors))


def greets(raw: bytes) -> Observation:
    return at(25, greeting=replace(greeting(), reply=parsed(raw)))


def answers_ehlo(raw: bytes) -> Observation:
    said = exchange("EHLO check.example.net", "250 x\n")
    said = replace(said, reply=parsed(raw))
    return at(25, ehlo_tls=replace(ehlo(), exchange=said, extensions=extensions(said.reply)))


def lists(*keywords: str, address: str = V4) -> Observation:
    return observed(port(25, address, ehlo_tls=ehlo(*keywords)))


def handshake(number: int, kind: Kind, detail: str = "", **seen: Any) -> Observation:
    return observed([stopped(host(number), Stage.TLS, kind, detail, **seen)])


def accepting(number: int, *accepted: Version, negotiated: str = "") -> Observation:
    tls = session(version=negotiated or max(accepted, key=list(Version).index).value)
    return observed([replace(dialogue(host(number)), tls=tls), *versions(host(number), *accepted)])


def refuses_hello(text: str) -> Observation:
    """EHLO, HELO and LHLO all answered with `text`."""
    said = refused_ehlo(text)
    step = stopped(host(25), Stage.EHLO, Kind.REJECTED, text, greeting=greeting(), ehlo=said)
    return observed([step])


def wants_certificate(stage: Stage, detail: str, **seen: Any) -> Observation:
    return observed([stopped(host(465), stage, Kind.TLS_FAILED, detail, **seen)])


def heard(data: bytes, note: str = "") -> Transcript:
    said = Event(at=0.1, side=Side.SERVER, data=data)
    return Transcript(opened=NOW, events=(said, Event(at=0.2, side=Side.LOCAL, note=note)))


def no_address(*mx: str, answer: Answer = Answer.FOUND) -> Observation:
    denied = (lookup("A", Answer.NO_DATA), lookup("AAAA", Answer.NO_DATA))
    return observed((), dns=(*denied, lookup("MX", answer, *mx)))


BANNED = "554 5.7.1 you are banned\n"
ASKED_FOR_ONE = replace(session(), client_certificate_requested=True)
OLD = replace(LEAF, not_after=NOW - 3 * DAY)
UNKNOWN_ROOT = error(19, "self-signed certificate in certificate chain", depth=2)
PRIVATE = error(20, "unable to get local issuer certificate", depth=1)

SHADES = (
    # banner-slow
    Shade(
        title="the delay is before the handshake",
        rule="banner-slow",
        observation=at(465, tls=replace(session(), took=11.0)),
        severity=NOTICE,
        words="took 11 seconds",
    ),
    Shade(
        title="a slow handshake after STARTTLS is no slow greeting",
        rule="banner-slow",
        observation=at(587, tls=replace(session(), took=11.0)),
    ),
    # ehlo-rejected
    *(
        Shade(
            title=f"our name was refused: {text.strip()}",
            rule="ehlo-rejected",
            observation=refuses_hello(text),
            severity=WARNING,
            status=Status.INCONCLUSIVE,
            words="the name that we gave was refused (EHLO check.example.net)",
        )
        for text in (
            "504 5.5.2 <check>: Helo command rejected: need fully-qualified hostname\n",
            "550 check.example.net does not resolve\n",
            "501 Syntactically invalid EHLO argument(s)\n",
            "550 5.7.1 Invalid HELO\n",
        )
    ),
    *(
        Shade(
            title=f"EHLO was refused whatever the name: {text.strip()}",
            rule="ehlo-rejected",
            observation=refuses_hello(text),
            severity=ERROR,
            words="EHLO is refused with",
        )
        for text in (
            "500 5.5.1 Command unrecognized: EHLO check.example.net\n",
            "502 EHLO not implemented\n",
            "554 5.7.1 <check.example.net>: Helo command rejected: Access denied\n",
            "550 5.7.1 Client host [192.0.2.1] blocked\n",
        )
    ),
    Shade(
        title="a name that is refused ends the connection as well",
        rule="session-dropped",
        observation=observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.CLOSED,
                    greeting=greeting(),
                    ehlo=refused_ehlo("550 Invalid HELO\n"),
                )
            ]
        ),
    ),
    # starttls-handshake-fails
    Shade(
        title="a client certificate is required, said after the handshake",
        rule="starttls-handshake-fails",
        observation=wants_certificate(
            Stage.GREETING, "tlsv13 alert certificate required", tls=ASKED_FOR_ONE
        ),
        severity=ERROR,
        words="the server requires a client certificate: tlsv13 alert certificate required",
    ),
    Shade(
        title="a client certificate was asked for, and the words are others",
        rule="starttls-handshake-fails",
        observation=wants_certificate(
            Stage.GREETING, "ssl/tls alert handshake failure", tls=ASKED_FOR_ONE
        ),
        severity=ERROR,
        words="the server requires a client certificate, it seems",
    ),
    Shade(
        title="the certificate that we showed is turned down",
        rule="starttls-handshake-fails",
        observation=wants_certificate(
            Stage.GREETING,
            "tlsv1 alert unknown ca",
            tls=replace(ASKED_FOR_ONE, client_certificate_sent=True),
        ),
        severity=ERROR,
        words="turns down the client certificate",
    ),
    Shade(
        title="nothing is known of client certificates",
        rule="starttls-handshake-fails",
        observation=handshake(465, Kind.TLS_FAILED, "sslv3 alert handshake failure"),
        severity=CRITICAL,
        words="the TLS handshake fails: sslv3 alert handshake failure",
    ),
    *(
        Shade(
            title=f"{name} where TLS is due",
            rule="starttls-handshake-fails",
            observation=handshake(465, Kind.NOT_TLS, first_octets=octets),
            severity=CRITICAL,
            words=f"the answer is not TLS: {octets.decode().strip()}, which looks like {name}",
        )
        for name, octets in (
            ("POP3", b"+OK Dovecot ready.\r\n"),
            ("IMAP", b"* OK [CAPABILITY IMAP4rev1] ready\r\n"),
            ("SSH", b"SSH-2.0-OpenSSH_9.2\r\n"),
        )
    ),
    Shade(
        title="IMAP where SMTP is due",
        rule="banner-malformed",
        observation=greets(b"* OK ready\r\n"),
        severity=ERROR,
        words="a line does not begin with a reply code; it looks like IMAP",
    ),
    Shade(
        title="a greeting without an end",
        rule="banner-slow",
        observation=observed(
            [stopped(host(587), Stage.GREETING, Kind.TIMED_OUT, transcript=heard(b"220 hello\x1b"))]
        ),
        severity=WARNING,
        words="the greeting begins, 220 hello\\u001b, and did not end as long as we waited",
    ),
    Shade(
        title="reset on QUIT",
        rule="session-dropped",
        observation=at(
            25,
            ending=Ending(closed_by_server=True),
            transcript=heard(b"", "quit: reset (Connection reset by peer)"),
        ),
        severity=NOTICE,
        words="the connection was reset without a reply at QUIT",
    ),
    Shade(
        title="banned for what follows",
        rule="client-throttled",
        observation=observed(
            [
                dialogue(host(25)),
                replace(
                    stopped(
                        host(25),
                        Stage.GREETING,
                        Kind.REJECTED,
                        BANNED.strip(),
                        greeting=greeting(BANNED),
                    ),
                    probe=Probe.VERSION,
                ),
            ]
        ),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="1 of 2 connections were turned away: 554 5.7.1 you are banned",
    ),
    # domain-undeliverable
    Shade(
        title="no address, and no MX either",
        rule="domain-undeliverable",
        observation=no_address(answer=Answer.NO_DATA),
        severity=CRITICAL,
        words="mail.example.org has no A, AAAA or MX record",
    ),
    Shade(
        title="a null MX",
        rule="domain-undeliverable",
        observation=no_address("0 ."),
        severity=CRITICAL,
        words="takes no mail",
    ),
    Shade(
        title="its own mail host",
        rule="domain-undeliverable",
        observation=no_address("10 Mail.example.org."),
        severity=CRITICAL,
        words="mail.example.org is its own mail host, and has no A or AAAA record",
    ),
    Shade(
        title="a mail domain",
        rule="domain-undeliverable",
        observation=no_address("10 mx1.example.org.", "20 mx2.example.org."),
    ),
    Shade(
        title="whether it is a mail domain is not known",
        rule="domain-undeliverable",
        observation=no_address(answer=Answer.TIMED_OUT),
    ),
    Shade(
        title="the look-up of MX timed out",
        rule="dns-inconclusive",
        observation=no_address(answer=Answer.TIMED_OUT),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="the look-up of MX for mail.example.org was not answered in time",
    ),
    # cert-outside-validity
    Shade(
        title="made for this very connection, after the run began",
        rule="cert-outside-validity",
        observation=at(25, began=1.0, tls=session(replace(LEAF, not_before=NOW + SECOND))),
    ),
    # port-closed
    Shade(
        title="IPv6 refuses where IPv4 answers",
        rule="port-closed",
        observation=observed([*port(587, asked=True), refused(host(587, V6, asked=True))]),
        severity=WARNING,
        words=f"on {V6}, while {V4} answers",
    ),
    Shade(
        title="nobody asked, one whole address is closed, and only 587 is served at all",
        rule="port-closed",
        observation=observed([*port(587), refused(host(587, V6)), refused(host(25, V6))]),
        severity=WARNING,
        words=f"on {V6}, while {V4} answers",
    ),
    Shade(
        title="nobody asked, and the others are silent",
        rule="port-closed",
        observation=observed([filtered(host(25)), refused(host(587))]),
        severity=ERROR,
    ),
    # port-timeout, egress-blocked
    Shade(
        title="no control server",
        rule="port-timeout",
        observation=observed([filtered(host(587, asked=True))]),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="no control server shows",
    ),
    Shade(
        title="a control server that refuses proves little",
        rule="port-timeout",
        observation=observed(
            [
                filtered(host(587)),
                replace(refused(host(587, "198.51.100.9")), probe=control().probe),
            ]
        ),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="the control server refused",
    ),
    Shade(
        title="a control server on another port does not speak for port 25",
        rule="port-timeout",
        observation=observed([filtered(host(25, asked=True)), control(587)]),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
    ),
    Shade(
        title="unreachable by ICMP is silence",
        rule="port-timeout",
        observation=observed(
            [stopped(host(587), Stage.CONNECT, Kind.UNREACHABLE, "No route to host"), control(587)]
        ),
        severity=ERROR,
    ),
    Shade(
        title="nobody asked for it",
        rule="port-timeout",
        observation=observed([*port(587), filtered(host(465)), control(465)]),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="nobody asked for it",
    ),
    Shade(
        title="two strangers, both silent on 25",
        rule="egress-blocked",
        observation=observed(
            [filtered(host(25)), filtered(host(25, "198.51.100.1", name="mx.example.com"))]
        ),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
        words="no server answers on port 25",
    ),
    Shade(
        title="one of two strangers answers",
        rule="egress-blocked",
        observation=observed(
            [*port(25), filtered(host(25, "198.51.100.1", name="mx.example.com"))]
        ),
    ),
    Shade(
        title="no route of our own is nobody's fault",
        rule="port-timeout",
        observation=observed([stopped(host(587, V6), Stage.CONNECT, Kind.NO_ROUTE), control(587)]),
    ),
    # the greeting
    Shade(
        title="exactly ten seconds",
        rule="banner-slow",
        observation=at(25, greeting=greeting(took=10.0)),
    ),
    Shade(
        title="no greeting at all",
        rule="banner-slow",
        observation=observed([stopped(host(587), Stage.GREETING, Kind.TIMED_OUT, "none in 30 s")]),
        severity=WARNING,
        words="no greeting came",
    ),
    Shade(
        title="another protocol",
        rule="banner-malformed",
        observation=greets(b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"),
        severity=ERROR,
        words="does not begin with a reply code",
    ),
    Shade(
        title="bare LF",
        rule="banner-malformed",
        observation=greets(f"220 {NAME} ESMTP\n".encode()),
        severity=ERROR,
        words="LF without CR",
    ),
    Shade(
        title="eight-bit text",
        rule="banner-malformed",
        observation=greets(f"220 {NAME} Grüße\r\n".encode()),
        severity=NOTICE,
        words="beyond ASCII",
    ),
    Shade(
        title="a code of the second digit that nobody uses",
        rule="banner-malformed",
        observation=greets(f"260 {NAME} ESMTP\r\n".encode()),
        severity=NOTICE,
    ),
    Shade(
        title="a code that SMTP forbids",
        rule="banner-malformed",
        observation=greets(f"120 {NAME} ESMTP\r\n".encode()),
        severity=ERROR,
    ),
    Shade(
        title="no name",
        rule="banner-malformed",
        observation=greets(b"220 ESMTP ready\r\n"),
        severity=ERROR,
        words="name of the host",
    ),
    Shade(
        title="nothing but the code",
        rule="banner-malformed",
        observation=greets(b"220\r\n"),
        severity=ERROR,
    ),
    Shade(
        title="an address literal is a name",
        rule="banner-malformed",
        observation=greets(b"220 [192.0.2.25] Clueless host service ready\r\n"),
    ),
    Shade(
        title="a name alone",
        rule="banner-malformed",
        observation=greets(f"220 {NAME}\r\n".encode()),
    ),
    Shade(
        title="a refusal needs no name",
        rule="banner-malformed",
        observation=at(25, greeting=greeting("554 No SMTP service here\n")),
    ),
    Shade(
        title="a greeting without end",
        rule="banner-malformed",
        observation=observed([stopped(host(25), Stage.GREETING, Kind.OVERLONG)]),
        severity=ERROR,
        words="64 KiB",
    ),
    # turned away, dropped
    Shade(
        title="4yz about the rate at EHLO",
        rule="client-throttled",
        observation=observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.THROTTLED,
                    "450 4.7.1 Error: too much mail",
                    greeting=greeting(),
                )
            ]
        ),
        severity=NOTICE,
        status=Status.INCONCLUSIVE,
    ),
    Shade(
        title="454 is about TLS and no word on rates",
        rule="client-throttled",
        observation=observed(
            [
                stopped(
                    host(25),
                    Stage.STARTTLS,
                    Kind.REJECTED,
                    greeting=greeting(),
                    ehlo=ehlo("STARTTLS"),
                    starttls=exchange(
                        "STARTTLS", "454 4.7.0 TLS not available due to corporate problem\n"
                    ),
                )
            ]
        ),
    ),
    Shade(
        title="reset before the greeting",
        rule="session-dropped",
        observation=observed([stopped(host(25), Stage.GREETING, Kind.RESET)]),
        severity=ERROR,
        words="reset without a reply before the greeting",
    ),
    Shade(
        title="gone without an answer to QUIT",
        rule="session-dropped",
        observation=at(25, ending=Ending(closed_by_server=True)),
        severity=NOTICE,
        words="at QUIT",
    ),
    Shade(
        title="a handshake that breaks off is another rule's",
        rule="session-dropped",
        observation=handshake(465, Kind.CLOSED),
    ),
    Shade(
        title="closed at MAIL without TLS",
        rule="session-dropped",
        observation=observed(
            [
                dialogue(host(587)),
                replace(
                    cleartext(host(587)),
                    mail=None,
                    ending=None,
                    failure=stopped(host(587), Stage.MAIL, Kind.CLOSED).failure,
                ),
            ]
        ),
        severity=ERROR,
        words="at MAIL",
    ),
    # EHLO
    Shade(
        title="mixed codes",
        rule="ehlo-reply-malformed",
        observation=answers_ehlo(b"250-mail.example.org\r\n251 SIZE\r\n"),
        severity=ERROR,
        words="different codes",
    ),
    Shade(
        title="an illegal keyword",
        rule="ehlo-reply-malformed",
        observation=lists(*BASE, "X_FOO!"),
        severity=WARNING,
        words="X_FOO! is not a legal keyword",
    ),
    Shade(
        title="a keyword twice",
        rule="ehlo-reply-malformed",
        observation=lists(*BASE, "DSN"),
        severity=WARNING,
        words="DSN is listed twice",
    ),
    Shade(
        title="AUTH twice without the old form",
        rule="ehlo-reply-malformed",
        observation=lists(*BASE, "AUTH PLAIN", "AUTH LOGIN"),
        severity=WARNING,
    ),
    Shade(
        title="an empty keyword line is no keyword",
        rule="ehlo-reply-malformed",
        observation=answers_ehlo(b"250-mail.example.org\r\n250-\r\n250 SIZE\r\n"),
    ),
    Shade(
        title="Postfix's default limit",
        rule="size-limit-low",
        observation=lists("PIPELINING", "SIZE 10240000", "8BITMIME", "ENHANCEDSTATUSCODES"),
        severity=NOTICE,
        words="10,240,000",
    ),
    Shade(
        title="SIZE with a word for a number",
        rule="size-limit-low",
        observation=lists("PIPELINING", "SIZE many", "8BITMIME", "ENHANCEDSTATUSCODES"),
    ),
    Shade(
        title="XFORWARD on loopback",
        rule="trusted-extension-exposed",
        observation=lists(*BASE, "XFORWARD NAME ADDR", address="127.0.0.1"),
        severity=NOTICE,
    ),
    Shade(
        title="the word LMTP in a greeting is not enough",
        rule="lmtp-on-smtp-port",
        observation=at(25, greeting=greeting(f"220 {NAME} LMTP\n")),
    ),
    Shade(
        title="a server that lists endless mechanisms",
        rule="auth-on-mx",
        observation=lists(*BASE, "AUTH " + " ".join(f"X{n}" for n in range(2000))),
        severity=NOTICE,
        words="…",
    ),
    # the way into TLS
    Shade(
        title="454",
        rule="starttls-handshake-fails",
        observation=observed(
            [
                stopped(
                    host(587),
                    Stage.STARTTLS,
                    Kind.REJECTED,
                    greeting=greeting(),
                    ehlo=ehlo("STARTTLS"),
                    starttls=exchange("STARTTLS", "454 4.7.0 TLS not available\n"),
                )
            ]
        ),
        severity=CRITICAL,
        words="then answered with 454 4.7.0 TLS not available",
    ),
    Shade(
        title="on an implicit port",
        rule="starttls-handshake-fails",
        observation=handshake(465, Kind.TLS_FAILED, "no shared cipher"),
        severity=CRITICAL,
        words="the TLS handshake fails: no shared cipher",
    ),
    Shade(
        title="neither TLS nor SMTP on 465",
        rule="starttls-handshake-fails",
        observation=handshake(465, Kind.NOT_TLS, first_octets=b"HTTP/1.1 400 Bad Request\r\n"),
        severity=CRITICAL,
        words="not TLS",
    ),
    Shade(
        title="what our own library can't do",
        rule="starttls-handshake-fails",
        observation=handshake(465, Kind.LOCAL, "unsupported protocol"),
    ),
    Shade(
        title="465 is served over IPv6 only",
        rule="implicit-tls-missing",
        observation=observed([refused(host(465)), *port(587), *port(465, V6)]),
    ),
    Shade(
        title="587 does not greet either",
        rule="implicit-tls-missing",
        observation=observed([refused(host(465)), refused(host(587))]),
    ),
    # versions
    Shade(
        title="TLS 1.1 on an MX",
        rule="tls-legacy-version",
        observation=accepting(25, Version.TLS1_1, Version.TLS1_2),
        severity=NOTICE,
        words="TLS 1.1 is accepted",
    ),
    Shade(
        title="what was negotiated counts",
        rule="tls-legacy-version",
        observation=accepting(465, Version.TLS1_2, negotiated="TLSv1"),
        severity=ERROR,
        words="TLS 1.0 is accepted",
    ),
    Shade(
        title="TLS 1.3 is missing",
        rule="tls-modern-missing",
        observation=accepting(465, Version.TLS1_2),
        severity=INFO,
        words="TLS 1.3 is not accepted",
    ),
    Shade(
        title="every ClientHello was refused",
        rule="tls-modern-missing",
        observation=observed(
            [*handshake(465, Kind.TLS_FAILED).steps, *versions(host(465))],
        ),
    ),
    # certificates
    Shade(
        title="expired on submission",
        rule="cert-outside-validity",
        observation=chain(587, OLD, INTERMEDIATE, errors=(EXPIRED,)),
        severity=CRITICAL,
        words="expired on 2031-05-03, 3 days ago",
    ),
    Shade(
        title="expired on an MX",
        rule="cert-outside-validity",
        observation=chain(25, OLD, INTERMEDIATE, errors=(EXPIRED,)),
        severity=ERROR,
    ),
    Shade(
        title="not yet valid",
        rule="cert-outside-validity",
        observation=chain(25, replace(LEAF, not_before=NOW + DAY), INTERMEDIATE),
        severity=ERROR,
        words="not valid before 2031-05-07",
    ),
    Shade(
        title="an expired intermediate that OpenSSL objects to",
        rule="cert-outside-validity",
        observation=chain(
            587,
            LEAF,
            replace(INTERMEDIATE, not_after=NOW - DAY),
            errors=(replace(EXPIRED, depth=1),),
        ),
        severity=CRITICAL,
        words="the intermediate Example Issuing CA expired",
    ),
    Shade(
        title="an expired intermediate that another path makes up for",
        rule="cert-outside-validity",
        observation=chain(587, LEAF, replace(INTERMEDIATE, not_after=NOW - DAY)),
    ),
    Shade(
        title="a common name is not looked at by clients",
        rule="cert-name-mismatch",
        observation=chain(587, replace(LEAF, names=()), INTERMEDIATE),
        severity=NOTICE,
        words="only the common name",
    ),
    Shade(
        title="wrong name on an MX",
        rule="cert-name-mismatch",
        observation=chain(25, replace(LEAF, names=("a.test",), common_name=""), INTERMEDIATE),
        severity=WARNING,
        words="names a.test, not mail.example.org",
    ),
    Shade(
        title="a root that is not in the store",
        rule="cert-untrusted",
        observation=chain(587, LEAF, INTERMEDIATE, ROOT_CERTIFICATE, errors=(UNKNOWN_ROOT,)),
        severity=ERROR,
        words="its root Example Root CA is not in the trust store",
    ),
    Shade(
        title="a private authority that names no place to fetch from",
        rule="cert-untrusted",
        observation=chain(587, LEAF, INTERMEDIATE, errors=(PRIVATE,)),
        severity=ERROR,
        words="its issuer CN=Example Root CA,O=Example is not in the trust store",
    ),
    Shade(
        title="expiry is not distrust",
        rule="cert-untrusted",
        observation=chain(587, OLD, INTERMEDIATE, errors=(EXPIRED,)),
    ),
    Shade(
        title="a name that OpenSSL compared is not distrust",
        rule="cert-untrusted",
        observation=chain(587, LEAF, INTERMEDIATE, errors=(error(62, "hostname mismatch"),)),
    ),
    Shade(
        title="an empty store says nothing",
        rule="cert-untrusted",
        observation=at(
            587, tls=session(errors=NO_ISSUER, trust=TrustStore(source="none", anchors=0))
        ),
    ),
    Shade(
        title="untrusted on an MX",
        rule="cert-untrusted",
        observation=chain(25, LEAF, INTERMEDIATE, errors=(PRIVATE,)),
        severity=NOTICE,
    ),
    Shade(
        title="out of order, sorted out by OpenSSL",
        rule="cert-chain-incomplete",
        observation=chain(587, LEAF, ROOT_CERTIFICATE, INTERMEDIATE),
        severity=NOTICE,
        words="out of order",
    ),
    Shade(
        title="a chain whose root was left out, as it should be",
        rule="cert-chain-incomplete",
        observation=chain(587, LEAF, replace(INTERMEDIATE, issuer_urls=()), errors=(PRIVATE,)),
    ),
    Shade(
        title="the second intermediate is missing",
        rule="cert-chain-incomplete",
        observation=chain(587, LEAF, INTERMEDIATE, errors=(PRIVATE,)),
        severity=ERROR,
        words="the issuer CN=Example Root CA,O=Example is neither served nor known here",
    ),
    Shade(
        title="the second intermediate is missing, and the first stands elsewhere",
        rule="cert-chain-incomplete",
        observation=chain(
            587,
            LEAF,
            replace(ROOT_CERTIFICATE, subject="CN=x", issuer="CN=x"),
            INTERMEDIATE,
            errors=(PRIVATE,),
        ),
        severity=ERROR,
        words="the issuer CN=Example Root CA,O=Example is neither served nor known here",
    ),
    Shade(
        title="the whole chain with a private root",
        rule="cert-chain-incomplete",
        observation=chain(587, LEAF, INTERMEDIATE, ROOT_CERTIFICATE, errors=(UNKNOWN_ROOT,)),
    ),
    Shade(
        title="incomplete on an MX, or a private root that issues directly",
        rule="cert-chain-incomplete",
        observation=chain(25, LEAF, errors=NO_ISSUER),
        severity=WARNING,
        words="the issuer CN=Example Issuing CA,O=Example is neither served nor known here: "
        "an intermediate left out, or a private root",
    ),
    Shade(
        title="the root in the trust store has expired",
        rule="cert-untrusted",
        observation=chain(587, LEAF, INTERMEDIATE, errors=(replace(EXPIRED, depth=2),)),
        severity=ERROR,
        words="a certificate of the trust store, above the chain as presented, has expired",
    ),
    Shade(
        title="another root than the one presented has expired",
        rule="cert-untrusted",
        observation=chain(
            587, LEAF, INTERMEDIATE, ROOT_CERTIFICATE, errors=(replace(EXPIRED, depth=2),)
        ),
        severity=ERROR,
        words="has expired",
    ),
    Shade(
        title="the intermediate has expired, which has a rule of its own",
        rule="cert-untrusted",
        observation=chain(
            587,
            LEAF,
            replace(INTERMEDIATE, not_after=NOW - DAY),
            errors=(replace(EXPIRED, depth=1),),
        ),
    ),
    Shade(
        title="a short curve",
        rule="cert-weak",
        observation=chain(587, replace(LEAF, bits=192, curve="secp192r1"), INTERMEDIATE),
        severity=ERROR,
        words="an EC key of 192 bits (secp192r1)",
    ),
    Shade(
        title="SHA-1 on the intermediate",
        rule="cert-weak",
        observation=chain(587, LEAF, replace(INTERMEDIATE, signature="sha1")),
        severity=ERROR,
        words="the intermediate Example Issuing CA has a signature with SHA1",
    ),
    Shade(
        title="Ed25519 has no bits to count",
        rule="cert-weak",
        observation=chain(
            587, replace(LEAF, key="Ed25519", bits=0, curve="", signature=""), INTERMEDIATE
        ),
    ),
    # AUTH
    Shade(
        title="AUTH before TLS only",
        rule="auth-missing",
        observation=at(587, ehlo=ehlo(*BASE, "STARTTLS", AUTH), ehlo_tls=ehlo(*BASE)),
        severity=ERROR,
        words="though it was before (PLAIN and LOGIN)",
    ),
    Shade(
        title="AUTH without a mechanism",
        rule="auth-missing",
        observation=at(587, ehlo_tls=ehlo(*BASE, "AUTH")),
        severity=ERROR,
        words="without any mechanism",
    ),
    Shade(
        title="a bearer token is as good as a password",
        rule="auth-in-cleartext",
        observation=at(587, ehlo=ehlo(*BASE, "STARTTLS", "AUTH OAUTHBEARER")),
        severity=ERROR,
    ),
    Shade(
        title="AUTH on an MX before TLS",
        rule="auth-on-mx",
        observation=at(25, ehlo=ehlo(*BASE, "STARTTLS", "AUTH GSSAPI")),
        severity=NOTICE,
    ),
)


def found(shade: Shade) -> list[Finding]:
    report = judge(shade.observation)
    every = (*report.findings, *report.consequences)
    return [finding for finding in every if finding.id == shade.rule]


@pytest.mark.parametrize("shade", SHADES, ids=lambda shade: f"{shade.rule}: {shade.title}")
def test_shade(shade: Shade) -> None:
    findings = found(shade)
    if shade.severity is None:
        assert not findings
        return
    (finding,) = findings
    assert finding.severity is shade.severity
    assert finding.status is shade.status
    assert shade.words in finding.message


# Days of life, days left, and whether it is soon.
SOON = [
    (90, 20, False),
    (90, 14, False),
    (90, 13, True),
    (6, 3, False),
    (6, 1, True),
    (365, 13, True),
]


@pytest.mark.parametrize(("life", "left", "soon"), SOON)
def test_soon_is_14_days_or_a_quarter_of_the_life(life: int, left: int, soon: bool) -> None:
    leaf = replace(LEAF, not_before=NOW - (life - left) * DAY, not_after=NOW + left * DAY)
    ids = [finding.id for finding in judge(chain(25, leaf, INTERMEDIATE)).findings]
    assert ("cert-expires-soon" in ids) is soon


FAMILIES = [
    ((lookup("A", Answer.NO_DATA),), None, "with -4, an AAAA may still exist"),
    ((lookup("A", Answer.NO_SUCH_NAME),), CRITICAL, "a name that does not exist has neither"),
    ((lookup("A", Answer.NO_DATA), lookup("AAAA", Answer.NO_DATA)), CRITICAL, "neither exists"),
    ((lookup("A", Answer.NO_DATA), lookup("AAAA", Answer.FOUND, V6)), None, "one is enough"),
    ((), None, "an address literal was given"),
]


@pytest.mark.parametrize(("lookups", "severity", "why"), FAMILIES)
def test_undeliverable_takes_both_families(
    lookups: tuple[Lookup, ...], severity: Severity | None, why: str
) -> None:
    assert judge(observed((), dns=lookups)).worst is severity, why


GREETINGS = [
    ("mail.example.org ESMTP Exim 4.96 Tue, 06 May 2031 12:00:00 +0000", "Exim 4.96"),
    ("mail.example.org ESMTP Sendmail 8.17.1/8.17.1; Tue, 6 May 2031", "Sendmail 8.17.1"),
    ("mail.example.org ESMTP Postfix (3.7.11)", "Postfix (3.7.11)"),
    ("mail.example.org Microsoft ESMTP MAIL Service, Version: 10.0.17763.1 ready", "10.0.17763.1"),
    ("mail.example.org ESMTP MDaemon 21.5.2; Tue, 06 May 2031", "MDaemon 21.5.2"),
    ("mail.example.org ESMTP CommuniGate Pro 6.2.14", "CommuniGate Pro 6.2.14"),
    ("localhost Python SMTP 1.4.6", "SMTP 1.4.6"),
    ("mail.example.org ESMTP Postfix (Debian/GNU)", ""),
    ("mail.example.org ESMTP Postfix", ""),
    ("mail.example.org ESMTP OpenSMTPD", ""),
    ("mx.google.com ESMTP 5b1f17b1804b1-43f - gsmtp", ""),
    ("mail1.2.example.org ESMTP ready at Tue 06.05.2031 12:00", ""),
    ("mail.example.org ESMTP you are client 192.0.2.1", ""),
    ("mail.example.org ESMTP Tue, 06 May 2031 12:00:00 +0000 (UTC)", ""),
]


@pytest.mark.parametrize(("text", "expected"), GREETINGS)
def test_a_product_counts_with_its_version_only(text: str, expected: str) -> None:
    announced = software(reply(f"220 {text}\n"))
    assert expected in announced
    assert bool(announced) is bool(expected)


def test_a_host_with_an_address_for_a_name_is_matched_by_its_address() -> None:
    leaf = replace(LEAF, names=(), addresses=(V4,), common_name="")
    run = replace(observed(port(587, tls=session(leaf, INTERMEDIATE)), verify=V4))
    assert not judge(run).findings


def test_without_a_name_the_certificate_rule_does_not_apply() -> None:
    report = judge(observed(port(587), verify=""))
    (verdict,) = [v for v in report.verdicts if v.rule == "cert-name-mismatch"]
    assert verdict.outcome is Judgement.NOT_APPLICABLE


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_whatever_a_server_says_there_is_a_report(hello: bytes, listed: bytes) -> None:
    said = replace(ehlo(), exchange=replace(greeting(), reply=parsed(b"250-" + listed + b"\r\n")))
    step = replace(
        dialogue(host(25)),
        greeting=replace(greeting(), reply=parsed(hello + b"\r\n")),
        ehlo=replace(said, extensions=extensions(said.exchange.reply)),
        first_octets=hello,
    )
    report = judge(observed([step]))
    for finding in (*report.findings, *report.consequences):
        assert finding.message.isprintable()


@pytest.mark.parametrize("stage", list(Stage))
@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("number", [25, 465, 587])
def test_wherever_it_stops_there_is_a_report(number: int, stage: Stage, kind: Kind) -> None:
    """Bare, and with everything seen before: no rule needs more than it says it does."""
    bare = stopped(host(number, asked=True), stage, kind, "detail")
    full = replace(dialogue(host(number, asked=True)), failure=bare.failure)
    steps: list[Step] = [bare, replace(bare, tls=full.tls), full]
    for step in steps:
        report = judge(observed([step]))
        assert report.verdicts
        assert all(line.what for line in report.unchecked)


@pytest.mark.parametrize("depth", [-(10**6), -1, 7, 2**40])
def test_a_depth_that_no_chain_has_is_no_stumbling_block(depth: int) -> None:
    """A saved file may say anything that its types allow."""
    for code in (9, 10, 18, 19, 20, 21):
        judge(chain(587, LEAF, errors=(error(code, "odd", depth=depth),)))


@pytest.mark.parametrize("seconds", [-1e300, -1.0, 1e300, float("nan"), float("inf")])
def test_a_time_that_no_run_takes_is_no_stumbling_block(seconds: float) -> None:
    odd = exchange("EHLO x", "250 x\n", took=seconds)
    seen = ehlo(*BASE)
    judge(at(465, took=seconds, began=seconds, ehlo_tls=replace(seen, exchange=odd)))


def test_a_reply_without_lines_is_no_stumbling_block() -> None:
    blank = replace(reply("220 x\n"), lines=())
    empty = replace(greeting(), reply=blank)
    judge(at(25, greeting=empty, ehlo=replace(ehlo(), exchange=empty), starttls=empty))
