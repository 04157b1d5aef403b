"""The clients that people use, against our server: STARTTLS and implicit TLS, with AUTH.

Each delivers one message that has every trap of the content in it; it must arrive equal to
the octet, from who it says, inside TLS that the client verified.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosmtplib
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
from tests.conftest import need

USER, PASSWORD = "user@example.test", "s3cret with blanks"
MESSAGE = (
    b"From: user@example.test\r\nTo: c@example.org\r\nSubject: traps\r\n"
    b"Date: Wed, 04 Mar 2026 05:06:07 +0000\r\nMessage-ID: <1@example.test>\r\n\r\n"
    b".\r\n..\r\n.dot\r\n\r\n" + b"long " * 150 + b"\r\n" + "\u00e4\u0436".encode() + b"\r\nend\r\n"
)


@dataclass(frozen=True, slots=True)
class Order:
    """What a client is told to do."""

    port: int
    implicit: bool
    mechanism: str
    ca: Path
    directory: Path

    @property
    def trust(self) -> ssl.SSLContext:
        """For the clients in Python."""
        return ssl.create_default_context(cafile=str(self.ca))


Deliver = Callable[[Order], Coroutine[Any, Any, None]]


async def program(name: str, *arguments: str, message: bytes = MESSAGE) -> None:
    """Run it with the message on its standard input; it must be content."""
    process = await asyncio.create_subprocess_exec(
        need(name),
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate(message)
    assert process.returncode == 0, output.decode(errors="replace")


async def swaks(order: Order) -> None:
    """Its input has the line ends of the system; it ends the last line itself."""
    data = order.directory / "message"
    data.write_bytes(MESSAGE.replace(b"\r\n", b"\n").removesuffix(b"\n"))
    await program(
        *("swaks", "--server", "127.0.0.1", "--port", str(order.port), "--timeout", "10"),
        *("--tls-on-connect" if order.implicit else "--tls", "--tls-verify"),
        *("--tls-ca-path", str(order.ca), "--auth", order.mechanism),
        *("--auth-user", USER, "--auth-password", PASSWORD),
        *("--from", USER, "--to", "c@example.org", "--data", f"@{data}"),
    )


async def curl(order: Order) -> None:
    scheme = "smtps" if order.implicit else "smtp"
    await program(
        *("curl", "--silent", "--show-error", "--max-time", "10", "--ssl-reqd"),
        *("--url", f"{scheme}://127.0.0.1:{order.port}", "--cacert", str(order.ca)),
        *("--user", f"{USER}:{PASSWORD}", "--login-options", f"AUTH={order.mechanism}"),
        *("--mail-from", USER, "--mail-rcpt", "c@example.org", "--upload-file", "-"),
    )


async def msmtp(order: Order) -> None:
    """Its input has the line ends of the system."""
    config = order.directory / "msmtprc"
    config.write_text(
        f"account default\nhost 127.0.0.1\nport {order.port}\nfrom {USER}\nuser {USER}\n"
        f"auth {order.mechanism.lower()}\npassword {PASSWORD}\ntimeout 10\n"
        f"tls on\ntls_starttls {'off' if order.implicit else 'on'}\ntls_trust_file {order.ca}\n"
    )
    config.chmod(0o600)
    message = MESSAGE.replace(b"\r\n", b"\n")
    await program("msmtp", "--file", str(config), "c@example.org", message=message)


async def stdlib(order: Order) -> None:
    def deliver() -> None:
        if order.implicit:
            client: smtplib.SMTP = smtplib.SMTP_SSL(
                "127.0.0.1", order.port, timeout=10, context=order.trust
            )
        else:
            client = smtplib.SMTP("127.0.0.1", order.port, timeout=10)
        with client:
            if not order.implicit:
                client.starttls(context=order.trust)
            client.ehlo()
            client.user, client.password = USER, PASSWORD
            step = client.auth_plain if order.mechanism == "PLAIN" else client.auth_login
            client.auth(order.mechanism, step)
            client.sendmail(USER, ["c@example.org"], MESSAGE, ["BODY=8BITMIME"])

    await asyncio.to_thread(deliver)


async def ours(order: Order) -> None:
    """aiosmtplib, which our own client stands on."""
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=order.port,
        timeout=10,
        use_tls=order.implicit,
        start_tls=False,
        tls_context=order.trust,
    )
    async with client:
        if not order.implicit:
            await client.starttls()
        await client.ehlo()
        login = client.auth_plain if order.mechanism == "PLAIN" else client.auth_login
        await login(USER, PASSWORD)
        await client.sendmail(USER, ["c@example.org"], MESSAGE, mail_options=["BODY=8BITMIME"])


CLIENTS = [
    pytest.param(swaks, id="swaks", marks=pytest.mark.real),
    pytest.param(curl, id="curl", marks=pytest.mark.real),
    pytest.param(msmtp, id="msmtp", marks=pytest.mark.real),
    pytest.param(stdlib, id="smtplib"),
    pytest.param(ours, id="aiosmtplib"),
]


@pytest.fixture(scope="module")
def context(ca: ThrowawayCA) -> SSL.Context:
    """A certificate for this address."""
    identity = ca.issue(["localhost"], ["127.0.0.1"])
    return server_context(identity.chain_pem, identity.key_pem)


@pytest.mark.parametrize("loop", ["stock", "uvloop"])
@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
@pytest.mark.parametrize("deliver", CLIENTS)
def test_delivers(
    deliver: Deliver,
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
            implicit = security is Security.IMPLICIT
            await deliver(Order(server.port, implicit, mechanism, ca_file, tmp_path))

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
