"""One dialogue: what a server may do to it, and the step that tells of it."""

import asyncio
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.step import Step
from smtpcheck.facts.transcript import Layer, Side
from smtpcheck.limits import Limits
from smtpcheck.net.client import Dialogue
from smtpcheck.net.network import Network
from smtpcheck.net.resolver import Resolver
from smtpcheck.net.tls import client_tls
from smtpcheck.relay.throwaway import ThrowawayCA
from smtpcheck.wire.reply import Quirk
from tests.conftest import unused_port
from tests.net.peer import EHLO, Behaviour, Reader, Writer, peer, reset, says, silence, then_closes

FAST = Limits(connect=0.5, greeting=0.4, reply=0.4, handshake=0.4, quit=0.2, run=3)

Work = Callable[[Dialogue], Awaitable[object]]


def dialogue(
    behaviour: Behaviour,
    work: Work,
    *,
    limits: Limits = FAST,
    security: Security = Security.STARTTLS,
    ca_file: str = "",
) -> Step:
    """Let `work` talk to `behaviour`; the step of it."""

    async def main() -> Step:
        async with peer(behaviour) as port:
            host = MailHost(name="peer.test", address="127.0.0.1", port=port, security=security)
            return await alone(host, work, limits, ca_file)

    return asyncio.run(main())


async def alone(host: MailHost, work: Work, limits: Limits = FAST, ca_file: str = "") -> Step:
    tls = client_tls(ca_file)
    net = Network(limits=limits, tls=tls, resolver=Resolver(), ehlo="us.test")
    async with net.dialogue(host) as talk:
        await talk.connect()
        await work(talk)
    return talk.step()


async def whole(talk: Dialogue) -> None:
    await talk.greeting()
    await talk.ehlo()
    await talk.quit()


def test_a_plain_dialogue_is_told_in_full() -> None:
    step = dialogue(says(EHLO, b"221 bye\r\n"), whole)
    assert step.failure is None
    assert step.greeting is not None
    assert step.greeting.reply.code == 220
    assert step.ehlo is not None
    assert step.ehlo.offers("STARTTLS")
    assert step.ehlo.parameters("SIZE") == ("1000",)
    assert step.ending is not None
    assert step.ending.quit is not None
    assert step.transcript is not None
    said = [(e.side, e.data) for e in step.transcript.events if e.data]
    assert said == [
        (Side.SERVER, b"220 peer.test ESMTP\r\n"),
        (Side.CLIENT, b"EHLO us.test\r\n"),
        (Side.SERVER, EHLO),
        (Side.CLIENT, b"QUIT\r\n"),
        (Side.SERVER, b"221 bye\r\n"),
    ]
    times = [event.at for event in step.transcript.events]
    assert times == sorted(times)


async def endless_greeting(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"220-and so on\r\n" * 100)
        await writer.drain()


async def drip(_: Reader, writer: Writer) -> None:
    while True:
        writer.write(b"2")
        await writer.drain()
        await asyncio.sleep(0.1)


async def flood_after_greeting(reader: Reader, writer: Writer) -> None:
    writer.write(b"220 x.test\r\n")
    await reader.readline()
    while True:
        writer.write(b"x" * 10_000)
        await writer.drain()


FAILING = [
    ("silence", silence, Stage.GREETING, Kind.TIMED_OUT),
    ("RST at once", reset, Stage.GREETING, Kind.RESET),
    ("closed at once", then_closes(greeting=b""), Stage.GREETING, Kind.CLOSED),
    ("a greeting without end", endless_greeting, Stage.GREETING, Kind.OVERLONG),
    ("an octet now and then", drip, Stage.GREETING, Kind.TIMED_OUT),
    ("554", says(b"221 bye\r\n", greeting=b"554 no\r\n"), Stage.GREETING, Kind.REJECTED),
    ("421", says(b"221 bye\r\n", greeting=b"421 busy\r\n"), Stage.GREETING, Kind.THROTTLED),
    ("450", says(b"221 bye\r\n", greeting=b"450 slow\r\n"), Stage.GREETING, Kind.THROTTLED),
    ("EHLO unanswered", says(), Stage.EHLO, Kind.TIMED_OUT),
    ("closed at EHLO", then_closes(b""), Stage.EHLO, Kind.CLOSED),
    ("a line without end", flood_after_greeting, Stage.EHLO, Kind.OVERLONG),
    ("EHLO throttled", says(b"421 too many\r\n"), Stage.EHLO, Kind.THROTTLED),
    ("all hellos refused", says(*[b"502 no\r\n"] * 3), Stage.EHLO, Kind.REJECTED),
]  # fmt: skip


@pytest.mark.parametrize(
    ("what", "behaviour", "stage", "kind"), FAILING, ids=[f[0] for f in FAILING]
)
def test_whatever_a_server_does_the_block_ends_in_a_failure_fact(
    what: str, behaviour: Behaviour, stage: Stage, kind: Kind
) -> None:
    began = time.monotonic()
    step = dialogue(behaviour, whole)
    assert step.failure is not None, what
    assert (step.failure.stage, step.failure.kind) == (stage, kind)
    assert time.monotonic() - began < 2


def test_helo_is_tried_when_ehlo_is_refused_and_lhlo_after_it() -> None:
    step = dialogue(says(b"502 no\r\n", b"250 peer.test\r\n", b"221 x\r\n"), whole)
    assert step.ehlo is not None
    assert step.ehlo.verb == "HELO"
    assert [e.command for e in step.ehlo.refused] == ["EHLO us.test"]
    lmtp = dialogue(says(b"500 no\r\n", b"500 no\r\n", b"250 x\r\n", b"221 x\r\n"), whole)
    assert lmtp.ehlo is not None
    assert lmtp.ehlo.verb == "LHLO"


def test_a_refusal_is_kept_though_the_connection_ends_with_it() -> None:
    """Exim's `drop` at EHLO: a reply, and then no more of them."""
    step = dialogue(then_closes(b"550 go away\r\n"), whole)
    assert step.failure is not None
    assert step.failure.kind in (Kind.CLOSED, Kind.RESET)
    assert step.ehlo is not None
    assert [e.reply.code for e in step.ehlo.refused] == [550]


def test_a_reply_nobody_asked_for_does_not_answer_the_next_command() -> None:
    async def work(talk: Dialogue) -> None:
        await talk.greeting()
        first = await talk.command("NOOP")
        second = await talk.command("RSET")
        assert (first.reply.text, second.reply.text) == ("first", "second")

    step = dialogue(says(b"250 first\r\n550 stray\r\n", b"250 second\r\n"), work)
    assert step.failure is None
    assert step.transcript is not None
    assert any("unasked: 550 stray" in event.note for event in step.transcript.events)


def test_a_half_reply_at_the_end_of_the_stream_is_still_a_fact() -> None:
    async def work(talk: Dialogue) -> None:
        greeting = await talk.greeting()
        assert Quirk.UNFINISHED in greeting.reply.quirks

    assert dialogue(then_closes(greeting=b"220 cut sho"), work).failure is None


def test_a_secret_command_is_kept_as_its_length() -> None:
    async def work(talk: Dialogue) -> None:
        await talk.greeting()
        exchange = await talk.command(
            "AUTH PLAIN hunter2", secret=True, shown="AUTH PLAIN ‹7 bytes›"
        )
        assert exchange.command == "AUTH PLAIN ‹7 bytes›"

    step = dialogue(says(b"235 ok\r\n"), work)
    assert "hunter2" not in repr(step)
    assert "AUTH PLAIN ‹7 bytes›" in repr(step.transcript)


def test_octets_glued_to_the_220_of_starttls_are_evidence_and_count_for_nothing_after() -> None:
    async def work(talk: Dialogue) -> None:
        await talk.greeting()
        await talk.starttls()

    step = dialogue(says(b"220 go\r\n250 injected\r\n"), work)
    assert step.after_starttls == b"250 injected\r\n"


def test_a_refused_connection() -> None:
    host = MailHost(name="x", address="127.0.0.1", port=unused_port())
    step = asyncio.run(alone(host, whole))
    assert step.failure is not None
    assert step.failure.kind is Kind.REFUSED
    assert step.connected is None


def test_the_time_of_the_whole_run_ends_it() -> None:
    step = dialogue(silence, whole, limits=replace(FAST, run=0.2, greeting=10))
    assert step.failure is not None
    assert step.failure.kind is Kind.OUT_OF_TIME


def test_politeness_stops_at_the_limit_of_connections() -> None:
    async def main() -> list[Kind | None]:
        async with peer(says(EHLO, b"221 x\r\n")) as port:
            limits = replace(FAST, connections_per_port=2)
            net = Network(limits=limits, tls=client_tls(), resolver=Resolver(), ehlo="us.test")
            host = MailHost(name="x", address="127.0.0.1", port=port)
            kinds: list[Kind | None] = []
            for _ in range(3):
                async with net.dialogue(host) as talk:
                    await talk.connect()
                    await whole(talk)
                kinds.append(talk.failure.kind if talk.failure else None)
            return kinds

    assert asyncio.run(main()) == [None, None, Kind.NOT_TRIED]


# TLS.


async def tls_then_ehlo(talk: Dialogue) -> None:
    await talk.start_tls()
    await whole(talk)


@pytest.fixture(scope="module")
def identity_files(ca: ThrowawayCA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return ca.issue(["peer.test"]).write(tmp_path_factory.mktemp("peer"))


def test_implicit_tls_is_seen_inside(identity_files: tuple[Path, Path], ca_file: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*identity_files)

    async def main() -> Step:
        async def behave(reader: Reader, writer: Writer) -> None:
            await says(EHLO, b"221 x\r\n")(reader, writer)

        server = await asyncio.start_server(behave, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        host = MailHost(
            name="peer.test", address="127.0.0.1", port=port, security=Security.IMPLICIT
        )
        step = await alone(host, tls_then_ehlo, ca_file=str(ca_file))
        server.close()
        await asyncio.sleep(0)
        return step

    step = asyncio.run(main())
    assert step.failure is None
    assert step.tls is not None
    assert step.tls.errors == ()
    assert step.tls.sni == "peer.test"
    assert step.tls.chain[0].names == ("peer.test",)
    assert step.tls.trust.anchors == 1
    assert step.ehlo_tls is not None
    assert step.transcript is not None
    layers = {event.layer for event in step.transcript.events if event.data}
    assert layers == {Layer.TLS}


async def garbage(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    writer.write(b"\x16\x03\x03\x00\x05abcde")
    await reader.read()


async def endless_handshake(reader: Reader, writer: Writer) -> None:
    await reader.read(1)
    while True:
        writer.write(b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" + b"\0" * 16380)
        await writer.drain()


async def closes_on_hello(reader: Reader, _: Writer) -> None:
    await reader.read(65536)  # octets that nobody read would turn the close into a reset


HANDSHAKES = [
    ("clear text that waits", says(), Kind.NOT_TLS),
    ("garbage", garbage, Kind.TLS_FAILED),
    ("records without end", endless_handshake, Kind.TLS_FAILED),
    ("silence", silence, Kind.TIMED_OUT),
    ("closed", closes_on_hello, Kind.CLOSED),
]


@pytest.mark.parametrize(("what", "behaviour", "kind"), HANDSHAKES, ids=[h[0] for h in HANDSHAKES])
def test_a_handshake_that_fails_is_told_apart(what: str, behaviour: Behaviour, kind: Kind) -> None:
    step = dialogue(behaviour, tls_then_ehlo, security=Security.IMPLICIT)
    assert step.failure is not None, what
    assert (step.failure.stage, step.failure.kind) == (Stage.TLS, kind)
    if kind is Kind.NOT_TLS:
        assert step.first_octets.startswith(b"220 peer.test")
