"""The server's side of a conversation: the dialogues, whole and cut at every octet."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smtpcheck.facts.transcript import Layer, Side
from smtpcheck.net.tls import server_context
from smtpcheck.relay.acceptance import MemoryAcceptance
from smtpcheck.relay.exchange import MECHANISMS, Credentials, Exchange, Mechanism
from smtpcheck.relay.happening import Login, SessionInfo
from smtpcheck.relay.listener import ListenerConfig
from smtpcheck.relay.record import MAX_PIECE, Record
from smtpcheck.relay.session import ServerSession
from smtpcheck.relay.throwaway import ThrowawayCA
from smtpcheck.relay.verbs import TABLE, VERBS, State
from smtpcheck.wire.data import Flaw
from smtpcheck.wire.reply import ReplyParser, reply
from tests.relay.dialogue import (
    DIALOGUES,
    Dialogue,
    MemoryWire,
    acceptance,
    hold,
    listener,
    read,
)
from tests.wire.test_data import NO_ENDS

SECRETS = (b"AHVzZXJAZXhhbXBsZS50ZXN0AHNlY3JldA==", b"c2VjcmV0", b"d3Jvbmc=", b"biwsbj11c2Vy")


@pytest.fixture(scope="module", params=DIALOGUES, ids=lambda path: path.stem)
def dialogue(request: pytest.FixtureRequest) -> Dialogue:
    """Each of the files."""
    return read(request.param)


@pytest.fixture(scope="module")
def config(dialogue: Dialogue, ca: ThrowawayCA) -> ListenerConfig:
    """The listener that the file asks for."""
    identity = ca.issue(["mx.example.test"])
    return listener(dialogue.settings, server_context(identity.chain_pem, identity.key_pem))


def test_goes_as_written(dialogue: Dialogue, config: ListenerConfig) -> None:
    taker = acceptance()
    hold(dialogue, MemoryWire(config, taker), taker.messages)


def test_goes_the_same_octet_by_octet(dialogue: Dialogue, config: ListenerConfig) -> None:
    taker = acceptance()
    hold(dialogue, MemoryWire(config, taker, step=1), taker.messages)


def test_tells_an_observer_all_but_the_secrets(dialogue: Dialogue, config: ListenerConfig) -> None:
    record = Record(octets=10**6)
    taker = acceptance()
    hold(dialogue, MemoryWire(config, taker, observer=record), taker.messages)
    events = record.transcript().events
    assert events[0].side is Side.SERVER
    for event in events:
        assert not any(secret in event.data for secret in SECRETS), event
    layers = [event.layer for event in events]
    assert layers == sorted(layers)  # plain, then TLS


def test_dialogues_cover_every_command_and_state() -> None:
    said = {
        line.text.split(" ")[0].upper()
        for path in DIALOGUES
        for line in read(path).lines
        if line.mark == "->"
    } | {"BDAT"}
    assert VERBS - {"CONNECT", "GET", "HEAD", "PUT"} <= said


@pytest.mark.parametrize("state", State)
def test_what_is_not_in_the_row_is_out_of_sequence(state: State) -> None:
    for verb in sorted(VERBS - set(TABLE[state])):
        session = ServerSession(SessionInfo(listener=ListenerConfig()))
        session.state = state
        assert session.receive(f"{verb} x\r\n".encode()) is None
        assert session.pending().startswith(b"503 5.5.1 ")
        assert session.state is state


def test_the_envelope_says_what_was_said() -> None:
    taker = MemoryAcceptance()
    wire = MemoryWire(ListenerConfig(), taker)
    wire.send(
        "EHLO client.test\r\n"
        "MAIL FROM:<ж@b.test> SMTPUTF8 RET=hdrs ENVID=q+2B1\r\n"
        'RCPT TO:<@route.test:"c"@D.test.> NOTIFY=failure,DELAY ORCPT=rfc822;C@d.test\r\n'
        "RCPT TO:<c@D.test>\r\n"
        "DATA\r\n"
        "é\r\n.\r\n".encode()
    )
    (envelope, content), *others = taker.messages
    assert not others
    assert content == "é\r\n".encode()
    assert envelope.reverse_path == "ж@b.test"
    (path,) = envelope.forward_paths
    assert path.address == "c@D.test"
    assert path.notify == ("FAILURE", "DELAY")
    assert path.orcpt == "rfc822;C@d.test"
    assert (envelope.ret, envelope.envid) == ("HDRS", "q+2B1")
    assert envelope.smtputf8
    assert envelope.eight_bit
    assert envelope.size == 4
    assert (envelope.peer, envelope.helo) == ("192.0.2.7", "client.test")
    assert envelope.protocol == "UTF8SMTP"
    assert envelope.received.tzinfo is not None


def test_while_a_question_is_open_nothing_is_read_past_it() -> None:
    config = ListenerConfig(auth=True, auth_in_clear=True)
    session = ServerSession(SessionInfo(listener=config))
    question = session.receive(b"EHLO a\r\nAUTH PLAIN AGEAYg==\r\nNOOP\r\n")
    assert isinstance(question, Login)
    assert question.credentials == Credentials(mechanism="PLAIN", username="a", password="b")
    assert session.receive(b"QUIT\r\n") is question
    assert session.backlog == len(b"NOOP\r\nQUIT\r\n")
    assert session.pending().endswith(b"250 AUTH PLAIN LOGIN\r\n")  # EHLO's alone
    assert session.answer(reply(235, "2.7.0 in")) is None
    assert [r.code for r in ReplyParser().feed(session.pending())] == [235, 250, 221]
    assert session.info.authenticated == "a"


def test_a_mechanism_can_be_plugged_in() -> None:
    def riddle() -> Exchange:
        first = yield b"1?"
        second = yield b"2?" + first
        return Credentials(mechanism="RIDDLE", username=second.decode(), proven=True)

    mechanisms = {**MECHANISMS, "RIDDLE": Mechanism(riddle, server_first=True)}
    config = ListenerConfig(auth=True, auth_in_clear=True, mechanisms=mechanisms)
    session = ServerSession(SessionInfo(listener=config))
    session.receive(b"EHLO a\r\n")
    assert b"AUTH PLAIN LOGIN RIDDLE\r\n" in session.pending()
    session.receive(b"AUTH RIDDLE eA==\r\n")
    assert session.pending().startswith(b"501 ")  # RFC 4954 §4: it has nothing to respond to
    session.receive(b"AUTH RIDDLE\r\n")
    assert session.pending() == b"334 MT8=\r\n"
    session.receive(b"eA==\r\n")
    assert session.pending() == b"334 Mj94\r\n"
    question = session.receive(b"eQ==\r\n")
    assert isinstance(question, Login)
    assert question.credentials.proven
    assert question.credentials.username == "y"


def test_stop_waits_for_the_reply_in_flight() -> None:
    wire = MemoryWire(ListenerConfig(), MemoryAcceptance())
    wire.send(b"EHLO a\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n")
    wire.received()
    wire.session.stop()
    assert not wire.closed()
    wire.send(b"hi\r\n.\r\nNOOP\r\n")
    assert [r.code for r in ReplyParser().feed(wire.received())] == [250, 421]
    assert wire.closed()


@pytest.mark.parametrize(
    ("false_end", "bad"), [row[1:] for row in NO_ENDS], ids=[row[0] for row in NO_ENDS]
)
@pytest.mark.parametrize("step", [0, 1])
def test_smuggling_is_refused_and_the_session_goes_on(
    false_end: bytes, bad: Flaw, step: int
) -> None:
    taker = MemoryAcceptance()
    wire = MemoryWire(ListenerConfig(), taker, step=step)
    transaction = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\n"
    wire.send(b"EHLO a\r\n" + transaction)
    wire.send(b"hi" + false_end + transaction + b"smuggled\r\n.\r\nNOOP\r\n")
    answers = [str(r) for r in ReplyParser().feed(wire.received())][5:]
    assert [answer[:9] for answer in answers] == ["550 5.6.0", "250 2.0.0"]
    assert bad in answers[0]
    assert taker.messages == []


def secrets_hidden() -> Iterator[tuple[str, bytes]]:
    """Each way to leave a secret where it could be seen."""
    yield "wrong case", b"aUtH pLaIn AGEAc2VjcmV0\r\n"
    yield "blanks", b" AUTH  PLAIN   AGEAc2VjcmV0\r\n"
    yield "no blank", b"AUTHPLAIN AGEAc2VjcmV0\r\n"
    yield "tab", b"AUTH\tPLAIN\tAGEAc2VjcmV0\r\n"
    yield "two responses", b"AUTH PLAIN x AGEAc2VjcmV0\r\n"
    yield "unknown mechanism", b"AUTH SCRAM AGEAc2VjcmV0\r\n"
    yield "refused, then the password all the same", b"AUTH NONE\r\nAGEAc2VjcmV0\r\n"
    yield "cancelled, then the password all the same", b"AUTH LOGIN\r\n*\r\nAGEAc2VjcmV0\r\n"
    yield "bare LF", b"AUTH PLAIN AGEAc2VjcmV0\n"
    yield "mechanism forgotten", b"AUTH AGEAc2VjcmV0AGEAc2VjcmV0\r\n"


@pytest.mark.parametrize("early", [False, True], ids=["in its place", "before EHLO"])
@pytest.mark.parametrize(
    "line", [row[1] for row in secrets_hidden()], ids=[row[0] for row in secrets_hidden()]
)
def test_no_secret_is_observed(line: bytes, early: bool) -> None:
    record = Record()
    config = ListenerConfig(auth=True, auth_in_clear=True)
    wire = MemoryWire(config, MemoryAcceptance(), observer=record)
    wire.send((b"" if early else b"EHLO a\r\n") + line)
    events = record.transcript().events
    assert not any(b"c2VjcmV0" in event.data for event in events)
    assert any("bytes›" in event.note for event in events)


def test_a_record_keeps_the_opening_of_content_and_counts_the_rest() -> None:
    record = Record("192.0.2.7")
    record(Side.CLIENT, Layer.PLAIN, b"x" * (MAX_PIECE + 5), "")
    transcript = record.transcript()
    assert [len(event.data) for event in transcript.events] == [MAX_PIECE]
    assert transcript.omitted == 5
    assert transcript.peer == "192.0.2.7"


TRANSACTION = [b"EHLO a", b"MAIL FROM:<a@b.test>", b"RCPT TO:<c@d.test>", b"DATA", b"."]
OTHERS = [b"BDAT 3", b"BDAT 2 LAST", b"RSET", b"STARTTLS", b"AUTH PLAIN", b"AGEAYg==", b"*"]
ODD = [b"NOOP", b"x\ny", b"\0", b""]
COMMANDS = st.sampled_from([*TRANSACTION, *OTHERS, *ODD])


@given(st.lists(COMMANDS, max_size=25), st.integers(1, 30))
def test_any_conversation_is_answered_alike_however_it_is_cut(
    lines: list[bytes], step: int
) -> None:
    config = ListenerConfig(auth=True, auth_in_clear=True)
    stream = b"".join(line + b"\r\n" for line in lines)
    whole, cut = (
        MemoryWire(config, MemoryAcceptance(users={"a": "b"}), step=pieces) for pieces in (0, step)
    )
    for wire in (whole, cut):
        wire.send(stream)
    answers = [
        [(r.code, r.status) for r in ReplyParser().feed(wire.received())] for wire in (whole, cut)
    ]
    assert answers[0] == answers[1]
    assert whole.session.state is cut.session.state


@given(st.binary(max_size=300))
def test_no_octets_break_it(data: bytes) -> None:
    wire = MemoryWire(ListenerConfig(), MemoryAcceptance())
    wire.send(data)
    for answer in ReplyParser().feed(wire.received()):
        assert not answer.quirks
