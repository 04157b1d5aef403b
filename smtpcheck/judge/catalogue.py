"""A rule: a number, a page, a judgement.

Law: a rule sees one Case (or the whole Survey) and yields what it has to say; it reads no
clock, no file and no other rule. The catalogue makes the Finding: severity by the role of
the port, the remedy filled in, `inconclusive` when what the rule needs was not seen.
"""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from smtpcheck.facts.host import Role
from smtpcheck.judge.case import Case
from smtpcheck.judge.report import Evidence, Judgement, Severity, Status


class Scope(StrEnum):
    """What a rule is asked about: each port of each address, or the run as a whole."""

    PORT = "port"
    RUN = "run"


@dataclass(frozen=True, slots=True, kw_only=True)
class ByRole:
    """A severity that depends on who uses the port: other servers, or mail programs."""

    mx: Severity
    submission: Severity

    def __str__(self) -> str:
        return f"{self.mx.word} on an MX, {self.submission.word} on submission"


def by_role(*, mx: Severity, submission: Severity) -> ByRole:
    """`submission` stands for both submission roles."""
    return ByRole(mx=mx, submission=submission)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """On which ports a rule has anything to say, and what to tell of the others."""

    test: Callable[[Case], bool]
    otherwise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """What a rule found. Empty fields are taken from the rule.

    `fill` goes into the remedy. `key` keeps apart what reads alike and is not the same thing
    (two certificates). `because` narrows the rule's `explained_by` to the causes that can
    explain this very remark; None leaves it as it is.
    """

    message: str
    evidence: tuple[Evidence, ...] = ()
    fill: Mapping[str, str] = field(default_factory=dict)
    severity: Severity | None = None
    status: Status | None = None
    remedy: str = ""
    reference: str = ""
    key: str = ""
    because: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjudged:
    """Why a rule can't say. With `what`, the end of the report tells of it."""

    reason: str
    outcome: Judgement = Judgement.INCONCLUSIVE
    what: str = ""


Said = Iterator[Remark | Unjudged]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One row of the catalogue. `function` takes a Case, or a Survey when `scope` is the run."""

    id: str
    area: str
    severity: Severity | ByRole
    reference: str
    remedy: str
    needs: tuple[str, ...] = ()
    explained_by: tuple[str, ...] = ()
    applies: Condition | None = None
    status: Status = Status.FAIL
    scope: Scope = Scope.PORT
    page: tuple[str, ...] = ()
    function: Callable[..., Said]

    def severity_on(self, role: Role | None) -> Severity:
        """How bad it is on a port of `role`; the worse of both where there is no one port."""
        if isinstance(self.severity, Severity):
            return self.severity
        if role is None:
            return max(self.severity.mx, self.severity.submission)
        return self.severity.submission if role.for_users else self.severity.mx


def rule(
    id: str,  # noqa: A002 - what it is called in every report
    *,
    area: str,
    severity: Severity | ByRole,
    reference: str,
    remedy: str,
    needs: tuple[str, ...] = (),
    explained_by: tuple[str, ...] = (),
    applies: Condition | None = None,
    status: Status = Status.FAIL,
    scope: Scope = Scope.PORT,
) -> Callable[[Callable[..., Said]], Rule]:
    """Make a Rule of a function; its docstring is the page that `explain` shows."""

    def made(function: Callable[..., Said]) -> Rule:
        return Rule(
            id=id,
            area=area,
            severity=severity,
            reference=reference,
            remedy=remedy,
            needs=needs,
            explained_by=explained_by,
            applies=applies,
            status=status,
            scope=scope,
            page=_paragraphs(function),
            function=function,
        )

    return made


def _paragraphs(function: Callable[..., Said]) -> tuple[str, ...]:
    text = inspect.getdoc(function) or ""
    return tuple(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


ON_MX = Condition(
    test=lambda case: not case.role.for_users, otherwise="only an MX port is held to it"
)
BY_STARTTLS = Condition(
    test=lambda case: case.by_starttls, otherwise="no STARTTLS is expected on this port"
)
ENCRYPTED = Condition(test=lambda case: case.encrypted, otherwise="no TLS is expected on this port")
IN_CLEAR = Condition(
    test=lambda case: not case.implicit, otherwise="this port is encrypted from the first octet"
)
IMPLICIT = Condition(
    test=lambda case: case.implicit, otherwise="this port opens with a cleartext greeting"
)
