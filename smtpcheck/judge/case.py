"""What a rule is shown: one port of one address, with all that was seen there.

Law: nothing here judges; an accessor gives the fact, or None where it was not seen, and
`why_not` says in words what stood in the way.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from ipaddress import ip_address

from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.facts.host import MailHost, Role, Security
from smtpcheck.facts.observation import Observation
from smtpcheck.facts.smtp import Ehlo, Exchange
from smtpcheck.facts.step import Probe, Step
from smtpcheck.facts.tls import Certificate, Offer, TlsSession, Version
from smtpcheck.judge.report import Evidence, Subject
from smtpcheck.judge.words import shown, told

SILENT = frozenset({Kind.TIMED_OUT, Kind.UNREACHABLE})
"""A firewall that drops and one that answers with ICMP are one thing to a client."""

_CUT = frozenset({Kind.CLOSED, Kind.RESET})


@dataclass(frozen=True, kw_only=True)
class Case:
    """One address and port. `steps` are its connections with their index in the observation;
    `dialogues` and `controls` are those of the whole run, for what only shows by comparison.
    """

    observation: Observation
    host: MailHost
    steps: tuple[tuple[int, Step], ...]
    dialogues: tuple[Step, ...]
    controls: tuple[Step, ...]

    @property
    def now(self) -> datetime:
        """The time of the run, which is the only clock there is."""
        return self.observation.started

    @property
    def over(self) -> datetime:
        """When the dialogue had ended; Exim without a certificate makes one for each."""
        step = self.dialogue
        try:
            return self.now + timedelta(seconds=step.began + step.took if step else 0)
        except (OverflowError, ValueError):  # a file may say anything
            return self.now

    @property
    def role(self) -> Role:
        """Who uses this port."""
        return self.host.role

    @property
    def implicit(self) -> bool:
        """Whether TLS is expected from the first octet."""
        return self.host.security is Security.IMPLICIT

    @property
    def by_starttls(self) -> bool:
        """Whether TLS is expected after STARTTLS."""
        return self.host.security is Security.STARTTLS

    @property
    def encrypted(self) -> bool:
        """Whether TLS is expected at all."""
        return self.host.security is not Security.NONE

    @property
    def subject(self) -> Subject:
        """What findings about this port are about."""
        host = self.host
        return Subject(host=host.name, address=host.address, port=host.port, role=host.role.value)

    @cached_property
    def dialogue(self) -> Step | None:
        """The connection that went the whole way, or tried to."""
        return self._first(Probe.DIALOGUE)

    @cached_property
    def cleartext(self) -> Step | None:
        """The connection that tried MAIL without TLS."""
        return self._first(Probe.CLEARTEXT)

    @cached_property
    def tls_first(self) -> Step | None:
        """The ClientHello on a silent cleartext port."""
        return self._first(Probe.TLS_FIRST)

    @cached_property
    def versions(self) -> tuple[Step, ...]:
        """The connections that offered one TLS version each."""
        return tuple(step for _, step in self.steps if step.probe is Probe.VERSION)

    @property
    def failure(self) -> Failure | None:
        """Where the dialogue stopped short."""
        return self.dialogue.failure if self.dialogue else None

    @property
    def connected(self) -> bool:
        """Whether the TCP connection of the dialogue stood."""
        return self.dialogue is not None and connected(self.dialogue)

    @property
    def greeting(self) -> Exchange | None:
        """The greeting, inside TLS where TLS comes first."""
        return self.dialogue.greeting if self.dialogue else None

    @property
    def welcome(self) -> Exchange | None:
        """The greeting if it was a positive one."""
        return self.greeting if self.greeting and self.greeting.reply.positive else None

    @property
    def ehlo(self) -> Ehlo | None:
        """What was offered before TLS, if EHLO or HELO was accepted there."""
        said = self.dialogue.ehlo if self.dialogue and not self.implicit else None
        return said if said and said.exchange.reply.positive else None

    @property
    def ehlo_tls(self) -> Ehlo | None:
        """What was offered inside TLS, if EHLO or HELO was accepted there."""
        if self.dialogue is None:
            return None
        said = self.dialogue.ehlo_tls or (self.dialogue.ehlo if self.implicit else None)
        return said if said and said.exchange.reply.positive else None

    @property
    def refusals(self) -> tuple[Exchange, ...]:
        """EHLO, HELO and LHLO that were turned down, before TLS and inside it."""
        step = self.dialogue
        hellos = [hello for hello in (step.ehlo, step.ehlo_tls) if hello] if step else []
        return tuple(refusal for hello in hellos for refusal in hello.refused)

    @property
    def hello(self) -> Ehlo | None:
        """What counts for a client that uses TLS where it can."""
        return self.ehlo_tls or self.ehlo

    @property
    def extensions(self) -> Ehlo | None:
        """`hello`, if it was EHLO that was answered: only then is there a list."""
        hello = self.hello
        return hello if hello and hello.verb == "EHLO" else None

    @property
    def hellos(self) -> tuple[Ehlo, ...]:
        """Before and inside TLS, as far as they were seen."""
        return tuple(hello for hello in (self.ehlo, self.ehlo_tls) if hello)

    @property
    def tls(self) -> TlsSession | None:
        """The TLS session of the dialogue."""
        return self.dialogue.tls if self.dialogue else None

    @property
    def chain(self) -> tuple[Certificate, ...]:
        """The certificates as presented, the server's own first."""
        return self.tls.chain if self.tls else ()

    @property
    def leaf(self) -> Certificate | None:
        """The server's own certificate."""
        return self.chain[0] if self.chain else None

    @property
    def cleartext_mail(self) -> Exchange | None:
        """The answer to MAIL without TLS."""
        return self.cleartext.mail if self.cleartext else None

    @cached_property
    def offers(self) -> dict[Version, Offer]:
        """What became of each TLS version; one that was negotiated counts as accepted.

        A connection that ends at the ClientHello is a refusal without words, unless the version
        that is known to be accepted met with the same: then we had come once too often.
        """
        offers: dict[Version, Offer] = {}
        for step in self.versions:
            if step.version and offers.get(step.version.version) is not Offer.ACCEPTED:
                undecided = self._banned and _torn(step)
                offer = Offer.UNDECIDED if undecided else step.version.offer
                offers[step.version.version] = offer
        negotiated = [each for each in Version if self.tls and each.value == self.tls.version]
        offers.update(dict.fromkeys(negotiated, Offer.ACCEPTED))
        return offers

    @cached_property
    def turned_away(self) -> tuple[Step, ...]:
        """Connections that came to nothing where another one with this port had come through."""
        if not self.welcome:
            return ()
        others = [s for _, s in self.steps if s.probe in (Probe.VERSION, Probe.CLEARTEXT)]
        passed = {Stage.CONNECT, Stage.GREETING}
        passed |= {Stage.EHLO, Stage.STARTTLS} if self.tls else set()
        return tuple(s for s in others if _shut_out(s, passed) or (self._banned and _torn(s)))

    @property
    def _banned(self) -> bool:
        """Whether the very version that the dialogue got was cut off when asked for again."""
        known = self.tls.version if self.tls else ""
        return any(_torn(step) and _asked(step) == known for step in self.versions)

    @property
    def unreachable(self) -> bool:
        """Whether nothing at all came back on connecting."""
        return self.dialogue is not None and silent(self.dialogue)

    @property
    def refused(self) -> bool:
        """Whether the connection was refused."""
        return self.dialogue is not None and refused(self.dialogue)

    @property
    def alike(self) -> tuple[Step, ...]:
        """Dialogues with other ports and addresses of the same host."""
        mine = (self.host.address, self.host.port)
        return tuple(
            step
            for step in self.dialogues
            if step.host.name == self.host.name and (step.host.address, step.host.port) != mine
        )

    def evidence(self, step: Step | None, event: int = -1, excerpt: str = "") -> tuple[Evidence]:
        """Where it can be seen."""
        index = next((index for index, other in self.steps if other is step), -1)
        return (Evidence(step=index, event=event, excerpt=excerpt),)

    def quote(self, exchange: Exchange, excerpt: str = "") -> tuple[Evidence]:
        """An exchange of this port, in the server's words unless `excerpt` narrows them."""
        index = next((index for index, step in self.steps if _holds(step, exchange)), -1)
        words = excerpt or str(exchange.reply)
        return (Evidence(step=index, event=exchange.event, excerpt=words),)

    def why_not(self, need: str) -> str:
        """In words, why `need` (the name of an accessor) was not seen."""
        step = self._way_to(need)
        if step is None:
            return "it was not tried"
        if self._greeting_of(step):
            return f"the server greets with {self._greeting_of(step)}"
        if step.failure:
            return told(step.failure)
        if need in ("tls", "leaf", "ehlo_tls", "offers") and self.by_starttls:
            return self._why_no_starttls(step)
        return "it was not seen"

    def _why_no_starttls(self, step: Step) -> str:
        if step.starttls and not step.starttls.reply.positive:
            return f"STARTTLS is answered with {shown(str(step.starttls.reply))}"
        if step.ehlo and not step.ehlo.offers("STARTTLS"):
            return "STARTTLS is not offered"
        return "no certificate was presented" if step.tls else "no TLS session came up"

    def _way_to(self, need: str) -> Step | None:
        if need == "cleartext_mail":
            return self.cleartext
        if need == "offers" and self.tls:
            return next((step for step in self.versions if step.failure), None)
        return self.dialogue

    @staticmethod
    def _greeting_of(step: Step) -> str:
        turned_away = step.greeting and not step.greeting.reply.positive
        return shown(str(step.greeting.reply)) if step.greeting and turned_away else ""

    def _first(self, probe: Probe) -> Step | None:
        return next((step for _, step in self.steps if step.probe is probe), None)


def _asked(step: Step) -> str:
    """The version that a version probe asked for."""
    return step.version.version.value if step.version else ""


def _torn(step: Step) -> bool:
    """Cut off in answer to a ClientHello."""
    failure = step.failure
    return bool(failure and failure.stage is Stage.TLS and failure.kind in _CUT)


def _shut_out(step: Step, passed: set[Stage]) -> bool:
    """Refused, banned or cut off at a stage that the dialogue had `passed`."""
    failure = step.failure
    before = failure and failure.stage in passed
    turned_away = _CUT | SILENT | {Kind.REFUSED, Kind.REJECTED}
    return bool(failure and before and failure.kind in turned_away)


def connected(step: Step) -> bool:
    """Whether the TCP connection stood."""
    return step.connected is not None or step.greeting is not None


def silent(step: Step) -> bool:
    """Whether nothing came back on connecting, as behind a firewall."""
    failure = step.failure
    return bool(failure and failure.stage is Stage.CONNECT and failure.kind in SILENT)


def refused(step: Step) -> bool:
    """Whether the connection was refused."""
    failure = step.failure
    return bool(
        failure and failure.stage is Stage.CONNECT and failure.kind in (Kind.REFUSED, Kind.RESET)
    )


def family(address: str) -> int:
    """4 or 6, or 0 for what is no address."""
    try:
        return ip_address(address.partition("%")[0]).version
    except ValueError:
        return 0


def _holds(step: Step, exchange: Exchange) -> bool:
    hellos = [hello for hello in (step.ehlo, step.ehlo_tls) if hello]
    answered = [hello.exchange for hello in hellos]
    turned_down = [refusal for hello in hellos for refusal in hello.refused]
    others = (step.greeting, step.starttls, step.mail)
    return any(other is exchange for other in (*others, *answered, *turned_down))
