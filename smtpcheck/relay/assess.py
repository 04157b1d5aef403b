"""What a walk means for each recipient, and what its sender is told: pure.

Law: every recipient of the claim is decided here, once: delivered, failed, expired, or tried
again at a time. What the sender hears is made from the same facts, and settled with them.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from smtpcheck.facts.delivery import Attempt, Outcome, RecipientOutcome
from smtpcheck.facts.failure import Stage
from smtpcheck.relay.bounce import MAX_RETURNED, bounce
from smtpcheck.relay.notice import Action, Notice
from smtpcheck.relay.queue import Change, Claim, Content, Recipient, Report, Settlement, State
from smtpcheck.relay.schedule import Schedule
from smtpcheck.relay.trace import new_message_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Office:
    """Who reports, and by which rules. `chance` is 0 to below 1."""

    hostname: str
    postmaster: str
    schedule: Schedule
    chance: Callable[[], float]
    new_id: Callable[[], str] = new_message_id

    def after_walk(
        self,
        claim: Claim,
        outcomes: Mapping[str, RecipientOutcome],
        attempts: Sequence[Attempt],
        now: float,
        *,
        local: bool = False,
    ) -> Settlement:
        """What came of a try. Who is not in `outcomes` was not reached."""
        changes: list[Change] = []
        notices: list[Notice] = []
        for recipient in claim.recipients:
            outcome = outcomes.get(recipient.address)
            change = self._change(claim, recipient, outcome, now)
            changes.append(change)
            if action := _action(change.state, outcome, local):
                notices.append(self._notice(claim, recipient, action, outcome, now))
        return Settlement(
            claim=claim,
            changes=tuple(changes),
            attempts=tuple(attempts),
            reports=self._report(claim, notices, now),
        )

    def after_alarm(self, claim: Claim, now: float) -> Settlement:
        """What is too old is given up; for what has waited long the sender is told so, once."""
        schedule = self.schedule
        over = [
            r
            for r in claim.recipients
            if schedule.expires(received=claim.received, tries=r.tries, now=now)
        ]
        warn = not claim.warned and now >= claim.received + schedule.warning
        left = [r for r in claim.recipients if r not in over] if warn else []
        notices = [self._notice(claim, r, Action.FAILED, r.last, now) for r in over]
        notices += [self._notice(claim, r, Action.DELAYED, r.last, now) for r in left]
        expiry = claim.received + schedule.lifetime
        return Settlement(
            claim=claim,
            changes=tuple(
                Change(position=r.position, state=State.EXPIRED, tried=False) for r in over
            ),
            reports=self._report(claim, notices, now),
            warned=warn,
            alarm=expiry if expiry > now else now + schedule.furthest(),
        )

    def _change(
        self, claim: Claim, recipient: Recipient, outcome: RecipientOutcome | None, now: float
    ) -> Change:
        tries = recipient.tries + 1
        if outcome and outcome.outcome is Outcome.DELIVERED:
            return Change(position=recipient.position, state=State.DELIVERED, last=outcome)
        if outcome and outcome.outcome is Outcome.FAILED:
            return Change(position=recipient.position, state=State.FAILED, last=outcome)
        if self.schedule.expires(received=claim.received, tries=tries, now=now):
            return Change(position=recipient.position, state=State.EXPIRED, last=outcome)
        delay = self.schedule.delay(tries, greylisted=_greylisted(outcome), chance=self.chance)
        return Change(
            position=recipient.position, state=State.QUEUED, due=now + delay, last=outcome
        )

    def _notice(
        self,
        claim: Claim,
        recipient: Recipient,
        action: Action,
        outcome: RecipientOutcome | None,
        now: float,
    ) -> Notice:
        left = claim.received + self.schedule.lifetime - now
        return Notice(
            forward_path=claim.envelope.forward_paths[recipient.position],
            action=action,
            outcome=outcome or recipient.last,
            last_attempt=_date(now),
            will_retry_until=_date(now) + timedelta(seconds=max(0.0, left)),
        )

    def _report(self, claim: Claim, notices: list[Notice], now: float) -> tuple[Report, ...]:
        if not notices:
            return ()
        message_id = self.new_id()
        made = bounce(
            claim.envelope,
            opening(claim.content),
            notices,
            hostname=self.hostname,
            message_id=message_id,
            boundary=f"={message_id}",
            date=_date(now),
            postmaster=self.postmaster,
        )
        if made is None:
            return ()
        return (Report(envelope=made[0], content=made[1], alarm=now + self.schedule.warning),)


def opening(content: Content) -> bytes:
    """As much of a message as a report may need; nothing when its file can't be read."""
    if not isinstance(content, Path):
        return content[: MAX_RETURNED + 1]
    try:
        with content.open("rb") as file:
            return file.read(MAX_RETURNED + 1)
    except OSError:
        return b""


def _action(state: State, outcome: RecipientOutcome | None, local: bool) -> Action | None:
    if state in (State.FAILED, State.EXPIRED):
        return Action.FAILED
    if state is State.DELIVERED and outcome and not outcome.dsn_passed:
        return Action.DELIVERED if local else Action.RELAYED
    return None


def _greylisted(outcome: RecipientOutcome | None) -> bool:
    """Refused for now at RCPT by a host that answered (RFC 6647 §2)."""
    failure = outcome.failure if outcome and outcome.reply else None
    return failure is not None and failure.stage is Stage.RCPT


def _date(now: float) -> datetime:
    return datetime.fromtimestamp(now, UTC)
