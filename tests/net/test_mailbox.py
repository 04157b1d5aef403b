"""Picking up over POP3: what a server may do to it, and what is found."""

import asyncio

import pytest

from smtpcheck.facts.failure import Kind, Stage
from smtpcheck.facts.host import MailHost, Security
from smtpcheck.limits import Limits
from smtpcheck.net.mailbox import PickUp, Pop3
from smtpcheck.net.tls import client_tls
from tests.net.peer import Behaviour, peer, says, silence, then_closes

FAST = Limits(connect=0.5, reply=0.5, handshake=0.5, inbound_octets=20_000)
HI = b"+OK hello\r\n"
OK = b"+OK\r\n"


def pick_up(
    behaviour: Behaviour, *, security: Security = Security.NONE, delete: bool = False
) -> PickUp:
    async def main() -> PickUp:
        async with peer(behaviour) as port:
            host = MailHost(name="peer.test", address="127.0.0.1", port=port, security=security)
            return await Pop3(host, client_tls(), FAST).pick_up("u", "hunter2", delete=delete)

    return asyncio.run(main())


def test_every_message_is_found_whole_and_the_password_is_not_kept() -> None:
    letters = (b"+OK\r\nA: b\r\n\r\n..dot\r\n.\r\n", b"+OK\r\nC: d\r\n.\r\n")
    found = pick_up(says(OK, OK, b"+OK 2 99\r\n", *letters, OK, greeting=HI))
    assert found.failure is None
    assert found.messages == (b"A: b\r\n\r\n.dot\r\n", b"C: d\r\n")
    assert "hunter2" not in repr(found)


def test_nothing_is_deleted_unless_asked() -> None:
    script = (OK, OK, b"+OK 1 9\r\n", b"+OK\r\nA: b\r\n.\r\n", OK, OK)
    for delete in (False, True):
        found = pick_up(says(*script, greeting=HI), delete=delete)
        said = b"".join(event.data for event in found.transcript.events)
        assert (b"DELE 1" in said) is delete


FAILING = [
    ("silence", silence, Stage.GREETING, Kind.TIMED_OUT),
    ("closed", then_closes(greeting=b""), Stage.GREETING, Kind.CLOSED),
    ("-ERR at once", says(greeting=b"-ERR busy\r\n"), Stage.GREETING, Kind.REJECTED),
    ("another protocol", says(greeting=b"220 smtp\r\n"), Stage.GREETING, Kind.REJECTED),
    ("wrong password", says(OK, b"-ERR [AUTH] no\r\n", greeting=HI), Stage.AUTH, Kind.REJECTED),
    ("no number", says(OK, OK, b"+OK many\r\n", greeting=HI), Stage.DATA, Kind.REJECTED),
    (
        "a message without end",
        says(OK, OK, b"+OK 1 1\r\n", b"+OK\r\n" + b"x" * 90_000, greeting=HI),
        Stage.DATA,
        Kind.OVERLONG,
    ),
]


@pytest.mark.parametrize(
    ("what", "behaviour", "stage", "kind"), FAILING, ids=[f[0] for f in FAILING]
)
def test_a_server_that_does_not_play_along(
    what: str, behaviour: Behaviour, stage: Stage, kind: Kind
) -> None:
    found = pick_up(behaviour)
    assert found.failure is not None, what
    assert (found.failure.stage, found.failure.kind) == (stage, kind)


def test_the_password_is_not_sent_where_stls_fails() -> None:
    found = pick_up(says(b"-ERR no TLS\r\n", greeting=HI), security=Security.STARTTLS)
    assert found.failure is not None
    assert not any(b"PASS" in event.data for event in found.transcript.events)
