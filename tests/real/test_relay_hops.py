"""Mail through our relay to Postfix and Exim, and through them to us: whole, in TLS, by the walk.

Each test has its own servers. We find them by MX; they are told where we are.
"""

from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.real.dsn import field, read
from tests.real.hops import (
    DOWN,
    MAIN,
    OTHER,
    OURS,
    PLAIN,
    REFUSED,
    SEVEN_BIT,
    SMALL,
    TAKER,
    Hop,
    at,
)
from tests.real.ours import ALICE, BOB, HOME, Relay, relay, send, until
from tests.real.postfix import INBOX
from tests.real.rig import NAME
from tests.real.transcripts import commands, segments, turns
from tests.real.traps import mail, messages, subject_of, whole

pytestmark = pytest.mark.real

VERIFIED = {"outgoing": "verified"}


WAYS = {
    "by MX": {},
    "by smarthost": {"smarthost": {"host": NAME, "port": 25, "security": "starttls"}},
}


@pytest.mark.parametrize("way", WAYS)
def test_the_hop_gets_every_octet(way: str, hop: Hop, ca: ThrowawayCA, tmp_path: Path) -> None:
    world = at(MAIN[hop.name])
    with relay(OURS, tmp_path, ca, zone=world, tls=VERIFIED, **WAYS[way]) as ours:
        for attempt in delivered_whole(hop, ours):
            assert attempt["tls"].startswith("TLSv1.3")
            assert commands(attempt["transcript"])[-1].startswith("BDAT")
    until(lambda: hop.saw_chunks, 5, lambda: hop.server.log)


def test_a_hop_without_chunking_or_tls_gets_every_octet(
    hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    with relay(OURS, tmp_path, ca, zone=at(PLAIN[hop.name])) as ours:
        for attempt in delivered_whole(hop, ours):
            assert attempt["tls"] == ""
            assert commands(attempt["transcript"])[-1] == "DATA"


def delivered_whole(hop: Hop, ours: Relay) -> Iterator[dict[str, Any]]:
    """All messages to the hop; how each was handed over."""
    sent = {subject: (ours.submit(message, TAKER), message) for subject, message in messages()}
    got = {subject_of(stored): stored for stored in (hop.next_mail() for _ in sent)}
    for subject, (message_id, message) in sent.items():
        assert whole(got[subject], message), subject
        (attempt,) = ours.ended(message_id)["attempts"]
        assert attempt["outcomes"][0]["outcome"] == "delivered"
        yield attempt


def test_we_get_every_octet_from_the_hop(hop: Hop, ours: Relay) -> None:
    with hop.client() as client:
        for _, message in messages():
            send(client, TAKER, [BOB], message, ["BODY=8BITMIME"])
    sent = dict(messages())
    got = {subject_of(stored): stored for stored in (ours.next_mail(BOB) for _ in sent)}
    for subject, message in sent.items():
        assert whole(got[subject], message), subject
        assert b"with ESMTPS" in got[subject].split(b"\nReceived: ")[1]


def test_the_hop_uses_what_we_offer(hop: Hop, ours: Relay) -> None:
    """TLS, PIPELINING (no reply between its commands), and CHUNKING, which Postfix only takes."""
    with hop.client() as client:
        send(client, TAKER, [BOB, ALICE], mail("manners", b"hello\r\n"))
    ours.next_mail(BOB)
    (entry,) = ours.queue()
    found = ours.shown(entry["id"], lambda entry: bool(entry["sessions"]))
    (session,) = found["sessions"]
    (group,) = (group for group in turns(session) if group and group[0].startswith("MAIL FROM"))
    verbs = [line.split()[0] for line in group[:4]]
    assert verbs == ["MAIL", "RCPT", "RCPT", "BDAT" if hop.name == "exim" else "DATA"]
    assert session["events"][-1]["layer"] == "tls"


def test_an_international_address_is_one_there_and_here(
    hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    """SMTPUTF8 (RFC 6531), to them and from them."""
    there, here = f"\u0436\u00fc@{INBOX}", f"\u0436\u00fc@{HOME}"
    message = mail("utf8", "\u20ac\r\n".encode(), more="X: \u0436\r\n".encode())
    local = {"domains": [HOME], "mailboxes": [here]}
    with relay(OURS, tmp_path, ca, zone=at(MAIN[hop.name]), tls=VERIFIED, local=local) as ours:
        ours.submit(message, there, options=("SMTPUTF8", "BODY=8BITMIME"))
        stored = hop.next_mail()
        assert whole(stored, message)
        assert there.encode() in stored.removesuffix(message)
        with hop.client() as client:
            send(client, there, [here], message, ["SMTPUTF8", "BODY=8BITMIME"])
        stored = ours.next_mail(here)
        assert whole(stored, message)
        assert f"Return-Path: <{there}>\r\nDelivered-To: {here}\r\n".encode() in stored


@pytest.mark.usefixtures("hop")
def test_we_send_commands_to_a_hop_in_one_go(ours: Relay) -> None:
    message_id = ours.submit(mail("group", b""), TAKER, OTHER)
    (attempt,) = ours.ended(message_id)["attempts"]
    groups = turns(attempt["transcript"])
    (group,) = (group for group in groups if group and group[0].startswith("MAIL FROM"))
    assert [line.split()[0] for line in group] == ["MAIL", "RCPT", "RCPT"]


# The walk.


def test_the_backup_takes_it_when_the_primary_is_down(
    hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    with relay(OURS, tmp_path, ca, zone=at(DOWN, MAIN[hop.name])) as ours:
        found = ours.ended(ours.submit(mail("backup", b""), TAKER))
        down, up = found["attempts"]
        assert (down["host"]["address"], down["failure"]["stage"]) == (DOWN, "connect")
        assert (up["host"]["address"], up["failure"]) == (MAIN[hop.name], None)
        assert whole(hop.next_mail(), mail("backup", b""))


def test_the_backup_gets_those_alone_whom_the_primary_defers(
    postfix_hop: Hop, exim_hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    """Postfix refuses one for now and one for good; Exim would take both."""
    patient = f"greylisted@{INBOX}"
    with relay(OURS, tmp_path, ca, zone=at(MAIN["postfix"], MAIN["exim"])) as ours:
        message_id = ours.submit(mail("split", b""), TAKER, patient, REFUSED)
        first, second = ours.ended(message_id)["attempts"]
        assert {o["address"]: o["outcome"] for o in first["outcomes"]} == {
            TAKER: "delivered", patient: "deferred", REFUSED: "failed"
        }  # fmt: skip
        assert {o["address"]: o["outcome"] for o in second["outcomes"]} == {patient: "delivered"}
        assert f"Envelope-to: {patient}\r\n".encode() in exim_hop.next_mail()
        assert f"Delivered-To: {TAKER}\r\n".encode() in postfix_hop.next_mail()
        assert read(ours.next_mail(ALICE)).actions == {REFUSED: "failed"}


@pytest.mark.usefixtures("hop")
def test_a_loop_through_the_hop_ends_in_one_report(ours: Relay) -> None:
    """loop.test is at the hop, says the DNS; it is here, says the hop."""
    ours.submit(mail("loop", b"x\r\n"), "user@loop.test")
    report = read(ours.next_mail(ALICE, 30))
    assert report.actions == {"user@loop.test": "failed"}
    rounds = [m for m in ours.queue() if m["from"] == ALICE]
    assert 10 < len(rounds) <= 50


# A hop that can less than the message asks.


def test_eight_bits_are_encoded_for_a_hop_without_them(
    postfix_hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    text = "Gr\u00fc\u00dfe \u0436\r\n.\r\n" + "long " * 300 + "\r\n"
    mime = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
    mime += b"Content-Transfer-Encoding: 8bit\r\n"
    with relay(OURS, tmp_path, ca, zone=at(SEVEN_BIT)) as ours:
        ours.submit(mail("8bit", text.encode(), more=mime), TAKER)
        stored = postfix_hop.next_mail()
    assert stored.isascii()
    payload = message_from_bytes(stored).get_payload(decode=True)
    assert payload == text.encode()


@pytest.mark.usefixtures("postfix_hop")
def test_starttls_that_ends_in_454_is_no_reason_to_keep_mail_back(
    ca: ThrowawayCA, tmp_path: Path
) -> None:
    with relay(OURS, tmp_path, ca, zone=at(SEVEN_BIT)) as ours:
        first, second = ours.ended(ours.submit(mail("clear", b""), TAKER))["attempts"]
        assert first["failure"]["detail"].startswith("454 4.7.0")
        assert (second["failure"], second["tls"]) == (None, "")
        assert second["outcomes"][0]["outcome"] == "delivered"


@pytest.mark.usefixtures("postfix_hop")
def test_what_the_hop_cannot_take_returns(ca: ThrowawayCA, tmp_path: Path) -> None:
    with relay(OURS, tmp_path, ca, zone=at(SEVEN_BIT)) as ours:
        ours.submit(mail("utf8", b""), "\u0436@inbox.test", options=("SMTPUTF8",))
        octets = ours.next_mail(ALICE)
        assert b"5.6.7" in octets


def test_a_hop_with_limits(postfix_hop: Hop, ca: ThrowawayCA, tmp_path: Path) -> None:
    """Five recipients are three transactions there; what is too large isn't even tried."""
    recipients = [f"{n}@{INBOX}" for n in range(5)]
    with relay(OURS, tmp_path, ca, zone=at(SMALL)) as ours:
        (attempt,) = ours.ended(ours.submit(mail("many", b""), *recipients))["attempts"]
        assert {o["outcome"] for o in attempt["outcomes"]} == {"delivered"}
        assert b"".join(segments(attempt["transcript"], "client")).count(b"MAIL FROM") == 3
        got = {postfix_hop.next_mail().split(b"Delivered-To: ")[1][:1] for _ in recipients}
        assert got == {b"0", b"1", b"2", b"3", b"4"}
        ours.submit(mail("large", b"x" * 70 + b"\r\n" * 30_000), TAKER)
        (recipient,) = read(ours.next_mail(ALICE)).recipients
        assert field(recipient, "Status") == "5.3.4"
