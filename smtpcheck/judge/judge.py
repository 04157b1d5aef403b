"""An observation becomes a report.

Law: every rule is asked about everything it applies to, in one fixed order; the same file
gives the same report, byte for byte, on any day and any machine.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from smtpcheck.blame import BadInputError
from smtpcheck.facts.failure import OWN, Kind, Stage
from smtpcheck.facts.observation import Observation
from smtpcheck.judge.case import Case, family
from smtpcheck.judge.catalogue import Remark, Rule, Scope, Unjudged
from smtpcheck.judge.causes import Suspect, arrange
from smtpcheck.judge.profile import Profile
from smtpcheck.judge.protocol import name_refused
from smtpcheck.judge.report import (
    Finding,
    Judgement,
    Report,
    Status,
    Subject,
    Verdict,
)
from smtpcheck.judge.rules import RULES
from smtpcheck.judge.survey import Survey, survey
from smtpcheck.judge.unchecked import unchecked

_DEFAULT = Profile()


@dataclass(slots=True)
class _Bench:
    """What has been said so far."""

    profile: Profile
    verdicts: list[Verdict] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    unjudged: list[tuple[Case | None, Unjudged]] = field(default_factory=list)


def judge(observation: Observation, profile: Profile = _DEFAULT) -> Report:
    """Run every selected rule; raises BadInputError when the profile names what is not there."""
    _check(profile)
    whole = survey(observation)
    bench = _Bench(profile=profile)
    for number, rule in enumerate(RULES):
        if profile.selects(rule.id, rule.area):
            _ask(bench, rule, number, whole)
    findings, consequences = arrange(bench.suspects)
    every = (*findings, *consequences)
    return Report(
        observation=observation,
        verdicts=tuple(bench.verdicts),
        findings=findings,
        consequences=consequences,
        unchecked=unchecked(whole.cases, bench.unjudged, observation.skipped),
        checked=len({v.rule for v in bench.verdicts if v.outcome in _DECIDED}),
        status=_status(whole, every, profile),
        worst=max((f.severity for f in every if f.status is Status.FAIL), default=None),
    )


_DECIDED = frozenset({Judgement.PASSED, Judgement.FAILED})

_TELLING = frozenset({"port-timeout", "tls-on-plaintext-port"})
"""Faults that tell what a port is, although it never greeted."""


def _ask(bench: _Bench, rule: Rule, number: int, whole: Survey) -> None:
    if rule.scope is Scope.RUN:
        said = list(rule.function(whole))
        _record(bench, rule, (number, 0), whole.subject, None, said)
        return
    for place, case in enumerate(whole.cases):
        said = _asked(rule, case)
        _record(bench, rule, (number, place), case.subject, case, said)


def _asked(rule: Rule, case: Case) -> list[Remark | Unjudged]:
    if rule.applies and not rule.applies.test(case):
        return [Unjudged(reason=rule.applies.otherwise, outcome=Judgement.NOT_APPLICABLE)]
    for need in rule.needs:
        if not getattr(case, need):
            return [Unjudged(reason=case.why_not(need))]
    return list(rule.function(case))


def _record(
    bench: _Bench,
    rule: Rule,
    place: tuple[int, int],
    subject: Subject,
    case: Case | None,
    said: Sequence[Remark | Unjudged],
) -> None:
    remarks = [word for word in said if isinstance(word, Remark)]
    unjudged = [word for word in said if isinstance(word, Unjudged)]
    findings = [_finding(rule, subject, case, remark, bench.profile) for remark in remarks]
    bench.suspects += [
        Suspect(
            finding=finding,
            explained_by=rule.explained_by if remark.because is None else remark.because,
            key=remark.key,
            place=place,
        )
        for finding, remark in zip(findings, remarks, strict=True)
    ]
    bench.unjudged += [(case, word) for word in unjudged]
    bench.verdicts.append(_verdict(rule, subject, findings, unjudged))


def _finding(
    rule: Rule, subject: Subject, case: Case | None, remark: Remark, profile: Profile
) -> Finding:
    role = case.role if case else None
    own = remark.severity if remark.severity is not None else rule.severity_on(role)
    remedy = remark.remedy or rule.remedy
    return Finding(
        id=rule.id,
        area=rule.area,
        severity=profile.severities.get(rule.id, own),
        status=remark.status or rule.status,
        subject=subject,
        message=remark.message,
        remedy=remedy.format_map(remark.fill),
        reference=remark.reference or rule.reference,
        evidence=remark.evidence,
    )


def _verdict(
    rule: Rule, subject: Subject, findings: list[Finding], unjudged: list[Unjudged]
) -> Verdict:
    if any(finding.status is Status.FAIL for finding in findings):
        return Verdict(rule=rule.id, subject=subject, outcome=Judgement.FAILED)
    if findings:
        reason, outcome = findings[0].message, Judgement.INCONCLUSIVE
    elif unjudged:
        reason, outcome = unjudged[0].reason, unjudged[0].outcome
    else:
        reason, outcome = "", Judgement.PASSED
    return Verdict(rule=rule.id, subject=subject, outcome=outcome, reason=reason)


def _status(whole: Survey, findings: Iterable[Finding], profile: Profile) -> Judgement:
    faults = [finding for finding in findings if finding.status is Status.FAIL]
    if any(fault.severity >= profile.fail_on for fault in faults):
        return Judgement.FAILED
    told = {subject for f in faults if f.id in _TELLING for subject in (f.subject, *f.also)}
    undecided = [case for case in whole.cases if not _decided(case) and case.subject not in told]
    if len(undecided) == len(whole.cases) and not any(not f.subject.address for f in faults):
        return Judgement.INCONCLUSIVE
    if any(case.host.asked and not _excused(case, undecided, whole) for case in undecided):
        return Judgement.INCONCLUSIVE
    return Judgement.PASSED


def _decided(case: Case) -> bool:
    """Whether the port showed what it is: it came through, refused, or failed by itself."""
    failure = case.failure
    if case.greeting and case.greeting.reply.transient:
        return False
    if failure is None:
        return case.greeting is not None
    # A handshake that hangs is a fault with a name; any other silence may end a second later.
    waited = failure.kind is Kind.TIMED_OUT and failure.stage is not Stage.TLS
    return not (case.unreachable or waited or failure.kind in OWN or name_refused(case))


def _excused(case: Case, undecided: list[Case], whole: Survey) -> bool:
    """No way from here over this family, while the same port was decided over the other one."""
    if not _no_way(case):
        return False
    mine = family(case.host.address)
    port = (case.host.name, case.host.port)
    alike = [other for other in whole.cases if (other.host.name, other.host.port) == port]
    kin = [other for other in whole.cases if family(other.host.address) == mine]
    return all(_no_way(other) for other in kin) and any(other not in undecided for other in alike)


def _no_way(case: Case) -> bool:
    """Where IPv6 ends at the next router, that router says unreachable."""
    failure = case.failure
    here = failure is not None and failure.stage is Stage.CONNECT
    return here and failure is not None and failure.kind in (Kind.NO_ROUTE, Kind.UNREACHABLE)


def _check(profile: Profile) -> None:
    known = {rule.id for rule in RULES} | {rule.area for rule in RULES}
    for name in sorted(profile.names() - known):
        close = get_close_matches(name, sorted(known), n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise BadInputError(f"there is no finding or area called {name}{hint}")
