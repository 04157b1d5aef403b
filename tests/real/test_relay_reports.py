"""Delivery reports between our relay and Postfix and Exim: asked for, passed on, understood.

Law of each test: who asked is told once, by the host that knows, under the names that the
sender gave (RFC 3461 §4).
"""

import smtplib
from pathlib import Path

import pytest

from smtpcheck.relay.throwaway import ThrowawayCA
from tests.real.dsn import Dsn, field, read
from tests.real.hops import GONE, LATER, MAIN, OURS, PLAIN, REFUSED, SLOW, TAKER, Hop, at
from tests.real.ours import ALICE, BOB, HOME, Relay, relay, send, until
from tests.real.rig import NAME
from tests.real.traps import mail

pytestmark = pytest.mark.real

ENVELOPE = ("RET=HDRS", "ENVID=QQ314159")


def asking(address: str, *notify: str) -> tuple[str, str]:
    """A recipient that came here under another address.

    Nothing in it needs xtext: Exim 4.96 reports it undecoded.
    """
    return address, f"NOTIFY={','.join(notify)} ORCPT=rfc822;{first(address)}"


def first(address: str) -> str:
    """What the sender had written."""
    return f"first.{address}"


def test_the_hop_reports_success_as_we_passed_it_on(hop: Hop, ours: Relay) -> None:
    ours.submit(mail("wanted", b"x\r\n"), asking(TAKER, "SUCCESS", "FAILURE"), options=ENVELOPE)
    hop.next_mail()
    report = read(ours.next_mail(ALICE))
    assert report.actions == {TAKER: "delivered"}
    says_all(report, TAKER)
    assert len(ours.queue()) == 2


def says_all(report: Dsn, address: str) -> None:
    """What the sender gave comes back: the id, the address, and the header alone."""
    (recipient,) = report.recipients
    assert field(report.about, "Original-Envelope-Id") == "QQ314159"
    assert field(recipient, "Original-Recipient").replace(" ", "") == f"rfc822;{first(address)}"
    assert report.returned == "text/rfc822-headers"


@pytest.mark.usefixtures("hop")
def test_the_hop_reports_failure(ours: Relay) -> None:
    ours.submit(mail("gone", b"x\r\n"), asking(GONE, "FAILURE"), options=ENVELOPE)
    report = read(ours.next_mail(ALICE))
    assert report.actions == {GONE: "failed"}
    assert report.permanent == {first(GONE)}
    (recipient,) = report.recipients
    assert field(recipient, "Original-Recipient").replace(" ", "") == f"rfc822;{first(GONE)}"


def test_who_asked_for_no_report_of_failure_gets_none(
    postfix_hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    """One report for three who failed. (Exim 4.96 tells of all three.)"""
    with relay(OURS, tmp_path, ca, zone=at(MAIN["postfix"])) as ours:
        ours.submit(
            mail("gone", b"x\r\n"),
            asking("never@gone.test", "NEVER"),
            asking("happy@gone.test", "SUCCESS", "DELAY"),
            asking(GONE, "FAILURE"),
            options=ENVELOPE,
        )
        report = read(ours.next_mail(ALICE))
        assert report.actions == {GONE: "failed"}
        says_all(report, GONE)
        log = postfix_hop.server
        until(lambda: log.log.count("removed") == 2, 10, lambda: log.log)
        assert len(ours.queue()) == 2


def test_the_hop_reports_delay(ours: Relay) -> None:
    ours.submit(mail("slow", b"x\r\n"), asking(SLOW, "DELAY"), options=ENVELOPE)
    report = read(ours.next_mail(ALICE, 20))
    assert report.actions == {SLOW: "delayed"}
    assert report.temporary == {first(SLOW)}
    says_all(report, SLOW)


def test_what_the_hop_refuses_we_return_with_its_words(ours: Relay) -> None:
    message_id = ours.submit(mail("refused", b"x\r\n"), asking(REFUSED, "FAILURE"))
    report = read(ours.next_mail(ALICE))
    assert report.actions == {REFUSED: "failed"}
    assert report.permanent == {first(REFUSED)}
    (recipient,) = report.recipients
    assert "550 5.1.1" in field(recipient, "Diagnostic-Code")
    assert "no such user" in field(recipient, "Diagnostic-Code")
    assert field(recipient, "Remote-MTA") == f"dns; {NAME}"
    assert len(ours.ended(message_id)["attempts"]) == 1


def test_we_report_for_a_hop_that_reports_nothing(
    hop: Hop, ca: ThrowawayCA, tmp_path: Path
) -> None:
    with relay(OURS, tmp_path, ca, zone=at(PLAIN[hop.name])) as ours:
        ours.submit(mail("relayed", b"x\r\n"), asking(TAKER, "SUCCESS"), options=ENVELOPE)
        report = read(ours.next_mail(ALICE))
        assert report.actions == {TAKER: "relayed"}
        says_all(report, TAKER)
        hop.next_mail()


def test_we_report_success_to_one_behind_the_hop(hop: Hop, ours: Relay) -> None:
    with hop.client() as client:
        send(client, TAKER, [asking(BOB, "SUCCESS")], mail("in", b"x\r\n"), ENVELOPE)
    report = read(hop.next_mail())
    assert report.actions == {BOB: "delivered"}
    says_all(report, BOB)
    assert b"Subject: in" in ours.next_mail(BOB)


def test_the_hop_returns_what_we_refuse_with_our_words(hop: Hop, ours: Relay) -> None:
    nobody = f"nobody@{HOME}"
    with hop.client() as client:
        send(client, TAKER, [asking(nobody, "FAILURE")], mail("in", b"x\r\n"), ENVELOPE)
    report = read(hop.next_mail())
    assert report.actions == {nobody: "failed"}
    assert report.permanent == {first(nobody)}
    assert "550 5.1.1 No such user here" in field(report.recipients[0], "Diagnostic-Code")
    says_all(report, nobody)
    assert ours.queue() == []


def test_what_we_took_from_the_hop_and_cannot_deliver_returns_through_it(
    hop: Hop, ours: Relay
) -> None:
    """The hop's addresses may relay through us; the domain doesn't exist."""
    with smtplib.SMTP(OURS, 25, timeout=20) as client:
        send(client, TAKER, [asking("x@nowhere.test", "FAILURE")], mail("far", b""), ENVELOPE)
    report = read(hop.next_mail())
    assert report.actions == {"x@nowhere.test": "failed"}
    assert field(report.recipients[0], "Status") == "5.1.2"
    says_all(report, "x@nowhere.test")
    assert len(ours.queue()) == 2


def test_we_warn_of_delay_and_then_give_up(hop: Hop, ca: ThrowawayCA, tmp_path: Path) -> None:
    retry = {"profile": "seconds", "delays": ["300ms"], "warning": "1s", "lifetime": "3s"}
    retry["delays"] = ["0.3s"]
    with relay(OURS, tmp_path, ca, zone=at(MAIN[hop.name]), retry=retry) as ours:
        message_id = ours.submit(mail("later", b""), asking(LATER, "DELAY", "FAILURE"))
        report = read(ours.next_mail(ALICE))
        assert report.actions == {LATER: "delayed"}
        assert report.temporary == {first(LATER)}
        assert "450 4.2.0" in field(report.recipients[0], "Diagnostic-Code")
        report = read(ours.next_mail(ALICE))
        assert report.actions == {LATER: "failed"}
        assert report.permanent == {first(LATER)}
        assert len(ours.ended(message_id)["attempts"]) > 2
