"""Closed by default: no stranger gets mail through us, whatever the address looks like.

The next hop is real and would take anything; that a user of ours reaches it shows that it could
be reached. nmap must find the relay that is open, and nothing here.
"""

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import need
from tests.real.exim import Exim, exim
from tests.real.ours import ALICE, BOB, HOME, HOSTNAME, relay
from tests.real.rig import NAME, Listener, loopback

pytestmark = pytest.mark.real

OURS, OPEN = loopback(340), loopback(341)
AWAY = "inbox.test"

TRICKS = [
    f"user@{AWAY}",
    f"USER@{AWAY.upper()}",
    f"user%{AWAY}@{HOME}",
    f"user%{AWAY}@{HOSTNAME}",
    f"user%{AWAY}@[{OURS}]",
    f"user%{AWAY}@localhost",
    f"user%{AWAY}",
    f'"user%{AWAY}"@{HOME}',
    f'"user@{AWAY}"@{HOME}',
    f'"user@{AWAY}"',
    f'"user@{AWAY}"@[{OURS}]',
    f"user@{AWAY}@{HOME}",
    f"user@{AWAY}@[{OURS}]",
    f"@{HOME}:user@{AWAY}",
    f"@[{OURS}]:user@{AWAY}",
    f"@{HOME},@{AWAY}:user@{AWAY}",
    f"{AWAY}!user",
    f"{AWAY}!user@{HOME}",
    f"{AWAY}!user@[{OURS}]",
    f"{HOME}!{AWAY}!user",
    f"user@{AWAY}.",
    f"user@{AWAY}%{HOME}",
    f"user@{HOME}.{AWAY}",
    f"user@sub.{HOME}",
    f"user@[{OPEN}]",
    f'"alice@{HOME}"@{AWAY}',
    f'"{ALICE} "@{AWAY}',
    f"postmaster@{AWAY}",
    f"user@{AWAY}\x00@{HOME}",
    f"user@{AWAY}>@{HOME}",
    f"{BOB}> ORCPT=rfc822;user@{AWAY}\r\nRCPT TO:<user@{AWAY}",
]
SENDERS = ["", ALICE, f"postmaster@{HOME}", f"postmaster@[{OURS}]", "root", "x@elsewhere.test"]


@pytest.fixture
def hop() -> Iterator[Exim]:
    """An open relay, which would take anything."""
    rcpt = "  accept\n"
    with exim(Listener(address=OPEN, port=25), rcpt=rcpt) as server:
        yield server


ZONE = {
    (AWAY, "MX"): [f"10 {NAME}."],
    (f"{HOME}.{AWAY}", "MX"): [f"10 {NAME}."],
    (f"sub.{HOME}", "MX"): [f"10 {NAME}."],
    (NAME, "A"): [OPEN],
}


@pytest.mark.parametrize("catch_all", [False, True], ids=["", "with a catch-all"])
def test_no_address_leads_out(catch_all: bool, hop: Exim, ca: ThrowawayCA, tmp_path: Path) -> None:
    """Each is refused for good, or ends in a mailbox here; alice gets out when she logs in."""
    local = {"domains": [HOME], **({"catch-all": BOB} if catch_all else {})}
    with relay(OURS, tmp_path, ca, zone=ZONE, local=local) as ours:
        for sender in SENDERS:
            for recipient in TRICKS:
                code = offered(sender, recipient)
                assert code // 100 == 5 or (catch_all and code == 250), (sender, recipient, code)
        for entry in ours.queue():
            ended = ours.ended(entry["id"])
            assert {each["route"]["because"] for each in ended["attempts"]} == {"local"}
        assert bool(ours.queue()) == catch_all
        assert " <= " not in hop.log
        ours.submit(b"Subject: out\r\n\r\n", f"user@{AWAY}")
        assert b"Subject: out" in hop.next_mail().read_bytes()


def offered(sender: str, recipient: str) -> int:
    """The first refusal that a message for `recipient` meets, or the last reply."""
    commands = [
        b"EHLO stranger.test\r\n",
        f"MAIL FROM:<{sender}>\r\n".encode(),
        f"RCPT TO:<{recipient}>\r\n".encode(),
        b"DATA\r\n",
        b"Subject: out\r\n\r\n.\r\n",
    ]
    with socket.create_connection((OURS, 25), timeout=10) as stream, stream.makefile("rb") as said:
        code = reply(said)
        for command in commands:
            stream.sendall(command)
            code = reply(said)
            if code >= 400:
                return code
    return code


def reply(said: Iterator[bytes]) -> int:
    """The code of the next reply."""
    line = next(line for line in said if line[3:4] == b" ")
    return int(line[:3])


@pytest.mark.usefixtures("hop")
def test_nmap_finds_the_open_relay_and_not_ours(ca: ThrowawayCA, tmp_path: Path) -> None:
    command = [need("nmap"), "-n", "-Pn", "-p", "25", "--script", "smtp-open-relay"]

    def scan(address: str) -> str:
        done = subprocess.run(
            [*command, address], capture_output=True, text=True, timeout=120, check=True
        )
        return done.stdout

    with relay(OURS, tmp_path, ca, zone=ZONE) as ours, ThreadPoolExecutor() as both:
        mine, open_ = both.map(scan, (OURS, OPEN))
        assert "all tests failed" in mine, mine
        assert "Server is an open relay" in open_, open_
        assert ours.queue() == []
