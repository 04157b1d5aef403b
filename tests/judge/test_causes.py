"""Compound faults: the root cause stands first, and what follows from it is folded under it."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Certificate, Offer, VerifyError, Version
from smtpcheck.judge import judge
from smtpcheck.judge.report import Severity, Status
from tests.judge.build import (
    AUTH,
    BASE,
    EXPIRED,
    INTERMEDIATE,
    LEAF,
    NO_ISSUER,
    NOW,
    SELF_SIGNED,
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
    observed,
    port,
    refused,
    refused_ehlo,
    session,
    stopped,
    version,
    versions,
)
from tests.judge.fixtures import HELLO, HELO, LMTP, SILENT

WRONG = replace(LEAF, names=("www.example.org",), common_name="www.example.org")
OLD = replace(LEAF, not_after=NOW - timedelta(days=3))
SELF = replace(LEAF, issuer=LEAF.subject, issuer_urls=())
THROWAWAY = replace(SELF, names=("localhost",), common_name="localhost")
WEAK = replace(LEAF, key="RSA", bits=1024)


def submission(*chain: Certificate, errors: tuple[VerifyError, ...] = ()) -> list[Step]:
    return port(587, tls=session(*chain, errors=errors))


def everywhere(**changes: Any) -> list[Step]:
    """The same on three ports of two addresses."""
    return [
        step
        for address in (V4, V6)
        for number in (25, 465, 587)
        for step in port(number, address, **changes)
    ]


@dataclass(frozen=True, kw_only=True)
class Row:
    title: str
    observation: Observation
    roots: tuple[str, ...]
    folded: tuple[str, ...] = ()
    unsure: tuple[str, ...] = ()


NO_STARTTLS: dict[str, Any] = {"starttls": None, "tls": None, "ehlo_tls": None}

TABLE = (
    Row(
        title="expired, of another name, and old TLS: three faults with three remedies",
        observation=observed(
            [
                replace(
                    dialogue(host(587)),
                    tls=session(
                        replace(WRONG, not_after=OLD.not_after),
                        INTERMEDIATE,
                        errors=(EXPIRED,),
                        version="TLSv1.2",
                    ),
                ),
                *versions(host(587), Version.TLS1_0, Version.TLS1_2),
                cleartext(host(587)),
            ]
        ),
        roots=(
            "cert-outside-validity",
            "tls-legacy-version",
            "cert-name-mismatch",
            "tls-modern-missing",
        ),
    ),
    Row(
        title="refused at EHLO, and the connection closed with it",
        observation=observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.CLOSED,
                    greeting=greeting(),
                    ehlo=refused_ehlo("550 go away\n"),
                )
            ]
        ),
        roots=("ehlo-rejected",),
        folded=("session-dropped",),
    ),
    Row(
        title="expired on six ports is one finding for users and one for servers",
        observation=observed(everywhere(tls=session(OLD, INTERMEDIATE, errors=(EXPIRED,)))),
        roots=("cert-outside-validity", "cert-outside-validity"),
    ),
    Row(
        title="a self-signed certificate of another name is one throwaway certificate",
        observation=observed(submission(THROWAWAY, errors=(SELF_SIGNED,))),
        roots=("cert-untrusted",),
        folded=("cert-name-mismatch",),
    ),
    Row(
        title="a self-signed certificate that expired needs renewal, whoever signs",
        observation=observed(
            submission(
                replace(SELF, not_after=NOW - timedelta(days=3)), errors=(SELF_SIGNED, EXPIRED)
            )
        ),
        roots=("cert-outside-validity", "cert-untrusted"),
    ),
    Row(
        title="a private authority and another name are two faults",
        observation=observed(
            submission(
                replace(WRONG, issuer_urls=()),
                replace(INTERMEDIATE, issuer_urls=()),
                errors=(error(20, "unable to get local issuer certificate", depth=1),),
            )
        ),
        roots=("cert-name-mismatch", "cert-untrusted"),
    ),
    Row(
        title="without the intermediate nothing can be trusted",
        observation=observed(submission(LEAF, errors=NO_ISSUER)),
        roots=("cert-chain-incomplete",),
        folded=("cert-untrusted",),
    ),
    Row(
        title="OpenSSL distrusts a key because it is short",
        observation=observed(
            submission(WEAK, INTERMEDIATE, errors=(error(66, "EE certificate key too weak"),))
        ),
        roots=("cert-weak",),
        folded=("cert-untrusted",),
    ),
    Row(
        title="a closed port is one finding, not nine",
        observation=observed([refused(host(587, asked=True))]),
        roots=("port-closed",),
    ),
    Row(
        title="all ports closed is one finding on three ports",
        observation=observed([refused(host(number)) for number in (25, 465, 587)]),
        roots=("port-closed",),
    ),
    Row(
        title="465 was asked for and is closed: that is why implicit TLS is missing",
        observation=observed([refused(host(465, asked=True)), *port(587)]),
        roots=("port-closed",),
        folded=("implicit-tls-missing",),
    ),
    Row(
        title="a firewall before 25, seen with a control server",
        observation=observed([filtered(host(25, asked=True)), *port(587), control(25)]),
        roots=("port-timeout",),
    ),
    Row(
        title="no server answers on 25, the control server neither: our own network",
        observation=observed(
            [filtered(host(25, asked=True)), *port(587), control(25, answers=False)]
        ),
        roots=(),
        folded=("port-timeout",),
        unsure=("egress-blocked",),
    ),
    Row(
        title="a firewall that drops IPv6 only, and nothing to prove it with",
        observation=observed(
            [*port(587, asked=True), filtered(host(587, V6, asked=True)), control(587)]
        ),
        roots=(),
        unsure=("port-timeout",),
    ),
    Row(
        title="a firewall that drops IPv6 only, seen with a control server over IPv6",
        observation=observed(
            [
                *port(587, asked=True),
                filtered(host(587, V6, asked=True)),
                control(587, address="2001:db8:9::9"),
            ]
        ),
        roots=("port-timeout",),
    ),
    Row(
        title="no IPv6 here is our own affair",
        observation=observed(
            [
                *port(587, asked=True),
                stopped(host(587, V6, asked=True), Stage.CONNECT, Kind.NO_ROUTE),
            ]
        ),
        roots=(),
    ),
    Row(
        title="without STARTTLS everything is in the clear",
        observation=observed(
            [
                replace(dialogue(host(587)), ehlo=ehlo(*BASE, AUTH), **NO_STARTTLS),
                replace(cleartext(host(587), "250 2.1.0 Ok\n"), ehlo=ehlo(*BASE, AUTH)),
            ]
        ),
        roots=("starttls-missing",),
        folded=("submission-cleartext", "auth-in-cleartext"),
    ),
    Row(
        title="with STARTTLS on offer, clear text is a fault of its own",
        observation=observed(
            [
                replace(dialogue(host(587)), ehlo=ehlo(*BASE, "STARTTLS", AUTH)),
                *versions(host(587), Version.TLS1_2, Version.TLS1_3),
                cleartext(host(587), "250 2.1.0 Ok\n"),
            ]
        ),
        roots=("submission-cleartext", "auth-in-cleartext"),
    ),
    Row(
        title="HELO has no list, so STARTTLS can't be on it",
        observation=observed([replace(dialogue(host(25)), ehlo=HELO, **NO_STARTTLS)]),
        roots=("ehlo-rejected",),
        folded=("starttls-missing",),
    ),
    Row(
        title="LMTP knows neither EHLO nor STARTTLS",
        observation=observed([replace(dialogue(host(25)), ehlo=LMTP, **NO_STARTTLS)]),
        roots=("lmtp-on-smtp-port",),
        folded=("ehlo-rejected", "starttls-missing"),
    ),
    Row(
        title="a TLS server is silent on a port for clear text",
        observation=observed([SILENT, HELLO]),
        roots=("tls-on-plaintext-port",),
        folded=("banner-slow",),
    ),
    Row(
        title="only TLS 1.0, which our library won't speak",
        observation=observed(
            [
                stopped(
                    host(587),
                    Stage.TLS,
                    Kind.TLS_FAILED,
                    "unsupported protocol",
                    greeting=greeting(),
                    ehlo=ehlo(*BASE, "STARTTLS"),
                    starttls=exchange("STARTTLS", "220 2.0.0 Ready to start TLS\n"),
                ),
                *versions(host(587), Version.TLS1_0),
                cleartext(host(587)),
            ]
        ),
        roots=("tls-modern-missing",),
        folded=("starttls-handshake-fails", "tls-legacy-version"),
    ),
    Row(
        title="version probes were throttled: what was seen still counts",
        observation=observed(
            [
                dialogue(host(25)),
                *(
                    replace(
                        version(host(25), each, Offer.UNDECIDED),
                        greeting=greeting("421 4.7.0 too many connections\n"),
                    )
                    for each in (Version.TLS1_0, Version.TLS1_1, Version.TLS1_2)
                ),
            ]
        ),
        roots=(),
        unsure=("client-throttled",),
    ),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_root_causes(row: Row) -> None:
    report = judge(row.observation)
    faults = [finding for finding in report.findings if finding.status is Status.FAIL]
    unsure = [finding for finding in report.findings if finding.status is Status.INCONCLUSIVE]
    assert [finding.id for finding in faults] == list(row.roots)
    assert sorted(finding.id for finding in report.consequences) == sorted(row.folded)
    assert [finding.id for finding in unsure] == list(row.unsure)
    assert list(report.findings) == faults + unsure


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_consequence_and_cause_know_each_other(row: Row) -> None:
    report = judge(row.observation)
    named = [cause for finding in report.findings for cause in finding.causes]
    assert named == [f"{finding.id}@{finding.subject}" for finding in report.consequences]
    roots = {finding.id for finding in report.findings}
    assert all(finding.explained_by in roots for finding in report.consequences)


def test_one_certificate_on_six_ports_is_as_bad_as_each_port_has_it() -> None:
    old = session(OLD, INTERMEDIATE, errors=(EXPIRED,))
    first, second = judge(observed(everywhere(tls=old))).findings
    assert [str(subject) for subject in (first.subject, *first.also)] == [
        f"{V4}:465",
        f"{V4}:587",
        f"[{V6}]:465",
        f"[{V6}]:587",
    ]
    assert [str(subject) for subject in (second.subject, *second.also)] == [
        f"{V4}:25",
        f"[{V6}]:25",
    ]
    assert (first.severity, second.severity) == (Severity.CRITICAL, Severity.ERROR)


def test_two_certificates_that_read_alike_stay_two_findings() -> None:
    other = replace(OLD, sha256="dd" * 32)
    steps = [
        *port(465, tls=session(OLD, INTERMEDIATE, errors=(EXPIRED,))),
        *port(587, tls=session(other, INTERMEDIATE, errors=(EXPIRED,))),
    ]
    assert len(judge(observed(steps)).findings) == 2


def test_a_grave_consequence_lifts_its_cause_to_the_front() -> None:
    """Self-signed is a notice on an MX; that the name is wrong too, a warning."""
    throwaway = session(THROWAWAY, errors=(SELF_SIGNED,))
    small = ehlo("SIZE 1000", *(word for word in BASE if not word.startswith("SIZE")))
    report = judge(observed(port(25, tls=throwaway, ehlo_tls=small)))
    assert [finding.id for finding in report.findings] == ["cert-untrusted", "size-limit-low"]
    assert report.worst is Severity.WARNING


def test_what_is_inconclusive_excuses_no_fault() -> None:
    """465 times out unproven; that submission lacks implicit TLS stands on its own."""
    report = judge(observed([filtered(host(465)), *port(587)]))
    assert [finding.id for finding in report.findings] == ["implicit-tls-missing", "port-timeout"]
    assert not report.consequences
