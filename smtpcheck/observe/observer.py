"""Carries out a plan: independent probes at once, within our manners; every one ends in a Step.

Law: decides nothing about the server. The first dialogue with a port goes alone; only when it
has shown that TLS is due do the others follow, so that a closed, filtered or throttled port
sees one connection.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from smtpcheck import __version__
from smtpcheck.blame import BadInputError
from smtpcheck.facts.dns import Answer, Lookup
from smtpcheck.facts.failure import Kind
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.observation import Observation, Target, Vantage
from smtpcheck.facts.step import Step
from smtpcheck.facts.tls import Version
from smtpcheck.limits import DEFAULT, Limits
from smtpcheck.net.network import Network
from smtpcheck.net.resolver import Resolver
from smtpcheck.net.tls import client_tls, library
from smtpcheck.observe import cleartext, control, dialogue, plan, versions
from smtpcheck.observe.again import Work, try_again
from smtpcheck.wire.endpoint import endpoint, is_literal

SILENT = (Kind.TIMED_OUT, Kind.UNREACHABLE)

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """How to look: who we say we are, from where, through which resolver, trusting whom."""

    ehlo: str = ""
    families: tuple[str, ...] = ("A", "AAAA")
    addresses: tuple[str, ...] = ()
    source: str = ""
    resolver: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    limits: Limits = DEFAULT


async def observe_host(target: Target, how: Circumstances, progress: Progress) -> Observation:
    """Everything about one host on its ports. Raises BadInputError for what can't be used."""
    started = datetime.now(UTC)
    tls = client_tls(how.ca_file, how.certificate_file, how.key_file)
    net = Network(
        limits=how.limits,
        tls=tls,
        resolver=Resolver(how.resolver, lifetime=min(how.limits.lookup, how.limits.run)),
        ehlo=how.ehlo,
        sni=target.verify,
        source=how.source,
    )
    lookups, controls = await asyncio.gather(
        _lookups(target.host, how, net), _control_addresses(target, net)
    )
    found = how.addresses or plan.addresses(lookups) or _literal(target.host)
    found = _of_families(found, how.families)
    steps = await _examine_all(plan.hosts(target, found, how.limits), net, progress)
    steps += await _controls(target, controls, steps, net, progress)
    return Observation(
        tool=f"smtpcheck {__version__}",
        target=target,
        started=started,
        took=round(net.clock.now(), 3),
        vantage=Vantage(
            ehlo=how.ehlo or _own_literal(steps) or "our address",
            resolver=net.resolver.name,
            source=how.source,
            trust=tls.trust.source,
            library=library(),
        ),
        dns=lookups,
        steps=steps,
        skipped=plan.left_out(found, how.limits) + _left_out(target, controls),
    )


def _literal(host: str) -> tuple[str, ...]:
    return (host,) if is_literal(host) else ()


async def _lookups(host: str, how: Circumstances, net: Network) -> tuple[Lookup, ...]:
    if how.addresses or is_literal(host):
        return ()
    lookups = await net.resolver.addresses(host, how.families)
    if any(each.answer is Answer.NO_SUCH_NAME for each in lookups):
        raise BadInputError(
            f"{host}: no such name (asked {net.resolver.name}); "
            "check the spelling, or give --address"
        )
    if not plan.addresses(lookups) and all(each.answer.decided for each in lookups):
        return (*lookups, await net.resolver.lookup(host, "MX"))
    return lookups


def _of_families(found: tuple[str, ...], families: tuple[str, ...]) -> tuple[str, ...]:
    kept = tuple(each for each in found if ("AAAA" if ":" in each else "A") in families)
    if found and not kept:
        wanted = "IPv4" if families == ("A",) else "IPv6"
        raise BadInputError(f"{found[0]} is not an {wanted} address, and no other is asked for")
    return kept


def _own_literal(steps: tuple[Step, ...]) -> str:
    """What EHLO said where we have no name (RFC 5321 §4.1.4)."""
    local = next((s.transcript.local for s in steps if s.transcript and s.transcript.local), "")
    return f"[IPv6:{local}]" if ":" in local else f"[{local}]" if local else ""


async def _control_addresses(target: Target, net: Network) -> tuple[str, ...]:
    if not target.control:
        return ()
    host = endpoint(target.control).host
    if is_literal(host):
        return (host,)
    lookups = await net.resolver.addresses(host, ("A", "AAAA"))
    if any(each.answer is Answer.NO_SUCH_NAME for each in lookups):
        raise BadInputError(f"--control {host}: no such name")
    return plan.addresses(lookups)


def _left_out(target: Target, controls: tuple[str, ...]) -> tuple[str, ...]:
    if target.control and not controls:
        return (f"the control server {target.control}: its address was not learned",)
    return ()


async def _examine_all(
    hosts: tuple[MailHost, ...], net: Network, progress: Progress
) -> tuple[Step, ...]:
    found = await asyncio.gather(*(_examine(host, net, progress) for host in hosts))
    return tuple(step for steps in found for step in steps)


async def _examine(host: MailHost, net: Network, progress: Progress) -> tuple[Step, ...]:
    """All about one address and port; what was turned away is tried once more, slowly."""
    progress(f"{host}")
    tls_due = asyncio.Event()
    first = asyncio.create_task(dialogue.probe(host, net, tls_due.set))
    waiting = asyncio.create_task(tls_due.wait())
    await asyncio.wait((first, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    following = _of_tls(host, net) if tls_due.is_set() else ()
    groups = list(await asyncio.gather(first, *(work() for work in following)))
    works = (lambda: dialogue.probe(host, net, tls_due.set), *following)
    await try_again(groups, works, net)
    if not following and tls_due.is_set():
        groups += await asyncio.gather(*(work() for work in _of_tls(host, net)))
    if not tls_due.is_set() and _talks_in_clear(groups[0][0]):
        groups.append((await cleartext.probe(host, net),))
    return tuple(step for group in groups for step in group)


def _of_tls(host: MailHost, net: Network) -> tuple[Work, ...]:
    """What is asked of a port on further connections, once TLS is due there."""

    def version(asked: Version) -> Work:
        async def work() -> tuple[Step, ...]:
            return (await versions.probe(host, asked, net),)

        return work

    async def clear() -> tuple[Step, ...]:
        return (await cleartext.probe(host, net),)

    asked = tuple(version(each) for each in versions.ASKED)
    return (*asked, clear) if host.role.for_users and host.security is Security.STARTTLS else asked


def _talks_in_clear(step: Step) -> bool:
    """Whether a port for users offers no TLS at all; what it takes without is worth knowing."""
    return step.host.role.for_users and step.failure is None and step.ehlo is not None


async def _controls(
    target: Target,
    found: tuple[str, ...],
    steps: tuple[Step, ...],
    net: Network,
    progress: Progress,
) -> tuple[Step, ...]:
    """The control server on the ports where silence has to be explained."""
    silent = {
        step.host.port
        for step in steps
        if step.connected is None and step.failure is not None and step.failure.kind in SILENT
    }
    if not found or not silent:
        return ()
    wanted = endpoint(target.control)
    progress(f"control {wanted}")
    ports = (wanted.port,) if wanted.port else sorted(silent)
    hosts = [MailHost(name=wanted.host, address=a, port=p) for a in found[:2] for p in ports]
    return tuple(await asyncio.gather(*(control.probe(host, net) for host in hosts)))
