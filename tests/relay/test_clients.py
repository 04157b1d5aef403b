"""The clients that people use, against our server: STARTTLS and implicit TLS, with AUTH.

Each delivers one message that has every trap of the content in it; it must arrive equal to
the octet, from who it says, inside TLS that the client verified.
"""

import asyncio
from pathlib import Path

import pytest
import uvloop
from OpenSSL import SSL

from smtpcheck.facts.delivery import Envelope
from smtpcheck.facts.host import Role, Security
from smtpcheck.net.tls import server_context
from smtpcheck.relay.acceptance import MemoryAcceptance
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.relay.server import SmtpServer
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.real.clients import CLIENTS, Order

USER, PASSWORD = "user@example.test", "s3cret with blanks"
MESSAGE = (
    b"From: user@example.test\r\nTo: c@example.org\r\nSubject: traps\r\n"
    b"Date: Wed, 04 Mar 2026 05:06:07 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n"
    b".\r\n..\r\n.dot\r\n\r\n" + b"long " * 150 + b"\r\n" + "\u00e4\u0436".encode() + b"\r\nend\r\n"
)
REAL = pytest.mark.real
MARKS = {"smtplib": (), "aiosmtplib": ()}


@pytest.fixture(scope="module")
def context(ca: ThrowawayCA) -> SSL.Context:
    """A certificate for this address."""
    identity = ca.issue(["localhost"], ["127.0.0.1"])
    return server_context(identity.chain_pem, identity.key_pem)


@pytest.mark.parametrize("loop", ["stock", "uvloop"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@pytest.mark.parametrize(
    "client", [pytest.param(each, marks=MARKS.get(each, REAL)) for each in CLIENTS]
)
def test_delivers(
    client: str,
    security: Security,
    mechanism: str,
    loop: str,
    context: SSL.Context,
    ca_file: Path,
    tmp_path: Path,
) -> None:
    acceptance = MemoryAcceptance(users={USER: PASSWORD}, domains=[])
    listener = ListenerConfig(
        hostname="localhost", role=Role.SUBMISSION, security=security, context=context
    )
    faults: list[BaseException] = []

    async def main() -> None:
        async with SmtpServer(listener, acceptance, fault=faults.append) as server:
            order = Order(
                address="127.0.0.1",
                port=server.port,
                implicit=security is Security.IMPLICIT,
                mechanism=mechanism,
                user=USER,
                password=PASSWORD,
                sender=USER,
                recipient="c@example.org",
                message=MESSAGE,
                ca=ca_file,
                directory=tmp_path,
            )
            await asyncio.to_thread(CLIENTS[client], order)

    factory = uvloop.new_event_loop if loop == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
    assert faults == []
    ((envelope, content),) = acceptance.messages
    assert content == MESSAGE
    assert (envelope.reverse_path, envelope.authenticated) == (USER, USER)
    assert recipients(envelope) == ["c@example.org"]
    assert envelope.protocol == "ESMTPSA"
    assert envelope.eight_bit


def recipients(envelope: Envelope) -> list[str]:
    """Their addresses."""
    return [path.address for path in envelope.forward_paths]
