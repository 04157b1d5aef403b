"""What was not looked at, and why: the honest end of every report."""

from collections.abc import Iterable, Iterator

from smtpcheck.facts.failure import Kind
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Offer, Version
from smtpcheck.judge.case import Case, connected
from smtpcheck.judge.catalogue import Unjudged
from smtpcheck.judge.report import Unchecked
from smtpcheck.judge.words import listed, shown, told, versions

ASKED = (Version.TLS1_0, Version.TLS1_1, Version.TLS1_2, Version.TLS1_3)
"""The versions that a full check offers, one connection each."""


def unchecked(
    cases: Iterable[Case],
    unjudged: Iterable[tuple[Case | None, Unjudged]],
    skipped: Iterable[str],
) -> tuple[Unchecked, ...]:
    """One line for each thing and reason, with all ports it holds for."""
    lines: dict[tuple[str, str], list[str]] = {}
    for case in cases:
        for what, why in (*_gaps(case), *_said(case, unjudged)):
            places = lines.setdefault((what, why), [])
            if str(case.host) not in places:
                places.append(str(case.host))
    by_port = tuple(
        Unchecked(what=f"{what} on {listed(places)}" if what else listed(places), why=why)
        for (what, why), places in lines.items()
    )
    of_run = tuple(
        Unchecked(what=u.what, why=u.reason) for case, u in unjudged if case is None and u.what
    )
    return of_run + by_port + tuple(Unchecked(what=sentence, why="") for sentence in skipped)


def _said(
    case: Case, unjudged: Iterable[tuple[Case | None, Unjudged]]
) -> Iterator[tuple[str, str]]:
    return ((u.what, u.reason) for other, u in unjudged if other is case and u.what)


def _gaps(case: Case) -> Iterator[tuple[str, str]]:
    """The first thing that is missing stands for all that would have followed it."""
    if not case.connected:
        yield "", case.why_not("dialogue")
    elif not case.welcome and not case.tls_first and not case.greeting and case.implicit:
        yield "everything but the connection", case.why_not("tls")
    elif not case.welcome:
        yield "everything after the greeting", case.why_not("greeting")
    elif not case.hello:
        yield "the extensions and what follows", case.why_not("hello")
    else:
        yield from _later_gaps(case)


def _later_gaps(case: Case) -> Iterator[tuple[str, str]]:
    if case.encrypted and not case.tls:
        yield "TLS and the certificate", case.why_not("tls")
    elif case.encrypted:
        if not case.leaf:
            yield "the certificate", case.why_not("leaf")
        if not case.ehlo_tls:
            yield "the extensions inside TLS", case.why_not("ehlo_tls")
        yield from _versions(case)
    if case.role.for_users and case.by_starttls and not case.cleartext_mail:
        yield "MAIL without TLS", case.why_not("cleartext_mail")


def _versions(case: Case) -> Iterator[tuple[str, str]]:
    missing = [v for v in ASKED if case.offers.get(v, Offer.UNDECIDED) is Offer.UNDECIDED]
    if missing:
        yield versions(missing), _why_undecided(case, missing)


def _why_undecided(case: Case, missing: list[Version]) -> str:
    for step in case.versions:
        if step.failure and step.failure.kind is Kind.THROTTLED:
            through = sum(1 for _, other in case.steps if not _turned_away(other))
            return f"throttled after {through} connections"
    undecided = [s for s in case.versions if s.version and s.version.version in missing]
    for step in undecided:
        if step.failure:
            return told(step.failure)
        if step.version and step.version.detail:
            return shown(step.version.detail)
    return "it was not tried"


def _turned_away(step: Step) -> bool:
    busy = step.failure is not None and step.failure.kind is Kind.THROTTLED
    return busy or not connected(step)
