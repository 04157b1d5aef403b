"""All that was seen in one run: the saved file, and all that crosses to judge."""

from dataclasses import dataclass
from datetime import datetime

from smtpcheck.facts.dns import Lookup
from smtpcheck.facts.host import Port
from smtpcheck.facts.step import Step

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What the user asked about, in their own words and as it was read.

    `verify` is the name to check certificates against: `--name`, or the host name;
    empty when the host was given as an address and no name with it.
    """

    given: str
    host: str
    verify: str = ""
    ports: tuple[Port, ...] = ()
    control: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vantage:
    """From where it was seen."""

    ehlo: str
    resolver: str = ""
    source: str = ""
    trust: str = ""
    library: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """A run. `took` in seconds; `skipped` says, a sentence each, what was left out and why."""

    schema: int = SCHEMA
    tool: str
    target: Target
    started: datetime
    took: float = 0.0
    vantage: Vantage
    dns: tuple[Lookup, ...] = ()
    steps: tuple[Step, ...] = ()
    skipped: tuple[str, ...] = ()
    redacted: bool = False
