"""What a whole run comes to: fail, pass, or nothing decisive seen; and what was not looked at."""

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from smtpcheck.blame import BadInputError
from smtpcheck.facts.dns import Answer
from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Offer, TrustStore, Version
from smtpcheck.judge import Profile, judge
from smtpcheck.judge.report import Judgement, Severity, Status
from tests.judge.build import (
    BASE,
    EXPIRED,
    INTERMEDIATE,
    LEAF,
    NOW,
    V6,
    cleartext,
    control,
    dialogue,
    ehlo,
    exchange,
    filtered,
    greeting,
    healthy,
    host,
    lookup,
    observed,
    port,
    refused,
    refused_ehlo,
    session,
    stopped,
    version,
    versions,
)
from tests.judge.fixtures import FIXTURES, THROTTLED

PASS, FAIL, OPEN = Judgement.PASSED, Judgement.FAILED, Judgement.INCONCLUSIVE
DEFAULT = Profile()
LATER = NOW + timedelta(days=2)


@dataclass(frozen=True, kw_only=True)
class Row:
    title: str
    observation: Observation
    status: Judgement
    profile: Profile = DEFAULT


V6_HOST = host(587, V6, asked=True)
NO_ROUTE = stopped(V6_HOST, Stage.CONNECT, Kind.NO_ROUTE)
NO_HOST = stopped(V6_HOST, Stage.CONNECT, Kind.UNREACHABLE, "No route to host")
OFFERING = ehlo(*BASE, "STARTTLS")
READY = exchange("STARTTLS", "220 2.0.0 Ready to start TLS\n")


def ends(stage: Stage, kind: Kind, **seen: Any) -> Step:
    """A dialogue with a port that was asked for, which ends after a good greeting."""
    return stopped(host(587, asked=True), stage, kind, greeting=greeting(), **seen)


SHAKEN: dict[str, Any] = {"ehlo": OFFERING, "starttls": READY, "tls": session()}
ENDS = {
    "EHLO hangs": ends(Stage.EHLO, Kind.TIMED_OUT),
    "STARTTLS hangs": ends(Stage.STARTTLS, Kind.TIMED_OUT, ehlo=OFFERING),
    "EHLO hangs inside TLS": ends(Stage.EHLO, Kind.TIMED_OUT, **SHAKEN),
    "our time runs out at EHLO": ends(Stage.EHLO, Kind.OUT_OF_TIME),
    "our time runs out at STARTTLS": ends(Stage.STARTTLS, Kind.OUT_OF_TIME, ehlo=OFFERING),
    "our time runs out in the handshake": ends(
        Stage.TLS, Kind.OUT_OF_TIME, ehlo=OFFERING, starttls=READY
    ),
    "our time runs out at EHLO inside TLS": ends(Stage.EHLO, Kind.OUT_OF_TIME, **SHAKEN),
    "our name is refused": ends(
        Stage.EHLO, Kind.REJECTED, ehlo=refused_ehlo("550 need fully-qualified hostname\n")
    ),
    "our name is refused, and the connection closed": ends(
        Stage.EHLO, Kind.CLOSED, ehlo=refused_ehlo("550 need fully-qualified hostname\n")
    ),
    "EHLO is answered 450": ends(
        Stage.EHLO, Kind.THROTTLED, ehlo=refused_ehlo("450 4.7.1 later\n")
    ),
    "EHLO inside TLS is answered 421": ends(
        Stage.EHLO, Kind.THROTTLED, **SHAKEN, ehlo_tls=refused_ehlo("421 4.7.0 later\n")
    ),
}

TABLE = (
    Row(title="healthy", observation=healthy(), status=PASS),
    Row(title="an error", observation=FIXTURES["auth-missing"][0], status=FAIL),
    Row(title="a warning", observation=FIXTURES["cert-expires-soon"][0], status=PASS),
    Row(
        title="a warning, and the bar at warning",
        observation=FIXTURES["cert-expires-soon"][0],
        profile=Profile(fail_on=Severity.WARNING),
        status=FAIL,
    ),
    Row(
        title="an error, made a notice by the user",
        observation=FIXTURES["auth-missing"][0],
        profile=Profile(severities={"auth-missing": Severity.NOTICE}),
        status=PASS,
    ),
    Row(
        title="an error, ignored by the user",
        observation=FIXTURES["auth-missing"][0],
        profile=Profile(ignore=frozenset({"auth"})),
        status=PASS,
    ),
    Row(
        title="an error in what was not selected",
        observation=FIXTURES["auth-missing"][0],
        profile=Profile(only=frozenset({"certificate", "tls-legacy-version"})),
        status=PASS,
    ),
    Row(title="every port turned us away", observation=observed([THROTTLED]), status=OPEN),
    Row(
        title="every port turned us away at EHLO",
        observation=observed(
            [
                stopped(
                    host(25),
                    Stage.EHLO,
                    Kind.THROTTLED,
                    "451 come again",
                    greeting=greeting(),
                    ehlo=refused_ehlo("451 come again\n"),
                )
            ]
        ),
        status=OPEN,
    ),
    Row(title="every port is silent", observation=observed([filtered(host(587))]), status=OPEN),
    Row(
        title="silent, and our own network is to blame",
        observation=FIXTURES["egress-blocked"][0],
        status=OPEN,
    ),
    Row(
        title="silent, while the control server answers",
        observation=FIXTURES["port-timeout"][0],
        status=FAIL,
    ),
    Row(
        title="a port that nobody asked for is silent",
        observation=observed([filtered(host(25)), *port(587)]),
        status=PASS,
    ),
    Row(
        title="a port that was asked for is silent",
        observation=observed([filtered(host(25, asked=True)), *port(587, asked=True)]),
        status=OPEN,
    ),
    Row(
        title="a port that was asked for turned us away",
        observation=observed([replace(THROTTLED, host=host(25, asked=True)), *port(587)]),
        status=OPEN,
    ),
    Row(
        title="no IPv6 here, and IPv4 is healthy",
        observation=observed([*port(587, asked=True), NO_ROUTE]),
        status=PASS,
    ),
    Row(
        title="IPv6 ends at the next router, and IPv4 is healthy",
        observation=observed([*port(587, asked=True), NO_HOST]),
        status=PASS,
    ),
    Row(title="IPv6 ends at the next router", observation=observed([NO_HOST]), status=OPEN),
    Row(
        title="one of two IPv6 addresses is unreachable",
        observation=observed(
            [*port(587, asked=True), NO_HOST, *port(587, "2001:db8::26", asked=True)]
        ),
        status=OPEN,
    ),
    *(Row(title=title, observation=observed([step]), status=OPEN) for title, step in ENDS.items()),
    Row(
        title="a port that nobody asked for hangs at EHLO",
        observation=observed([replace(ENDS["EHLO hangs"], host=host(587)), *port(465, asked=True)]),
        status=PASS,
    ),
    Row(title="no IPv6 here, and nothing else", observation=observed([NO_ROUTE]), status=OPEN),
    Row(
        title="no greeting as long as we waited",
        observation=observed(
            [stopped(host(587, asked=True), Stage.GREETING, Kind.TIMED_OUT, "no greeting in 30 s")]
        ),
        status=OPEN,
    ),
    Row(
        title="the look-up timed out",
        observation=observed((), dns=(lookup("A", Answer.TIMED_OUT),)),
        status=OPEN,
    ),
    Row(
        title="the name has no address",
        observation=FIXTURES["domain-undeliverable"][0],
        status=FAIL,
    ),
    Row(
        title="a mail domain without an address",
        observation=observed(
            (),
            dns=(
                lookup("A", Answer.NO_DATA),
                lookup("AAAA", Answer.NO_DATA),
                lookup("MX", Answer.FOUND, "10 mx1.example.org."),
            ),
        ),
        status=OPEN,
    ),
    Row(
        title="AAAA timed out, and A is healthy",
        observation=FIXTURES["dns-inconclusive"][0],
        status=PASS,
    ),
    Row(
        title="an error behind a notice still fails the run",
        observation=observed(
            port(465, tls=session(replace(LEAF, not_after=NOW - timedelta(days=1)), INTERMEDIATE))
        ),
        status=FAIL,
    ),
)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.title)
def test_status(row: Row) -> None:
    assert judge(row.observation, row.profile).status is row.status


@pytest.mark.parametrize("title", ENDS)
def test_what_was_cut_short_is_told(title: str) -> None:
    report = judge(observed([ENDS[title]]))
    assert not [finding for finding in report.findings if finding.status is Status.FAIL]
    assert report.unchecked
    failure = ENDS[title].failure
    hung = failure is not None and failure.kind is Kind.TIMED_OUT
    assert hung == ("session-dropped" in [finding.id for finding in report.findings])


def test_worst_counts_faults_only() -> None:
    assert judge(observed([THROTTLED])).worst is None
    assert judge(FIXTURES["cert-expires-soon"][0]).worst is Severity.WARNING


def test_a_profile_that_names_what_is_not_there_is_the_users_mistake() -> None:
    with pytest.raises(BadInputError, match="did you mean cert-weak"):
        judge(healthy(), Profile(ignore=frozenset({"cert-week"})))


@dataclass(frozen=True, kw_only=True)
class Gap:
    title: str
    observation: Observation
    lines: tuple[tuple[str, str], ...]


GAPS = (
    Gap(title="nothing is missing", observation=healthy(), lines=()),
    Gap(
        title="a closed port is one line",
        observation=observed([refused(host(25)), refused(host(465)), *port(587)]),
        lines=(("192.0.2.25:25 and 192.0.2.25:465", "the connection is refused"),),
    ),
    Gap(
        title="no route",
        observation=observed([*port(587), NO_ROUTE]),
        lines=(("[2001:db8::25]:587", "this machine has no route of that address family"),),
    ),
    Gap(
        title="throttled version probes",
        observation=observed(
            [
                dialogue(host(25)),
                version(host(25), Version.TLS1_0, Offer.REFUSED),
                *(
                    replace(version(host(25), each, Offer.UNDECIDED), failure=THROTTLED.failure)
                    for each in (Version.TLS1_1, Version.TLS1_2, Version.TLS1_3)
                ),
            ]
        ),
        lines=(("TLS 1.1 and TLS 1.2 on 192.0.2.25:25", "throttled after 2 connections"),),
    ),
    Gap(
        title="a greeting that refuses",
        observation=FIXTURES["service-refused"][0],
        lines=(
            (
                "everything after the greeting on 192.0.2.25:25",
                "the server greets with 554 5.7.1 mail.example.org your address is listed",
            ),
        ),
    ),
    Gap(
        title="an address has no name to check",
        observation=replace(observed([*port(465), *port(587)], verify="")),
        lines=(
            (
                "the name in the certificate on 192.0.2.25:465 and 192.0.2.25:587",
                "no name to check, give --name",
            ),
        ),
    ),
    Gap(
        title="an empty trust store",
        observation=observed(port(465, tls=session(trust=TrustStore(source="nowhere", anchors=0)))),
        lines=(("trust in the certificate on 192.0.2.25:465", "the trust store is empty"),),
    ),
    Gap(
        title="MAIL without TLS was not tried",
        observation=observed(
            [dialogue(host(587)), *versions(host(587), Version.TLS1_2, Version.TLS1_3)]
        ),
        lines=(("MAIL without TLS on 192.0.2.25:587", "it was not tried"),),
    ),
    Gap(
        title="a mail domain",
        observation=observed(
            (),
            dns=(
                lookup("A", Answer.NO_DATA),
                lookup("AAAA", Answer.NO_DATA),
                lookup("MX", Answer.FOUND, "10 mx1.example.org.", "20 mx2.example.org."),
            ),
        ),
        lines=(
            (
                "mail.example.org",
                "it is a mail domain without an address; check its mail hosts: "
                "mx1.example.org and mx2.example.org",
            ),
        ),
    ),
    Gap(
        title="what the plan left out",
        observation=observed(port(25), skipped=("3 of 19 addresses: more than are asked",)),
        lines=(("3 of 19 addresses: more than are asked", ""),),
    ),
)


@pytest.mark.parametrize("gap", GAPS, ids=lambda gap: gap.title)
def test_what_was_not_looked_at(gap: Gap) -> None:
    lines = [(line.what, line.why) for line in judge(gap.observation).unchecked]
    assert lines == list(gap.lines)


def test_without_a_session_what_depends_on_it_is_inconclusive_and_says_why() -> None:
    report = judge(FIXTURES["starttls-missing"][0])
    verdicts = {verdict.rule: verdict for verdict in report.verdicts}
    for rule in ("cert-untrusted", "cert-name-mismatch", "tls-legacy-version", "auth-missing"):
        assert verdicts[rule].outcome is OPEN
        assert verdicts[rule].reason == "STARTTLS is not offered"


def test_checked_counts_rules_that_came_to_a_decision() -> None:
    everything = judge(healthy()).checked
    assert judge(observed([refused(host(587, asked=True))])).checked < everything


def test_controls_are_no_subjects() -> None:
    report = judge(observed([*port(587), control(587)]))
    assert {verdict.subject.host for verdict in report.verdicts} == {"mail.example.org"}


def test_an_expired_certificate_is_measured_by_the_time_of_the_run() -> None:
    expired = session(replace(LEAF, not_after=LATER), INTERMEDIATE, errors=(EXPIRED,))
    then = observed([replace(dialogue(host(587)), tls=expired), cleartext(host(587))])
    ids = [finding.id for finding in judge(then).findings]
    assert "cert-expires-soon" in ids
    assert "cert-outside-validity" in [
        finding.id
        for finding in judge(replace(then, started=LATER + timedelta(seconds=1))).findings
    ]
