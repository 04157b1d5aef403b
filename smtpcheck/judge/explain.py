"""The page behind a finding, and the meaning of codes: data, for whoever prints it.

Law: a page is the docstring of its rule, so what is judged and what is explained can't part.
"""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from smtpcheck.judge.catalogue import Rule
from smtpcheck.judge.codes import Code, code
from smtpcheck.judge.report import Severity, Status
from smtpcheck.judge.rules import BY_ID, RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A finding explained. `severity` is in words, as it may depend on the port's role.

    `explained_by` and `explains` are ids: the causes it may follow from, and what may follow.
    """

    id: str
    area: str
    severity: str
    meaning: str
    why: str
    how: str
    remedy: str
    reference: str
    explained_by: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """Nothing is called `term`; `close` is what may have been meant, best first."""

    term: str
    close: tuple[str, ...] = ()


def explain(term: str) -> Page | Code | Unknown:
    """What `cert-weak`, `535` or `5.7.8` means."""
    wanted = term.strip().lower()
    if rule := BY_ID.get(wanted):
        return _page(rule)
    return code(wanted) or Unknown(term=term, close=_close(wanted))


def pages() -> tuple[Page, ...]:
    """Every finding there is, in the order of a dialogue."""
    return tuple(_page(rule) for rule in RULES)


def _close(wanted: str) -> tuple[str, ...]:
    spelled = wanted.replace("_", "-").replace(" ", "-")
    close = get_close_matches(spelled, BY_ID, n=3, cutoff=0.6)
    words = {word for word in spelled.split("-") if len(word) > 3}
    sharing = [id_ for id_ in BY_ID if words & set(id_.split("-"))]
    return tuple(dict.fromkeys([*close, *sharing]))[:5]


def _page(rule: Rule) -> Page:
    first, why, how = rule.page
    return Page(
        id=rule.id,
        area=rule.area,
        severity=_severity(rule),
        meaning=first,
        why=why,
        how=how,
        remedy=re.sub(r"\{(\w+)\}", r"<\1>", rule.remedy),
        reference=rule.reference,
        explained_by=rule.explained_by,
        explains=tuple(other.id for other in RULES if rule.id in other.explained_by),
    )


def _severity(rule: Rule) -> str:
    if rule.status is Status.INCONCLUSIVE:
        return "inconclusive"
    return rule.severity.word if isinstance(rule.severity, Severity) else str(rule.severity)
