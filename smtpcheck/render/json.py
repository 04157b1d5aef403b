"""The report for a program: one JSON object, whose shape is the types below.

Law: `docs/schema/report-1.json` is generated from these types. A field may be added; one that
is renamed, removed or changes its meaning makes schema 2. Output is ASCII and deterministic.
"""

import inspect
import json
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from smtpcheck.facts.observation import Observation
from smtpcheck.judge import report as judged
from smtpcheck.render.escape import LONGEST, whole
from smtpcheck.render.findings import faults, undecided

EXCERPT = 5 * LONGEST
"""Characters of an excerpt that are kept; all of it is in the observation."""

Severity = Literal["critical", "error", "warning", "notice", "info"]
Result = Literal["pass", "fail", "inconclusive"]

_SEVERITIES: dict[judged.Severity, Severity] = {
    judged.Severity.CRITICAL: "critical",
    judged.Severity.ERROR: "error",
    judged.Severity.WARNING: "warning",
    judged.Severity.NOTICE: "notice",
    judged.Severity.INFO: "info",
}
_RESULTS: dict[judged.Judgement, Result] = {
    judged.Judgement.PASSED: "pass",
    judged.Judgement.FAILED: "fail",
    judged.Judgement.NOT_APPLICABLE: "pass",
    judged.Judgement.INCONCLUSIVE: "inconclusive",
}


class Subject(Struct, omit_defaults=True):
    """What it is about. Only the fields that apply are there."""

    domain: str = ""
    host: str = ""
    address: Annotated[str, Meta(description="an IP literal, without brackets")] = ""
    port: int = 0
    role: Annotated[str, Meta(description="mx, submission or submissions")] = ""


class Evidence(Struct, omit_defaults=True):
    """Where in the observation it can be seen (--with-observation), and the words."""

    step: Annotated[int | UnsetType, Meta(description="index in observation.steps")] = UNSET
    event: Annotated[
        int | UnsetType, Meta(description="index in the events of that step's transcript")
    ] = UNSET
    lookup: Annotated[int | UnsetType, Meta(description="index in observation.dns")] = UNSET
    excerpt: Annotated[
        str, Meta(description="as the peer sent it; a lone surrogate is spelled \\udcff")
    ] = ""


class Finding(Struct, omit_defaults=True):
    """Something to mend, or (status inconclusive) something that could not be decided.

    `causes` lists `id@subject` of the consequences it explains. `explained_by` stands on a
    consequence only: the id of its root cause. `also` are further subjects with the same finding.
    """

    id: str
    area: str
    severity: Severity
    status: judged.Status
    subject: Subject
    message: str
    remedy: str
    reference: str
    evidence: list[Evidence]
    causes: list[str]
    explained_by: str = ""
    also: list[Subject] = []


class Verdict(Struct, omit_defaults=True):
    """One rule on one subject. `reason` says why it is inconclusive or does not apply."""

    rule: str
    subject: Subject
    outcome: judged.Judgement
    reason: str = ""


class Unchecked(Struct):
    """What was not looked at, and why."""

    what: str
    why: str


class Report(Struct):
    """What `smtpcheck --format json` prints.

    `findings` holds root causes alone, faults before what is inconclusive, worst first: its
    length is the number of things to look into. What they explain is in `consequences`.
    `worst` is the worst severity among all that have status fail, null without any.
    """

    schema: Literal[1]
    tool: str
    target: Annotated[str, Meta(description="as given on the command line")]
    started: Annotated[
        str, Meta(description="RFC 3339, UTC", extra_json_schema={"format": "date-time"})
    ]
    took: Annotated[float, Meta(description="seconds")]
    status: Result
    worst: Severity | None
    checked: Annotated[int, Meta(description="rules that could be decided")]
    findings: list[Finding]
    consequences: list[Finding]
    verdicts: list[Verdict]
    unchecked: list[Unchecked]
    observation: Annotated[
        Observation | UnsetType, Meta(description="with --with-observation: as --save writes it")
    ] = UNSET


def render(report: judged.Report, *, with_observation: bool = False) -> str:
    """The object, indented by two, with a final newline."""
    tree = msgspec.to_builtins(document(report, with_observation=with_observation))
    return json.dumps(_whole(tree), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def document(report: judged.Report, *, with_observation: bool = False) -> Report:
    """The report as the contract has it."""
    observation = report.observation
    return Report(
        schema=1,
        tool=observation.tool,
        target=observation.target.given,
        started=observation.started.isoformat().replace("+00:00", "Z"),
        took=observation.took,
        status=_RESULTS[report.status],
        worst=None if report.worst is None else _SEVERITIES[report.worst],
        checked=report.checked,
        findings=[_finding(finding) for finding in (*faults(report), *undecided(report))],
        consequences=[_finding(finding) for finding in report.consequences],
        verdicts=[_verdict(verdict) for verdict in report.verdicts],
        unchecked=[Unchecked(what=item.what, why=item.why) for item in report.unchecked],
        observation=observation if with_observation else UNSET,
    )


def schema() -> str:
    """The JSON Schema of the object, as `docs/schema/report-1.json` has it."""
    tree = _tidy(msgspec.json.schema(Report))
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "smtpcheck report"}
    return json.dumps(head | tree, indent=2, ensure_ascii=True) + "\n"


def _finding(finding: judged.Finding) -> Finding:
    return Finding(
        id=finding.id,
        area=finding.area,
        severity=_SEVERITIES[finding.severity],
        status=finding.status,
        subject=_subject(finding.subject),
        message=finding.message,
        remedy=finding.remedy,
        reference=finding.reference,
        evidence=[_evidence(evidence) for evidence in finding.evidence],
        causes=list(finding.causes),
        explained_by=finding.explained_by,
        also=[_subject(subject) for subject in finding.also],
    )


def _verdict(verdict: judged.Verdict) -> Verdict:
    subject = _subject(verdict.subject)
    return Verdict(verdict.rule, subject, verdict.outcome, verdict.reason)


def _subject(subject: judged.Subject) -> Subject:
    return Subject(
        domain=subject.domain,
        host=subject.host,
        address=subject.address,
        port=subject.port,
        role=subject.role,
    )


def _evidence(evidence: judged.Evidence) -> Evidence:
    return Evidence(
        step=_index(evidence.step),
        event=_index(evidence.event),
        lookup=_index(evidence.lookup),
        excerpt=evidence.excerpt[:EXCERPT],
    )


def _index(index: int) -> int | UnsetType:
    return index if index >= 0 else UNSET


def _whole(tree: Any) -> Any:
    """`tree` with every string made encodable."""
    if isinstance(tree, str):
        return whole(tree)
    if isinstance(tree, dict):
        return {key: _whole(value) for key, value in tree.items()}
    return [_whole(value) for value in tree] if isinstance(tree, list | tuple) else tree


def _tidy(tree: Any) -> Any:
    """A schema whose descriptions are docstrings without their indentation."""
    if isinstance(tree, dict):
        return {
            key: inspect.cleandoc(value)
            if key == "description" and isinstance(value, str)
            else _tidy(value)
            for key, value in tree.items()
        }
    return [_tidy(value) for value in tree] if isinstance(tree, list) else tree


if __name__ == "__main__":
    import sys

    sys.stdout.write(schema())
