"""The POP3 conversation: what is legal when, and that nothing is deleted but at QUIT."""

from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from OpenSSL import SSL

from smtpcheck.facts.transcript import Layer, Side
from smtpcheck.relay.happening import Login, StartTls
from smtpcheck.relay.maildir import Stored
from smtpcheck.relay.pop3_listener import Pop3Config, Pop3Limits, Retrieve, Update
from smtpcheck.relay.pop3_session import FAULT, IN_USE, OUTPUT, WRONG, Pop3Session
from smtpcheck.relay.pop3_verbs import TABLE, State

MESSAGES = (
    Stored(path=Path("new/a"), uid="uid-a", size=120),
    Stored(path=Path("new/b"), uid="uid-b", size=200),
    Stored(path=Path("new/c"), uid="uid-c", size=3),
)
CLEAR = Pop3Config(login_in_clear=True)
TLS = Pop3Config(context=SSL.Context(SSL.TLS_METHOD))
PLAIN = b64encode(b"\0alice\0secret").decode()

Events = list[tuple[Side, Layer, bytes, str]]


class Driver:
    """Settles questions as a server would; alice's password is `secret`."""

    def __init__(self, config: Pop3Config = CLEAR, *, in_use: bool = False) -> None:
        self.events: Events = []
        self.session = Pop3Session(config, lambda *event: self.events.append(event))
        self.in_use, self.unreadable, self.failures = in_use, False, 0
        self.deleted: list[str] = []
        self.session.open()
        self.said = self.session.pending()
        assert self.said == b"+OK POP3 server ready\r\n"

    def hear(self, data: bytes) -> None:
        self.session.receive(data)
        while True:
            question = self.session.advance()
            if isinstance(question, Login):
                self.log_in(question)
            elif isinstance(question, StartTls):
                self.said += self.session.pending()
                self.session.secured("TLSv1.3 x")
            elif isinstance(question, Retrieve):
                self.retrieve(question)
            elif isinstance(question, Update):
                self.deleted = [stored.uid for stored in question.deleted]
                self.session.updated(self.failures)
            else:
                answers = self.session.pending()
                self.said += answers
                if self.session.starved or self.session.closed or not answers:
                    return

    def log_in(self, question: Login) -> None:
        who = question.credentials
        if (who.username, who.password, who.authorization) != ("alice", "secret", ""):
            self.session.refuse(WRONG, "no")
        elif self.in_use:
            self.session.refuse(IN_USE, "locked")
        else:
            self.session.admit("alice", MESSAGES)

    def retrieve(self, question: Retrieve) -> None:
        if self.unreadable:
            self.session.refuse(FAULT, "no")
            return
        self.session.sending()
        self.said += self.session.pending() + f"{question.stored.uid} {question.lines}\r\n".encode()
        self.said += b".\r\n"
        self.session.sent(10)


def talk(driver: Driver, *lines: str) -> list[str]:
    """What is answered to `lines`, as lines."""
    driver.said = b""
    driver.hear("".join(f"{line}\r\n" for line in lines).encode())
    return driver.said.decode().splitlines()


def logged_in() -> Driver:
    driver = Driver()
    assert talk(driver, "USER alice", "PASS secret")[-1] == "+OK logged in"
    return driver


DIALOGUES = [
    # RFC 1939 §5 to §7: what each command answers
    ("STAT", ["+OK 3 323"]),
    ("LIST", ["+OK 3 messages", "1 120", "2 200", "3 3", "."]),
    ("LIST 2", ["+OK 2 200"]),
    ("UIDL", ["+OK 3 messages", "1 uid-a", "2 uid-b", "3 uid-c", "."]),
    ("UIDL 3", ["+OK 3 uid-c"]),
    ("RETR 1", ["+OK 120 octets", "uid-a None", "."]),
    ("TOP 2 10", ["+OK top follows", "uid-b 10", "."]),
    ("TOP 2 0", ["+OK top follows", "uid-b 0", "."]),
    ("DELE 1", ["+OK message 1 will go at QUIT"]),
    ("NOOP", ["+OK"]),
    ("noop", ["+OK"]),
    ("RSET", ["+OK 3 messages"]),
    ("QUIT", ["+OK bye"]),
    ("LIST 4", ["-ERR no such message"]),
    ("RETR 0", ["-ERR no such message"]),
    ("RETR -1", ["-ERR malformed arguments"]),
    ("RETR 1 2", ["-ERR malformed arguments"]),
    ("RETR", ["-ERR malformed arguments"]),
    ("RETR ²", ["-ERR malformed arguments"]),
    ("RETR 99999999999999999999", ["-ERR malformed arguments"]),
    ("DELE 9", ["-ERR no such message"]),
    ("UIDL x", ["-ERR malformed arguments"]),
    ("TOP 1", ["-ERR malformed arguments"]),
    ("TOP 1 x", ["-ERR how many lines?"]),
    ("", ["-ERR unknown command"]),
    ("NO\0OP", ["-ERR control character in a command"]),
    ("APOP alice x", ["-ERR unknown command"]),
]


@pytest.mark.parametrize(("line", "answer"), DIALOGUES)
def test_answers_in_a_mailbox_of_three(line: str, answer: list[str]) -> None:
    assert talk(logged_in(), line) == answer


VERBS = sorted({verb for row in TABLE.values() for verb in row})


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("state", State)
def test_what_is_not_in_the_row_is_not_now(state: State, verb: str) -> None:
    driver = Driver() if state is State.AUTHORIZATION else logged_in()
    refused = talk(driver, f"{verb} 1 1") == ["-ERR not now"]
    assert refused == (verb not in TABLE[state])


def test_a_deleted_message_is_out_of_sight_until_rset() -> None:
    driver = logged_in()
    assert talk(driver, "DELE 2", "STAT", "LIST", "RETR 2", "UIDL 2", "DELE 2", "TOP 2 1") == [
        "+OK message 2 will go at QUIT",
        "+OK 2 123",
        "+OK 2 messages",
        "1 120",
        "3 3",
        ".",
        *["-ERR no such message"] * 4,
    ]
    assert talk(driver, "RSET", "STAT", "QUIT")[1] == "+OK 3 323"
    assert driver.deleted == []


def test_messages_go_at_quit() -> None:
    driver = logged_in()
    assert talk(driver, "DELE 3", "DELE 1", "QUIT")[-1] == "+OK bye"
    assert driver.deleted == ["uid-a", "uid-c"]
    assert driver.session.closed


@pytest.mark.parametrize("ending", [b"X" * 300, b"NOPE\r\n" * 10])
def test_messages_stay_at_every_other_end(ending: bytes) -> None:
    driver = logged_in()
    talk(driver, "DELE 1")
    driver.hear(ending)
    assert driver.session.closed
    driver.hear(b"QUIT\r\n")
    assert driver.deleted == []


def test_a_failing_update_is_told() -> None:
    driver = logged_in()
    driver.failures = 1
    assert talk(driver, "DELE 1", "QUIT")[-1] == "-ERR [SYS/TEMP] 1 messages not removed"


def test_an_unreadable_message_is_told_and_the_session_goes_on() -> None:
    driver = logged_in()
    driver.unreadable = True
    assert talk(driver, "RETR 1", "NOOP") == ["-ERR [SYS/TEMP] no", "+OK"]


LOGINS = [
    (["USER alice", "PASS secret"], "+OK logged in"),
    (["USER alice", "PASS  secret"], "-ERR [AUTH] no"),
    (["USER bob", "PASS secret"], "-ERR [AUTH] no"),
    (["PASS secret"], "-ERR USER first"),
    (["USER alice", "NOOP", "PASS secret"], "+OK logged in"),
    (["USER alice", "PASS wrong", "PASS secret"], "-ERR USER first"),
    (["USER "], "-ERR who?"),
    ([f"AUTH PLAIN {PLAIN}"], "+OK logged in"),
    ([f"auth plain {PLAIN}"], "+OK logged in"),
    (["AUTH PLAIN", PLAIN], "+OK logged in"),
    (["AUTH PLAIN", "*"], "-ERR authentication cancelled"),
    (["AUTH PLAIN ="], "-ERR malformed authentication response"),
    (["AUTH PLAIN", "$$$"], "-ERR malformed authentication response"),
    (["AUTH PLAIN", "ä"], "-ERR malformed authentication response"),
    (["AUTH PLAIN", "AAAA"], "-ERR malformed authentication response"),
    (["AUTH PLAIN a b"], "-ERR mechanism or arguments not offered"),
    (["AUTH"], "-ERR mechanism or arguments not offered"),
    (["AUTH GSSAPI"], "-ERR mechanism or arguments not offered"),
    (
        [f"AUTH PLAIN {b64encode(b'bob' + bytes(1) + b'alice' + bytes(1) + b'secret').decode()}"],
        "-ERR [AUTH] no",
    ),
]


@pytest.mark.parametrize(("lines", "last"), LOGINS)
def test_logging_in(lines: list[str], last: str) -> None:
    driver = Driver()
    assert talk(driver, *lines)[-1] == last
    assert (driver.session.state is State.TRANSACTION) == (last == "+OK logged in")


def test_a_response_of_sasl_may_be_longer_than_a_command() -> None:
    driver = Driver()
    long = b64encode(b"\0alice\0" + b"s" * 2000).decode()
    assert talk(driver, "AUTH PLAIN", long)[-1] == "-ERR [AUTH] no"
    assert talk(driver, "AUTH PLAIN", "A" * 12300)[-1] == "-ERR line too long"
    assert driver.session.closed


def test_the_third_wrong_password_ends_the_session() -> None:
    driver = Driver()
    answers = talk(driver, *["USER alice", "PASS wrong"] * 4)
    assert answers.count("-ERR [AUTH] no") == 3
    assert answers[-1] == "-ERR too many failed logins"
    assert driver.session.closed


def test_a_locked_mailbox_is_not_a_wrong_password() -> None:
    driver = Driver(in_use=True)
    assert talk(driver, *["USER alice", "PASS secret"] * 5)[1::2] == ["-ERR [IN-USE] locked"] * 5
    assert not driver.session.closed


def test_no_password_is_asked_for_in_the_clear() -> None:
    driver = Driver(TLS)
    refusal = "-ERR encryption required: STLS first"
    assert talk(driver, "USER alice", "PASS secret", f"AUTH PLAIN {PLAIN}") == [
        refusal,
        "-ERR USER first",
        refusal,
    ]
    assert "USER" not in talk(driver, "CAPA")
    assert "STLS" in talk(driver, "CAPA")
    assert talk(driver, "STLS") == ["+OK begin TLS"]
    assert talk(driver, "STLS") == ["-ERR TLS is on"]
    capabilities = talk(driver, "CAPA")
    assert {"USER", "SASL PLAIN", "UIDL", "TOP"} <= set(capabilities)
    assert "STLS" not in capabilities
    assert talk(driver, "USER alice", "PASS secret")[-1] == "+OK logged in"


def test_stls_forgets_who_was_named_before_it() -> None:
    driver = Driver(Pop3Config(context=TLS.context, login_in_clear=True))
    assert talk(driver, "USER alice") == ["+OK now the password"]
    assert talk(driver, "STLS") == ["+OK begin TLS"]
    assert talk(driver, "PASS secret") == ["-ERR USER first"]


def test_octets_behind_stls_end_the_connection() -> None:
    """The command injection of CVE-2011-0411, in POP3."""
    driver = Driver(TLS)
    assert talk(driver, "STLS", "USER alice") == ["-ERR octets behind STLS"]
    assert driver.session.closed


def test_stls_without_a_certificate_is_refused() -> None:
    assert talk(Driver(), "STLS") == ["-ERR TLS is not offered"]


def test_a_client_that_speaks_tls_in_the_clear_is_told() -> None:
    driver = Driver(TLS)
    driver.said = b""
    driver.hear(b"\x16\x03\x01\x02\x00\x01")
    assert driver.said == b"-ERR this port speaks clear text\r\n"
    assert driver.session.closed


def test_a_few_errors_are_borne() -> None:
    driver = Driver(Pop3Config(limits=Pop3Limits(bad_commands=3)))
    assert talk(driver, "X", "Y", "Z", "QUIT") == [
        *["-ERR unknown command"] * 3,
        "-ERR too many errors",
    ]


def test_answers_that_pile_up_stop_the_reading() -> None:
    driver = logged_in()
    driver.session.receive(b"LIST\r\n" * 20_000)
    most = 0
    while driver.session.advance() is None:
        answers = driver.session.pending()
        most = max(most, len(answers))
        driver.said += answers
        if driver.session.starved:
            break
    assert OUTPUT <= most < OUTPUT + 100
    assert driver.said.count(b"+OK 3 messages") == 20_000


def test_secrets_never_reach_the_observer() -> None:
    driver = Driver()
    talk(driver, "USER alice", "PASS secret-1", f"AUTH PLAIN {PLAIN}", "QUIT")
    talk(other := Driver(), "AUTH PLAIN", PLAIN, "QUIT")
    seen = repr((driver.events, other.events))
    assert "secret" not in seen
    assert PLAIN not in seen
    assert (Side.CLIENT, Layer.PLAIN, b"", "PASS ‹8 bytes›") in driver.events
    assert (Side.CLIENT, Layer.PLAIN, b"USER alice\r\n", "") in driver.events


WHOLE = (
    "CAPA\r\nUSER alice\r\nPASS secret\r\nSTAT\r\nLIST\r\nRETR 2\r\nDELE 1\r\nNOOP\nbad\r\n"
    "UIDL\r\nQUIT\r\nNOOP\r\n"
)


@settings(deadline=None)
@given(st.lists(st.integers(0, len(WHOLE)), max_size=20))
def test_answers_do_not_depend_on_how_the_stream_is_cut(cuts: list[int]) -> None:
    whole, pieces = Driver(), Driver()
    whole.hear(WHOLE.encode())
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(WHOLE)], strict=True):
        pieces.hear(WHOLE[start:end].encode())
    assert pieces.said == whole.said
    assert pieces.deleted == whole.deleted == ["uid-a"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\r\n", b"PASS ", b"AUTH PLAIN\r\n"])))
def test_nothing_that_a_client_says_makes_the_session_raise(pieces: list[bytes]) -> None:
    driver = Driver(TLS)
    for piece in pieces:
        driver.hear(piece)
        assert driver.session.starved or driver.session.closed
