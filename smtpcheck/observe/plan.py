"""From a target to the hosts to ask: pure, so that what will be done can be told before."""

from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.host import DEFAULTS, MailHost, Port
from smtpcheck.facts.observation import Target
from smtpcheck.limits import Limits

USUAL = (25, 465, 587)


def usual_ports() -> tuple[Port, ...]:
    """The ports of a mail host when nobody named one."""
    return tuple(Port(number=n, role=DEFAULTS[n][0], security=DEFAULTS[n][1]) for n in USUAL)


def addresses(lookups: tuple[Lookup, ...]) -> tuple[str, ...]:
    """All addresses found, in the order of the look-ups, without repeats."""
    told = (each for each in lookups if each.answer is Answer.FOUND and each.rdtype != "MX")
    found = (value for each in told for value in each.values)
    return tuple(dict.fromkeys(found))


def hosts(target: Target, found: tuple[str, ...], limits: Limits) -> tuple[MailHost, ...]:
    """One host for each port of each of the first `limits.addresses` addresses."""
    return tuple(
        MailHost(
            name=target.host,
            address=address,
            port=port.number,
            role=port.role,
            security=port.security,
            asked=port.asked,
        )
        for address in tuple(dict.fromkeys(found))[: limits.addresses]
        for port in target.ports
    )


def left_out(found: tuple[str, ...], limits: Limits) -> tuple[str, ...]:
    """What the plan leaves out, a sentence each."""
    if len(found) <= limits.addresses:
        return ()
    return (f"{len(found) - limits.addresses} of {len(found)} addresses: more than are asked",)
