"""What judgement comes to: a value that renderers show and that the exit status is read from."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from smtpcheck.facts.observation import Observation


class Severity(IntEnum):
    """How bad; higher is worse."""

    INFO = 0
    NOTICE = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4

    @property
    def word(self) -> str:
        """As it is written in reports and options."""
        return self.name.lower()


class Status(StrEnum):
    """Of a finding: the server's fault, or something that could not be looked at."""

    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


class Judgement(StrEnum):
    """Of a rule on one subject, or (without NOT_APPLICABLE) of a whole run."""

    PASSED = "pass"
    FAILED = "fail"
    NOT_APPLICABLE = "not-applicable"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a verdict is about. Empty fields do not apply."""

    domain: str = ""
    host: str = ""
    address: str = ""
    port: int = 0
    role: str = ""

    def __str__(self) -> str:
        if not self.address:
            return self.host or self.domain
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}" if self.port else address


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Where in the observation it can be seen: `steps[i]`, the event in its transcript, the words.

    `step` is -1 when the evidence is a DNS answer; then `lookup` is its index.
    `excerpt` is as the peer sent it, not yet escaped.
    """

    step: int = -1
    event: int = -1
    lookup: int = -1
    excerpt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One rule on one subject. `reason` says why it is inconclusive or does not apply."""

    rule: str
    subject: Subject
    outcome: Judgement
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One fault, with its evidence and what to do. `causes` lists `id@subject` of what it explains.

    `explained_by` is set on a consequence: the id of its root cause on the same subject.
    `also` names further subjects where the same finding with the same message stands.
    """

    id: str
    area: str
    severity: Severity
    status: Status = Status.FAIL
    subject: Subject
    message: str
    remedy: str
    reference: str
    evidence: tuple[Evidence, ...] = ()
    causes: tuple[str, ...] = ()
    explained_by: str = ""
    also: tuple[Subject, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """Something that was not looked at, and why: one line of the end of each report."""

    what: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The findings, root causes first and worst first; consequences are folded, not lost.

    `findings` are the root causes with status fail, then the inconclusive ones;
    `consequences` are what they explain. `checked` counts the rules decided.
    `status` is against the profile's fail-on; `worst` is the worst severity among the
    findings with status fail, None without any.
    """

    observation: Observation
    verdicts: tuple[Verdict, ...] = ()
    findings: tuple[Finding, ...] = ()
    consequences: tuple[Finding, ...] = ()
    unchecked: tuple[Unchecked, ...] = ()
    checked: int = 0
    status: Judgement = Judgement.PASSED
    worst: Severity | None = None
