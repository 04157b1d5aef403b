"""What people type, read strictly: endpoints, ports with a role, durations, a severity."""

import re
from typing import TYPE_CHECKING, Any

import click

from smtpcheck.wire.endpoint import Endpoint, EndpointError, endpoint, port

if TYPE_CHECKING:
    from smtpcheck.facts.host import Port

ROLES = ("mx", "submission", "submissions")
SECURITIES = ("none", "starttls", "implicit")
SEVERITIES = ("info", "notice", "warning", "error", "critical")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?\Z")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, None: 1.0}


class EndpointType(click.ParamType[Endpoint]):
    """HOST, ADDRESS, HOST:PORT or [ADDRESS]:PORT."""

    name = "host[:port]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Endpoint:
        if isinstance(value, Endpoint):
            return value
        try:
            return endpoint(value)
        except EndpointError as error:
            self.fail(str(error), param, ctx)


class AddressType(click.ParamType[str]):
    """An IPv4 or IPv6 address."""

    name = "address"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            found = endpoint(value)
        except EndpointError as error:
            self.fail(str(error), param, ctx)
        if not found.literal or found.port is not None:
            self.fail(f"{value!r} is not an IPv4 or IPv6 address", param, ctx)
        return found.host


class PortType(click.ParamType["Port"]):
    """PORT[:ROLE[:SECURITY]]."""

    name = "port[:role[:security]]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> "Port":
        from smtpcheck.facts.host import Port, Role, Security

        if isinstance(value, Port):
            return value
        number, *rest = value.split(":")
        try:
            known = port(number)
        except EndpointError as error:
            self.fail(str(error), param, ctx)
        role, security = expected(known)
        if rest:
            role = self._one_of(ROLES, rest[0], "role", param, ctx)
            security = {"submissions": "implicit"}.get(role, "starttls")
        if rest[1:]:
            security = self._one_of(SECURITIES, rest[1], "security", param, ctx)
        if rest[2:]:
            self.fail(f"{value!r} has too many parts; write PORT:ROLE:SECURITY", param, ctx)
        return Port(number=known, role=Role(role), security=Security(security), asked=True)

    def _one_of(
        self, known: tuple[str, ...], word: str, what: str, param: Any, ctx: click.Context | None
    ) -> str:
        if word not in known:
            self.fail(f"{word!r} is not a {what}; it is one of {', '.join(known)}", param, ctx)
        return word


def expected(number: int) -> tuple[str, str]:
    """Role and security of a port; one without a default is judged mildly, as an MX."""
    from smtpcheck.facts.host import DEFAULTS, Role, Security

    role, security = DEFAULTS.get(number, (Role.MX, Security.STARTTLS))
    return role.value, security.value


class DurationType(click.ParamType[float]):
    """Seconds, or a number with ms, s, m or h."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if isinstance(value, float):
            return value
        found = _DURATION.match(str(value))
        if not found or float(found[1]) == 0:
            self.fail(f"{value!r} is not a duration; write 30s, 2m or 1h", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


class SeverityType(click.Choice[str]):
    """One of the severities, mildest first."""

    name = "severity"

    def __init__(self) -> None:
        super().__init__(SEVERITIES, case_sensitive=False)
