"""The walk over three hosts × twelve outcomes against a model written from RFC 5321 alone."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product

import pytest

from smtpcheck.facts.delivery import (
    Attempt,
    Envelope,
    ForwardPath,
    Outcome,
    RecipientOutcome,
    Route,
)
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost
from smtpcheck.facts.transcript import Transcript
from smtpcheck.relay.deliver import last_outcomes, walk
from smtpcheck.relay.downgrade import Mail
from smtpcheck.relay.hop import TlsLevel, TlsPolicy
from smtpcheck.relay.transaction import Transacted
from smtpcheck.wire.reply import Reply, reply

D, F, S, U = Outcome.DEFERRED, Outcome.FAILED, Outcome.DELIVERED, Outcome.UNKNOWN
OUTCOMES = (
    "takes both", "refuses connections", "greets 421", "greets 554", "refuses EHLO", "fails TLS",
    "4yz at MAIL", "5yz at MAIL", "4yz for one", "5yz for one", "4yz at the end",
    "dies after the dot",
)  # fmt: skip
REFUSALS = {
    "refuses connections": (Stage.CONNECT, Kind.REFUSED, None),
    "greets 421": (Stage.GREETING, Kind.THROTTLED, reply(421, "4.3.2 busy")),
    "greets 554": (Stage.GREETING, Kind.REJECTED, reply(554, "5.3.2 no service")),
    "refuses EHLO": (Stage.EHLO, Kind.REJECTED, reply(502, "5.5.1 what")),
}
ANSWERS: dict[str, tuple[Outcome, Outcome]] = {
    "takes both": (S, S), "fails TLS": (S, S), "4yz at MAIL": (D, D), "5yz at MAIL": (F, F),
    "4yz for one": (D, S), "5yz for one": (F, S), "4yz at the end": (D, D),
    "dies after the dot": (U, U),
}  # fmt: skip
ONE, TWO = ForwardPath(address="one@d.test"), ForwardPath(address="two@d.test")


@dataclass
class FakeHop:
    """A host with one of the outcomes; `fails TLS` does so once TLS is tried."""

    outcome: str
    policy: TlsPolicy
    given: list[str]
    host: str
    reused: bool = False
    tls: str = ""

    async def open(self) -> RecipientOutcome | None:
        refusal = REFUSALS.get(self.outcome)
        if self.outcome == "fails TLS" and self.policy.level is not TlsLevel.NONE:
            refusal = (Stage.TLS, Kind.TLS_FAILED, None)
        if refusal is None:
            return None
        failure = Failure(stage=refusal[0], kind=refusal[1])
        return RecipientOutcome(address="", outcome=D, reply=refusal[2], failure=failure)

    async def transact(self, mail: Mail) -> Transacted:
        one, two = ANSWERS[self.outcome]
        found = {ONE.address: one, TWO.address: two}
        outcomes = []
        for path in mail.forward_paths:
            self.given.append(f"{self.host}:{path.address[:3]}")
            outcomes.append(RecipientOutcome(address=path.address, outcome=found[path.address]))
        return Transacted(outcomes=tuple(outcomes))

    def transcript(self) -> Transcript | None:
        return None

    async def release(self) -> None:
        pass

    async def abandon(self) -> None:
        raise AssertionError("nobody was told to stop")


def route(count: int) -> Route:
    hosts = [MailHost(name=f"mx{n}.test", address=f"192.0.2.{n}") for n in range(count)]
    return Route(domain="d.test", hosts=tuple(hosts))


def mail() -> Mail:
    envelope = Envelope(
        message_id="M",
        reverse_path="a@s.test",
        forward_paths=(ONE, TWO),
        received=datetime.now(UTC),
    )
    return Mail(envelope=envelope, content=b"x\r\n", forward_paths=(ONE, TWO))


def walked(
    hosts: tuple[str, ...], policy: TlsPolicy
) -> tuple[tuple[Attempt, ...], list[str], list[Attempt]]:
    given: list[str] = []
    told: list[Attempt] = []

    def dial(host: MailHost, policy: TlsPolicy, fresh: bool) -> FakeHop:
        assert not fresh
        number = int(host.name[2])
        return FakeHop(hosts[number], policy, given, str(number))

    work = walk(route(len(hosts)), mail(), dial=dial, policy=policy, told=told.append)
    return asyncio.run(work), given, told


def model(hosts: tuple[str, ...], recipient: int, *, must_be_tls: bool) -> tuple[str, str]:
    """What one recipient comes to, and the hosts that hear of it: a sentence of the RFC a line."""
    heard = ""
    for number, outcome in enumerate(hosts):
        if outcome in REFUSALS or (outcome == "fails TLS" and must_be_tls):
            continue
        heard += str(number)
        if outcome in ("takes both", "fails TLS"):
            return "delivered", heard
        if outcome == "5yz at MAIL":
            return "failed", heard
        if outcome == "dies after the dot":
            return "unknown", heard
        if outcome in ("4yz for one", "5yz for one") and recipient == 1:
            return "delivered", heard
        if outcome == "5yz for one":
            return "failed", heard
    return "deferred", heard


@pytest.mark.parametrize("level", [TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED])
def test_every_three_hosts_against_the_model(level: TlsLevel) -> None:
    """1,728 walks: each recipient's end, and exactly the hosts that were to hear of it."""
    for hosts in product(OUTCOMES, repeat=3):
        attempts, given, told = walked(hosts, TlsPolicy(level=level))
        ends = last_outcomes(attempts)
        for number, path in enumerate((ONE, TWO)):
            must = level is TlsLevel.REQUIRED
            end, heard = model(hosts, number, must_be_tls=must)
            assert ends[path.address].outcome == end, hosts
            assert [g[0] for g in given if g.endswith(path.address[:3])] == list(heard), hosts
        assert [a.started for a in told] == [a.started for a in attempts]


def test_tls_that_fails_is_tried_in_clear_on_a_connection_of_its_own() -> None:
    attempts, _, _ = walked(("fails TLS",), TlsPolicy())
    first, second = attempts
    assert first.failure is not None
    assert first.failure.stage is Stage.TLS
    assert second.failure is None
    assert {o.outcome for o in second.outcomes} == {S}


@dataclass
class Stubborn(FakeHop):
    """Takes one recipient a transaction (RFC 5321 §4.5.3.1.10); dead when it was kept too long."""

    log: list[str] = field(default_factory=list)
    stale: bool = False

    async def transact(self, mail: Mail) -> Transacted:
        if self.stale:
            self.log.append("stale")
            gone = Failure(stage=Stage.MAIL, kind=Kind.CLOSED)
            lost = (
                RecipientOutcome(address=p.address, outcome=D, failure=gone)
                for p in mail.forward_paths
            )
            return Transacted(outcomes=tuple(lost), stale=True)
        first, *rest = mail.forward_paths
        self.log.append(first.address)
        taken = RecipientOutcome(address=first.address, outcome=S)
        return Transacted(outcomes=(taken,), again=tuple(rest))


@pytest.mark.parametrize("stale", [False, True])
def test_recipients_over_the_limit_go_to_the_same_host_at_once(stale: bool) -> None:
    log: list[str] = []

    def dial(_: MailHost, policy: TlsPolicy, fresh: bool) -> Stubborn:
        log.append("dial")
        old = stale and not fresh
        return Stubborn("takes both", policy, [], "0", reused=old, log=log, stale=old)

    (attempt,) = asyncio.run(walk(route(1), mail(), dial=dial, policy=TlsPolicy()))
    assert {o.outcome for o in attempt.outcomes} == {S}
    assert log == ["dial", "stale"] * stale + ["dial", ONE.address, TWO.address]


def replies() -> Iterator[Reply]:
    yield from (refusal[2] for refusal in REFUSALS.values() if refusal[2])


def test_when_nobody_takes_it_the_last_reply_is_kept() -> None:
    attempts, _, _ = walked(("greets 421", "greets 554"), TlsPolicy())
    assert last_outcomes(attempts)[ONE.address].reply in set(replies())
    assert {a.host.name for a in attempts if a.host} == {"mx0.test", "mx1.test"}
