"""One connection to a next host: opened as its TLS policy asks, used for many messages.

Law: a password is never sent in clear, and no mail where the TLS policy objects. What the
peer does ends in an outcome, never in an exception.
"""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Protocol

from smtpcheck.facts.delivery import Outcome, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.facts.smtp import Ehlo
from smtpcheck.facts.tls import TlsSession
from smtpcheck.facts.transcript import Transcript
from smtpcheck.net.client import Dialogue
from smtpcheck.net.failures import Stop
from smtpcheck.policy.names import names_host
from smtpcheck.relay.downgrade import Mail, fitted
from smtpcheck.relay.transaction import END_OF_DATA, Transacted, Transaction, refused
from smtpcheck.wire.reply import Reply, reply

MAX_TRANSACTIONS = 100
"""On one connection; then a new one spreads the load anew."""


class TlsLevel(StrEnum):
    """How much TLS a destination must have."""

    NONE = "none"
    OPPORTUNISTIC = "opportunistic"
    REQUIRED = "required"
    VERIFIED = "verified"


Objection = Callable[[MailHost, TlsSession], str]
"""Why a finished handshake is not good enough, or "": the seam for DANE and MTA-STS."""


def unverified(host: MailHost, session: TlsSession) -> str:
    """The plain policy: a chain without fault that names the host."""
    if session.errors:
        return session.errors[0].message
    leaf = session.chain[0] if session.chain else None
    if leaf is None or not names_host(host.name, leaf.names, leaf.addresses):
        return f"the certificate does not name {host.name}"
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPolicy:
    """What is asked of TLS to a destination; `objection` counts from VERIFIED on."""

    level: TlsLevel = TlsLevel.OPPORTUNISTIC
    objection: Objection = unverified

    @property
    def required(self) -> bool:
        """Whether mail waits rather than goes in clear."""
        return self.level in (TlsLevel.REQUIRED, TlsLevel.VERIFIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """For a smart host."""

    user: str
    password: str = field(repr=False)


class NextHop(Protocol):
    """What the walk asks of a connection."""

    @property
    def reused(self) -> bool:
        """Whether it has served a transaction before."""

    @property
    def tls(self) -> str:
        """Version and cipher, "" in clear."""

    async def open(self) -> RecipientOutcome | None:
        """Up to EHLO and TLS. None when mail may be sent, else the outcome for everybody."""

    async def transact(self, mail: Mail) -> Transacted:
        """One transaction; never raises for what the peer does."""

    def transcript(self) -> Transcript | None:
        """What was said since the last one was taken."""

    async def release(self) -> None:
        """Not needed any more: keep it for another, or end it."""

    async def abandon(self) -> None:
        """Cut it at once."""


class Hop:
    """A NextHop over a Dialogue."""

    def __init__(
        self,
        dialogue: Dialogue,
        policy: TlsPolicy,
        *,
        login: Login | None = None,
        keep: Callable[["Hop"], bool] = lambda _: False,
        end_of_data: float = END_OF_DATA,
    ) -> None:
        self.host = dialogue.host
        self.policy = policy
        self.tls = ""
        self.offers: frozenset[str] = frozenset()
        self.size_limit = 0
        self._dialogue, self._login, self._keep = dialogue, login, keep
        self._end_of_data = end_of_data
        self.transactions = 0
        self._unfinished = False
        self._told = 0
        self._over = False

    @property
    def reused(self) -> bool:
        """Whether it has served a transaction before."""
        return self.transactions > 0

    @property
    def usable(self) -> bool:
        """Whether another transaction may be tried."""
        return not self._over and self.transactions < MAX_TRANSACTIONS

    async def open(self) -> RecipientOutcome | None:
        """Up to EHLO and TLS. None when mail may be sent, else the outcome for everybody."""
        if self.reused:
            return None
        try:
            await self._open()
        except Stop as stop:
            await self._end(stop)
            return RecipientOutcome(
                address="",
                outcome=Outcome.DEFERRED,
                reply=self._refusal(stop.failure),
                failure=stop.failure,
                host=self.host.name,
            )
        return None

    async def _open(self) -> None:
        dialogue, security = self._dialogue, self.host.security
        await dialogue.connect()
        if security is Security.IMPLICIT:
            await self._shake_hands()
        await dialogue.greeting()
        self._heed(await dialogue.ehlo())
        wanted = self.policy.level is not TlsLevel.NONE and security is Security.STARTTLS
        if wanted and "STARTTLS" in self.offers:
            await dialogue.starttls()
            if dialogue.step().after_starttls:
                raise dialogue.stop(Kind.TLS_FAILED, "octets glued to the 220 of STARTTLS")
            await self._shake_hands()
            self._heed(await dialogue.ehlo())
        if self.policy.required and not self.tls:
            raise dialogue.stop(Kind.TLS_FAILED, "the policy asks for TLS, none is offered")
        if self._login:
            await self._log_in(self._login)

    async def _shake_hands(self) -> None:
        await self._dialogue.start_tls()
        session = self._dialogue.step().tls
        assert session is not None
        self.tls = f"{session.version} {session.cipher}"
        # A password goes to nobody who can't show that he is who it is for.
        verified = self.policy.level is TlsLevel.VERIFIED or self._login is not None
        if verified and (objection := self.policy.objection(self.host, session)):
            raise self._dialogue.stop(Kind.TLS_FAILED, objection, Stage.TLS)

    def _heed(self, ehlo: Ehlo) -> None:
        if ehlo.verb == "LHLO":
            raise self._dialogue.stop(Kind.REJECTED, "speaks LMTP", Stage.EHLO)
        self.offers = frozenset(extension.keyword for extension in ehlo.extensions)
        sizes = ehlo.parameters("SIZE")
        self.size_limit = int(sizes[0]) if sizes and sizes[0].isdecimal() else 0

    async def _log_in(self, login: Login) -> None:
        if not self.tls:
            raise self._dialogue.stop(Kind.LOCAL, "no password in clear", Stage.AUTH)
        secret = b64encode(f"\0{login.user}\0{login.password}".encode()).decode("ascii")
        shown = f"AUTH PLAIN ‹{len(secret)} bytes›"
        said = await self._dialogue.command(f"AUTH PLAIN {secret}", secret=True, shown=shown)
        if not said.reply.positive:
            raise self._dialogue.stop(Kind.REJECTED, str(said.reply), Stage.AUTH)

    def _refusal(self, failure: Failure) -> Reply | None:
        """The reply behind a failure of the opening, where one came."""
        step = self._dialogue.step()
        if failure.stage is Stage.GREETING and step.greeting:
            return step.greeting.reply
        ehlo = step.ehlo_tls or step.ehlo
        if failure.stage is Stage.EHLO and ehlo:
            return ehlo.exchange.reply
        if failure.stage is Stage.STARTTLS and step.starttls and not step.starttls.reply.positive:
            return step.starttls.reply
        return None

    async def transact(self, mail: Mail) -> Transacted:
        """One transaction; never raises for what the peer does."""
        fit = fitted(mail, self.offers)
        if isinstance(fit, Mail) and 0 < self.size_limit < len(fit.content):
            fit = reply(552, f"5.3.4 The next host takes no more than {self.size_limit} octets")
        if isinstance(fit, Reply):
            return refused(mail, fit)
        self.transactions += 1
        transaction = Transaction(self._dialogue, self.offers, fit, self._end_of_data)
        done = await transaction.run(reset=self._unfinished)
        self._unfinished = transaction.unfinished
        if transaction.stop:
            await self._end(transaction.stop)
        return done

    def transcript(self) -> Transcript | None:
        """What was said since the last one was taken."""
        whole = self._dialogue.step().transcript
        if whole is None:
            return None
        events, self._told = whole.events[self._told :], len(whole.events)
        return replace(whole, events=events)

    async def release(self) -> None:
        """Kept for another message, or ended; `keep` may see to either."""
        if not self._keep(self):
            await self.quit()

    async def abandon(self) -> None:
        """Cut it at once."""
        await self._end(Stop(Failure(stage=Stage.QUIT, kind=Kind.LOCAL, detail="broken off")))

    async def quit(self) -> None:
        """A polite end."""
        if not self._over:
            await self._dialogue.quit()
            await self._end(None)

    async def _end(self, stop: Stop | None) -> None:
        if not self._over:
            self._over = True
            await self._dialogue.__aexit__(type(stop) if stop else None, stop, None)
