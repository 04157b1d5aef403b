"""The walk along a route: which host gets which recipients, and when it is over.

Law: what was refused for good is refused; what nobody answered goes to the next host, in the
same walk; the hosts' order is the route's. Opportunistic TLS that fails is tried again in
clear, on a new connection. A message that may have been taken is given to nobody else now.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime

from smtpcheck.facts.delivery import (
    Attempt,
    ForwardPath,
    Outcome,
    RecipientOutcome,
    Route,
)
from smtpcheck.facts.failure import Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.relay.downgrade import Mail
from smtpcheck.relay.hop import NextHop, TlsLevel, TlsPolicy
from smtpcheck.relay.transaction import Transacted

PER_EXCHANGER = 2
"""Addresses of each family tried of one exchanger in a walk, so that its backup has a turn."""

Dial = Callable[[MailHost, TlsPolicy, bool], NextHop]
"""A connection to a host, perhaps one that is open already; a new one when the flag says so."""

_IN_CLEAR = TlsPolicy(level=TlsLevel.NONE)
_TLS_STAGES = (Stage.STARTTLS, Stage.TLS)


def _now() -> datetime:
    return datetime.now(UTC)


async def walk(
    route: Route,
    mail: Mail,
    *,
    dial: Dial,
    policy: TlsPolicy,
    now: Callable[[], datetime] = _now,
    told: Callable[[Attempt], None] = lambda _: None,
) -> tuple[Attempt, ...]:
    """Hand `mail` over along `route`; every recipient is in the outcomes of the last attempts.

    `told` hears of each attempt when it begins, so that one that dies leaves a trace.
    """
    attempts: list[Attempt] = []
    waiting = mail.forward_paths
    for host in fair(route.hosts):
        levels = [policy]
        if policy.level is TlsLevel.OPPORTUNISTIC and host.security is Security.STARTTLS:
            levels.append(_IN_CLEAR)
        for level in levels:
            begun = Attempt(route=route, host=host, started=now(), ended=now())
            told(begun)
            attempt = await _at(host, begun, mail.to(waiting), dial, level, now)
            attempts.append(attempt)
            waiting = _still_waiting(waiting, attempt)
            if attempt.failure is None or attempt.failure.stage not in _TLS_STAGES:
                break
        if not waiting:
            break
    return tuple(attempts)


def fair(hosts: Iterable[MailHost]) -> Iterator[MailHost]:
    """In order, and not too many of one exchanger."""
    seen: Counter[tuple[str, bool]] = Counter()
    for host in hosts:
        key = (host.name, ":" in host.address)
        seen[key] += 1
        if seen[key] <= PER_EXCHANGER:
            yield host


def last_outcomes(attempts: tuple[Attempt, ...]) -> dict[str, RecipientOutcome]:
    """What each recipient came to in the end, by address."""
    return {o.address: o for attempt in attempts for o in attempt.outcomes}


def _still_waiting(waiting: tuple[ForwardPath, ...], attempt: Attempt) -> tuple[ForwardPath, ...]:
    deferred = {o.address for o in attempt.outcomes if o.outcome is Outcome.DEFERRED}
    return tuple(path for path in waiting if path.address in deferred)


async def _at(
    host: MailHost,
    begun: Attempt,
    mail: Mail,
    dial: Dial,
    policy: TlsPolicy,
    now: Callable[[], datetime],
) -> Attempt:
    """One host: on a connection that is open, and on a new one when that proves dead."""
    for fresh in (False, True):
        hop = dial(host, policy, fresh)
        try:
            refusal = await hop.open()
            done = _everybody(mail, refusal) if refusal else await _transactions(hop, mail)
        except BaseException:  # we are told to stop
            await hop.abandon()
            raise
        if not done.stale:
            break
    await hop.release()
    return replace(
        begun,
        ended=now(),
        outcomes=done.outcomes,
        failure=refusal.failure if refusal else None,
        tls=hop.tls,
        transcript=hop.transcript(),
    )


def _everybody(mail: Mail, refusal: RecipientOutcome) -> Transacted:
    outcomes = (replace(refusal, address=path.address) for path in mail.forward_paths)
    return Transacted(outcomes=tuple(outcomes))


async def _transactions(hop: NextHop, mail: Mail) -> Transacted:
    """As many as the host's limit of recipients makes necessary."""
    reused = hop.reused
    outcomes: tuple[RecipientOutcome, ...] = ()
    while True:
        done = await hop.transact(mail)
        if done.stale and reused and not outcomes:
            return done
        outcomes += done.outcomes
        if not done.again:
            return Transacted(outcomes=outcomes)
        mail = mail.to(done.again)
