"""A sender learns what became of a message, once, and in a form that other programs read."""

import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message, MIMEPart
from email.policy import SMTP, default

import pytest
from flufl.bounce import all_failures
from hypothesis import given, settings
from hypothesis import strategies as st

from smtpcheck.facts.delivery import Envelope, ForwardPath, Outcome, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.relay.bounce import MAX_RETURNED, bounce, header
from smtpcheck.relay.notice import Action, Notice, status, wanted
from smtpcheck.wire.reply import Reply, reply
from tests.conftest import need, unavailable

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
CONTENT = b"From: a@a.test\r\nSubject: greetings\r\nMessage-ID: <1@a.test>\r\n\r\n.body\r\n"
ENVELOPE = Envelope(
    message_id="m1",
    reverse_path="alice@a.test",
    forward_paths=(ForwardPath(address="bob@b.test"),),
    received=NOW - timedelta(hours=1),
    helo="client.test",
)
NO_USER = reply(550, "5.1.1 no such user here")


def notice(
    action: Action = Action.FAILED,
    *,
    address: str = "bob@b.test",
    answer: Reply | None = NO_USER,
    failure: Failure | None = None,
    notify: tuple[str, ...] = (),
    orcpt: str = "",
    host: str = "mx.b.test",
) -> Notice:
    outcome = RecipientOutcome(
        address=address, outcome=Outcome.FAILED, reply=answer, failure=failure, host=host
    )
    return Notice(
        forward_path=ForwardPath(address=address, notify=notify, orcpt=orcpt),
        action=action,
        outcome=outcome,
        last_attempt=NOW,
        will_retry_until=NOW + timedelta(days=5),
    )


def report(
    *notices: Notice,
    envelope: Envelope = ENVELOPE,
    content: bytes = CONTENT,
    boundary: str = "edge",
    postmaster: str = "",
) -> tuple[Envelope, bytes] | None:
    return bounce(
        envelope,
        content,
        notices,
        hostname="relay.test",
        message_id="d1",
        boundary=boundary,
        date=NOW,
        postmaster=postmaster,
    )


def told(
    *notices: Notice, envelope: Envelope = ENVELOPE, content: bytes = CONTENT
) -> tuple[Envelope, bytes]:
    made = report(*notices, envelope=envelope, content=content)
    assert made
    return made


def parts(octets: bytes) -> tuple[MIMEPart, MIMEPart, MIMEPart]:
    message = message_from_bytes(octets, policy=default)
    assert message.get_content_type() == "multipart/report"
    assert not message.defects
    text, delivery_status, returned = message.iter_parts()
    return text, delivery_status, returned


def fields(octets: bytes) -> list[Message]:
    """The blocks of the delivery status: the message's, then one for each recipient."""
    blocks = [part for part in parts(octets)[1].walk() if isinstance(part, Message)]
    return [block for block in blocks[1:] if block.keys()]


def test_a_failure_to_the_octet() -> None:
    envelope, octets = told(notice(notify=("FAILURE",), orcpt="rfc822;Bob+2Bx@b.test"))
    assert envelope == Envelope(
        message_id="d1",
        reverse_path="",
        forward_paths=(ForwardPath(address="alice@a.test", notify=("NEVER",)),),
        size=len(octets),
        received=NOW,
        protocol="local",
    )
    assert octets.decode("ascii").split("\r\n") == [
        "From: Mail Delivery System <MAILER-DAEMON@relay.test>",
        "To: <alice@a.test>",
        "Subject: Undelivered mail returned to sender",
        "Date: Wed, 04 Mar 2026 05:06:07 +0000",
        "Message-ID: <d1@relay.test>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        '\tboundary="edge"',
        "",
        "This is a report in MIME format (RFC 3464).",
        "",
        "--edge",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "",
        "This is the mail system at relay.test.",
        "",
        "Your message could not be delivered to the recipients below, and is not",
        "tried any more.",
        "",
        "  <bob@b.test>",
        "    mx.b.test said: 550 5.1.1 no such user here",
        "",
        "--edge",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; relay.test",
        "Arrival-Date: Wed, 04 Mar 2026 04:06:07 +0000",
        "",
        "Original-Recipient: rfc822;Bob+x@b.test",
        "Final-Recipient: rfc822;bob@b.test",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.b.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no such user here",
        "Last-Attempt-Date: Wed, 04 Mar 2026 05:06:07 +0000",
        "",
        "--edge",
        "Content-Type: message/rfc822",
        "Content-Transfer-Encoding: 7bit",
        "",
        "From: a@a.test",
        "Subject: greetings",
        "Message-ID: <1@a.test>",
        "",
        ".body",
        "",
        "--edge--",
        "",
    ]


WANTED = [
    # action, NOTIFY, told?
    (Action.FAILED, (), True),
    (Action.FAILED, ("FAILURE",), True),
    (Action.FAILED, ("SUCCESS", "DELAY"), False),
    (Action.FAILED, ("NEVER",), False),
    (Action.DELAYED, (), True),
    (Action.DELAYED, ("DELAY",), True),
    (Action.DELAYED, ("FAILURE",), False),
    (Action.DELAYED, ("NEVER",), False),
    (Action.DELIVERED, (), False),
    (Action.DELIVERED, ("SUCCESS",), True),
    (Action.RELAYED, ("SUCCESS", "FAILURE"), True),
    (Action.RELAYED, ("FAILURE",), False),
    (Action.EXPANDED, ("SUCCESS",), True),
]


@pytest.mark.parametrize(("action", "notify", "expected"), WANTED)
def test_notify_decides_who_is_told(
    action: Action, notify: tuple[str, ...], expected: bool
) -> None:
    news = notice(action, notify=notify)
    assert wanted(news) is expected
    assert (report(news) is not None) is expected


def test_only_those_who_are_to_be_told_are_named() -> None:
    _, octets = told(notice(notify=("NEVER",)), notice(address="carol@c.test"))
    assert [block["Final-Recipient"] for block in fields(octets)[1:]] == ["rfc822;carol@c.test"]
    assert b"bob@b.test" not in octets


NULL = replace(ENVELOPE, reverse_path="")
POSTMASTER = "postmaster@relay.test"


def test_a_bounce_is_never_bounced() -> None:
    assert report(notice(), envelope=NULL) is None
    assert report(notice(Action.DELAYED), envelope=NULL, postmaster=POSTMASTER) is None


def test_a_lost_bounce_goes_to_the_postmaster_and_no_further() -> None:
    first, content = told(notice())
    lost = notice(address="alice@a.test", notify=first.forward_paths[0].notify)
    double = report(lost, envelope=first, content=content, postmaster=POSTMASTER)
    assert double
    assert double[0].reverse_path == ""
    assert [path.address for path in double[0].forward_paths] == [POSTMASTER]
    last = notice(address="Postmaster@relay.test")
    assert report(last, envelope=double[0], content=double[1], postmaster=POSTMASTER) is None


TIMED_OUT = Failure(stage=Stage.CONNECT, kind=Kind.TIMED_OUT)
STATUSES = [
    pytest.param(notice(), "5.1.1", id="the reply's own"),
    pytest.param(notice(answer=reply(554, "no")), "5.0.0", id="a reply without one"),
    pytest.param(notice(answer=reply(451, "4.7.1 later")), "4.7.1", id="expired"),
    pytest.param(notice(answer=reply(550, "2.0.0 odd")), "5.0.0", id="a class that can't be"),
    pytest.param(notice(Action.DELAYED, answer=reply(451, "x")), "4.0.0", id="delayed"),
    pytest.param(notice(Action.DELAYED, answer=reply(550, "5.1.1 x")), "4.0.0", id="kept anyway"),
    pytest.param(notice(Action.DELIVERED, answer=reply(250, "2.1.5 ok")), "2.1.5", id="delivered"),
    pytest.param(notice(Action.RELAYED, answer=None), "2.0.0", id="relayed"),
    pytest.param(notice(answer=None, failure=TIMED_OUT), "4.4.2", id="no answer"),
    pytest.param(
        notice(answer=None, failure=Failure(stage=Stage.CONNECT, kind=Kind.REFUSED)),
        "4.4.1",
        id="refused",
    ),
    pytest.param(
        notice(answer=None, failure=Failure(stage=Stage.STARTTLS, kind=Kind.TLS_FAILED)),
        "4.7.5",
        id="TLS",
    ),
    pytest.param(
        notice(answer=None, failure=Failure(stage=Stage.RESOLVE, kind=Kind.REJECTED)),
        "4.4.3",
        id="DNS",
    ),
    pytest.param(
        notice(answer=None, failure=Failure(stage=Stage.DATA, kind=Kind.LOCAL)), "4.3.0", id="ours"
    ),
    pytest.param(
        Notice(forward_path=ForwardPath(address="b@b.test"), action=Action.FAILED),
        "5.0.0",
        id="unknown",
    ),
]


@pytest.mark.parametrize(("news", "expected"), STATUSES)
def test_status(news: Notice, expected: str) -> None:
    assert status(news) == expected


def test_where_no_reply_came_the_failure_is_told_under_its_own_type() -> None:
    failure = Failure(stage=Stage.CONNECT, kind=Kind.REFUSED, detail="Connection refused")
    _, octets = told(notice(Action.DELAYED, answer=None, failure=failure))
    block = fields(octets)[1]
    assert block["Action"] == "delayed"
    assert block["Diagnostic-Code"] == "x-smtpcheck; connect: Connection refused"
    assert block["Will-Retry-Until"] == "Mon, 09 Mar 2026 05:06:07 +0000"
    assert b"It is tried until Mon, 09 Mar 2026" in octets
    assert parts(octets)[2].get_content_type() == "text/rfc822-headers"


def test_a_reply_of_our_own_is_not_called_the_hosts() -> None:
    _, octets = told(notice(answer=reply(556, "5.1.10 null MX"), host=""))
    block = fields(octets)[1]
    assert block["Remote-MTA"] is None
    assert block["Diagnostic-Code"] == "x-smtpcheck; 556 5.1.10 null MX"


def test_a_reply_of_several_lines_is_told_whole() -> None:
    lines = ["5.7.26 this mail is", "5.7.26 unauthenticated; see", f"5.7.26 https://{'x' * 90}"]
    _, octets = told(notice(answer=reply(550, *lines)))
    assert fields(octets)[1]["Diagnostic-Code"] == ("smtp; 550 " + " ".join(lines))
    assert f"https://{'x' * 90}\r\n".encode() in octets


RETURNED = [
    # action, RET, octets of body, content type, whole?
    (Action.FAILED, "", 10, "message/rfc822", True),
    (Action.FAILED, "FULL", 10, "message/rfc822", True),
    (Action.FAILED, "HDRS", 10, "text/rfc822-headers", False),
    (Action.FAILED, "FULL", MAX_RETURNED, "text/rfc822-headers", False),
    (Action.DELAYED, "FULL", 10, "text/rfc822-headers", False),
    (Action.DELIVERED, "FULL", 10, "text/rfc822-headers", False),
]


@pytest.mark.parametrize(("action", "ret", "size", "kind", "whole"), RETURNED)
def test_ret_decides_how_much_comes_back(
    action: Action, ret: str, size: int, kind: str, whole: bool
) -> None:
    content = b"Subject: s\r\nX: y\r\n\r\n" + b"z" * size + b"\r\n"
    envelope = replace(ENVELOPE, ret=ret)
    _, octets = told(
        notice(action, notify=("SUCCESS", "DELAY", "FAILURE")), envelope=envelope, content=content
    )
    returned = parts(octets)[2]
    assert returned.get_content_type() == kind
    expected = content if whole else b"Subject: s\r\nX: y\r\n"
    assert octets.endswith(b"\r\n\r\n" + expected + b"\r\n--edge--\r\n")


def test_the_envelope_id_is_told_as_the_sender_meant_it() -> None:
    _, octets = told(notice(), envelope=replace(ENVELOPE, envid="QQ+2B314+3Dx"))
    assert fields(octets)[0]["Original-Envelope-Id"] == "QQ+314=x"


def test_mail_of_eight_bits_comes_back_as_it_is() -> None:
    content = "Subject: s\r\n\r\nGrüße\r\n".encode("latin-1")
    envelope, octets = told(notice(), content=content)
    assert (envelope.eight_bit, envelope.smtputf8) == (True, False)
    assert content in octets
    assert parts(octets)[2]["Content-Transfer-Encoding"] == "8bit"


def test_international_mail_gets_an_international_report() -> None:
    """RFC 6533 §4."""
    content = "Subject: Grüße\r\n\r\nhallo\r\n".encode()
    envelope, octets = told(
        notice(address="jürgen@bücher.test", answer=reply(550, "5.1.1 Jürgen ist weg")),
        envelope=replace(ENVELOPE, smtputf8=True),
        content=content,
    )
    assert (envelope.smtputf8, envelope.eight_bit) == (True, True)
    text, delivery_status, returned = parts(octets)
    assert delivery_status.get_content_type() == "message/global-delivery-status"
    assert returned.get_content_type() == "message/global"
    assert "mx.b.test said: 550 5.1.1 Jürgen ist weg" in text.get_content()
    assert "Final-Recipient: utf-8;jürgen@bücher.test\r\n".encode() in octets
    assert content in octets


def test_plain_mail_that_was_merely_allowed_utf8_gets_a_plain_report() -> None:
    envelope, octets = told(notice(), envelope=replace(ENVELOPE, smtputf8=True))
    assert not envelope.smtputf8
    assert b"global" not in octets


def test_words_beyond_ascii_are_spelled_out_in_a_plain_report() -> None:
    _, octets = told(notice(answer=Reply(code=550, lines=("5.1.1 är weg\U0001f600",))))
    assert octets.isascii()
    assert fields(octets)[1]["Diagnostic-Code"] == r"smtp; 550 5.1.1 \xe4r weg\U0001f600"


def test_a_boundary_that_the_message_contains_is_lengthened() -> None:
    made = report(notice(), content=CONTENT + b"--edge--\r\n--edge=\r\nnot the end\r\n")
    assert made
    assert b"not the end" in bytes(parts(made[1])[2])


HOSTILE = st.text(st.characters(exclude_categories=[]), max_size=300)


@settings(deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE, HOSTILE, st.booleans())
def test_nothing_that_others_say_adds_a_line(
    said: str, host: str, orcpt: str, envid: str, smtputf8: bool
) -> None:
    hostile = notice(answer=Reply(code=550, lines=(said,)), host=host or "h", orcpt=orcpt)
    envelope = replace(ENVELOPE, envid=envid, smtputf8=smtputf8)
    _, octets = told(hostile, envelope=envelope)
    assert octets.replace(b"\r\n", b"").count(b"\n") == 0
    assert octets.replace(b"\r\n", b"").count(b"\r") == 0
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    first, second = fields(octets)
    assert set(first) <= {"Reporting-MTA", "Original-Envelope-Id", "Arrival-Date"}
    assert set(second) <= {
        "Original-Recipient",
        "Final-Recipient",
        "Action",
        "Status",
        "Remote-MTA",
        "Diagnostic-Code",
        "Last-Attempt-Date",
    }
    assert (second["Action"], second["Final-Recipient"]) == ("failed", "rfc822;bob@b.test")


HEADERS = [
    (b"A: b\r\n\r\nbody\r\n", b"A: b\r\n"),
    (b"\r\nbody\r\n", b""),
    (b"A: b\r\n", b"A: b\r\n"),
    (b"no line end", b""),
    (b"", b""),
    (b"A: " + b"x" * MAX_RETURNED, b""),
    (b"A: b\r\nC: " + b"x" * MAX_RETURNED, b"A: b\r\n"),
]


@pytest.mark.parametrize(("content", "expected"), HEADERS)
def test_header(content: bytes, expected: bytes) -> None:
    assert header(content) == expected


def test_flufl_bounce_finds_who_failed_and_who_waits() -> None:
    """Mailman's reader of bounces."""
    _, failed = told(notice(), notice(address="carol@c.test", answer=None, failure=TIMED_OUT))
    temporary, permanent = map(set, all_failures(message_from_bytes(failed, policy=SMTP)))
    assert (temporary, permanent) == (set(), {b"bob@b.test", b"carol@c.test"})
    _, delayed = told(notice(Action.DELAYED, answer=reply(451, "4.2.1 greylisted")))
    temporary, permanent = map(set, all_failures(message_from_bytes(delayed, policy=SMTP)))
    assert (temporary, permanent) == ({b"bob@b.test"}, set())


PERL = """
use Mail::DeliveryStatus::BounceParser;
my $bounce = Mail::DeliveryStatus::BounceParser->new(\\*STDIN);
print join("|", $bounce->is_bounce ? "bounce" : "none", $bounce->orig_message_id), "\\n";
print join("|", map { $_ // "" } $_->get("email"), $_->get("action"), $_->get("status"),
           $_->get("reason"), $_->get("std_reason"), $_->get("smtp_code")), "\\n"
    for $bounce->reports;
"""


@pytest.mark.real
def test_perls_bounce_parser_reads_the_report() -> None:
    perl = need("perl")
    probe = subprocess.run([perl, "-MMail::DeliveryStatus::BounceParser", "-e1"], check=False)
    if probe.returncode:
        unavailable("libmail-deliverystatus-bounceparser-perl is not installed")
    _, octets = told(notice(), notice(address="carol@c.test", answer=reply(552, "5.2.2 full")))
    stored = octets.replace(b"\r\n", b"\n")  # it reads mail as Unix stores it
    done = subprocess.run([perl, "-e", PERL], input=stored, capture_output=True, check=True)
    assert done.stdout.decode().splitlines() == [
        "bounce|<1@a.test>",
        "bob@b.test|failed|5.1.1|550 5.1.1 no such user here|user_unknown|550",
        "carol@c.test|failed|5.2.2|552 5.2.2 full|over_quota|552",
    ]
