"""A finding in words: where it stands, what was seen, what follows from it. All escaped."""

from collections import Counter

from smtpcheck.facts.dns import Lookup
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.step import Step
from smtpcheck.judge.report import Evidence, Finding, Report, Status, Subject
from smtpcheck.render import transcript
from smtpcheck.render.escape import escaped

_PLACES = 6
"""Named at one finding; more are counted."""


def faults(report: Report) -> tuple[Finding, ...]:
    """The root causes, worst first."""
    found = [finding for finding in report.findings if finding.status is Status.FAIL]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


def undecided(report: Report) -> tuple[Finding, ...]:
    """What could not be decided."""
    return tuple(f for f in report.findings if f.status is Status.INCONCLUSIVE)


def places(finding: Finding) -> str:
    """`192.0.2.7:465,587 [2001:db8::7]:25`: each address once."""
    subjects = (finding.subject, *finding.also)
    ports: dict[str, list[int]] = {}
    for subject in subjects[:_PLACES]:
        numbers = ports.setdefault(_place(subject), [])
        if subject.port and subject.address:
            numbers.append(subject.port)
    named = [
        place + ":" * bool(numbers) + ",".join(map(str, sorted(numbers)))
        for place, numbers in ports.items()
    ]
    if (more := len(subjects) - _PLACES) > 0:
        named.append(f"and {more} more")
    return " ".join(named)


def _place(subject: Subject) -> str:
    address = f"[{subject.address}]" if ":" in subject.address else subject.address
    return escaped(address or subject.host or subject.domain, 80)


def seen(finding: Finding, observation: Observation) -> str:
    """The evidence in a line, how much more there is after it; empty without any."""
    shown = [text for item in finding.evidence if (text := _excerpt(item, observation))]
    if not shown:
        return ""
    return shown[0] + (f" (and {len(shown) - 1} more)" if len(shown) > 1 else "")


def _excerpt(evidence: Evidence, observation: Observation) -> str:
    if evidence.excerpt:
        return escaped(evidence.excerpt.removesuffix("\r\n"))
    if 0 <= evidence.lookup < len(observation.dns):
        return _lookup(observation.dns[evidence.lookup])
    if 0 <= evidence.step < len(observation.steps):
        return _event(observation.steps[evidence.step], evidence.event)
    return ""


def _lookup(lookup: Lookup) -> str:
    return escaped(f"{lookup.name} {lookup.rdtype}: {', '.join(lookup.values) or lookup.answer}")


def _event(step: Step, index: int) -> str:
    events = step.transcript.events if step.transcript else ()
    if not 0 <= index < len(events):
        return ""
    return next((line.text for line in transcript.spoken(events[index])), "")


def hence(finding: Finding) -> str:
    """The ids of what this finding explains, each once, with the number of its places."""
    counts = Counter(cause.partition("@")[0] for cause in finding.causes)
    return ", ".join(escaped(i, 60) + (f" ×{n}" if n > 1 else "") for i, n in counts.items())
