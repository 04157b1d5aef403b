"""What is asked of a port, in which order and how often; and what comes of hostile ones."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from smtpcheck.blame import BadInputError
from smtpcheck.facts.dns import Answer
from smtpcheck.facts.failure import Kind
from smtpcheck.facts.host import Port, Role, Security
from smtpcheck.facts.observation import Observation, Target
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Offer, Version
from smtpcheck.limits import Limits
from smtpcheck.observe.observer import Circumstances, observe_host
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import unused_port
from tests.net.nameserver import dead, from_zone, nameserver
from tests.net.peer import EHLO, Behaviour, Reader, Writer, peer, says, silence

FAST = Limits(
    lookup=0.5, connect=0.5, greeting=1.0, reply=1.0, handshake=0.5, quit=0.2, silence=0.1,
    silence_mx=0.1, back_off=0.05, run=5,
)  # fmt: skip

IMPATIENT = replace(FAST, back_off=FAST.run)
"""No time is left to come back after a 421."""

Server = Callable[[Reader, Writer], Awaitable[None]]


def observe(
    behaviour: Behaviour,
    role: Role = Role.MX,
    security: Security = Security.STARTTLS,
    limits: Limits = FAST,
    context: ssl.SSLContext | None = None,
) -> tuple[Observation, int]:
    """One port observed; the observation and how many connections it saw."""
    seen = 0

    async def counted(reader: Reader, writer: Writer) -> None:
        nonlocal seen
        seen += 1
        await behaviour(reader, writer)

    async def main() -> Observation:
        async with peer(counted, context=context) as number:
            port = Port(number=number, role=role, security=security, asked=True)
            target = Target(given="127.0.0.1", host="127.0.0.1", ports=(port,))
            return await observe_host(target, Circumstances(limits=limits), quiet)

    return asyncio.run(main()), seen


def quiet(_: str) -> None: ...


def probes(observation: Observation) -> list[Probe]:
    return [step.probe for step in observation.steps]


def only(observation: Observation, probe: Probe) -> Step:
    (step,) = (step for step in observation.steps if step.probe is probe)
    return step


@pytest.mark.parametrize(
    ("what", "behaviour"),
    [
        ("554", says(b"221 x\r\n", greeting=b"554 no\r\n")),
        ("no STARTTLS", says(b"250 peer.test\r\n", b"221 x\r\n")),
        ("421 to EHLO", says(b"421 4.7.0 enough\r\n", b"221 x\r\n")),
    ],
)
def test_a_port_without_tls_sees_one_connection(what: str, behaviour: Behaviour) -> None:
    observation, connections = observe(behaviour, limits=IMPATIENT)
    assert (probes(observation), connections) == ([Probe.DIALOGUE], 1), what


def test_where_starttls_is_offered_the_others_do_not_wait_for_its_answer() -> None:
    """A round trip saved on every healthy server, for four connections to a broken one."""
    observation, connections = observe(says(EHLO, b"454 later\r\n", b"221 x\r\n"))
    assert probes(observation) == [Probe.DIALOGUE, *[Probe.VERSION] * 4]
    assert connections == 5


def test_a_silent_port_is_asked_once_more_whether_it_speaks_tls() -> None:
    observation, connections = observe(silence)
    assert probes(observation) == [Probe.DIALOGUE, Probe.TLS_FIRST]
    assert connections == 2
    failure = observation.steps[0].failure
    assert failure is not None
    assert failure.kind is Kind.TIMED_OUT


def test_a_silent_port_gets_no_second_connection_when_there_may_be_only_one_at_a_time() -> None:
    async def slow(reader: Reader, writer: Writer) -> None:
        await asyncio.sleep(0.3)
        await says(b"250 peer.test\r\n", b"221 x\r\n")(reader, writer)

    observation, _ = observe(slow, limits=replace(FAST, connections=1))
    step = only(observation, Probe.DIALOGUE)
    assert step.failure is None
    assert step.greeting is not None
    assert step.greeting.took >= 0.3


@pytest.fixture(scope="module")
def context(ca: ThrowawayCA, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*ca.issue(["peer.test"]).write(tmp_path_factory.mktemp("peer")))
    return made


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
@pytest.mark.parametrize(
    ("lowest", "accepted"),
    [
        (ssl.TLSVersion.TLSv1_3, {Version.TLS1_3}),
        (ssl.TLSVersion.TLSv1_2, {Version.TLS1_2, Version.TLS1_3}),
        (ssl.TLSVersion.TLSv1_1, {Version.TLS1_1, Version.TLS1_2, Version.TLS1_3}),
    ],
)
def test_each_version_is_asked_on_its_own(
    context: ssl.SSLContext, lowest: ssl.TLSVersion, accepted: set[Version]
) -> None:
    context.minimum_version = lowest
    context.set_ciphers("ALL:@SECLEVEL=0")
    talk = says(EHLO, b"221 x\r\n")
    observation, connections = observe(talk, Role.SUBMISSIONS, Security.IMPLICIT, context=context)
    offers = {s.version.version: s.version.offer for s in observation.steps if s.version}
    assert {version for version, offer in offers.items() if offer is Offer.ACCEPTED} == accepted
    assert set(offers.values()) <= {Offer.ACCEPTED, Offer.REFUSED}
    assert connections >= 1, "handshakes that were not finished don't reach the server's code"


def test_tls_on_a_port_for_clear_text_is_recognised(context: ssl.SSLContext) -> None:
    observation, _ = observe(says(EHLO), Role.SUBMISSION, context=context)
    step = only(observation, Probe.TLS_FIRST)
    assert step.version is not None
    assert step.version.offer is Offer.ACCEPTED
    assert observation.took < 1, "nobody waits for a greeting that won't come"


def throttling(allowed: int) -> Behaviour:
    """Greets the first so many connections, and 421 to all that follow."""
    seen = 0

    async def behave(reader: Reader, writer: Writer) -> None:
        nonlocal seen
        seen += 1
        greeting = b"220 peer.test\r\n" if seen <= allowed else b"421 4.7.0 too many\r\n"
        await says(b"250 peer.test\r\n", b"221 x\r\n", greeting=greeting)(reader, writer)

    return behave


def test_a_421_is_met_with_one_more_try_after_a_rest() -> None:
    observation, connections = observe(throttling(0))
    step = only(observation, Probe.DIALOGUE)
    assert step.failure is not None
    assert step.failure.kind is Kind.THROTTLED
    assert connections == 2


async def host(name: str, zone: object, limits: Limits = FAST) -> Observation:
    answering = dead if zone is None else from_zone(zone)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        server, _ = await stack.enter_async_context(nameserver(answering))
        port = Port(number=unused_port(), role=Role.MX, security=Security.STARTTLS)
        target = Target(given=name, host=name, ports=(port,))
        how = Circumstances(resolver=server, limits=limits)
        return await observe_host(target, how, quiet)


def test_every_address_of_a_name_is_asked() -> None:
    zone = {("m.test", "A"): ["127.0.0.1", "127.0.0.2"], ("m.test", "AAAA"): ["::1"]}
    observation = asyncio.run(host("m.test", zone))
    assert [s.host.address for s in observation.steps] == ["127.0.0.1", "127.0.0.2", "::1"]


def test_ten_thousand_addresses_are_not_all_asked_and_that_is_said() -> None:
    found = [f"127.0.{n // 250}.{n % 250}" for n in range(100)]
    observation = asyncio.run(host("m.test", {("m.test", "A"): found}))
    assert len(observation.steps) == FAST.addresses
    assert observation.skipped == ("84 of 100 addresses: more than are asked",)


def test_a_name_that_does_not_exist_is_the_users_error() -> None:
    with pytest.raises(BadInputError, match=r"n\.test: no such name"):
        asyncio.run(host("n.test", {("m.test", "A"): ["127.0.0.1"]}))


def test_a_name_without_address_is_an_observation() -> None:
    observation = asyncio.run(host("m.test", {("m.test", "MX"): ["10 m.test."]}))
    assert observation.steps == ()
    assert {lookup.rdtype: lookup.answer for lookup in observation.dns} == {
        "A": Answer.NO_DATA,
        "AAAA": Answer.NO_DATA,
        "MX": Answer.FOUND,
    }


def test_a_dead_resolver_is_an_observation_without_steps() -> None:
    observation = asyncio.run(host("m.test", None))
    assert {lookup.answer for lookup in observation.dns} == {Answer.TIMED_OUT}
    assert observation.steps == ()


def test_quit_goes_out_with_mail_where_the_server_takes_both_at_once() -> None:
    """RFC 2920 §3.1: QUIT may be the last of a group; a round trip less on every port for users."""
    heard: list[bytes] = []

    async def taking_both(reader: Reader, writer: Writer) -> None:
        writer.write(b"220 peer.test\r\n")
        await reader.readline()
        writer.write(b"250-peer.test\r\n250 PIPELINING\r\n")
        while line := await reader.readline():
            heard.append(line)
            if line.startswith(b"QUIT"):
                writer.write(b"530 5.7.0 TLS first\r\n" * (len(heard) > 1) + b"221 bye\r\n")
                return

    observation, _ = observe(taking_both, Role.SUBMISSION)
    step = only(observation, Probe.CLEARTEXT)
    assert heard[-2:] == [b"MAIL FROM:<>\r\n", b"QUIT\r\n"]
    assert step.mail is not None
    assert step.mail.reply.code == 530
    assert step.ending is not None
    assert step.ending.quit is not None
    assert step.ending.quit.reply.code == 221


def test_who_waits_for_a_goodbye_holds_up_nobody() -> None:
    """With one connection at a time, the next comes when QUIT is sent, not when it is answered."""
    sulking = says(b"250 peer.test\r\n")
    patient = replace(FAST, connections=1, quit=1.0)

    async def main() -> Observation:
        async with peer(sulking) as one, peer(sulking) as other:
            ports = tuple(
                Port(number=number, role=Role.MX, security=Security.STARTTLS)
                for number in (one, other)
            )
            target = Target(given="127.0.0.1", host="127.0.0.1", ports=ports)
            return await observe_host(target, Circumstances(limits=patient), quiet)

    first, second = asyncio.run(main()).steps
    assert first.took >= patient.quit
    assert second.began < first.began + patient.quit / 2
