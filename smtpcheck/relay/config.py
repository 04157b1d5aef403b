"""What a relay is told to be. Every field has a default, and the defaults are closed.

Law: values alone; reading them from a file or the command line is done elsewhere. A user or
mailbox exists here or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import quote

from smtpcheck.facts.host import MailHost, Security
from smtpcheck.relay.hop import Login, TlsPolicy
from smtpcheck.relay.listener import ListenerLimits
from smtpcheck.relay.queue import domain_of
from smtpcheck.relay.rates import RateLimits
from smtpcheck.relay.schedule import DAY, Schedule
from smtpcheck.relay.sqlite_queue import MIN_FREE

Network = IPv4Network | IPv6Network


class PortRole(StrEnum):
    """What a port of the relay is for."""

    MX = "mx"
    SUBMISSION = "submission"
    SUBMISSIONS = "submissions"
    POP3 = "pop3"
    POP3S = "pop3s"

    @property
    def mail(self) -> bool:
        """Whether SMTP is spoken there."""
        return self not in (PortRole.POP3, PortRole.POP3S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listen:
    """One port; 0 picks one."""

    address: str = "127.0.0.1"
    port: int = 0
    role: PortRole = PortRole.MX
    security: Security | None = None
    """Where unsaid, implicit TLS on submissions and pop3s, STARTTLS (STLS) on the others."""

    def __str__(self) -> str:
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{address}:{self.port}:{self.role}"


DEFAULT_LISTEN = (
    Listen(port=2525, role=PortRole.MX),
    Listen(port=5870, role=PortRole.SUBMISSION),
    Listen(port=4650, role=PortRole.SUBMISSIONS),
    Listen(port=1100, role=PortRole.POP3),
    Listen(port=9950, role=PortRole.POP3S),
)
"""On loopback, where no privilege is needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Smarthost:
    """Where all mail that isn't local goes."""

    host: str
    port: int = 587
    security: Security = Security.STARTTLS
    login: Login | None = None


@dataclass(frozen=True, kw_only=True)
class Config:
    """One relay. `data` None: a directory that ends with the process.

    `users` maps names to passwords. `certificate` and `key` are PEM files; without them a
    throwaway certificate is made. `trust` is a file of CAs for outgoing TLS.
    """

    hostname: str = "localhost"
    data: Path | None = None
    listen: tuple[Listen, ...] = DEFAULT_LISTEN
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    local_domains: frozenset[str] = frozenset()
    mailboxes: frozenset[str] = frozenset()
    catch_all: str = ""
    lmtp: MailHost | None = None
    """Who keeps the local mailboxes instead of our Maildirs; `address` may be a socket file."""
    networks: tuple[Network, ...] = ()
    smarthost: Smarthost | None = None
    resolver: str = ""
    mx_port: int = 25
    certificate: Path | None = None
    key: Path | None = None
    trust: Path | None = None
    tls: TlsPolicy = field(default_factory=TlsPolicy)
    tls_for: Mapping[str, TlsPolicy] = field(default_factory=dict)
    limits: ListenerLimits = field(default_factory=ListenerLimits)
    rates: RateLimits = field(default_factory=RateLimits)
    schedule: Schedule = field(default_factory=Schedule)
    concurrency: int = 20
    """Connections at once to one destination, at most."""
    connections: int = 200
    """Outgoing, at once, in all."""
    transcripts: bool = True
    keep: float = 7 * DAY
    """Seconds that finished messages and transcripts are remembered."""
    min_free: int = MIN_FREE
    auth_in_clear: bool = False

    @property
    def postmaster(self) -> str:
        """Who hears of what nobody else can be told."""
        return f"postmaster@{self.hostname}"

    def is_local(self, domain: str) -> bool:
        """Whether mail for `domain` ends here."""
        return not domain or domain == self.hostname or domain in self.local_domains

    def may_relay(self, address: str) -> bool:
        """Whether the client at `address` is one of ours."""
        return bool(self.networks) and self._ours(address)

    @cached_property
    def _ours(self) -> Callable[[str], bool]:
        return lru_cache(maxsize=1024)(partial(_within, self.networks))

    def policy_for(self, domain: str) -> TlsPolicy:
        """What TLS to `domain` must be like."""
        return self.tls_for.get(domain, self.tls)

    def mailbox_of(self, address: str) -> str | None:
        """The mailbox that mail for a local `address` goes to, or None: nobody of that name."""
        local, _, _ = address.rpartition("@")
        wanted = f"{local}@{domain_of(address)}".lower()
        if wanted in self._known:
            return wanted
        if (local or address).lower() == "postmaster":  # RFC 5321 §4.5.1: always there
            return self.postmaster
        return self.catch_all or None

    def mailbox_of_user(self, user: str) -> str | None:
        """Whose mail `user` may read."""
        if "@" in user:
            return user.lower() if user.lower() in self._known else None
        named = sorted(m for m in self._known if m.rpartition("@")[0] == user.lower())
        return named[0] if named else None

    @cached_property
    def _known(self) -> frozenset[str]:
        """Mailboxes as given, and one for each user in each local domain."""
        domains = self.local_domains or {self.hostname}
        of_users = {
            name.lower() if "@" in name else f"{name.lower()}@{domain}"
            for name in self.users
            for domain in domains
            if "@" not in name or self.is_local(domain_of(name))
        }
        return self.mailboxes | of_users | {self.postmaster}


def _within(networks: tuple[Network, ...], address: str) -> bool:
    client = ip_address(address.partition("%")[0])
    client = getattr(client, "ipv4_mapped", None) or client
    return any(client in network for network in networks)


def maildir(data: Path, mailbox: str) -> Path:
    """Where a mailbox is kept; no name leaves the directory or hides in it."""
    local, _, domain = mailbox.rpartition("@")
    return data / "mail" / _file_name(domain) / _file_name(local)


def _file_name(part: str) -> str:
    name = quote(part, safe="@+=")
    return "%2E" + name[1:] if name.startswith(".") else name
