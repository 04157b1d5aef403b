"""What the dialogues of one run share: budget, trust store, resolver and our own name."""

from smtpcheck.facts.host import MailHost
from smtpcheck.facts.step import Probe
from smtpcheck.limits import Limits
from smtpcheck.net.budget import Clock, Gate
from smtpcheck.net.client import Dialogue
from smtpcheck.net.resolver import Resolver
from smtpcheck.net.tls import ClientTls
from smtpcheck.wire.endpoint import is_literal


class Network:
    """Makes dialogues. To be made inside a running event loop."""

    def __init__(
        self,
        *,
        limits: Limits,
        tls: ClientTls,
        resolver: Resolver,
        ehlo: str = "",
        sni: str = "",
        source: str = "",
    ) -> None:
        self.limits, self.tls, self.resolver = limits, tls, resolver
        self.ehlo, self.source = ehlo, source
        self.sni = sni
        self.clock = Clock(limits.run)
        self.gate = Gate(limits)

    def server_name(self, host: MailHost) -> str:
        """What to send as SNI to `host`: a name, never an address (RFC 6066 §3)."""
        name = self.sni or host.name
        return "" if is_literal(name) else name

    def dialogue(
        self, host: MailHost, probe: Probe = Probe.DIALOGUE, *, turn: bool = True
    ) -> Dialogue:
        """A dialogue with `host`, not connected yet; without `turn` it takes another's."""
        return Dialogue(
            host,
            probe=probe,
            limits=self.limits,
            clock=self.clock,
            gate=self.gate,
            tls=self.tls,
            ehlo=self.ehlo,
            sni=self.server_name(host),
            source=self.source,
            turn=turn,
        )
