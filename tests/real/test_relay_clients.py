"""The clients that people use, against our whole relay: what they send is picked up over POP3.

On 587 with STARTTLS and on 465, both with a login; on 25 without. Whoever has no business with
us is refused, and the client sees it.
"""

import poplib
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import need
from tests.real.clients import CLIENTS, Order, Refused
from tests.real.ours import HOME, Relay, relay
from tests.real.rig import loopback
from tests.real.traps import mail

pytestmark = pytest.mark.real

OURS = loopback(320)
PASSWORD = "s3cret with blanks"
BODY = (
    b".\r\n..\r\n.dot\r\n\r\n" + b"long " * 150 + b"\r\n" + "\u00e4\u0436".encode() + b"\r\nend\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A port and what is done there. Who logs in is told by the mechanism."""

    port: int
    mechanism: str = ""
    protocol: str = "ESMTPSA"


WAYS = {
    "587": Way(port=587, mechanism="PLAIN"),
    "465": Way(port=465, mechanism="LOGIN"),
    "25": Way(port=25, protocol="ESMTPS"),
}


def user(client: str, way: str) -> str:
    """Each test has a mailbox of its own."""
    return f"{client.replace(':', '')}-{way}@{HOME}".lower()


@pytest.fixture(scope="module")
def ours(ca: ThrowawayCA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relay]:
    """One for all; it doesn't tire of wrong passwords."""
    users = {user(client, way): PASSWORD for client in CLIENTS for way in WAYS}
    directory = tmp_path_factory.mktemp("relay")
    with relay(OURS, directory, ca, users=users, rates={"failed-logins": 0}) as serving:
        yield serving


def order(ours: Relay, client: str, way: str, directory: Path) -> Order:
    """To themselves."""
    address = user(client, way)
    return Order(
        address=OURS,
        port=WAYS[way].port,
        implicit=way == "465",
        mechanism=WAYS[way].mechanism,
        user=address,
        password=PASSWORD,
        sender=address,
        recipient=address,
        message=mail(f"{client} by {way}", BODY),
        ca=ours.ca_file,
        directory=directory,
    )


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("client", CLIENTS)
def test_what_is_sent_is_picked_up(client: str, way: str, ours: Relay, tmp_path: Path) -> None:
    told = order(ours, client, way, tmp_path)
    CLIENTS[client](told)
    (entry,) = (each for each in ours.queue() if each["from"] == told.sender)
    assert ours.ended(entry["id"])["recipients"][0]["state"] == "delivered"
    (stored,) = (by_curl if way == "587" else by_poplib)(told)
    assert stored.endswith(b"\r\n" + told.message)
    trace = stored.removesuffix(told.message)
    assert f"with {WAYS[way].protocol} id".encode() in trace
    assert trace.startswith(f"Return-Path: <{told.sender}>\r\n".encode())


def by_poplib(told: Order) -> list[bytes]:
    """All messages, with STLS, deleted there."""
    client = poplib.POP3(told.address, 110, timeout=10)
    try:
        client.stls(ssl.create_default_context(cafile=str(told.ca)))
        client.user(told.user)
        client.pass_(told.password)
        count, _ = client.stat()
        got = [client.retr(number + 1)[1] for number in range(count)]
        for number in range(count):
            client.dele(number + 1)
    finally:
        client.quit()
    return [b"".join(line + b"\r\n" for line in lines) for lines in got]


def by_curl(told: Order) -> list[bytes]:
    """The first message, over implicit TLS."""
    login = f"{told.user}:{told.password}"
    command = [need("curl"), "-sS", "-m", "10", "--cacert", str(told.ca), "-u", login]
    done = subprocess.run(
        [*command, f"pop3s://{told.address}:995/1"], capture_output=True, timeout=20, check=True
    )
    return [done.stdout]


@pytest.mark.parametrize("client", CLIENTS)
def test_a_stranger_is_not_relayed_for(client: str, ours: Relay, tmp_path: Path) -> None:
    told = order(ours, client, "25", tmp_path)
    before = len(ours.queue())
    with pytest.raises(Refused, match="550"):
        CLIENTS[client](replace(told, recipient="taker@inbox.test"))
    assert len(ours.queue()) == before


@pytest.mark.parametrize("way", ["587", "465"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_wrong_password_is_seen_as_such(
    client: str, way: str, ours: Relay, tmp_path: Path
) -> None:
    told = order(ours, client, way, tmp_path)
    before = len(ours.queue())
    words = "535|denied|not authenticate|authentication failed"
    with pytest.raises(Refused, match=f"(?i){words}"):
        CLIENTS[client](replace(told, password="wrong"))
    assert len(ours.queue()) == before


@pytest.mark.parametrize("client", CLIENTS)
def test_mail_is_taken_from_nobody_on_the_ports_of_users(
    client: str, ours: Relay, tmp_path: Path
) -> None:
    told = order(ours, client, "587", tmp_path)
    with pytest.raises(Refused, match="530"):
        CLIENTS[client](replace(told, mechanism=""))
