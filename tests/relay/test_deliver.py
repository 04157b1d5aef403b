"""What a next host is told and what is made of its answers, over real connections."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpcheck.facts.delivery import Attempt, Envelope, ForwardPath, Outcome, Route
from smtpcheck.facts.failure import Stage
from smtpcheck.facts.host import MailHost
from smtpcheck.limits import Limits
from smtpcheck.net.budget import Clock, Gate
from smtpcheck.net.client import Dialogue
from smtpcheck.net.tls import client_tls, server_context
from smtpcheck.relay.acceptance import MemoryAcceptance
from smtpcheck.relay.agent import Agent
from smtpcheck.relay.config import Config
from smtpcheck.relay.deliver import walk
from smtpcheck.relay.downgrade import Mail
from smtpcheck.relay.hop import Hop, Login, TlsLevel, TlsPolicy
from smtpcheck.relay.listener import EXTENSIONS, ListenerConfig
from smtpcheck.relay.server import SmtpServer
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.relay.next_hop import ESMTP, HANG_UP, PLAIN, NextHopServer, next_hop

LIMITS = Limits(connect=5, greeting=5, reply=5, handshake=0.3, quit=1, run=60)
TEXT = b"Subject: x\r\n\r\n.one\r\n..two\r\nthree\r\n"
D, F, S, U = Outcome.DEFERRED, Outcome.FAILED, Outcome.DELIVERED, Outcome.UNKNOWN


def mail(*to: str, content: bytes = TEXT, **envelope: object) -> Mail:
    paths = tuple(ForwardPath(address=each) for each in to or ("one@d.test",))
    given = {"message_id": "M", "reverse_path": "a@s.test", "received": datetime.now(UTC)}
    whole = Envelope(forward_paths=paths, **{**given, **envelope})  # type: ignore[arg-type]
    return Mail(envelope=whole, content=content, forward_paths=whole.forward_paths)


def connecting(**settings: object) -> Callable[[MailHost, TlsPolicy, bool], Hop]:
    def dial(host: MailHost, policy: TlsPolicy, _: bool) -> Hop:
        dialogue = Dialogue(
            host,
            limits=LIMITS,
            clock=Clock(60),
            tls=client_tls(),
            gate=Gate(LIMITS),
            ehlo="us.test",
            sni=host.name,
        )
        return Hop(dialogue, policy, **settings)  # type: ignore[arg-type]

    return dial


async def attempted(
    server: NextHopServer,
    message: Mail,
    level: TlsLevel = TlsLevel.OPPORTUNISTIC,
    **settings: object,
) -> tuple[Attempt, ...]:
    async with next_hop(server):
        route = Route(domain="d.test", hosts=(server.host,))
        return await walk(
            route, message, dial=connecting(**settings), policy=TlsPolicy(level=level)
        )


def delivered(server: NextHopServer, message: Mail) -> dict[str, Outcome]:
    attempts = asyncio.run(attempted(server, message))
    return {o.address: o.outcome for o in attempts[-1].outcomes}


ONE, TWO, THREE = "one@d.test", "two@d.test", "three@d.test"
RCPT = {each: f"RCPT TO:<{each}>" for each in (ONE, TWO, THREE)}

ANSWERS: list[tuple[str, dict[str, str | list[str]], dict[str, Outcome]]] = [
    ("all is well", {}, {ONE: S, TWO: S}),
    ("4yz at MAIL", {"MAIL": "451 4.3.0 later"}, {ONE: D, TWO: D}),
    ("5yz at MAIL", {"MAIL": "550 5.7.1 never"}, {ONE: F, TWO: F}),
    ("4yz for one", {RCPT[ONE]: "450 4.2.1 greylisted"}, {ONE: D, TWO: S}),
    ("5yz for one", {RCPT[ONE]: "550 5.1.1 who"}, {ONE: F, TWO: S}),
    ("5yz for both", {"RCPT": "550 5.1.1 who"}, {ONE: F, TWO: F}),
    ("4yz and 5yz", {RCPT[ONE]: "450 no", RCPT[TWO]: "550 no"}, {ONE: D, TWO: F}),
    ("4yz at DATA", {"DATA": "451 4.3.0 later"}, {ONE: D, TWO: D}),
    ("5yz at DATA", {"DATA": "554 5.5.1 never"}, {ONE: F, TWO: F}),
    ("4yz at the end", {".": "452 4.3.1 full"}, {ONE: D, TWO: D}),
    ("5yz at the end", {".": "550 5.7.1 spam"}, {ONE: F, TWO: F}),
    ("no reply at the end", {".": HANG_UP}, {ONE: U, TWO: U}),
    ("gone at DATA", {"DATA": HANG_UP, RCPT[ONE]: "550 who"}, {ONE: F, TWO: D}),
    ("gone at RCPT", {"RCPT": HANG_UP}, {ONE: D, TWO: D}),
    ("421 at RCPT", {"RCPT": "421 4.3.2 bye"}, {ONE: D, TWO: D}),
    ("nonsense at the end", {".": "moo"}, {ONE: D, TWO: D}),
    ("354 at the end", {".": "354 what"}, {ONE: D, TWO: D}),
]


@pytest.mark.parametrize("ehlo", [PLAIN, ESMTP], ids=["plain", "pipelined"])
@pytest.mark.parametrize(("answers", "ends"), [pytest.param(*r[1:], id=r[0]) for r in ANSWERS])
def test_answers(
    answers: dict[str, str | list[str]], ends: dict[str, Outcome], ehlo: tuple[str, ...]
) -> None:
    assert delivered(NextHopServer(answers, ehlo=ehlo), mail(ONE, TWO)) == ends


@pytest.mark.parametrize("ehlo", [PLAIN, ESMTP, (*ESMTP[:-1], "250-DSN", "250 CHUNKING")])
def test_content_arrives_to_the_octet(ehlo: tuple[str, ...]) -> None:
    server = NextHopServer(ehlo=ehlo)
    assert delivered(server, mail()) == {ONE: S}
    (content,) = server.contents
    chunked = "250 CHUNKING" in ehlo
    assert (content if chunked else content.replace(b"\r\n..", b"\r\n.")) == TEXT
    assert ("DATA" in server.commands) is not chunked


def test_a_message_to_nobody_is_ended_at_once() -> None:
    """RFC 2920 §3.1: DATA was pipelined, no recipient was accepted, and 354 came."""
    server = NextHopServer({"RCPT": "550 5.1.1 who", ".": "554 5.5.1 nobody"}, ehlo=ESMTP)
    route_ended = delivered(server, mail(ONE, TWO, content=b"secret\r\n"))
    assert route_ended == {ONE: F, TWO: F}
    assert b"secret" not in b"".join(server.contents)


def test_recipients_over_the_limit_follow_on_the_same_connection() -> None:
    answers: dict[str, str | list[str]] = {RCPT[TWO]: ["452 4.5.3 too many", "250 ok"]}
    server = NextHopServer(answers, ehlo=ESMTP)
    assert delivered(server, mail(ONE, TWO)) == {ONE: S, TWO: S}
    assert (server.connections, len(server.contents)) == (1, 2)


def test_what_the_host_offers_is_used_and_nothing_else() -> None:
    whole = mail(content=b"\xc3\xa4\r\n", ret="HDRS", envid="QQ+2B")
    path = ForwardPath(address=ONE, notify=("SUCCESS", "DELAY"), orcpt="rfc822;one@d.test")
    rich, poor = NextHopServer(ehlo=ESMTP), NextHopServer()
    delivered(rich, whole.to([path]))
    mail_line = "MAIL FROM:<a@s.test> SIZE=4 BODY=8BITMIME RET=HDRS ENVID=QQ+2B"
    assert rich.commands[1] == mail_line
    assert rich.commands[2] == f"{RCPT[ONE]} NOTIFY=SUCCESS,DELAY ORCPT=rfc822;one@d.test"
    delivered(poor, whole.to([path]))
    assert poor.commands[1:3] == ["MAIL FROM:<a@s.test>", RCPT[ONE]]
    assert poor.contents[0].isascii()


def test_too_large_for_the_host_is_not_even_begun() -> None:
    server = NextHopServer(ehlo=ESMTP)
    (attempt,) = asyncio.run(attempted(server, mail(content=b"x" * 99_999 + b"\r\n")))
    (outcome,) = attempt.outcomes
    assert (outcome.outcome, str(outcome.reply)[:9]) == (F, "552 5.3.4")
    assert not any(line.startswith("MAIL") for line in server.commands)


@pytest.mark.parametrize(
    ("reverse_path", "to", "content", "ends"),
    [
        ("ä@s.test", ONE, b"x\r\n", F),
        ("a@s.test", "ö@d.test", b"x\r\n", F),
        ("a@s.test", ONE, "Subject: ü\r\n\r\nx\r\n".encode(), F),
        ("a@s.test", ONE, "Subject: x\r\n\r\nü\r\n".encode(), S),
    ],
)
def test_internationalised_mail_without_smtputf8(
    reverse_path: str, to: str, content: bytes, ends: Outcome
) -> None:
    message = mail(to, content=content, reverse_path=reverse_path, smtputf8=True)
    (attempt,) = asyncio.run(attempted(NextHopServer(ehlo=ESMTP), message))
    (outcome,) = attempt.outcomes
    assert outcome.outcome is ends
    assert (str(outcome.reply)[:9] == "553 5.6.7") is (ends is F)


# TLS


def test_a_handshake_that_fails_is_tried_in_clear_anew() -> None:
    server = NextHopServer(ehlo=("250-hop.test", "250 STARTTLS"))
    first, second = asyncio.run(attempted(server, mail()))
    assert first.failure is not None
    assert first.failure.stage is Stage.TLS
    assert {o.outcome for o in second.outcomes} == {S}
    assert server.connections == 2


@pytest.mark.parametrize("level", [TlsLevel.REQUIRED, TlsLevel.VERIFIED])
@pytest.mark.parametrize(
    ("ehlo", "starttls"),
    [
        (("250 hop.test",), "220 go"),
        (("250-hop.test", "250 STARTTLS"), "220 go"),
        (("250-hop.test", "250 STARTTLS"), "454 4.7.0 not now"),
        (("250-hop.test", "250 STARTTLS"), "220 go\r\n250 glued"),
    ],
)
def test_a_policy_keeps_mail_and_passwords_from_the_clear(
    level: TlsLevel, ehlo: tuple[str, ...], starttls: str
) -> None:
    server = NextHopServer({"STARTTLS": starttls}, ehlo=ehlo)
    login = Login(user="u", password="hunter2")
    (attempt,) = asyncio.run(attempted(server, mail(), level, login=login))
    assert {o.outcome for o in attempt.outcomes} == {D}
    assert not any(line.startswith(("MAIL", "AUTH")) for line in server.commands)


def test_no_policy_at_all_sends_a_password_in_clear() -> None:
    server = NextHopServer(ehlo=("250-hop.test", "250 AUTH PLAIN"))
    login = Login(user="u", password="hunter2")
    (attempt,) = asyncio.run(attempted(server, mail(), TlsLevel.NONE, login=login))
    assert {o.outcome for o in attempt.outcomes} == {D}
    assert not any(line.startswith("AUTH") for line in server.commands)


@pytest.mark.parametrize(
    ("trusted", "named", "ends"),
    [(True, "hop.test", S), (True, "other.test", D), (False, "hop.test", D)],
)
def test_verified_means_trusted_and_named(
    tmp_path: Path, trusted: bool, named: str, ends: Outcome
) -> None:
    authority = ThrowawayCA()
    identity = authority.issue([named])
    context = server_context(identity.chain_pem, identity.key_pem)
    root = (authority if trusted else ThrowawayCA()).write(tmp_path)

    async def main() -> None:
        kept = MemoryAcceptance(users={"u": "hunter2"})
        listener = ListenerConfig(context=context, auth=True, extensions=EXTENSIONS)
        async with SmtpServer(listener, kept) as server:
            host = MailHost(name="hop.test", address="127.0.0.1", port=server.port)
            dialogue = Dialogue(
                host,
                limits=replace(LIMITS, handshake=5),
                clock=Clock(60),
                tls=client_tls(str(root)),
                gate=Gate(LIMITS),
                ehlo="us.test",
                sni="hop.test",
            )
            policy = TlsPolicy(level=TlsLevel.VERIFIED)
            hop = Hop(dialogue, policy, login=Login(user="u", password="hunter2"))
            route = Route(domain="d.test", hosts=(host,))
            attempts = await walk(route, mail(), dial=lambda *_: hop, policy=policy)
        assert {o.outcome for o in attempts[0].outcomes} == {ends}
        assert attempts[0].transcript is not None
        assert b"aHVudGVyM" not in b"".join(e.data for e in attempts[0].transcript.events)
        assert [body for _, body in kept.messages] == [TEXT] * (ends is S)
        assert bool(attempts[0].tls) is True

    asyncio.run(main())


# Connections that are kept


def agent(tmp_path: Path) -> Agent:
    return Agent(Config(), tmp_path, client_tls(), limits=LIMITS)


def test_a_connection_serves_many_messages(tmp_path: Path) -> None:
    async def main() -> None:
        async with next_hop(NextHopServer(ehlo=ESMTP)) as server:
            ours = agent(tmp_path)
            route = Route(domain="d.test", hosts=(server.host,))
            for _ in range(3):
                attempts = await walk(route, mail(), dial=ours._dial, policy=TlsPolicy())
                assert attempts[0].transcript is not None
                spoken = b"".join(event.data for event in attempts[0].transcript.events)
                assert spoken.count(b"MAIL FROM") == 1
            await ours.close()
        assert (server.connections, len(server.contents)) == (1, 3)
        assert server.commands[-1] == "QUIT"

    asyncio.run(main())


def test_a_kept_connection_that_died_costs_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        answers: dict[str, str | list[str]] = {"MAIL": ["250 ok", HANG_UP, "250 ok"]}
        async with next_hop(NextHopServer(answers, ehlo=ESMTP)) as server:
            ours = agent(tmp_path)
            route = Route(domain="d.test", hosts=(server.host,))
            for _ in range(2):
                (attempt,) = await walk(route, mail(), dial=ours._dial, policy=TlsPolicy())
                assert {o.outcome for o in attempt.outcomes} == {S}
            await ours.close()
        assert server.connections == 2

    asyncio.run(main())
