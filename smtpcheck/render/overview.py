"""One line for each address and port: what was found there, in a few words each.

Law: facts only, in words fit to be shown; whether they are good is for the findings to say.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from smtpcheck.facts.failure import Failure, Kind
from smtpcheck.facts.host import Security
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import TlsSession
from smtpcheck.judge.report import Finding, Report, Severity, Status
from smtpcheck.render.escape import escaped

UNKNOWN = "–"
NONE = "none"
_MECHANISMS = 14
"""Columns for the names of SASL mechanisms, unless the first alone is longer."""

_MECHANISM = re.compile(r"[A-Z0-9_-]{1,20}")  # RFC 4422 §3.1
_NUMBER = re.compile(r"TLSv(1(?:\.[0-9])?)")

_SHORT = {Kind.TIMED_OUT: "timed out", Kind.NO_ROUTE: "no route", Kind.NOT_TRIED: "not tried"}
_AFTER = {
    Kind.TIMED_OUT: "silent",
    Kind.CLOSED: "closed",
    Kind.RESET: "reset",
    Kind.OVERLONG: "floods",
    Kind.THROTTLED: "busy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The cells, escaped. `worst` of the faults found there; `undecided`: something stayed open.

    `complete` when the dialogue went its whole way.
    """

    name: str
    address: str
    port: int
    reachable: str
    security: str
    certificate: str
    auth: str
    time: str
    worst: Severity | None
    undecided: bool
    complete: bool


def rows(report: Report) -> tuple[Row, ...]:
    """A row for each place that was asked, in the order of asking, addresses together."""
    places: dict[tuple[str, str], dict[int, Step]] = {}
    for step in report.observation.steps:
        if step.probe is not Probe.CONTROL:
            ports = places.setdefault((step.host.name, step.host.address), {})
            if step.probe is Probe.DIALOGUE or step.host.port not in ports:
                ports[step.host.port] = step
    return tuple(_row(report, step) for ports in places.values() for step in ports.values())


def _row(report: Report, step: Step) -> Row:
    found = tuple(_at(report, step.host.address, step.host.port))
    faults = [finding.severity for finding in found if finding.status is Status.FAIL]
    return Row(
        name=escaped(step.host.name, 60),
        address=escaped(step.host.address, 60),
        port=step.host.port,
        reachable=reachable(step),
        security=security(step),
        certificate=certificate(step.tls, report.observation.started),
        auth=auth(step),
        time=duration(step.took),
        worst=max(faults, default=None),
        undecided=any(finding.status is Status.INCONCLUSIVE for finding in found),
        complete=step.failure is None,
    )


def _at(report: Report, address: str, port: int) -> Iterator[Finding]:
    for finding in (*report.findings, *report.consequences):
        subjects = (finding.subject, *finding.also)
        if any(s.address == address and s.port == port for s in subjects):
            yield finding


def reachable(step: Step) -> str:
    """Whether a connection stood, and what cut it short."""
    failure = step.failure
    if step.connected is None:
        return _SHORT.get(failure.kind, failure.kind.value) if failure else UNKNOWN
    if step.greeting and not step.greeting.reply.positive:
        return f"yes, {step.greeting.reply.code or 'babble'}"
    return f"yes, {_AFTER[failure.kind]}" if failure and failure.kind in _AFTER else "yes"


def security(step: Step) -> str:
    """How the connection came to be encrypted, and with which version of TLS."""
    implicit = step.host.security is Security.IMPLICIT
    if step.tls:
        return f"{'TLS' if implicit else 'STARTTLS'} {_version(step.tls.version)}"
    if implicit and step.connected is not None and step.failure:
        return NONE if step.failure.kind is Kind.NOT_TLS else _broken(step.failure)
    if step.ehlo is None:
        return UNKNOWN
    return "fails" if step.ehlo.offers("STARTTLS") else NONE


def _broken(failure: Failure) -> str:
    return "fails" if failure.stage == "tls" else UNKNOWN


def _version(name: str) -> str:
    number = _NUMBER.fullmatch(name)
    return "?" if number is None else "1.0" if number[1] == "1" else number[1]


def certificate(session: TlsSession | None, now: datetime) -> str:
    """How long the server's certificate is still valid, seen from the time of observing."""
    if not session or not session.chain:
        return UNKNOWN
    leaf = session.chain[0]
    if leaf.not_after is None or leaf.not_before is None:
        return "unreadable"
    if now < leaf.not_before:
        return f"in {_short(leaf.not_before - now)}"
    if now > leaf.not_after:
        return f"expired {_short(now - leaf.not_after)}"
    left = leaf.not_after - now
    return f"{left.days} days" if left.days > 1 else _short(left)


def _short(time: timedelta) -> str:
    return f"{time.days} d" if time.days > 1 else f"{int(time.total_seconds() // 3600)} h"


def auth(step: Step) -> str:
    """The SASL mechanisms offered, inside TLS where there was TLS; what has no room is counted."""
    ehlo = step.ehlo_tls or step.ehlo
    if ehlo is None:
        return UNKNOWN
    if not ehlo.offers("AUTH"):
        return NONE
    offered = ehlo.parameters("AUTH")
    shown: list[str] = []
    for name in filter(_MECHANISM.fullmatch, offered):
        if shown and len(" ".join((*shown, name))) > _MECHANISMS:
            break
        shown.append(name)
    more = len(offered) - len(shown)
    return " ".join((*shown, f"+{more}") if more else shown) or "nothing"


def duration(seconds: float) -> str:
    """Seconds, in the unit that matters."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
