"""What the cells of the overview say, and the last line."""

import os
from dataclasses import replace
from datetime import timedelta

import pytest

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Certificate
from smtpcheck.judge.report import Evidence, Judgement, Report, Severity
from smtpcheck.render import overview
from smtpcheck.render.findings import hence, places, seen
from smtpcheck.render.look import NARROWEST, PAGE, WIDEST, look_for
from smtpcheck.render.summary import summary
from tests.render import build
from tests.render.build import NOW, V4, V6

STARTTLS = build.healthy(V4, 587)
IMPLICIT = build.healthy(V4, 465)


def stopped(step: Step, stage: Stage, kind: Kind) -> Step:
    """`step` as it would have been, had it ended there."""
    return replace(step, tls=None, ehlo_tls=None, failure=Failure(stage=stage, kind=kind))


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (STARTTLS, "yes"),
        (build.failed(V4, 25, Stage.CONNECT, Kind.REFUSED), "refused"),
        (build.failed(V4, 25, Stage.CONNECT, Kind.TIMED_OUT), "timed out"),
        (build.failed(V4, 25, Stage.CONNECT, Kind.NO_ROUTE), "no route"),
        (build.failed(V4, 25, Stage.GREETING, Kind.TIMED_OUT), "yes, silent"),
        (build.failed(V4, 25, Stage.EHLO, Kind.CLOSED), "yes, closed"),
        (build.failed(V4, 25, Stage.EHLO, Kind.RESET), "yes, reset"),
        (build.failed(V4, 465, Stage.TLS, Kind.TLS_FAILED), "yes"),
        (replace(STARTTLS, greeting=build.exchange(b"554 no\r\n")), "yes, 554"),
        (replace(STARTTLS, greeting=build.exchange(b"SSH-2.0\r\n")), "yes, babble"),
    ],
)
def test_reachable(step: Step, expected: str) -> None:
    assert overview.reachable(step) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (STARTTLS, "STARTTLS 1.3"),
        (IMPLICIT, "TLS 1.3"),
        (replace(IMPLICIT, tls=build.session(9, "TLSv1")), "TLS 1.0"),
        (replace(IMPLICIT, tls=build.session(9, "\x1b[2J")), "TLS ?"),
        (replace(STARTTLS, tls=None, ehlo=build.ehlo("SIZE"), ehlo_tls=None), "none"),
        (stopped(STARTTLS, Stage.TLS, Kind.TLS_FAILED), "fails"),
        (stopped(replace(IMPLICIT, ehlo=None), Stage.TLS, Kind.NOT_TLS), "none"),
        (stopped(replace(IMPLICIT, ehlo=None), Stage.TLS, Kind.TLS_FAILED), "fails"),
        (build.failed(V4, 465, Stage.CONNECT, Kind.REFUSED), "–"),
        (build.failed(V4, 587, Stage.GREETING, Kind.CLOSED), "–"),
    ],
)
def test_security(step: Step, expected: str) -> None:
    assert overview.security(step) == expected


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (61, "61 days"),
        (2, "2 days"),
        (1.99, "47 h"),
        (0.05, "1 h"),
        (0, "0 h"),
        (-0.5, "expired 12 h"),
        (-400, "expired 400 d"),
    ],
)
def test_certificate_counts_from_the_observation(days: float, expected: str) -> None:
    assert overview.certificate(build.session(days), NOW) == expected


def test_certificate_that_is_not_there_or_not_yet_valid_or_unreadable() -> None:
    session = build.session(90)
    assert overview.certificate(None, NOW) == "–"
    assert overview.certificate(replace(session, chain=()), NOW) == "–"
    assert overview.certificate(replace(session, chain=(Certificate(),)), NOW) == "unreadable"
    assert overview.certificate(session, NOW - timedelta(days=70)) == "in 10 d"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((), "none"),
        (("AUTH",), "nothing"),
        (("AUTH PLAIN LOGIN", "AUTH=PLAIN LOGIN"), "PLAIN LOGIN"),
        (("AUTH PLAIN LOGIN CRAM-MD5 XOAUTH2",), "PLAIN LOGIN +2"),
        (("AUTH SCRAM-SHA-256-PLUS PLAIN",), "SCRAM-SHA-256-PLUS +1"),
        (("AUTH \x1b[2J PLAIN",), "PLAIN +1"),
        (("AUTH " + "x" * 400,), "+1"),
    ],
)
def test_auth(lines: tuple[str, ...], expected: str) -> None:
    step = replace(STARTTLS, ehlo_tls=build.ehlo("SIZE", *lines))
    assert overview.auth(step) == expected


def test_auth_inside_tls_counts() -> None:
    clear = replace(STARTTLS, ehlo=build.ehlo("AUTH CRAM-MD5"))
    assert overview.auth(clear) == "PLAIN LOGIN"
    assert overview.auth(replace(clear, ehlo_tls=None)) == "CRAM-MD5"
    assert overview.auth(replace(clear, ehlo_tls=None, ehlo=None)) == "–"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0.0004, "0 ms"), (0.134, "134 ms"), (1.84, "1.8 s"), (99.9, "99.9 s"), (120, "120 s")],
)
def test_duration(seconds: float, expected: str) -> None:
    assert overview.duration(seconds) == expected


def test_a_row_a_place_with_its_worst_fault() -> None:
    control = Step(probe=Probe.CONTROL, host=build.host("198.51.100.1", 25))
    steps = (*build.BROKEN.observation.steps, control)
    seen_ = replace(build.BROKEN.observation, steps=steps)
    found = [
        (row.address, row.port, row.worst, row.undecided, row.complete)
        for row in overview.rows(replace(build.BROKEN, observation=seen_))
    ]
    assert found == [
        (V4, 25, Severity.INFO, False, True),
        (V4, 465, Severity.CRITICAL, False, True),
        (V4, 587, Severity.CRITICAL, False, True),
        (V6, 25, Severity.ERROR, False, False),
        (V6, 465, Severity.CRITICAL, False, True),
        (V6, 587, None, False, False),
    ]


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (build.HEALTHY, "mail.example.org: PASS, no findings; 3 checks, 1.8 s"),
        (build.TWO_NAMES, "example.org: PASS, 1 notice; 3 checks, 1.8 s"),
        (build.NOWHERE, "nowhere.example: FAIL, 1 critical; 1 check, 1.8 s"),
        (
            build.SILENT,
            "mail.example.org: INCONCLUSIVE, 1 inconclusive; 0 checks, 1.8 s",
        ),
        (
            replace(build.BROKEN, findings=(build.EXPIRED,) * 2 + (build.REFUSED,) * 2),
            "mail.example.org: FAIL, 2 critical, 2 errors; 31 checks, 1.8 s",
        ),
        (
            Report(observation=build.observation(), status=Judgement.NOT_APPLICABLE),
            "mail.example.org: NOT-APPLICABLE, no findings; 0 checks, 1.8 s",
        ),
    ],
)
def test_summary(report: Report, expected: str) -> None:
    assert summary(report) == expected


def test_places_name_each_address_once_and_count_the_rest() -> None:
    assert places(build.EXPIRED) == f"{V4}:465,587 [{V6}]:465"
    turned = replace(build.EXPIRED, subject=build.subject(V4, 587), also=(build.subject(V4, 25),))
    assert places(turned) == f"{V4}:25,587"
    assert places(build.TIMED_OUT) == "mail.example.org"
    many = tuple(build.subject(f"192.0.2.{n}", 25) for n in range(10))
    assert places(replace(build.EXPIRED, also=many)).endswith("192.0.2.4:25 and 5 more")


def test_evidence_is_found_where_it_points() -> None:
    run = build.BROKEN.observation
    assert seen(build.REFUSED, run) == "554 5.7.1 no mail for you (and 1 more)"
    assert seen(build.TIMED_OUT, run) == ""
    assert seen(replace(build.NOWHERE.findings[0]), run) == f"{build.NAME} AAAA: 2001:db8::7"
    astray = (Evidence(step=99), Evidence(step=0, event=99), Evidence(lookup=9))
    assert seen(replace(build.REFUSED, evidence=astray), run) == ""


def test_consequences_are_named_once() -> None:
    assert hence(build.EXPIRED) == "cert-untrusted ×2"
    assert hence(build.REFUSED) == ""


def test_look_of_a_terminal_and_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = os.openpty()
    reader, writer = os.pipe()
    with (
        open(theirs, "w", encoding="utf-8") as terminal,
        open(writer, "w", encoding="iso-8859-1") as pipe,
        open(ours, "rb"),
        open(reader, "rb"),
    ):
        assert look_for(terminal).color
        assert not look_for(terminal, color=False).color
        assert look_for(terminal).unicode
        assert look_for(pipe).width == PAGE
        assert not look_for(pipe).color
        assert not look_for(pipe).unicode
        assert look_for(pipe, width=1000).width == WIDEST
        assert look_for(pipe, width=1).width == NARROWEST
        monkeypatch.setenv("NO_COLOR", "1")
        assert not look_for(terminal).color
        monkeypatch.setenv("NO_COLOR", "")
        assert look_for(terminal).color
        monkeypatch.setenv("TERM", "dumb")
        assert not look_for(terminal).color
