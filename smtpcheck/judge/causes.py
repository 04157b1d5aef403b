"""Root cause before consequence, and one finding for what is one fault.

Law: a finding is folded under another one of the same port, or of the whole run, that its
rule names as a possible cause. What is inconclusive explains only what is inconclusive.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from smtpcheck.judge.report import Finding, Severity, Status, Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """A finding, what may explain it, what sets it apart, and its place in the run."""

    finding: Finding
    explained_by: tuple[str, ...]
    key: str
    place: tuple[int, int]


def arrange(suspects: Iterable[Suspect]) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Root causes and consequences, worst first, the inconclusive last."""
    known = list(suspects)
    pairs = [(suspect, _root(suspect, known)) for suspect in known]
    roots = _fold([suspect for suspect, root in pairs if root is suspect])
    consequences = [
        (_fold([s for s, root in pairs if root in group and root is not s]), group)
        for group in roots
    ]
    findings = [
        (_merged(group), [_merged(c, group[0].finding.id) for c in folded])
        for folded, group in consequences
    ]
    ordered = sorted(findings, key=lambda family: _rank(*family))
    return (
        tuple(replace(root, causes=_ids(folded)) for root, folded in ordered),
        tuple(finding for _, folded in ordered for finding in folded),
    )


def _root(suspect: Suspect, known: list[Suspect]) -> Suspect:
    """The last cause on the way up; the catalogue test keeps the way free of circles."""
    for id_ in suspect.explained_by:
        for other in known:
            if other.finding.id == id_ and _explains(other.finding, suspect.finding):
                return _root(other, known)
    return suspect


def _explains(cause: Finding, finding: Finding) -> bool:
    decided = cause.status is Status.FAIL or finding.status is Status.INCONCLUSIVE
    return decided and (cause.subject == finding.subject or not cause.subject.address)


def _fold(suspects: list[Suspect]) -> list[list[Suspect]]:
    """Those that tell the same of the same thing, and as gravely; the first of each in front."""
    groups: dict[tuple[object, ...], list[Suspect]] = {}
    for suspect in suspects:
        finding = suspect.finding
        key = (finding.id, finding.status, finding.severity, finding.message, suspect.key)
        groups.setdefault(key, []).append(suspect)
    return [sorted(group, key=lambda suspect: suspect.place) for group in groups.values()]


def _merged(group: list[Suspect], explained_by: str = "") -> Finding:
    first, *others = (suspect.finding for suspect in group)
    also: tuple[Subject, ...] = tuple(other.subject for other in others)
    return replace(first, also=also, explained_by=explained_by)


def _rank(root: Finding, folded: list[Finding]) -> tuple[bool, int, int]:
    """Sorting is stable, so what ranks alike stays in catalogue order."""
    worst: Severity = max((root.severity, *(f.severity for f in folded if _fails(f))))
    return root.status is Status.INCONCLUSIVE, -worst, -root.severity


def _fails(finding: Finding) -> bool:
    return finding.status is Status.FAIL


def _ids(folded: list[Finding]) -> tuple[str, ...]:
    return tuple(f"{finding.id}@{finding.subject}" for finding in folded)
