"""Postfix and Exim as previous and as next hop of our relay, with whims by address and domain.

Both take mail for INBOX and keep it, and know where HOME and loop.test are: at our relay, to be
reached in verified TLS alone. They report delays after a second.
"""

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from smtpcheck.relay.throwaway import Identity, ThrowawayCA
from tests.real.exim import Exim, exim
from tests.real.ours import HOME, HOSTNAME
from tests.real.postfix import INBOX, Postfix, postfix
from tests.real.rig import NAME, Listener, loopback, open_directory

OURS = loopback(300)
DOWN = loopback(301)
"""Nobody is there."""
MAIN = {"postfix": loopback(302), "exim": loopback(303)}
PLAIN = {"postfix": loopback(304), "exim": loopback(305)}
"""No STARTTLS, DSN or CHUNKING."""
SEVEN_BIT, SMALL = loopback(306), loopback(307)
"""Of Postfix: neither 8BITMIME nor SMTPUTF8, and STARTTLS offered in vain; no more than 20,000
octets and two recipients."""

TAKER, OTHER = f"taker@{INBOX}", f"other@{INBOX}"
REFUSED, LATER = f"refused@{INBOX}", f"later@{INBOX}"
GONE, SLOW = "user@gone.test", "user@slow.test"
"""Taken by the hop, and then given back at once, or kept."""
DOMAINS = (INBOX, "gone.test", "slow.test", "loop.test")


def at(*addresses: str) -> dict[tuple[str, str], list[str]]:
    """A world in which these addresses, best first, are the mail hosts of all domains."""
    names = [NAME, *(f"{n}.{NAME}" for n in range(1, len(addresses)))]
    exchangers = [f"{10 * n + 10} {name}." for n, name in enumerate(names)]
    return {
        **{(domain, "MX"): exchangers for domain in DOMAINS},
        **{(name, "A"): [address] for name, address in zip(names, addresses, strict=True)},
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One of the two, as next and as previous hop."""

    name: str
    server: Postfix | Exim

    def next_mail(self) -> bytes:
        """The oldest message in its inbox, taken out of it, in the line ends of the wire."""
        path = self.server.next_mail(20)
        content = path.read_bytes()
        path.unlink()
        assert b"\r" not in content
        return content.replace(b"\n", b"\r\n")

    @property
    def saw_chunks(self) -> bool:
        """Whether a message came to it by BDAT; Postfix says so when the connection has ended."""
        return any(word in self.server.log for word in (" bdat=", " K S="))

    def client(self) -> smtplib.SMTP:
        """A connection to it."""
        return smtplib.SMTP(MAIN[self.name], 25, timeout=20)


@contextmanager
def raised(name: str, ca: ThrowawayCA) -> Iterator[Hop]:
    """The one of that name."""
    with open_directory() as directory:
        rig = _postfix if name == "postfix" else _exim
        with rig(ca.issue([NAME]), ca.write(directory)) as server:
            yield Hop(name=name, server=server)


@contextmanager
def _postfix(healthy: Identity, ca_file: Path) -> Iterator[Postfix]:
    home = f"smtp:[{OURS}]:25"
    access = f"{{{REFUSED} = 550 5.1.1 no such user}} {{{LATER} = 450 4.2.0 come again}}"
    access += f" {{greylisted@{INBOX} = 450 4.2.0 come again}}"
    settings = {
        "relay_domains": f"{HOME} loop.test gone.test slow.test",
        "transport_maps": f"inline:{{ {{{HOME} = {home}}} {{loop.test = {home}}}"
        " {gone.test = error:5.1.1 gone away} {slow.test = retry:4.3.0 later perhaps} }",
        "smtp_tls_security_level": "secure",
        "smtp_tls_secure_cert_match": HOSTNAME,
        "smtp_tls_CAfile": str(ca_file),
        "smtp_line_length_limit": "0",
        "smtpd_recipient_restrictions": f"check_recipient_access inline:{{ {access} }}",
        "delay_warning_time": "1s",
        "smtpd_reject_unlisted_recipient": "no",  # which would refuse gone.test at once
        "minimal_backoff_time": "1s",
        "maximal_backoff_time": "1s",
        "queue_run_delay": "1s",
    }
    plain = {"smtpd_discard_ehlo_keywords": "starttls, dsn, chunking"}
    seven = {"smtpd_discard_ehlo_keywords": "8bitmime, smtputf8, chunking"}
    small = {"message_size_limit": "20000", "smtpd_recipient_overshoot_limit": "1"}
    small |= {"smtpd_recipient_limit": "2"}
    with postfix(
        Listener(address=MAIN["postfix"], port=25, identity=healthy),
        Listener(address=PLAIN["postfix"], port=25, settings=plain),
        Listener(address=SEVEN_BIT, port=25, settings=seven),
        Listener(address=SMALL, port=25, identity=healthy, settings=small),
        settings=settings,
    ) as server:
        yield server


@contextmanager
def _exim(healthy: Identity, ca_file: Path) -> Iterator[Exim]:
    routers = f"""\
gone:
  driver = redirect
  domains = gone.test
  allow_fail
  data = :fail: gone away
slow:
  driver = redirect
  domains = slow.test
  allow_defer
  data = :defer: later perhaps
home:
  driver = manualroute
  domains = {HOME} : loop.test
  route_data = {OURS}
  self = send
  transport = home
"""
    transports = f"""\
home:
  driver = smtp
  hosts_require_tls = *
  tls_verify_certificates = {ca_file}
  tls_verify_hosts = *
  message_linelength_limit = 1000000
"""
    rcpt = f"""\
  deny recipients = {REFUSED}
    message = 550 5.1.1 no such user
  defer recipients = {LATER}
    message = 450 4.2.0 come again
"""
    plain = {
        "tls_advertise_hosts": "",
        "dsn_advertise_hosts": "",
        "chunking_advertise_hosts": "",
    }
    with exim(
        Listener(address=MAIN["exim"], port=25, identity=healthy),
        Listener(address=PLAIN["exim"], port=25, settings=plain),
        settings={"delay_warning": "1s"},
        relay_domains=(HOME, "loop.test", "gone.test", "slow.test"),
        rcpt=rcpt,
        routers=routers,
        transports=transports,
    ) as server:
        yield server
