"""A report in one line: the verdict first, then how much there is to do."""

from collections import Counter

from smtpcheck.judge.report import Report, Severity
from smtpcheck.render.escape import escaped
from smtpcheck.render.findings import faults, undecided
from smtpcheck.render.overview import duration


def verdict(report: Report) -> str:
    """The verdict in a word."""
    return report.status.value.upper()


def summary(report: Report) -> str:
    """One line, without its end: `mail.example.org: FAIL, 1 error, 2 warnings; 31 checks, 2 s`."""
    observation = report.observation
    return (
        f"{escaped(observation.target.given, 80)}: {verdict(report)}, {_counts(report)};"
        f" {counted(report.checked, 'check')}, {duration(observation.took)}"
    )


def _counts(report: Report) -> str:
    counts = Counter(finding.severity for finding in faults(report))
    parts = [_count(severity, counts[severity]) for severity in sorted(counts, reverse=True)]
    if unsure := len(undecided(report)):
        parts.append(f"{unsure} inconclusive")
    return ", ".join(parts) or "no findings"


def _count(severity: Severity, count: int) -> str:
    invariable = severity in (Severity.CRITICAL, Severity.INFO)
    return f"{count} {severity.word}" if invariable else counted(count, severity.word)


def counted(count: int, noun: str) -> str:
    """`1 port`, `2 ports`, `2 addresses`."""
    ending = "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{ending if count != 1 else ''}"
