"""A place where mail is handed over, and what is expected of it.

Law: connect to `address`, verify and send as SNI `name`; the two may differ.
"""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a port is for; severity depends on it."""

    MX = "mx"
    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"

    @property
    def for_users(self) -> bool:
        """Whether mail programs log in here (RFC 6409), rather than other servers."""
        return self is not Role.MX


class Security(StrEnum):
    """How a connection comes to be encrypted."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


DEFAULTS: dict[int, tuple[Role, Security]] = {
    25: (Role.MX, Security.STARTTLS),
    465: (Role.SUBMISSIONS, Security.IMPLICIT),
    587: (Role.SUBMISSION, Security.STARTTLS),
    2525: (Role.SUBMISSION, Security.STARTTLS),
}
"""Role and security of the ports that have one (RFC 8314 §3.3, RFC 6409 §3.1; 2525 by custom)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A port with its expectations; `asked` when the user named it."""

    number: int
    role: Role
    security: Security
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MailHost:
    """One address and port of one host. `address` is an IP literal without brackets."""

    name: str
    address: str
    port: int = 25
    security: Security = Security.STARTTLS
    role: Role = Role.MX
    preference: int = 0
    asked: bool = False

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}"
