"""What the domain name system answered; no answer is not the answer "no"."""

from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    """How a look-up ended. Only the first three are about the name; the others about the way."""

    FOUND = "found"
    NO_DATA = "no-data"
    NO_SUCH_NAME = "no-such-name"
    TIMED_OUT = "timed-out"
    SERVER_FAILED = "server-failed"
    REFUSED = "refused"
    MALFORMED = "malformed"
    TOO_MANY = "too-many"

    @property
    def decided(self) -> bool:
        """Whether it may be concluded that the records exist, or do not."""
        return self in (Answer.FOUND, Answer.NO_DATA, Answer.NO_SUCH_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """One question and its answer. `values` in presentation form; `took` in seconds."""

    name: str
    rdtype: str
    answer: Answer
    values: tuple[str, ...] = ()
    canonical: str = ""
    resolver: str = ""
    authentic: bool = False
    took: float = 0.0
    detail: str = ""
