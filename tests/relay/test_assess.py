"""What a try means: state, next try, and who is told, one row a case."""

from datetime import UTC, datetime

import pytest

from smtpcheck.facts.delivery import Envelope, ForwardPath, Outcome, RecipientOutcome
from smtpcheck.facts.failure import Failure, Kind, Stage
from smtpcheck.relay.assess import Office
from smtpcheck.relay.queue import Claim, Recipient, Settlement, State
from smtpcheck.relay.schedule import DAY, HOUR, MINUTE, Schedule
from smtpcheck.wire.reply import Reply, reply

NOW = 1_800_000_000.0
OFFICE = Office(
    hostname="us.test",
    postmaster="postmaster@us.test",
    schedule=Schedule(jitter=0),
    chance=lambda: 0.5,
    new_id=lambda: "R",
)
LATER, NEVER, OK = reply(450, "4.2.1 busy"), reply(550, "5.1.1 who"), reply(250, "2.0.0 Ok")


def claim(
    *, age: float = 0.0, tries: int = 0, notify: tuple[str, ...] = (), sender: str = "a@s.test",
    warned: bool = False,
) -> Claim:  # fmt: skip
    path = ForwardPath(address="b@d.test", notify=notify)
    envelope = Envelope(
        message_id="M",
        reverse_path=sender,
        forward_paths=(path,),
        received=datetime.fromtimestamp(NOW - age, UTC),
    )
    waiting = Recipient(position=0, address="b@d.test", tries=tries)
    return Claim(
        envelope=envelope,
        content=b"Subject: x\r\n\r\n",
        domain="d.test",
        recipients=(waiting,),
        received=NOW - age,
        warned=warned,
    )


def outcome(
    kind: Outcome, said: Reply | None = None, stage: Stage = Stage.RCPT
) -> RecipientOutcome:
    failure = Failure(stage=stage, kind=Kind.THROTTLED) if kind is not Outcome.DELIVERED else None
    return RecipientOutcome(
        address="b@d.test", outcome=kind, reply=said, failure=failure, host="mx.d.test"
    )


def told(settlement: Settlement) -> str:
    """The subject of what the sender is told, "" when nothing."""
    if not settlement.reports:
        return ""
    (report,) = settlement.reports
    assert report.envelope.reverse_path == ""
    return report.content.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()


RETURNED, DELAYED = "Undelivered mail returned to sender", "Mail is delayed"
D, F, S, U = Outcome.DEFERRED, Outcome.FAILED, Outcome.DELIVERED, Outcome.UNKNOWN
WALKS: list[tuple[str, Claim, RecipientOutcome | None, State, float, str]] = [
    ("delivered", claim(), outcome(S, OK), State.DELIVERED, 0, ""),
    ("delivered, asked", claim(notify=("SUCCESS",)), outcome(S, OK), State.DELIVERED, 0,
     "Mail was delivered"),
    ("failed", claim(), outcome(F, NEVER), State.FAILED, 0, RETURNED),
    ("failed, asked not to", claim(notify=("NEVER",)), outcome(F, NEVER), State.FAILED, 0, ""),
    ("a bounce failed", claim(sender=""), outcome(F, NEVER), State.FAILED, 0,
     "Undelivered bounce"),
    ("greylisted", claim(), outcome(D, LATER), State.QUEUED, 1 * MINUTE, ""),
    ("4yz at DATA", claim(), outcome(D, LATER, Stage.DATA), State.QUEUED, 30 * MINUTE, ""),
    ("nobody home", claim(tries=1), outcome(D, stage=Stage.CONNECT), State.QUEUED, HOUR, ""),
    ("not reached", claim(tries=2), None, State.QUEUED, 2 * HOUR, ""),
    ("unknown", claim(), outcome(U, stage=Stage.DATA), State.QUEUED, 30 * MINUTE, ""),
    ("too old", claim(age=5 * DAY, tries=30), outcome(D, LATER), State.EXPIRED, 0, RETURNED),
    ("old, hardly tried", claim(age=9 * DAY, tries=2), outcome(D), State.QUEUED, 2 * HOUR, ""),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "came", "state", "delay", "subject"), [pytest.param(*w[1:], id=w[0]) for w in WALKS]
)
def test_after_a_walk(
    given: Claim, came: RecipientOutcome | None, state: State, delay: float, subject: str
) -> None:
    outcomes = {"b@d.test": came} if came else {}
    settlement = OFFICE.after_walk(given, outcomes, (), NOW, local="SUCCESS" in _asked(given))
    (change,) = settlement.changes
    assert (change.state, change.tried, change.last) == (state, True, came)
    assert change.due == (NOW + delay if delay else 0)
    assert told(settlement) == subject


def _asked(given: Claim) -> tuple[str, ...]:
    return given.envelope.forward_paths[0].notify


ALARMS: list[tuple[str, Claim, tuple[State, ...], str, bool, float]] = [
    ("early", claim(age=HOUR), (), "", False, 5 * DAY - HOUR),
    ("a warning is due", claim(age=4 * HOUR), (), DELAYED, True, 5 * DAY - 4 * HOUR),
    ("warned already", claim(age=5 * HOUR, warned=True), (), "", False, 5 * DAY - 5 * HOUR),
    ("over", claim(age=5 * DAY, tries=33, warned=True), (State.EXPIRED,), RETURNED, False,
     4 * HOUR),
    ("over by the clock alone", claim(age=20 * DAY, tries=1, warned=True), (), "", False, 4 * HOUR),
    ("a bounce waits", claim(age=4 * HOUR, sender=""), (), "", True, 5 * DAY - 4 * HOUR),
]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "states", "subject", "warned", "again"),
    [pytest.param(*a[1:], id=a[0]) for a in ALARMS],
)
def test_after_an_alarm(
    given: Claim, states: tuple[State, ...], subject: str, warned: bool, again: float
) -> None:
    settlement = OFFICE.after_alarm(given, NOW)
    assert tuple(change.state for change in settlement.changes) == states
    assert not any(change.tried for change in settlement.changes)
    assert told(settlement) == subject
    assert (settlement.warned, settlement.alarm) == (warned, NOW + again)


def test_the_same_cause_is_told_that_was_heard_last() -> None:
    last = outcome(D, LATER)
    old = claim(age=5 * DAY, tries=33)
    waiting = Recipient(position=0, address="b@d.test", tries=33, last=last)
    alarmed = Claim(
        envelope=old.envelope,
        content=b"",
        domain="*",
        recipients=(waiting,),
        received=old.received,
        warned=True,
    )
    (report,) = OFFICE.after_alarm(alarmed, NOW).reports
    assert b"Diagnostic-Code: smtp; 450 4.2.1 busy\r\n" in report.content
