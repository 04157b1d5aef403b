"""What the queue keeps and who gets it; against a model that forgets nothing, with restarts."""

import asyncio
import tempfile
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
)

from smtpcheck.facts.delivery import Attempt, Outcome, RecipientOutcome, Route
from smtpcheck.relay.queue import (
    Action,
    Change,
    Claim,
    FullError,
    LockedError,
    Report,
    Selection,
    Settlement,
    StaleError,
    State,
    domain_of,
)
from smtpcheck.relay.rows import MAX_RECIPIENTS, SPOOLED
from smtpcheck.relay.sqlite_queue import SqliteQueue
from smtpcheck.relay.trace import new_message_id
from smtpcheck.wire.reply import reply
from tests.relay.acceptor import envelope

T = TypeVar("T")
BUSY = RecipientOutcome(address="x", outcome=Outcome.DEFERRED, reply=reply(450, "4.2.1 busy"))


def to(claim: Claim, state: State, due: float = 0.0) -> Settlement:
    changes = [
        Change(position=r.position, state=state, due=due, last=BUSY) for r in claim.recipients
    ]
    return Settlement(claim=claim, changes=tuple(changes))


async def accepted(queue: SqliteQueue, *addresses: str, at: float = 100.0, size: int = 9) -> str:
    message_id = new_message_id()
    await queue.accept(envelope(message_id, *addresses), b"x" * size, now=at, alarm=at + 50)
    return message_id


async def states(queue: SqliteQueue, message_id: str) -> list[State]:
    (entry,) = await queue.entries(Selection(message_id=message_id), limit=1)
    return [recipient.state for recipient in entry.recipients]


async def due(queue: SqliteQueue, now: float) -> list[str]:
    return [destination.domain for destination in await queue.ready(now, 99)]


def in_queue(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@pytest.mark.parametrize(
    ("address", "domain"),
    [
        ("a@B.Test", "b.test"),
        ("a@b.test.", "b.test"),
        ('"a@x.test"@b.test', "b.test"),
        ("a@[IPv6:2001:DB8::1]", "[IPv6:2001:db8::1]"),
        ("postmaster", ""),
    ],
)
def test_the_destination_of_an_address(address: str, domain: str) -> None:
    assert domain_of(address) == domain


def test_a_message_goes_to_each_domain_once_and_is_forgotten(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        message_id = await accepted(queue, "a@one.test", "b@two.test", "c@one.test")
        assert await due(queue, 99) == []
        assert sorted(await due(queue, 100)) == ["one.test", "two.test"]
        (claim,) = await queue.claim("one.test", 100, 9)
        assert [r.address for r in claim.recipients] == ["a@one.test", "c@one.test"]
        assert claim.content == b"x" * 9
        assert await queue.claim("one.test", 100, 9) == ()
        assert len(await queue.claim("two.test", 100, 9)) == 1
        await queue.settle(to(claim, State.DELIVERED), now=101)
        await queue.rest("one.test")
        assert await due(queue, 100) == ["two.test"]
        assert await states(queue, message_id) == ["delivered", "queued", "delivered"]
        assert await queue.content(message_id) == b"x" * 9
        await queue.close()
        queue = SqliteQueue(tmp_path)  # the claim died with its holder
        (claim,) = await queue.claim("two.test", 100, 9)
        await queue.settle(to(claim, State.FAILED), now=101)
        assert await queue.content(message_id) is None
        assert await queue.entries(Selection(), limit=9) == ()
        assert await queue.prune(before=101) == 0
        assert await queue.prune(before=102) == 1
        assert await queue.entries(Selection(), limit=9, finished=True) == ()
        await queue.close()

    in_queue(main())


def test_deferred_is_due_again_and_a_failing_destination_later(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        await accepted(queue, "a@one.test")
        (claim,) = await queue.claim("one.test", 100, 9)
        await queue.settle(to(claim, State.QUEUED, due=130), now=101)
        await queue.rest("one.test", until=200, failures=1)
        assert await queue.next_due(101) == 150  # the alarm
        assert await queue.next_due(150) == 200
        await accepted(queue, "b@one.test", at=110)
        assert await due(queue, 199) == []  # mail that comes meanwhile waits, too
        (destination,) = await queue.ready(200, 9)
        assert destination.failures == 1
        claims = await queue.claim("one.test", 200, 9)
        assert [claim.recipients[0].tries for claim in claims] == [0, 1]
        assert claims[1].recipients[0].last == BUSY
        await queue.close()

    in_queue(main())


def test_final_is_final_and_reports_come_with_it_or_not_at_all(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        message_id = await accepted(queue, "a@one.test")
        (claim,) = await queue.claim("one.test", 100, 9)
        report = Report(
            envelope=envelope(new_message_id(), "a@sender.test"), content=b"", alarm=150
        )
        when = datetime.now(UTC)
        attempt = Attempt(route=Route(domain="one.test"), started=when, ended=when)
        failed = Settlement(
            claim=claim,
            changes=to(claim, State.FAILED).changes,
            reports=(report,),
            attempts=(attempt,),
        )
        await queue.settle(failed, now=101)
        with pytest.raises(StaleError):
            await queue.settle(failed, now=102)
        (entry,) = await queue.entries(Selection(), limit=9)
        assert entry.envelope == report.envelope
        (done,) = await queue.entries(Selection(message_id=message_id), limit=9)
        assert done.attempts == (attempt,)
        assert done.recipients[0].last == BUSY
        await queue.close()

    in_queue(main())


def test_a_settlement_with_a_bad_report_changes_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        message_id = await accepted(queue, "a@one.test")
        (claim,) = await queue.claim("one.test", 100, 9)
        twice = Report(envelope=claim.envelope, content=b"", alarm=150)
        bad = Settlement(claim=claim, changes=to(claim, State.FAILED).changes, reports=(twice,))
        with pytest.raises(Exception, match="UNIQUE"):
            await queue.settle(bad, now=101)
        assert await states(queue, message_id) == ["queued"]
        await queue.close()

    in_queue(main())


def test_alarms_have_the_whole_message_or_wait(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        await accepted(queue, "a@one.test", "b@two.test")
        (claim,) = await queue.claim("one.test", 100, 9)
        assert await queue.claim_alarmed(150, 9) == ()
        await queue.unclaim(claim)
        assert await queue.claim_alarmed(149, 9) == ()
        (alarmed,) = await queue.claim_alarmed(150, 9)
        assert len(alarmed.recipients) == 2
        assert await queue.claim("one.test", 150, 9) == ()
        warned = Settlement(claim=alarmed, changes=(), warned=True, alarm=500)
        await queue.settle(warned, now=150)
        assert await queue.claim_alarmed(499, 9) == ()
        (claim,) = await queue.claim("one.test", 150, 9)
        assert claim.warned
        await queue.close()

    in_queue(main())


def test_what_an_operator_does(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        one = await accepted(queue, "a@one.test")
        two = await accepted(queue, "b@two.test", size=SPOOLED + 1)
        everything = Selection()
        assert await queue.change(Action.HOLD, Selection(domain="one.test"), now=100) == (one,)
        assert await queue.claim("one.test", 100, 9) == ()
        assert await queue.claim_alarmed(150, 9) != ()  # the other one; give it back
        for claim in await queue.claim("two.test", 100, 9):
            await queue.unclaim(claim)
        assert await queue.change(Action.RELEASE, Selection(message_id=one), now=120) == (one,)
        (claim,) = await queue.claim("one.test", 120, 9)
        assert await queue.change(Action.REMOVE, Selection(message_id=one), now=120) == ()  # busy
        await queue.settle(to(claim, State.QUEUED, due=900), now=120)
        assert await queue.claim("one.test", 130, 9) == ()
        assert await queue.change(Action.RETRY, Selection(message_id=one), now=130) == (one,)
        (claim,) = await queue.claim("one.test", 130, 9)
        await queue.unclaim(claim)
        await queue.close()
        queue = SqliteQueue(tmp_path)
        assert (tmp_path / "spool" / two).exists()
        assert set(await queue.change(Action.REMOVE, everything, now=140)) == {one, two}
        assert not (tmp_path / "spool" / two).exists()
        assert await states(queue, two) == ["removed"]
        await queue.close()

    in_queue(main())


def test_one_writer_and_orphans_go(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        with pytest.raises(LockedError):
            SqliteQueue(tmp_path)
        kept = await accepted(queue, "a@one.test", size=SPOOLED + 1)
        await queue.close()
        (tmp_path / "spool" / "0660F62FA6B0C4D57D7A").write_bytes(b"x")
        queue = SqliteQueue(tmp_path)
        await queue.recover(100, 1000)
        assert [path.name for path in (tmp_path / "spool").iterdir()] == [kept]
        (claim,) = await queue.claim("one.test", 100, 9)
        assert isinstance(claim.content, Path)
        assert claim.content.read_bytes() == await queue.content(kept)
        await queue.close()

    in_queue(main())


def test_a_clock_that_was_wrong_strands_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        await accepted(queue, "a@one.test", at=1_000_000.0)
        assert await due(queue, 100) == []
        await queue.recover(100, 500)
        assert await due(queue, 100) == ["one.test"]
        assert len(await queue.claim("one.test", 100, 9)) == 1
        await queue.close()

    in_queue(main())


def test_a_claim_is_no_more_than_a_transaction(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        await accepted(queue, *(f"u{n}@one.test" for n in range(MAX_RECIPIENTS + 5)))
        (claim,) = await queue.claim("one.test", 100, 9)
        await queue.settle(to(claim, State.DELIVERED), now=100)
        (rest,) = await queue.claim("one.test", 100, 9)
        assert [len(claim.recipients), len(rest.recipients)] == [MAX_RECIPIENTS, 5]
        await queue.close()

    in_queue(main())


def test_a_reserve_is_kept(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path, min_free=1 << 60)
        with pytest.raises(FullError) as refused:
            await accepted(queue, "a@one.test")
        assert str(refused.value.reply).startswith("452 4.3.1")
        await queue.close()

    in_queue(main())


class Life(RuleBasedStateMachine):
    """Whatever happens, each recipient is in one state, and never leaves a final one."""

    messages: Bundle[str] = Bundle("messages")
    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.directory = tempfile.TemporaryDirectory()
        self.queue = SqliteQueue(Path(self.directory.name))
        self.now = 100.0
        self.generation = 0
        self.model: dict[tuple[str, int], State] = {}
        self.held_by: dict[tuple[str, str], int] = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    @rule(target=messages, to=st.lists(st.sampled_from(["a@x", "b@x", "c@y"]), min_size=1))
    def accept(self, to: list[str]) -> str:
        message_id = self.do(accepted(self.queue, *to, at=self.now))
        self.model |= {(message_id, n): State.QUEUED for n in range(len(to))}
        return message_id

    @rule(target=claims, domain=st.sampled_from(["x", "y"]), limit=st.integers(1, 3))
    def claim(self, domain: str, limit: int) -> Any:
        claimed = self.do(self.queue.claim(domain, self.now, limit))
        return multiple(*(self.take(claim) for claim in claimed))

    @rule(target=claims)
    def claim_alarmed(self) -> Any:
        claimed = self.do(self.queue.claim_alarmed(self.now, 2))
        return multiple(*(self.take(claim) for claim in claimed))

    def take(self, claim: Claim) -> tuple[int, Claim]:
        key = (claim.envelope.message_id, claim.domain)
        assert key not in self.held_by
        assert (claim.envelope.message_id, "*") not in self.held_by
        self.held_by[key] = self.generation
        return self.generation, claim

    @rule(held=consumes(claims), state=st.sampled_from([*State]))
    def settle(self, held: Any, state: State) -> None:
        generation, claim = held
        if generation != self.generation:
            return  # its holder died
        if state is State.HELD:
            self.do(self.queue.unclaim(claim))
        else:
            self.do(self.queue.settle(to(claim, state, due=self.now + 10), now=self.now))
            for recipient in claim.recipients:
                self.model[claim.envelope.message_id, recipient.position] = state
        del self.held_by[claim.envelope.message_id, claim.domain]

    @rule(message_id=messages, action=st.sampled_from([*Action]))
    def operate(self, message_id: str, action: Action) -> None:
        busy = {domain for m, domain in self.held_by if m == message_id}
        self.do(self.queue.change(action, Selection(message_id=message_id), now=self.now))
        (entry,) = self.do(self.queue.entries(Selection(message_id=message_id), limit=1))
        moves = {
            Action.HOLD: {State.QUEUED: State.HELD},
            Action.RELEASE: {State.HELD: State.QUEUED},
            Action.REMOVE: {State.QUEUED: State.REMOVED, State.HELD: State.REMOVED},
        }.get(action, {})
        for recipient in entry.recipients:
            key = (message_id, recipient.position)
            if not busy & {"*", domain_of(recipient.address)}:
                self.model[key] = moves.get(self.model[key], self.model[key])

    @rule(seconds=st.floats(0, 60))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def restart(self) -> None:
        self.do(self.queue.close())
        self.queue = SqliteQueue(Path(self.directory.name))
        self.do(self.queue.recover(self.now, 1000))
        self.generation += 1
        self.held_by.clear()

    @invariant()
    def agrees_with_the_model(self) -> None:
        for entry in self.do(self.queue.entries(Selection(), limit=999, finished=True)):
            message_id = entry.envelope.message_id
            for recipient in entry.recipients:
                assert recipient.state is self.model[message_id, recipient.position]
            over = all(recipient.state.final for recipient in entry.recipients)
            assert (entry.finished is not None) == over
            assert (self.do(self.queue.content(message_id)) is None) == over

    def teardown(self) -> None:
        self.do(self.queue.close())
        self.loop.close()
        self.directory.cleanup()


Life.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestLife = Life.TestCase


def test_an_action_on_one_domain_of_one_message(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        message_id = await accepted(queue, "a@one.test", "b@two.test")
        which = Selection(message_id=message_id, domain="ONE.test")
        await queue.change(Action.REMOVE, which, now=101)
        assert await states(queue, message_id) == ["removed", "queued"]
        assert len(await queue.entries(Selection(domain="TWO.test"), limit=9)) == 1
        await queue.rest("two.test", until=500.0, failures=1)
        (entry,) = await queue.entries(Selection(), limit=9)
        assert entry.recipients[1].due == 500.0  # no sooner than its destination
        await queue.close()

    in_queue(main())


def test_received_by_a_clock_that_was_ahead(tmp_path: Path) -> None:
    """After its correction it is as if received now, and looked at."""

    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        await accepted(queue, "a@one.test", at=1e6)
        await queue.recover(100.0, 1000.0)
        (claim,) = await queue.claim_alarmed(100.0, 9)
        assert claim.received == 100.0
        await queue.close()

    in_queue(main())


def test_a_message_that_cannot_be_written_fails_alone(tmp_path: Path) -> None:
    async def main() -> None:
        queue = SqliteQueue(tmp_path)
        bad = envelope("BAD", "a@one.test\ud800")
        with pytest.raises(ValueError, match="surrogates"):
            await queue.accept(bad, b"x", now=1, alarm=2)
        await accepted(queue, "b@one.test")
        await queue.close()

    in_queue(main())
