"""A message handed over by aiosmtplib, tapped: what came of each recipient, and no secret kept."""

import asyncio
import ssl
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from smtpcheck.facts.delivery import Attempt, Envelope, ForwardPath, Outcome
from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.host import MailHost, Role, Security
from smtpcheck.limits import Limits
from smtpcheck.net.mainstream import Submission
from smtpcheck.net.tls import server_context
from smtpcheck.relay.acceptance import MemoryAcceptance
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.relay.server import SmtpServer
from smtpcheck.relay.throwaway import ThrowawayCA
from tests.conftest import unused_port
from tests.net.peer import Behaviour, peer, silence, then_closes

FAST = Limits(connect=0.5, reply=0.5, handshake=1.0)
PASSWORD = "correct horse"
CONTENT = b"Subject: x\r\n\r\n.dot\r\nend\r\n"
ENVELOPE = Envelope(
    message_id="1",
    reverse_path="a@us.test",
    forward_paths=(ForwardPath(address="b@peer.test"), ForwardPath(address="no such@x")),
    received=datetime(2026, 1, 1, tzinfo=UTC),
)


def submit(
    ca: ThrowawayCA, ca_file: Path, security: Security, password: str = PASSWORD
) -> tuple[Attempt, MemoryAcceptance]:
    identity = ca.issue(["peer.test"])
    listener = ListenerConfig(
        hostname="peer.test",
        role=Role.SUBMISSION,
        security=security,
        context=server_context(identity.chain_pem, identity.key_pem),
    )
    kept = MemoryAcceptance(users={"u": PASSWORD})

    async def main() -> Attempt:
        async with SmtpServer(listener, kept) as server:
            return await hand_over(server.port, security, ca_file, password)

    return asyncio.run(main()), kept


async def hand_over(
    port: int, security: Security, ca_file: Path, password: str = PASSWORD
) -> Attempt:
    host = MailHost(name="peer.test", address="127.0.0.1", port=port, security=security)
    submission = Submission(host, ssl.create_default_context(cafile=ca_file), FAST)
    return await submission.submit(ENVELOPE, CONTENT, user="u", password=password, ehlo="us.test")


@pytest.mark.parametrize("security", [Security.STARTTLS, Security.IMPLICIT])
def test_each_recipient_has_an_outcome(ca: ThrowawayCA, ca_file: Path, security: Security) -> None:
    attempt, kept = submit(ca, ca_file, security)
    assert attempt.failure is None
    assert {o.address: o.outcome for o in attempt.outcomes} == {
        "b@peer.test": Outcome.DELIVERED,
        "no such@x": Outcome.FAILED,
    }
    ((envelope, content),) = kept.messages
    assert [path.address for path in envelope.forward_paths] == ["b@peer.test"]
    assert content.endswith(CONTENT)
    assert attempt.tls == "TLSv1.3"


@pytest.mark.parametrize("password", [PASSWORD, "wrong password"])
def test_the_password_is_in_no_transcript(ca: ThrowawayCA, ca_file: Path, password: str) -> None:
    attempt, _ = submit(ca, ca_file, Security.STARTTLS, password)
    told = repr(attempt)
    assert b64encode(f"\0u\0{password}".encode()).decode() not in told
    assert password not in told
    if password != PASSWORD:
        assert attempt.failure is not None
        assert (attempt.failure.stage, attempt.failure.kind) == (Stage.AUTH, Kind.REJECTED)


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [(silence, Kind.TIMED_OUT), (then_closes(greeting=b"220 x\r\n"), Kind.CLOSED)],
)
def test_a_server_that_does_not_play_along(ca_file: Path, behaviour: Behaviour, kind: Kind) -> None:
    async def main() -> Attempt:
        async with peer(behaviour) as port:
            return await hand_over(port, Security.STARTTLS, ca_file)

    failure = asyncio.run(main()).failure
    assert failure is not None
    assert failure.kind is kind


def test_nobody_there(ca_file: Path) -> None:
    attempt = asyncio.run(hand_over(unused_port(), Security.IMPLICIT, ca_file))
    assert attempt.failure is not None
    assert attempt.failure.kind is Kind.REFUSED
