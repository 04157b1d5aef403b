"""What the user holds to be bad enough: policy, apart from the rules."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from smtpcheck.judge.report import Severity


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """`severities` overrides by id; `only` and `ignore` hold ids or areas, empty `only` is all."""

    fail_on: Severity = Severity.ERROR
    severities: Mapping[str, Severity] = field(default_factory=dict)
    only: frozenset[str] = frozenset()
    ignore: frozenset[str] = frozenset()

    def selects(self, id: str, area: str) -> bool:  # noqa: A002 - what reports call it
        """Whether a rule is to be run."""
        names = {id, area}
        return not names & self.ignore and (not self.only or bool(names & self.only))

    def names(self) -> frozenset[str]:
        """All ids and areas that this profile speaks of."""
        return self.only | self.ignore | frozenset(self.severities)
