"""Delivers what was claimed: into a mailbox here, or along a route to elsewhere.

Law: every way ends in attempts with an outcome for each recipient; nothing the world does
raises. Answers of the name system are used for a minute; open connections for a few seconds.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from smtpcheck.facts.delivery import Attempt, Because, Outcome, RecipientOutcome, Route
from smtpcheck.facts.dns import Lookup
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost
from smtpcheck.limits import Limits
from smtpcheck.net.budget import Clock, Gate
from smtpcheck.net.client import Dialogue
from smtpcheck.net.resolver import Resolver
from smtpcheck.net.tls import ClientTls
from smtpcheck.policy import route as routes
from smtpcheck.policy.route import NoRoute, Own, Question
from smtpcheck.relay import maildir
from smtpcheck.relay.config import Config
from smtpcheck.relay.config import maildir as maildir_of
from smtpcheck.relay.deliver import Dial, walk
from smtpcheck.relay.downgrade import Mail
from smtpcheck.relay.hop import Hop, TlsLevel, TlsPolicy
from smtpcheck.relay.lmtp import LmtpDialogue, LmtpHop
from smtpcheck.relay.queue import Claim
from smtpcheck.wire.endpoint import is_literal
from smtpcheck.wire.reply import reply

LIMITS = Limits(
    connect=30.0, greeting=300.0, reply=300.0, handshake=60.0, quit=5.0, run=900.0, addresses=64
)
"""RFC 5321 §4.5.3.2 has a queue wait for minutes."""
FRESH = 60.0
"""Seconds that an answer of the name system serves."""
IDLE = 5.0
"""Seconds that a connection waits for another message."""
UNREADABLE = reply(451, "4.3.0 The message can't be read from the spool")

D = TypeVar("D", bound=Dialogue)
Told = Callable[[str, Attempt], None]
"""Hears of each attempt as it begins, with the id of its message."""


class Agent:
    """One for the whole relay. `close` ends the connections it kept."""

    def __init__(
        self,
        config: Config,
        data: Path,
        tls: ClientTls,
        *,
        limits: Limits = LIMITS,
        told: Told = lambda *_: None,
    ) -> None:
        self._config, self._data, self._tls = config, data, tls
        self.own = Own()
        """What is ourselves; set once the ports are known."""
        self._limits, self._told = limits, told
        self._resolver = Resolver(config.resolver)
        self._asked, self._started = 0.0, _now()
        self._idle: dict[tuple[MailHost, TlsPolicy], list[Hop]] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._closing = False

    def is_local(self, domain: str) -> bool:
        """Whether mail for `domain` is delivered here."""
        return self._config.is_local(domain)

    async def deliver(self, claim: Claim) -> tuple[Attempt, ...]:
        """Try once."""
        config = self._config
        if config.is_local(claim.domain):
            if config.lmtp is None:
                return (await self._locally(claim),)
            store = Route(domain=claim.domain, hosts=(config.lmtp,), because=Because.LOCAL)
            return await self._along(store, claim, self._dial_store, TlsPolicy(level=TlsLevel.NONE))
        found = await self._route(claim.domain)
        if isinstance(found, NoRoute):
            return (_nowhere(claim, found),)
        towards = config.smarthost.host if config.smarthost else claim.domain
        return await self._along(found, claim, self._dial, config.policy_for(towards))

    async def _along(
        self, route: Route, claim: Claim, dial: Dial, policy: TlsPolicy
    ) -> tuple[Attempt, ...]:
        content = await _content(claim)
        if content is None:
            return (_unreadable(claim, route),)
        paths = tuple(claim.envelope.forward_paths[r.position] for r in claim.recipients)
        mail = Mail(envelope=claim.envelope, content=content, forward_paths=paths)
        told = partial(self._told, claim.envelope.message_id)
        return await walk(route, mail, dial=dial, policy=policy, told=told)

    # Here.

    async def _locally(self, claim: Claim) -> Attempt:
        began = _now()
        put = partial(self._put, claim)
        outcomes = await asyncio.to_thread(
            lambda: tuple(put(r.address, r.tries) for r in claim.recipients)
        )
        route = Route(domain=claim.domain, because=Because.LOCAL)
        return Attempt(route=route, started=began, ended=_now(), outcomes=outcomes)

    def _put(self, claim: Claim, address: str, tries: int) -> RecipientOutcome:
        mailbox = self._config.mailbox_of(address)
        if mailbox is None:
            gone = reply(550, "5.1.1 No such user here any more")
            return RecipientOutcome(address=address, outcome=Outcome.FAILED, reply=gone)
        envelope = claim.envelope
        return maildir.deliver(
            maildir_of(self._data, mailbox),
            claim.content,
            message_id=envelope.message_id,
            received=envelope.received,
            reverse_path=envelope.reverse_path,
            forward_path=address,
            again=tries > 0 or envelope.received < self._started,
        )

    # Elsewhere.

    async def _route(self, domain: str) -> Route | NoRoute:
        config = self._config
        smarthost = config.smarthost
        if smarthost:
            steps = routes.to_smarthost(domain, smarthost.host, smarthost.port)
        else:
            steps = routes.to_domain(
                domain, own=self.own, shuffle=random.shuffle, port=config.mx_port
            )
        try:
            questions = next(steps)
            while True:
                answers = await asyncio.gather(*map(self._ask, questions))
                questions = steps.send(tuple(answers))
        except StopIteration as end:
            found: Route | NoRoute = end.value
        if smarthost and isinstance(found, Route):
            hosts = (replace(host, security=smarthost.security) for host in found.hosts)
            return replace(found, hosts=tuple(hosts))
        return found

    async def _ask(self, question: Question) -> Lookup:
        now = asyncio.get_running_loop().time()
        if now - self._asked > FRESH:
            self._resolver, self._asked = Resolver(self._config.resolver), now
        if question.rdtype == "MX":
            return await self._resolver.lookup(question.name, "MX")
        return (await self._resolver.addresses(question.name, (question.rdtype,)))[0]

    # Connections.

    def _dial(self, host: MailHost, policy: TlsPolicy, fresh: bool) -> Hop:
        idle = self._idle.get((host, policy), [])
        while idle and not fresh:
            hop = idle.pop()
            if hop.usable:
                return hop
        login = self._config.smarthost.login if self._config.smarthost else None
        return Hop(self._dialogue(Dialogue, host), policy, login=login, keep=self._keep)

    def _dial_store(self, host: MailHost, policy: TlsPolicy, _: bool) -> Hop:
        return LmtpHop(self._dialogue(LmtpDialogue, host), policy)

    def _dialogue(self, kind: type[D], host: MailHost) -> D:
        return kind(
            host,
            limits=self._limits,
            clock=Clock(self._limits.run),
            tls=self._tls,
            gate=Gate(self._limits),
            ehlo=self._config.hostname,
            sni="" if is_literal(host.name) else host.name,
        )

    def _keep(self, hop: Hop) -> bool:
        """For another message; or ended aside, as nobody is to wait for the reply to QUIT."""
        if self._closing or not hop.usable:
            self._end(hop)
            return True
        self._idle.setdefault((hop.host, hop.policy), []).append(hop)
        asyncio.get_running_loop().call_later(IDLE, self._expire, hop, hop.transactions)
        return True

    def _expire(self, hop: Hop, transactions: int) -> None:
        idle = self._idle.get((hop.host, hop.policy), [])
        if hop in idle and hop.transactions == transactions:
            idle.remove(hop)
            if not idle:
                del self._idle[hop.host, hop.policy]
            self._end(hop)

    def _end(self, hop: Hop) -> None:
        task = asyncio.get_running_loop().create_task(hop.quit())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """End what is idle."""
        self._closing = True
        hops = [hop for kept in self._idle.values() for hop in kept]
        self._idle.clear()
        await asyncio.gather(*(hop.quit() for hop in hops), *self._ending)


def reached(attempts: tuple[Attempt, ...]) -> bool:
    """Whether some host answered for a recipient; else it is the destination that is ill."""
    return any(
        attempt.route.because is Because.LOCAL
        or any(o.outcome is not Outcome.DEFERRED or _said_at(o) for o in attempt.outcomes)
        for attempt in attempts
    )


def _said_at(outcome: RecipientOutcome) -> bool:
    stage = outcome.failure.stage if outcome.failure else Stage.RCPT
    return bool(outcome.reply) and stage in (Stage.MAIL, Stage.RCPT, Stage.DATA)


async def _content(claim: Claim) -> bytes | None:
    if isinstance(claim.content, bytes):
        return claim.content
    try:
        return await asyncio.to_thread(claim.content.read_bytes)
    except OSError:
        return None


def _nowhere(claim: Claim, found: NoRoute) -> Attempt:
    final = found.reply.permanent
    kind = Kind.REJECTED if final else Kind.TIMED_OUT
    failure = Failure(stage=Stage.RESOLVE, kind=kind, detail=found.reply.text)
    now = _now()
    return Attempt(
        route=Route(domain=claim.domain, because=found.because),
        started=now,
        ended=now,
        failure=failure,
        outcomes=tuple(
            RecipientOutcome(
                address=r.address,
                outcome=Outcome.FAILED if final else Outcome.DEFERRED,
                reply=found.reply,
                failure=failure,
            )
            for r in claim.recipients
        ),
    )


def _unreadable(claim: Claim, route: Route) -> Attempt:
    now = _now()
    failure = Failure(stage=Stage.DATA, kind=Kind.LOCAL, detail=UNREADABLE.text)
    outcomes = tuple(
        RecipientOutcome(
            address=r.address, outcome=Outcome.DEFERRED, reply=UNREADABLE, failure=failure
        )
        for r in claim.recipients
    )
    return Attempt(route=route, started=now, ended=now, outcomes=outcomes, failure=failure)


def _now() -> datetime:
    return datetime.now(UTC)
