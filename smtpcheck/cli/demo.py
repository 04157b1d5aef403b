"""`smtpcheck demo`: the embedded relay on loopback, checked healthy and with a few faults.

Law: nothing leaves loopback, nothing is left behind, and the demo checks itself: a scenario
that does not come out as announced is an internal fault.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from smtpcheck.cli.options import examples, option
from smtpcheck.cli.status import ExitStatus
from smtpcheck.cli.world import World

if TYPE_CHECKING:
    from smtpcheck.facts.observation import Observation
    from smtpcheck.relay.listener import ListenerConfig
    from smtpcheck.relay.throwaway import ThrowawayCA

HOST = "mail.demo.test"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A set-up to raise and what the check has to say of it, root causes only."""

    title: str
    listeners: tuple["ListenerConfig", ...]
    expected: frozenset[str] = frozenset()


@click.command("demo", epilog=examples("smtpcheck demo", "smtpcheck demo --transcript"))
@option("--transcript", is_flag=True, help="Show every dialogue.")
@option("--no-color", is_flag=True, help="No colours; so does NO_COLOR.")
def command(transcript: bool, no_color: bool) -> ExitStatus:
    """Raise the embedded relay on loopback, healthy and with a few faults, and check it.

    High ports, a throwaway certificate authority, no root and no network.
    """
    from smtpcheck.relay.throwaway import ThrowawayCA

    world = World()
    authority = ThrowawayCA()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory(prefix="smtpcheck-") as folder:
        ca_file = str(authority.write(Path(folder)))
        for number, scenario in enumerate(scenarios(authority), start=1):
            world.write(f"\n{number}. {scenario.title}\n\n")
            observation = world.run(_observed(scenario.listeners, ca_file, world))
            wrong += _shown(world, observation, scenario, transcript, not no_color)
        from smtpcheck.cli.journey import journey

        world.write("\nThe whole way of a message, through a relay, a backup MX and a primary:\n")
        wrong += world.run(journey(authority, Path(folder), world.write))
    for each in wrong:
        world.write(f"not as announced: {each}\n")
    return ExitStatus.INTERNAL if wrong else ExitStatus.OK


def scenarios(authority: "ThrowawayCA") -> Iterator[Scenario]:
    """Healthy, then one fault each."""
    from smtpcheck.facts.host import Security
    from smtpcheck.relay.listener import EXTENSIONS

    mx, submission, submissions = healthy = _healthy(authority)
    yield Scenario(title="Healthy: an MX, and submission with both kinds of TLS", listeners=healthy)
    yield Scenario(
        title="The certificate expired yesterday, on every port",
        listeners=_with_certificate(healthy, authority, expired=True),
        expected=frozenset({"cert-outside-validity"}),
    )
    yield Scenario(
        title="The intermediate certificate is not sent",
        listeners=_with_certificate(healthy, authority, alone=True),
        expected=frozenset({"cert-chain-incomplete"}),
    )
    yield Scenario(
        title="Submission without STARTTLS, with AUTH in clear text",
        listeners=(
            mx,
            replace(submission, extensions=EXTENSIONS - {"STARTTLS"}, auth_in_clear=True),
            submissions,
        ),
        expected=frozenset({"starttls-missing"}),
    )
    yield Scenario(
        title="Clear text where implicit TLS is due",
        listeners=(mx, submission, replace(submissions, security=Security.NONE)),
        expected=frozenset({"plaintext-on-implicit-port"}),
    )


def _healthy(authority: "ThrowawayCA") -> tuple["ListenerConfig", ...]:
    from smtpcheck.facts.host import Role, Security
    from smtpcheck.net.tls import server_context
    from smtpcheck.relay.listener import ListenerConfig

    identity = authority.issue([HOST])
    context = server_context(identity.chain_pem, identity.key_pem)
    mx = ListenerConfig(hostname=HOST, address=LOOPBACK, context=context)
    submissions = replace(mx, role=Role.SUBMISSIONS, security=Security.IMPLICIT)
    return mx, replace(mx, role=Role.SUBMISSION), submissions


def _with_certificate(
    listeners: Sequence["ListenerConfig"],
    authority: "ThrowawayCA",
    *,
    expired: bool = False,
    alone: bool = False,
) -> tuple["ListenerConfig", ...]:
    from smtpcheck.net.tls import server_context

    ended = datetime.now(UTC) - timedelta(days=1) if expired else None
    identity = authority.issue([HOST], not_after=ended)
    if alone:
        identity = identity.alone()
    context = server_context(identity.chain_pem, identity.key_pem)
    return tuple(replace(each, context=context) for each in listeners)


async def _observed(
    listeners: Sequence["ListenerConfig"], ca_file: str, world: World
) -> "Observation":
    """Raise the listeners, observe them as `smtpcheck host` would, and take them down."""
    from contextlib import AsyncExitStack

    from smtpcheck.facts.host import Port, Security
    from smtpcheck.facts.observation import Target
    from smtpcheck.observe.observer import Circumstances, observe_host
    from smtpcheck.relay.acceptance import MemoryAcceptance
    from smtpcheck.relay.server import SmtpServer

    async with AsyncExitStack() as stack:
        ports = []
        for each in listeners:
            server = await stack.enter_async_context(SmtpServer(each, MemoryAcceptance()))
            due = Security.IMPLICIT if each.role == "submissions" else Security.STARTTLS
            ports.append(Port(number=server.port, role=each.role, security=due, asked=True))
        target = Target(given=HOST, host=HOST, verify=HOST, ports=tuple(ports))
        how = Circumstances(addresses=(LOOPBACK,), ca_file=ca_file, ehlo="client.demo.test")
        return await observe_host(target, how, world.progress)


def _shown(
    world: World, observation: "Observation", scenario: Scenario, transcript: bool, color: bool
) -> list[str]:
    import sys

    from smtpcheck.judge.judge import judge
    from smtpcheck.judge.report import Severity, Status
    from smtpcheck.render import console
    from smtpcheck.render.look import look_for

    report = judge(observation)
    look = look_for(sys.stdout, color=color)
    world.write(console.render(report, look, transcripts=transcript))
    found = {
        finding.id
        for finding in report.findings
        if finding.status is Status.FAIL and finding.severity >= Severity.WARNING
    }
    if found == scenario.expected:
        return []
    return [f"{scenario.title}: {sorted(found)} instead of {sorted(scenario.expected)}"]
